"""Files of what a sampler makes."""

from pathlib import Path

import numpy as np
import pytest
from known import files, load
from PIL import Image
from torch import Tensor, nn

from i2i.core.latent import Latent
from i2i.errors import DataError, OptionsError
from i2i.inference.sampler import Sampler
from i2i.inference.write_samples import (
    write_interpolation,
    write_samples,
    write_variation,
)

SIZE = 8


class Ramp(nn.Module):
    """The first number of a vector is how bright the image is, the second where a line is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, vectors: Tensor, labels: Tensor | None) -> Tensor:
        image = vectors[:, :1, None, None].expand(-1, self.channels, SIZE, SIZE).clone()
        image[:, :, 0] = vectors[:, -1:, None]
        return image


def sampler(channels: int = 3, **latent: object) -> Sampler:
    return Sampler(Ramp(channels), Latent(2, "uniform", **latent), size=SIZE)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [1, 3])
def test_every_seed_has_a_file_with_its_pixels(channels: int, tmp_path: Path) -> None:
    made = sampler(channels)
    sheet = write_samples(made, tmp_path / "a" / "b", range(7, 19))
    assert sheet == tmp_path / "a" / "b" / "sheet.png"
    names = [f"{seed:06d}.png" for seed in range(7, 19)]
    assert files(sheet.parent) == [*names, "sheet.png"]
    for seed, name in zip(range(7, 19), names, strict=True):
        pixels = load(sheet.parent / name).reshape(SIZE, SIZE, channels)
        expected = made([seed])[0].permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, expected)
    with Image.open(sheet.parent / names[0]) as image:
        assert image.mode == ("L" if channels == 1 else "RGB")


def test_tiny_images_are_enlarged_in_the_sheet(tmp_path: Path) -> None:
    made = sampler(1)
    sheet = load(write_samples(made, tmp_path, range(12)))
    side = 96 // SIZE * SIZE
    assert sheet.shape == (2 * side + 1, 8 * side + 7, 3)
    second = sheet[:side, side + 1 : 2 * side + 1]
    expected = made([1])[0, 0].numpy().repeat(side // SIZE, 0).repeat(side // SIZE, 1)
    assert np.array_equal(second, expected[:, :, None].repeat(3, 2))


def test_many_images_do_not_all_go_into_the_sheet(tmp_path: Path) -> None:
    sheet = load(write_samples(sampler(1), tmp_path, range(300)))
    assert len(files(tmp_path)) == 301
    assert sheet.shape == (16 * 97 - 1, 16 * 97 - 1, 3)


def test_nothing_is_replaced_unless_it_shall(tmp_path: Path) -> None:
    write_samples(sampler(), tmp_path, [3])
    with pytest.raises(
        DataError, match=r"2 of 3 results exist already \(.*000003\.png.*--overwrite"
    ):
        write_samples(sampler(), tmp_path, [3, 4])
    assert files(tmp_path) == ["000003.png", "sheet.png"]
    write_samples(sampler(), tmp_path, [3, 4], overwrite=True)
    assert load(tmp_path / "000003.png").shape == (SIZE, SIZE, 3)
    (tmp_path / "000004.png").write_bytes(b"precious")
    with pytest.raises(DataError, match=r"1 of 3 results would replace .*000004\.png"):
        write_samples(sampler(), tmp_path, [3, 4], overwrite=True)
    assert (tmp_path / "000004.png").read_bytes() == b"precious"


def test_a_target_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/000001\.png' cannot be written"):
        write_samples(sampler(), tmp_path / "file", [1])


def test_a_variation_is_a_sheet_with_a_row_for_each_seed(tmp_path: Path) -> None:
    made = sampler(1, continuous=1)
    path = write_variation(made, tmp_path, "continuous1", [4, 5, 6])
    assert files(tmp_path) == ["continuous1.png"]
    sheet = load(path)
    assert sheet.shape == (20 + 3 * (96 + 4), 4 + 10 * (96 + 4), 3)
    middle = [
        [sheet[20 + row * 100 + 60, 4 + column * 100 + 48, 0] for column in range(10)]
        for row in range(3)
    ]
    expected = made([4, 5, 6])[:, 0, 1, 0]
    assert middle == [[value] * 10 for value in expected.tolist()]
    top = [sheet[20 + 5, 4 + column * 100 + 48, 0] for column in range(10)]
    wanted = np.clip((np.linspace(-2, 2, 10) + 1) * 127.5, 0, 255)
    assert top == pytest.approx(wanted.tolist(), abs=0.51)
    with pytest.raises(OptionsError, match="'continuous9' is no code"):
        write_variation(made, tmp_path / "b", "continuous9", [4])
    assert not (tmp_path / "b").exists()
    with pytest.raises(DataError, match="exists already"):
        write_variation(made, tmp_path, "continuous1", [4])


@pytest.mark.parametrize("animation", ["webp", "gif"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("frames", [2, 5])
def test_an_animation_goes_there_and_back(
    animation: str, channels: int, frames: int, tmp_path: Path
) -> None:
    made = sampler(channels)
    write_interpolation(made, tmp_path, 1, 2, frames, animation=animation)
    expected = [f"frame-{number:04d}.png" for number in range(frames)]
    assert files(tmp_path) == sorted([f"animation.{animation}", *expected, "sheet.png"])
    images = made.interpolate(1, 2, frames)
    for name, image in zip(expected, images, strict=True):
        pixels = image.permute(1, 2, 0).numpy()
        assert np.array_equal(load(tmp_path / name), pixels if channels == 3 else pixels[:, :, 0])
    course = [*range(frames), *range(frames - 2, 0, -1)]
    with Image.open(tmp_path / f"animation.{animation}") as moving:
        assert moving.n_frames == len(course) == 2 * frames - 2
        assert moving.size == (96, 96)
        assert moving.info["loop"] == 0
        for place, number in enumerate(course):
            moving.seek(place)
            shown = np.asarray(moving.convert("RGB"))[::12, ::12].astype(int)
            wanted = images[number].permute(1, 2, 0).expand(-1, -1, 3).numpy().astype(int)
            assert np.abs(shown - wanted).max() <= (0 if animation == "webp" else 4)
            assert moving.info["duration"] == 40
