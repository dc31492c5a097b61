"""Images from noise with a trained generator: the same seed, the same image."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.core.batch import enlarged, to_signed, to_travel
from i2i.core.latent import Latent
from i2i.core.scale import signed
from i2i.core.sides import Sides
from i2i.distributed.processes import ALONE, Processes, share
from i2i.errors import CheckpointError, OptionsError, did_you_mean
from i2i.networks.inference import inference_copy
from i2i.system.cpu import note_threads, require_threads

GROUP = 8
"""Images that are computed together, always as many: sums of another shape round differently."""


Space = Literal["z", "w"]
"""Where a way leads along: latent vectors, or the styles that StyleGAN2 makes of them."""


class Sampler:
    """A generator ready for use.

    An image follows from its seed alone, whatever else is asked for at the same time. The
    generator is copied: training it further changes no image, and sampling changes nothing of it.

    Images are given as they travel (`i2i.core.scale`): bytes of grey or RGB, or, of a model that
    learnt from the values of files, uint16 or floating point; `values` makes those of files of
    them, `pictures` what can be looked at.

    Arguments:
        generator: maps latent vectors (N, width) and labels (N, L) or None to images (N, C, H, W)
            in -1..1.
        latent: what the vectors are.
        names: of the classes that the generator is told; none if it is not told any.
        size: height and width of the images; coarser ones are enlarged by repeating pixels.
        channels: of the images.
        sides: what images (side 1) are; by default 8 bits of grey or RGB.
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
        channels: int = 3,
        sides: Sides = Sides(),  # noqa: B008 (nobody can change it)
        norm: str = "running",
        device: torch.device | str = "cpu",
        precision: str = "fp32",
        processes: Processes = ALONE,
        checkpoint: Path | None = None,
        description: str = "",
    ) -> None:
        self.device = torch.device(device)
        self.generator: Any = inference_copy(generator, norm=norm, dropout=False).to(self.device)
        self.latent = latent
        self.processes = processes
        self.names = tuple(names)
        self.size = size
        self.channels = channels
        self.sides = sides
        self.dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self.checkpoint = checkpoint
        self.description = description
        note_threads()

    def __iter__(self) -> Iterator[Any]:
        """Yield the sampler and its description: `sampler, why = load_sampler(run)`, as version
        0.1 had it."""
        return iter((self, self.description))

    @property
    def styled(self) -> bool:
        """Whether the generator makes styles of latent vectors, and images of styles."""
        return hasattr(self.generator, "styles")

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
        noise: bool = True,
    ) -> Tensor:
        """Images (N, C, size, size), as they travel, of some seeds.

        Arguments:
            seeds: not negative.
            label: the class, by name or number; by default the seeds go through all classes.
            codes: name -> value, for models with codes.
            truncation: how far noise may be from its middle; of generators with styles, the share
                of their distance to the average style that they keep.
            noise: of generators that add noise to features, whether they do.

        Raises:
            OptionsError: an unknown class or code; or the generator adds no noise to leave out.
        """
        labels = self.labels(seeds, label)
        if self.styled:
            ws = self.styles(self.vectors(seeds, codes=codes), labels, truncation)
            return self.synthesise(ws, noise=noise)
        if not noise:
            self._require_styles("noise")
        return self.make(self.vectors(seeds, codes=codes, truncation=truncation), labels)

    def make(self, vectors: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, C, size, size), as they travel, of latent vectors (N, width)."""
        return self._in_groups(self._images(self.generator), vectors, labels)

    def styles(
        self, vectors: Tensor, labels: Tensor | None = None, truncation: float | None = None
    ) -> Tensor:
        """The styles (N, layers, numbers) of latent vectors (N, width), for generators with styles.

        `truncation` is the share of their distance to the average style that they keep: 1 or None
        for all of it (Karras et al., "A style-based generator architecture for generative
        adversarial networks", CVPR 2019, appendix B).
        """
        kept = 1.0 if truncation is None else truncation
        return self._in_groups(
            lambda group, told: self.generator.styles(group, told, kept).cpu(), vectors, labels
        )

    def synthesise(self, ws: Tensor, *, noise: bool = True) -> Tensor:
        """Images (N, C, size, size), as they travel, of styles (N, layers, numbers)."""
        added = "const" if noise else "none"
        paint = self._images(lambda group, told: self.generator.synthesis(group, added))
        return self._in_groups(paint, ws)

    def mix(
        self,
        rows: Sequence[int],
        columns: Sequence[int],
        layers: range | None = None,
        *,
        label: str | None = None,
        truncation: float | None = None,
        noise: bool = True,
    ) -> Tensor:
        """Each row's image with the styles of each column's in some layers (Karras et al. 2019,
        figure 3).

        Arguments:
            rows, columns: seeds.
            layers: those that take the column's styles, from 0, the coarsest; by default the
                coarsest four, which are those up to 8 x 8 pixels.
            label, truncation, noise: as of `__call__`.

        Returns:
            (rows + 1, columns + 1, C, size, size), as they travel: the columns' own images are in
            front of the first row, the rows' own before the first column, and the corner is empty.

        Raises:
            OptionsError: the generator has no styles, or not these layers.
        """
        self._require_styles("mix")
        taken = range(4) if layers is None else layers
        most = self.generator.num_ws
        if not 0 <= taken.start < taken.stop <= most:
            raise OptionsError(
                f"layers (={taken.start}-{taken.stop - 1}) must be some of the {most} layers of "
                f"this generator, 0-{most - 1}."
            )
        of_rows, of_columns = (
            self.styles(self.vectors(seeds), self.labels(seeds, label), truncation)
            for seeds in (rows, columns)
        )
        mixed = of_rows[:, None].repeat(1, len(columns), 1, 1)
        mixed[:, :, taken.start : taken.stop] = of_columns[None, :, taken.start : taken.stop]
        made = self.synthesise(torch.cat([of_rows, of_columns, mixed.flatten(0, 1)]), noise=noise)
        at = len(rows) + len(columns)
        grid = made[:1].expand(len(rows) + 1, len(columns) + 1, -1, -1, -1).clone()
        grid[0, 0] = 0
        grid[1:, 0], grid[0, 1:] = made[: len(rows)], made[len(rows) : at]
        grid[1:, 1:] = made[at:].unflatten(0, (len(rows), len(columns)))
        return grid

    @property
    def file_type(self) -> str:
        """The type of the values of files of images, by the name that NumPy has for it."""
        scale = self.sides.scales[1]
        return "uint8" if scale is None else scale.dtype

    def values(self, images: Tensor) -> npt.NDArray[Any]:
        """Images (N, C, H, W) as the values (N, H, W, C) that files of them hold."""
        pixels = images.movedim(1, -1).numpy()
        scale = self.sides.scales[1]
        return pixels if scale is None else scale.decode(signed(pixels))

    def pictures(self, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Images (N, C, H, W) by name, as a person can look at them (`Sides.pictures`): with 1 or 3
        channels in -1..1; the names say which bands those are and how they are stretched."""
        named = {name: to_signed(images) for name, images in columns.items()}
        return self.sides.pictures(named, lambda name: 1)

    def _require_styles(self, what: str) -> None:
        if not self.styled:
            raise OptionsError(
                f"{what} is about generators with styles (of the model stylegan2), and this "
                f"{type(self.generator).__name__} has none."
            )

    def _images(self, generate: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """A function that generates, as one of what travels, on the CPU."""

        def of_group(*group: Tensor | None) -> Tensor:
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
                images = generate(*group)
            if not bool(images.isfinite().all()):
                raise CheckpointError(
                    "the generator makes values that are NaN or infinite: take an earlier "
                    "checkpoint, its training has failed (or, in fp16, --precision fp32)."
                )
            return enlarged(to_travel(images, self.sides.travels(1)).cpu(), self.size)

        return of_group

    @torch.no_grad()
    def _in_groups(
        self, compute: Callable[..., Tensor], rows: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        """What a function makes of rows (N, ...) and their labels, always of as many together.

        Processes that work together each make a part, and all get everything.

        Raises:
            CheckpointError: what the generator makes is not finite.
            ProcessError: this process was forked from one that has used torch's threads.
        """
        require_threads()
        begins = range(0, len(rows), GROUP)
        own = share(begins, self.processes.rank, self.processes.world)
        made = {}
        for begin in own:
            group = rows[begin : begin + GROUP]
            told = None if labels is None else self._filled(labels[begin : begin + GROUP])
            made[begin] = compute(self._filled(group), told)[: len(group)]
        parts = self.processes.gather(made)
        groups = {begin: result for part in parts for begin, result in part.items()}
        return torch.cat([groups[begin] for begin in begins])

    def _filled(self, rows: Tensor) -> Tensor:
        """Fill up a group with repetitions of its last row."""
        missing = GROUP - len(rows)
        return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]).to(self.device)

    def interpolate(
        self,
        begin: int,
        end: int,
        frames: int,
        *,
        spherical: bool = False,
        space: Space | None = None,
        label: str | None = None,
        codes: Mapping[str, float] | None = None,
        truncation: float | None = None,
        noise: bool = True,
    ) -> Tensor:
        """Images (`frames`, C, size, size), as they travel, on the way from one seed to another.

        Arguments:
            begin, end: seeds, of the first and of the last image.
            frames: how many images, at least 2.
            spherical: whether the way is an arc; see `i2i.core.latent.interpolated`.
            space: "z" for a way through latent vectors, "w" for one through styles, which is the
                default where there are styles and the way is straight.
            label: the class of all of them; by default that of `begin`.
            codes: name -> value, for models with codes.
            truncation, noise: as of `__call__`.

        Raises:
            OptionsError: the generator has no styles; or an arc through them is asked for.
        """
        assert frames >= 2, frames
        if space is None:
            space = "w" if self.styled and not spherical else "z"
        if space == "w":
            self._require_styles("space (='w')")
            if spherical:
                raise OptionsError("space (='w') has straight ways only: leave spherical out.")
        if not noise:
            self._require_styles("noise")
        ends = self.vectors(
            [begin, end], codes=codes, truncation=None if self.styled else truncation
        )
        shares = [i / (frames - 1) for i in range(frames)]
        labels = self.labels([begin] * frames, label)
        if space == "w":
            told = None if labels is None else labels[:2]
            first, last = self.styles(ends, told, truncation)
            way = torch.tensor(shares, dtype=first.dtype)[:, None, None]
            return self.synthesise(first.lerp(last, way), noise=noise)
        vectors = self.latent.between(ends[0], ends[1], shares, spherical=spherical)
        if self.styled:
            return self.synthesise(self.styles(vectors, labels, truncation), noise=noise)
        return self.make(vectors, labels)

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
