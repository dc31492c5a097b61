"""What a generator makes images of when it has none to translate: random numbers and codes.

A latent vector is noise, followed by codes: for each categorical code a 1 among zeros, and numbers
in -1..1 for the continuous ones (Chen et al.: InfoGAN, NeurIPS 2016). Without codes it is noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.errors import OptionsError, did_you_mean

DISTRIBUTIONS = ("normal", "uniform")


@dataclass(frozen=True)
class Latent:
    """The latent vectors of a model.

    Attributes:
        size: how many numbers are noise.
        distribution: of the noise, "normal" (0, 1) or "uniform" (-1..1).
        categorical: the number of categories of each categorical code.
        continuous: how many continuous codes there are.
    """

    size: int
    distribution: str = "normal"
    categorical: tuple[int, ...] = ()
    continuous: int = 0

    def __post_init__(self) -> None:
        assert self.distribution in DISTRIBUTIONS, self.distribution

    @property
    def codes(self) -> int:
        """How many numbers of a vector are codes."""
        return sum(self.categorical) + self.continuous

    @property
    def width(self) -> int:
        """The length of a vector."""
        return self.size + self.codes

    @property
    def names(self) -> tuple[str, ...]:
        """The codes by name: "category" or "category1", ..., then "continuous1", ..."""
        several = len(self.categorical) > 1
        categories = [f"category{i + 1}" if several else "category" for i in self._categories]
        return (*categories, *(f"continuous{i + 1}" for i in range(self.continuous)))

    @property
    def _categories(self) -> range:
        return range(len(self.categorical))

    def draw(
        self,
        count: int,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw latent vectors (`count`, `width`); by default from torch's global generator."""
        where: dict[str, Any] = {"device": device, "generator": generator}
        if self.distribution == "normal":
            parts = [torch.randn(count, self.size, **where)]
        else:
            parts = [torch.rand(count, self.size, **where) * 2 - 1]
        for categories in self.categorical:
            chosen = torch.randint(categories, (count,), **where)
            parts.append(F.one_hot(chosen, categories).float())
        if self.continuous:
            parts.append(torch.rand(count, self.continuous, **where) * 2 - 1)
        return torch.cat(parts, dim=1)

    def split(self, vectors: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Split vectors (N, `width`) into noise, a (N, categories) for each code, and the rest."""
        noise, *codes = vectors.split([self.size, *self.categorical, self.continuous], dim=1)
        return noise, codes[:-1], codes[-1]

    def truncated(self, vectors: Tensor, limit: float) -> Tensor:
        """Move noise towards the middle of its distribution: less varied, more typical images.

        Normal noise becomes that of a normal distribution cut off at -limit..limit (Brock et al.:
        BigGAN, ICLR 2019, section 3.1), each number keeping its rank; uniform noise is multiplied
        by `limit`.

        Raises:
            OptionsError: the limit is not positive or, for uniform noise, above 1.
        """
        if not 0 < limit <= (1 if self.distribution == "uniform" else math.inf):
            span = "0..1" if self.distribution == "uniform" else "a positive number, such as 1"
            raise OptionsError(
                f"truncation (={limit}) must be {span} for {self.distribution} noise"
            )
        noise, rest = vectors[:, : self.size].double(), vectors[:, self.size :]
        if self.distribution == "uniform":
            noise = noise * limit
        else:
            cut = torch.special.ndtr(torch.tensor(-limit, dtype=torch.float64))
            noise = torch.special.ndtri(cut + torch.special.ndtr(noise) * (1 - 2 * cut))
        return torch.cat([noise.to(rest.dtype), rest], dim=1)

    def between(
        self, begin: Tensor, end: Tensor, shares: Sequence[float], *, spherical: bool = False
    ) -> Tensor:
        """Go from one latent vector (width,) to another: (number of shares, width).

        Codes always go on a straight line: a category fades into the other.

        Arguments:
            begin, end: vectors.
            shares: how far, 0..1.
            spherical: whether the noise goes along an arc; see `interpolated`.
        """
        at = self.size
        noise = interpolated(begin[:at], end[:at], shares, spherical=spherical)
        codes = interpolated(begin[at:], end[at:], shares, spherical=False)
        return torch.cat([noise, codes], dim=1)

    def with_code(self, vectors: Tensor, name: str, value: float) -> Tensor:
        """Set one code, by its name, in all vectors.

        Raises:
            OptionsError: there is no such code, or it cannot have this value.
        """
        index = self._index(name)
        vectors = vectors.clone()
        if index >= len(self.categorical):
            vectors[:, self.width - self.continuous + index - len(self.categorical)] = value
            return vectors
        categories = self.categorical[index]
        if value not in range(categories):
            raise OptionsError(
                f"{name} (={value:g}) must be one of the {categories} categories, "
                f"0..{categories - 1}."
            )
        begin = self.size + sum(self.categorical[:index])
        vectors[:, begin : begin + categories] = 0
        vectors[:, begin + int(value)] = 1
        return vectors

    def values(self, name: str, count: int = 10) -> list[float]:
        """The values of a code worth seeing: all categories, or `count` numbers in -2..2.

        Beyond -1..1 a continuous code is extrapolated, as in the figures of the paper.

        Raises:
            OptionsError: there is no such code.
        """
        index = self._index(name)
        if index < len(self.categorical):
            return [float(i) for i in range(self.categorical[index])]
        return torch.linspace(-2, 2, count).tolist()

    def _index(self, name: str) -> int:
        if name not in self.names:
            known = (
                f"They are: {', '.join(self.names)}."
                if self.names
                else "It has none: InfoGAN learns some."
            )
            raise OptionsError(
                f"{name!r} is no code of this model.{did_you_mean(name, self.names)} {known}"
            )
        return self.names.index(name)


def interpolated(begin: Tensor, end: Tensor, shares: Sequence[float], *, spherical: bool) -> Tensor:
    """Go from one vector (width,) to another: (number of shares, width).

    On a straight line, vectors of normal noise pass through short ones, which training hardly ever
    saw; on the sphere they keep their length (White: Sampling Generative Networks, 2016).
    """
    share = torch.tensor(shares, dtype=torch.float64)[:, None]
    one, other = begin.double(), end.double()
    cosine = F.cosine_similarity(one, other, dim=0).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if not spherical or float(torch.sin(angle)) < 1e-6:
        return ((1 - share) * one + share * other).to(begin.dtype)
    weights = torch.sin((1 - share) * angle), torch.sin(share * angle)
    return ((weights[0] * one + weights[1] * other) / torch.sin(angle)).to(begin.dtype)
