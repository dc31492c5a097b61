"""Names in image grids, in whichever language files and folders are called."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import ImageFont

from i2i.runs import captions
from i2i.runs.image_grid import image_grid


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system with no fonts but Pillow's own."""
    monkeypatch.setattr(captions, "FONTS", ())


def test_letters_that_the_font_lacks_are_spelled_out(no_fonts: None) -> None:
    font = captions.font_for("Sömmer")
    assert captions.spelled("Sömmer, Café (1).jpg …", font) == "Sommer, Cafe (1).jpg …"
    assert captions.spelled("So\u0308mmer", font) == "Sommer"  # as macOS writes names
    assert captions.spelled("日本 a\nb", font) == "?? a\nb"


def test_a_font_of_the_system_is_taken_where_it_has_the_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Latin(ImageFont.ImageFont):
        """Has all letters up to ÿ."""

        def getmask(self, text: Any, *arguments: Any, **more: Any) -> Any:
            class Mask(bytes):
                size = (1, 1)

            return Mask(b"box" if ord(text) > 255 else text.encode())

    latin = Latin()
    monkeypatch.setattr(captions, "_of_system", {"latin.ttf": latin}.get)
    monkeypatch.setattr(captions, "FONTS", ("none.ttf", "latin.ttf"))
    assert captions.font_for("Sömmer") is latin
    assert captions.spelled("Sömmer λ", latin) == "Sömmer ?"
    assert captions.font_for("Sommer") is not latin


def test_a_grid_of_names_of_other_languages(no_fonts: None) -> None:
    """Each column is there, though both are spelled alike; and no box stands in the place of ö."""
    white, black = torch.ones(1, 3, 96, 96), -torch.ones(1, 3, 96, 96)
    grid = image_grid({"日本": white, "中国": black}, ["ä.jpg"])
    pixels = np.asarray(grid)[-20]  # below the names, across both images
    assert (pixels == 0).all(axis=-1).sum() == 96
    spelled = image_grid({"??": white}, ["a.jpg"])
    assert np.array_equal(np.asarray(grid)[:, :130], np.asarray(spelled)[:, :130])
