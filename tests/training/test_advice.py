"""What is said before a training that would take days without a GPU."""

import pytest

from i2i.config.recipes import load_options
from i2i.training.advice import without_gpu


@pytest.mark.parametrize(
    ("recipe", "quick"),
    [("pix2pix", "pix2pix-quick"), ("cyclegan", "cyclegan-quick"), ("stargan", "stargan-quick")],
)
def test_published_sizes_name_the_quick_recipe(recipe: str, quick: str) -> None:
    names = ('data.domains=["a", "b"]',) if recipe == "stargan" else ()
    options = load_options(recipe, "data.root=my photos", *names)
    line = without_gpu(options, "cpu") or ""
    assert f"`i2i train --recipe {quick} --dataroot 'my photos'`" in line
    assert "--dry-run" in line
    assert without_gpu(options, "cuda") is None


@pytest.mark.parametrize(
    ("recipe", "settings", "size"),
    [
        ("pix2pix-quick", (), None),
        ("pix2pix-small", (), None),
        ("cyclegan-quick", (), None),
        ("cgan-mnist", ('data.domains=["a", "b"]',), None),
        ("pix2pix", ("generator.width=16",), 64),
    ],
)
def test_what_is_quick_needs_no_word(
    recipe: str, settings: tuple[str, ...], size: int | None
) -> None:
    assert without_gpu(load_options(recipe, *settings, size=size), "cpu") is None
