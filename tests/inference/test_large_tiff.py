"""TIFF images that are translated in parts: the same as whole, whatever way they are stored."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from i2i.core.label_maps import LabelMaps
from i2i.core.scale import Scale
from i2i.data.images.tiff_windows import TiffWindows
from i2i.errors import DataError
from i2i.inference.as_filed import Filing
from i2i.inference.folder import translate_folder
from i2i.inference.streams import tiff
from i2i.inference.translator import Translator
from i2i.networks import ResNet, initialise

PLACE = (33922, 12, 6, (0.0, 0.0, 0.0, 500000.0, 4649776.0, 0.0), True)
SCALE = (33550, 12, 3, (10.0, 10.0, 0.0), True)
KEYS = (34735, 3, 4, (1, 1, 0, 0), True)


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "LARGE", 1000)


class FirstBands(nn.Module):
    """Hands on two bands."""

    multiple = 1

    def __init__(self) -> None:
        super().__init__()
        self.chosen = nn.Conv2d(5, 2, 1, bias=False)
        with torch.no_grad():
            self.chosen.weight.copy_(torch.eye(2, 5)[:, :, None, None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.chosen(images)
        return made


def network(bands: int) -> Translator:
    torch.manual_seed(0)
    made = ResNet(bands, bands, width=4, blocks=2, norm="instance")
    initialise(made, "normal", 0.2)
    return of(made, bands, bands)


def of(network: nn.Module, taken: int, made: int) -> Translator:
    return Translator(
        network,
        input_channels=taken,
        output_channels=made,
        norm="instance",
        dropout=False,
        device="cpu",
        tile=64,
    )


def values(height: int, width: int, bands: int, dtype: type) -> Any:
    generator = np.random.default_rng(0)
    coarse = generator.random((height // 8 + 1, width // 8 + 1, bands))
    smooth = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    return (smooth * np.iinfo(dtype).max).astype(dtype)


STORED: dict[str, dict[str, Any]] = {
    "strips": {"rowsperstrip": 13},
    "tiles": {"tile": (48, 32), "compression": "zlib", "predictor": True},
    "planes": {"tile": (32, 32), "planarconfig": "separate", "compression": "lzw"},
    "planes in strips": {"rowsperstrip": 9, "planarconfig": "separate", "compression": "zlib"},
    "one piece": {"byteorder": ">"},
}


def save(path: Path, pixels: Any, how: dict[str, Any], **more: Any) -> None:
    how = {"planarconfig": "contig", "photometric": "minisblack", **how, **more}
    byteorder = how.pop("byteorder", "<")
    if how["planarconfig"] == "separate":
        pixels = pixels.transpose(2, 0, 1)
    with tifffile.TiffWriter(path, bigtiff=True, byteorder=byteorder) as file:
        file.write(pixels, metadata=None, **how)


@pytest.mark.parametrize("how", STORED.values(), ids=STORED)
def test_windows_are_those_of_the_whole_image(how: dict[str, Any], tmp_path: Path) -> None:
    pixels = values(70, 90, 4, np.uint16)
    save(tmp_path / "a.tif", pixels, how)
    with TiffWindows(tmp_path / "a.tif") as image:
        assert image.layout[:3] == (70, 90, 4)
        for rows, columns in (((0, 70), (0, 90)), ((5, 34), (31, 90)), ((64, 70), (0, 1))):
            rows, columns = slice(*rows), slice(*columns)
            np.testing.assert_array_equal(image.read(rows, columns), pixels[rows, columns])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_parts_are_equal_to_the_whole(
    dtype: type, tmp_path: Path, told: list[tuple[int, int]]
) -> None:
    pixels = values(203, 150, 4, dtype)  # neither a multiple of the tiles nor of the network's 4
    geo = [SCALE, PLACE, KEYS]
    save(tmp_path / "a.tif", pixels, STORED["tiles"], extratags=geo)
    translator = network(4)
    report = translate_folder(
        translator,
        tmp_path / "a.tif",
        tmp_path / "b.tif",
    )
    assert report.failed == ()
    translator.tile = "off"
    expected = translator(pixels)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        page: Any = file.pages[0]
        assert file.is_bigtiff
        assert page.is_tiled
        assert page.compression == 8
        found = page.asarray()
        tags = {code: page.tags[code].value for code in (33550, 33922, 34735)}
    assert found.dtype == dtype
    assert found.std() > 1000 * np.iinfo(dtype).max / 65535
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= (1 if dtype == np.uint8 else 3)  # the sums are in another order
    assert tags == {33550: SCALE[3], 33922: PLACE[3], 34735: KEYS[3]}
    assert told[-1][0] == told[-1][1] > 20


def test_opacity_that_the_network_does_not_see_is_copied(tmp_path: Path) -> None:
    pixels = values(40, 60, 4, np.uint8)
    save(tmp_path / "a.tif", pixels, {"photometric": "rgb", "extrasamples": ["unassalpha"]})
    plain = nn.Conv2d(3, 3, 1, bias=False)
    nn.init.dirac_(plain.weight)
    plain.weight.data.neg_()
    translate_folder(of(plain, 3, 3), tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        page: Any = file.pages[0]
        assert (page.photometric, page.extrasamples) == (2, (2,))
        found = page.asarray()
    np.testing.assert_array_equal(found[..., :3], 255 - pixels[..., :3])
    np.testing.assert_array_equal(found[..., 3], pixels[..., 3])


@pytest.mark.parametrize(
    ("pixels", "how", "reason"),
    [
        (values(40, 60, 5, np.uint8), {}, "it has 5 bands, and the network takes 4"),
        (values(40, 60, 4, np.uint8).astype(np.float64), {}, "its values are float64: of images"),
        (values(40, 60, 4, np.uint8), {"size": 20}, "an image of this size is neither"),
    ],
)
def test_what_cannot_be_translated_is_said(
    pixels: Any, how: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    save(tmp_path / "a.tif", pixels, {})
    report = translate_folder(network(4), tmp_path / "a.tif", tmp_path / "b.tif", **how)
    assert report.failed[0].reason.startswith(reason)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif"]


def test_compressed_image_in_one_piece_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2i.data.images.tiff_windows.LARGEST_SEGMENT", 1000)
    save(tmp_path / "a.tif", values(40, 60, 4, np.uint8), {"compression": "zlib"})
    with pytest.raises(DataError, match=r"stored in one piece.*TILED=YES"):
        TiffWindows(tmp_path / "a.tif")


def test_damage_anywhere_gives_a_translation_or_a_sentence(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", values(40, 60, 4, np.uint8), STORED["tiles"], extratags=[SCALE])
    data = (tmp_path / "a.tif").read_bytes()
    draw = random.Random(0)
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(30):
        damaged = bytearray(data)
        for _ in range(draw.choice((1, 8, 64))):
            damaged[draw.randrange(len(data))] = draw.randrange(256)
        length = draw.choice((len(data), draw.randrange(len(data))))
        (folder / f"{number}.tif").write_bytes(damaged[:length])
    plain = of(nn.Conv2d(4, 4, 1), 4, 4)
    report = translate_folder(plain, folder, tmp_path / "out")
    assert report.translated + len(report.failed) == 30
    assert report.failed
    assert all("\n" not in reason for _, reason in report.failed)
    assert len(list((tmp_path / "out").glob("*.tif"))) == report.translated


def test_values_as_they_are_keep_their_range_part_after_part(tmp_path: Path) -> None:
    """12 bits in 16: the range of the training counts, not that of the type."""
    (tmp_path / "in").mkdir()
    given = np.random.default_rng(1).integers(0, 4096, (70, 90, 5), dtype=np.uint16)
    tifffile.imwrite(
        tmp_path / "in/a.tif", given, tile=(32, 32), photometric="minisblack", planarconfig="contig"
    )
    first = Scale("uint16", ((0, 4095),))
    for target, wanted in (
        (first, given[:, :, :2]),
        (Scale("float32", ((0, 8190),)), 2 * given[:, :, :2].astype(np.float32)),
    ):
        translator = of(FirstBands(), 5, 2)
        translator.filing = Filing(first, target, (5, 2))
        out = tmp_path / target.dtype
        report = translate_folder(translator, tmp_path / "in", out)
        assert report.failed == ()
        assert "part after part" in report.streamed[0]
        back = tifffile.imread(out / "a.tif")
        assert back.dtype == target.dtype
        np.testing.assert_allclose(back, wanted, rtol=0, atol=0 if target is first else 0.1)


PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


@pytest.mark.parametrize("stored", ["numbers", "entries of a palette", "colours"])
def test_label_maps_in_parts_are_equal_to_the_whole(stored: str, tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(0, 3, (90, 130), dtype=np.uint8)
    path, labels = tmp_path / "a.tif", LabelMaps(3)
    if stored == "numbers":
        tifffile.imwrite(path, numbers, photometric="minisblack", tile=(32, 32))
    elif stored == "colours":
        labels = LabelMaps(3, palette=PALETTE)
        save(path, np.array(PALETTE, np.uint8)[numbers], {"photometric": "rgb"})
    else:
        colours = np.zeros((3, 256), np.uint16)
        tifffile.imwrite(path, numbers, photometric="palette", colormap=colours, rowsperstrip=7)
    torch.manual_seed(0)
    made = ResNet(3, 3, width=4, blocks=2, norm="instance")
    initialise(made, "normal", 0.2)
    translator = of(made, 3, 3)
    translator.labels = (labels, None)
    report = translate_folder(translator, path, tmp_path / "b.tif")
    assert report.failed == ()
    assert "part after part" in report.streamed[0]
    translator.tile = "off"
    expected = translator(numbers[:, :, None])
    assert expected.std() > 10
    assert np.abs(tifffile.imread(tmp_path / "b.tif").astype(int) - expected).max() <= 1

    translator.tile, translator.labels = 64, (labels, LabelMaps(3))
    translate_folder(translator, path, tmp_path / "c.tif")
    translator.tile = "off"
    decided = tifffile.imread(tmp_path / "c.tif")
    assert (decided == translator(numbers[:, :, None])[:, :, 0]).mean() > 0.99  # where two are near


def test_unknown_classes_of_a_large_label_map_are_named(tmp_path: Path) -> None:
    numbers = np.full((90, 130, 1), 7, np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", numbers[:, :, 0], photometric="minisblack")
    translator = of(nn.Conv2d(3, 3, 1), 3, 3)
    translator.labels = (LabelMaps(3), None)
    report = translate_folder(translator, tmp_path / "a.tif", tmp_path / "b.tif")
    assert "holds numbers of none of the 3 classes: 7" in report.failed[0].reason
    assert not (tmp_path / "b.tif").exists()


def test_borders_of_objects_do_not_depend_on_tiles() -> None:
    maps = np.zeros((40, 60, 4), np.uint8)
    maps[:, :, 1] = np.random.default_rng(0).integers(0, 2, (40, 60))
    plain = nn.Conv2d(2, 1, 1, bias=False)
    plain.weight.data[:] = torch.tensor([0.0, 1.0])[None, :, None, None]
    translator = of(plain, 2, 1)
    translator.labels = (LabelMaps(1, edges=True), None)
    translator.tile = 16
    found = np.zeros((40, 60, 1), np.uint8)

    def write(rows: slice, columns: slice, values: Any) -> None:
        found[rows, columns] = values

    read = lambda rows, columns: maps[rows, columns]  # noqa: E731
    translator.stream(read, write, (40, 60), np.dtype(np.uint8))
    assert np.array_equal(found, translator(maps))
