"""What a generator is told: with a classifier that looks at one pixel for each attribute."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from i2i.core.labels import LabelSet, LabelSpace
from i2i.errors import DataError, OptionsError
from i2i.inference.conditioner import Conditioner

MOODS = LabelSpace((LabelSet(("joy", "anger"), exclusive=True),))
FACES = LabelSpace(
    (
        LabelSet(("dark", "fair", "old"), False, (("dark", "fair"),)),
        LabelSet(("joy", "anger"), exclusive=True),
    )
)


class Corner(nn.Module):
    """Finds an attribute where a channel of the first pixel is positive; wants 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        assert images.shape[1:] == (3, 8, 8)
        return images, torch.cat([images[:, :, 0, 0], self.zero.expand(len(images), 2)], dim=1)


def conditioner(space: LabelSpace, **more: object) -> Conditioner:
    return Conditioner(space, Corner(), size=8, **{"stretch": True} | more)  # type: ignore[arg-type]


def colour(*channels: float, shape: tuple[int, int] = (12, 20)) -> Tensor:
    return torch.tensor(channels)[None, :, None, None].expand(1, 3, *shape)


def test_domains_need_no_classifier() -> None:
    ask = Conditioner(MOODS, None, size=8, stretch=True)
    assert ask(torch.zeros(2, 3, 9, 9), {"anger": True}).tolist() == [[0, 1], [0, 1]]
    asked = Conditioner(MOODS, None, size=8, stretch=True, asked="joy")
    assert asked(torch.zeros(1, 3, 9, 9)).tolist() == [[1, 0]]
    assert asked(torch.zeros(1, 3, 9, 9), {"anger": True}).tolist() == [[0, 1]]
    with pytest.raises(OptionsError, match=r"more than one domain.*joy, anger"):
        ask(torch.zeros(1, 3, 9, 9))
    with pytest.raises(OptionsError, match="Did you mean 'anger'"):
        Conditioner(MOODS, None, size=8, stretch=True, asked="angre")


@pytest.mark.parametrize("stretch", [True, False])
@pytest.mark.parametrize("shape", [(8, 8), (12, 20), (21, 9), (3, 5)])
def test_attributes_that_are_not_asked_for_are_found(stretch: bool, shape: tuple[int, int]) -> None:
    ask = conditioner(FACES, stretch=stretch)
    images = torch.cat([colour(0.5, -0.5, 0.5, shape=shape), colour(-1, 1, -1, shape=shape)])
    assert ask(images, {"old": None}).tolist() == [
        [1, 0, 0, 0, 0, 1, 0],
        [0, 1, 1, 0, 0, 1, 0],
    ]
    bright = images.add(1).mul(127.5).round().to(torch.uint8)
    assert torch.equal(ask(bright, {"old": None}), ask(images, {"old": None}))
    assert ask(images, {"fair": True}).tolist() == [
        [0, 1, 1, 0, 0, 1, 0],
        [0, 1, 0, 0, 0, 1, 0],
    ]
    assert ask(images, {"anger": True})[0].tolist() == [0, 0, 0, 0, 1, 0, 1]


def test_the_middle_is_classified_where_proportions_are_kept() -> None:
    images = colour(-1, -1, -1, shape=(8, 24)).clone()
    images[:, 2, :, 8:16] = 1.0
    assert conditioner(FACES, stretch=False).classify(images)[0, :3].tolist() == [0, 0, 1]
    assert conditioner(FACES, stretch=True).classify(images)[0, :3].tolist() == [0, 0, 0]


def test_labels_may_be_told_instead() -> None:
    ask = Conditioner(FACES, None, size=8, stretch=True)
    told = torch.tensor([[0.0, 1, 1, 0, 0]])
    assert ask(colour(0, 0, 0), {"dark": True}, told).tolist() == [[1, 0, 1, 0, 0, 1, 0]]
    with pytest.raises(OptionsError, match="no discriminator to find them"):
        ask(colour(0, 0, 0), {"dark": True})
    everything = ask(colour(0, 0, 0), {"dark": True, "old": False})
    assert everything.tolist() == [[1, 0, 0, 0, 0, 1, 0]]


def test_a_table_tells(tmp_path: Path) -> None:
    table = tmp_path / "faces.csv"
    table.write_text("file,old,other,fair,dark\na/1.png,1,0,0,1\n")
    ask = conditioner(FACES, asked={"old": False})
    told = ask.told_by(table)
    assert told(tmp_path / "a" / "1.jpg").tolist() == [1, 0, 1, 0, 0]
    with pytest.raises(DataError, match=r"2\.jpg' has no row in '.*faces\.csv'"):
        told(tmp_path / "a" / "2.jpg")
    with pytest.raises(OptionsError, match="of no use to change domains"):
        conditioner(FACES, asked="joy").told_by(table)
    table.write_text("file,old,fair\n1.png,1,0\n")
    with pytest.raises(DataError, match="no attribute 'dark'"):
        ask.told_by(table)
