"""Which side of unpaired images a model is given first."""

from pathlib import Path

import pytest
import torch

from i2i.data.sources import open_source
from shrunk import shrunk


def mean_colours(images: torch.Tensor) -> list[float]:
    return images.float().mean(dim=(1, 2)).tolist()


@pytest.mark.parametrize(
    ("recipe", "direction", "first"),
    [
        ("cut", "AtoB", "red"),
        ("cut", "BtoA", "blue"),
        ("cyclegan", "AtoB", "red"),
        ("cyclegan", "BtoA", "red"),  # it learns both ways, whichever is used by default
    ],
)
def test_a_model_of_one_way_is_given_what_it_translates_first(
    recipe: str, direction: str, first: str, unpaired: Path, said: list[str]
) -> None:
    options = shrunk(recipe, f"data.root={unpaired}", f"data.direction={direction}")
    source = open_source(options, "unpaired")
    for dataset in (source.train, source.validation):
        colours = [mean_colours(image) for image in dataset[0]]
        redder = [colour[0] > colour[2] for colour in colours]
        assert redder == ([True, False] if first == "red" else [False, True])
    assert "5 images of A and 7 of B" in " ".join(said)
