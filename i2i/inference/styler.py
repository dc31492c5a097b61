"""What a generator of styles is told: the style of a domain, from a seed or from a reference.

All images are translated into one style at a time, so that a result depends on its image, the
domain and the seed (or the reference), and on nothing beside it.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from i2i.core.batch import to_signed
from i2i.core.labels import Asked, LabelSpace
from i2i.core.size import AnySize, Size
from i2i.data.sides import SideReader
from i2i.errors import OptionsError
from i2i.inference.conditioner import Conditioner, fitted_to
from i2i.networks.spade import FixedStyleGenerator as SPADEFixed
from i2i.networks.starganv2 import FixedStyleGenerator as StarGANv2Fixed


class Styles:
    """A style at a time for a generator, from a seed or from a picture.

    Arguments:
        network: the generator, of one style at a time.
        reader: reads the pictures that styles are taken of.
        size: that they are brought to.
        stretch: whatever their proportions; else their middle is cut out.
    """

    planes: tuple[str, ...] = ()
    has_strength = False

    def __init__(
        self,
        network: StarGANv2Fixed | SPADEFixed,
        *,
        reader: SideReader,
        size: AnySize,
        stretch: bool,
    ) -> None:
        self.network = network
        self.reader = reader
        self.size = Size.of(size)
        self.stretch = stretch
        self._source: int | Tensor = 0
        self._lock = threading.Lock()

    def by_seed(self, seed: int) -> None:
        """Take the style that a seed stands for: always the same, on every device."""
        self._source = seed

    def by_reference(self, image: Tensor | Path) -> None:
        """Take the style of a picture: (C, H, W), as it travels or in -1..1, or a file.

        Raises:
            DataError: the file cannot be read.
        """
        if isinstance(image, Path):
            image = torch.from_numpy(self.reader.read(image)).permute(2, 0, 1)
        self._source = fitted_to(to_signed(image[None]).float(), self.size, stretch=self.stretch)

    @property
    def reference(self) -> Tensor:
        """The image that styles are taken of, (1, C, H, W) of `size`, in -1..1."""
        assert isinstance(self._source, Tensor)
        return self._source

    def style(self, asked: Asked = None) -> Tensor:
        """Return the style (numbers,) that is asked for."""
        raise NotImplementedError

    @contextmanager
    def telling(
        self, images: Tensor, asked: Asked = None, labels: Tensor | None = None
    ) -> Iterator[Tensor]:
        style = self.style(asked)
        with self._lock:  # the network has one style at a time
            self.network.set_style(style)
            yield images


class PictureStyler(Styles):
    """Gives a generator of label maps its style: that of a picture, or one from noise.

    Arguments:
        network: the generator, of one style at a time.
        style_encoder: (N, C, H, W) -> mean and logvar of a style, of which the mean is
            taken.
        numbers: of a style.
        reader, size, stretch: of pictures.
    """

    def __init__(
        self,
        network: SPADEFixed,
        style_encoder: nn.Module,
        numbers: int,
        *,
        reader: SideReader,
        size: AnySize,
        stretch: bool,
    ) -> None:
        super().__init__(network, reader=reader, size=size, stretch=stretch)
        self.style_encoder = style_encoder.eval()
        self.numbers = numbers

    @torch.no_grad()
    def style(self, asked: Asked = None) -> Tensor:
        """Return the style (numbers,).

        Raises:
            OptionsError: a domain is asked for.
        """
        if asked is not None:
            raise OptionsError(f"domain (={asked!r}) means nothing to this network.")
        if isinstance(self._source, Tensor):
            where = next(self.style_encoder.parameters()).device
            mean, _ = self.style_encoder(self._source.to(where))
            style: Tensor = mean[0]
            return style
        chance = torch.Generator().manual_seed(self._source)
        return torch.randn(self.numbers, generator=chance)


class Styler(Styles, Conditioner):
    """Gives a generator the style of what is asked for.

    Arguments:
        labels: the domains that it has learnt.
        network: the generator, of one style at a time.
        mapping_network: (N, latent) and numbers of domains (N,) -> styles (N, style_dim), with
            `latent` as an attribute. Like the style encoder it is moved to where the generator is
            and put into evaluation mode.
        style_encoder: (N, C, `size`, `size`) and numbers of domains -> styles.
        reader: reads references.
        size: height and width of the images that the style encoder takes.
        stretch: whether references are brought to it whatever their proportions; else their middle
            is cut out.
        asked: the domain by default.

    Raises:
        OptionsError: the model has not learnt that domain.
    """

    def __init__(
        self,
        labels: LabelSpace,
        network: StarGANv2Fixed,
        mapping_network: nn.Module,
        style_encoder: nn.Module,
        *,
        reader: SideReader,
        size: AnySize,
        stretch: bool,
        asked: Asked = None,
    ) -> None:
        Styles.__init__(self, network, reader=reader, size=size, stretch=stretch)
        Conditioner.__init__(self, labels, None, size=size, stretch=stretch, asked=asked)
        self.mapping_network: Any = mapping_network.eval()
        self.style_encoder = style_encoder.eval()

    @torch.no_grad()
    def style(self, asked: Asked = None) -> Tensor:
        """Return the style (style_dim,) of a domain, by default of that which is asked for.

        Raises:
            OptionsError: there is no such domain, or none is asked for.
        """
        changes = self._changes(asked)
        [name] = changes
        device = next(self.mapping_network.parameters()).device
        domain = torch.tensor([self.labels.names.index(name)], device=device)
        if isinstance(self._source, Tensor):
            style: Tensor = self.style_encoder(self._source.to(device), domain)
        else:
            chance = torch.Generator().manual_seed(self._source)
            noise = torch.randn(1, self.mapping_network.latent, generator=chance)
            style = self.mapping_network(noise.to(device), domain)
        return style[0]

    def __call__(self, images: Tensor, asked: Asked = None, labels: Tensor | None = None) -> Tensor:
        """Return the style for each of some images, (N, style_dim)."""
        return self.style(asked).expand(len(images), -1).to(images.device)


def each_style(
    conditioner: Conditioner | Styles,
    seed: int | None,
    count: int | None,
    references: Sequence[Path],
) -> Iterator[str]:
    """Set one style after the other, and yield a name for it; "" if it is the only one.

    Arguments:
        conditioner: of the model.
        seed: of the first style from noise, 0 by default; the next has the next number.
        count: of styles from noise.
        references: images to take the styles of instead.

    Raises:
        OptionsError: styles are chosen of a model that has none, or in two ways.
        DataError: a reference cannot be read.
    """
    if not isinstance(conditioner, Styles):
        if seed is not None or count is not None or references:
            raise OptionsError(
                "--seed, --count and --reference choose among styles, and this model has none: "
                "they are for stargan-v2 and spade-vae."
            )
        yield ""
        return
    if references and (seed is not None or count is not None):
        raise OptionsError("a style is either that of a --reference or made from a --seed.")
    if not references:
        for number in range(seed or 0, (seed or 0) + (count or 1)):
            conditioner.by_seed(number)
            yield str(number) if count is not None else ""
        return
    names = [path.stem for path in references]
    for name in names:
        if names.count(name) > 1:
            raise OptionsError(f"two references are called {name!r}: rename one, or take one.")
    for path in references:
        conditioner.by_reference(path)  # it complains before anything is done
    for path, name in zip(references, names, strict=True):
        conditioner.by_reference(path)
        yield name if len(references) > 1 else ""


def settle_style(
    conditioner: Conditioner | Styles | None,
    domain: str | None,
    seed: int | None,
    reference: Path | None,
) -> str:
    """Settle the one style that a generator is to translate into; return it in words, "" for a
    generator without styles.

    Raises:
        OptionsError: a style is asked for of a model that has none, or no domain of one that has.
        DataError: the reference cannot be read.
    """
    asked = domain is not None or seed is not None or reference is not None
    if isinstance(conditioner, PictureStyler):
        if domain is not None:
            raise OptionsError(f"domain (={domain!r}) means nothing to this model: leave it out.")
        for _ in each_style(conditioner, seed, None, [reference] if reference else []):
            conditioner.network.set_style(conditioner.style())
        return f"like {reference.name}" if reference else f"by seed {seed or 0}"
    if not isinstance(conditioner, Styler):
        if asked:
            raise OptionsError(
                "--domain, --seed and --reference settle a style, and this model has none: they "
                "are for stargan-v2 and spade-vae. Leave them out."
            )
        return ""
    if domain is None:
        raise OptionsError(
            "a file translates into one style: name its domain with --domain, one of "
            f"{', '.join(conditioner.labels.names)}."
        )
    conditioner.ask(domain)
    for _ in each_style(conditioner, seed, None, [reference] if reference else []):
        conditioner.network.set_style(conditioner.style())
    return f"{domain} like {reference.name}" if reference else f"{domain} by seed {seed or 0}"
