"""Images from noise with a trained generator: the same seed, the same image."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.core.batch import enlarged, to_bytes
from i2i.core.latent import Latent
from i2i.distributed.processes import ALONE, Processes, share
from i2i.errors import CheckpointError, OptionsError, did_you_mean
from i2i.networks.inference import inference_copy
from i2i.system.cpu import note_threads, require_threads

GROUP = 8
"""Images that are computed together, always as many: sums of another shape round differently."""


class Sampler:
    """A generator ready for use.

    An image follows from its seed alone, whatever else is asked for at the same time. The
    generator is copied: training it further changes no image, and sampling changes nothing of it.

    Arguments:
        generator: maps latent vectors (N, width) and labels (N, L) or None to images (N, C, H, W)
            in -1..1.
        latent: what the vectors are.
        names: of the classes that the generator is told; none if it is not told any.
        size: height and width of the images; coarser ones are enlarged by repeating pixels.
        norm: what normalises an image; see `set_inference`.
        device: to compute on.
        precision: "fp32", "bf16" or "fp16".
        processes: those that share the work; all of them ask for the same.
        checkpoint: the file that it was made of.
        description: which checkpoint that is and why, in words.
    """

    def __init__(
        self,
        generator: Any,
        latent: Latent,
        *,
        names: Sequence[str] = (),
        size: int,
        norm: str = "running",
        device: torch.device | str = "cpu",
        precision: str = "fp32",
        processes: Processes = ALONE,
        checkpoint: Path | None = None,
        description: str = "",
    ) -> None:
        self.device = torch.device(device)
        self.generator = inference_copy(generator, norm=norm, dropout=False).to(self.device)
        self.latent = latent
        self.processes = processes
        self.names = tuple(names)
        self.size = size
        self.dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self.checkpoint = checkpoint
        self.description = description
        note_threads()

    def __iter__(self) -> Iterator[Any]:
        """Yield the sampler and its description: `sampler, why = load_sampler(run)`, as version
        0.1 had it."""
        return iter((self, self.description))

    def vectors(
        self,
        seeds: Sequence[int],
        *,
        codes: Mapping[str, float] | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """The latent vectors (N, width) of some seeds.

        Arguments:
            seeds: not negative.
            codes: name -> the value that it has in all of them.
            truncation: how far noise may be from its middle; see `Latent.truncated`.

        Raises:
            OptionsError: an unknown code, or a value that it cannot have.
        """
        each = [self.latent.draw(1, generator=torch.Generator().manual_seed(s)) for s in seeds]
        vectors = torch.cat(each)
        if truncation is not None:
            vectors = self.latent.truncated(vectors, truncation)
        for name, value in (codes or {}).items():
            vectors = self.latent.with_code(vectors, name, value)
        return vectors

    def labels(self, seeds: Sequence[int], label: str | None = None) -> Tensor | None:
        """The labels (N, L) that go with some seeds: of one class, or in turns of all.

        Raises:
            OptionsError: there is no such class.
        """
        if label is None:
            chosen = [seed % len(self.names) for seed in seeds] if self.names else []
        elif label in self.names:
            chosen = [self.names.index(label)] * len(seeds)
        elif label.isdecimal() and int(label) < len(self.names):
            chosen = [int(label)] * len(seeds)
        elif not self.names:
            raise OptionsError(f"label (={label!r}): this model was told no classes.")
        else:
            raise OptionsError(
                f"label (={label!r}) is none of the classes that this model has learnt."
                f"{did_you_mean(label, self.names)} They are: {', '.join(self.names)} "
                f"(or a number, 0..{len(self.names) - 1})."
            )
        return F.one_hot(torch.tensor(chosen), len(self.names)).float() if self.names else None

    def __call__(
        self,
        seeds: Sequence[int],
        *,
        label: str | None = None,
        codes: Mapping[str, float] | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """Images (N, C, size, size), bytes, of some seeds.

        Arguments:
            seeds: not negative.
            label: the class, by name or number; by default the seeds go through all classes.
            codes: name -> value, for models with codes.
            truncation: how far noise may be from its middle.
        """
        vectors = self.vectors(seeds, codes=codes, truncation=truncation)
        return self.make(vectors, self.labels(seeds, label))

    @torch.no_grad()
    def make(self, vectors: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, C, size, size), bytes, of latent vectors (N, width).

        Processes that work together each make a part, and all get everything.

        Raises:
            CheckpointError: what the generator makes is not finite.
            ProcessError: this process was forked from one that has used torch's threads.
        """
        require_threads()
        begins = range(0, len(vectors), GROUP)
        own = share(begins, self.processes.rank, self.processes.world)
        made = [self._group(vectors, labels, begin) for begin in own]
        parts = self.processes.gather(dict(zip(own, made, strict=True)))
        groups = {begin: images for part in parts for begin, images in part.items()}
        return enlarged(torch.cat([groups[begin] for begin in begins]), self.size)

    def _group(self, vectors: Tensor, labels: Tensor | None, begin: int) -> Tensor:
        group = vectors[begin : begin + GROUP]
        told = None if labels is None else self._filled(labels[begin : begin + GROUP])
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            images = self.generator(self._filled(group), told)
        if not bool(images.isfinite().all()):
            raise CheckpointError(
                "the generator makes values that are NaN or infinite: take an earlier checkpoint, "
                "its training has failed (or, in fp16, --precision fp32)."
            )
        return to_bytes(images[: len(group)]).cpu()

    def _filled(self, rows: Tensor) -> Tensor:
        """Fill up a group with repetitions of its last row."""
        return torch.cat([rows, rows[-1:].expand(GROUP - len(rows), -1)]).to(self.device)

    def interpolate(
        self,
        begin: int,
        end: int,
        frames: int,
        *,
        spherical: bool = False,
        label: str | None = None,
        codes: Mapping[str, float] | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """Images (`frames`, C, size, size), bytes, on the way from one seed to another.

        Arguments:
            begin, end: seeds, of the first and of the last image.
            frames: how many images, at least 2.
            spherical: whether the way is an arc; see `i2i.core.latent.interpolated`.
            label: the class of all of them; by default that of `begin`.
            codes: name -> value, for models with codes.
            truncation: how far noise may be from its middle.
        """
        assert frames >= 2, frames
        ends = self.vectors([begin, end], codes=codes, truncation=truncation)
        shares = [i / (frames - 1) for i in range(frames)]
        vectors = self.latent.between(ends[0], ends[1], shares, spherical=spherical)
        return self.make(vectors, self.labels([begin] * frames, label))

    def vary(
        self,
        code: str,
        seeds: Sequence[int],
        *,
        label: str | None = None,
        truncation: float | None = None,
        codes: Mapping[str, float] | None = None,
    ) -> dict[float, Tensor]:
        """The images of some seeds for each value of a code that is worth seeing.

        Raises:
            OptionsError: there is no such code.
        """
        return {
            value: self(
                seeds, label=label, codes={**(codes or {}), code: value}, truncation=truncation
            )
            for value in self.latent.values(code)
        }
