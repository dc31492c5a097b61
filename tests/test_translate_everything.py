"""Every file of a folder is translated, or counted and named; nothing foreign is replaced."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from known import Recorder, files, load, negative, noise, save, translator
from PIL import Image, features
from torch import Tensor

from i2i.errors import DataError, OptionsError
from i2i.inference.folder import translate_folder


def stack(path: Path, count: int = 3, **settings: object) -> list[Image.Image]:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [Image.fromarray(np.full((9, 7, 3), 40 * i, np.uint8)) for i in range(count)]
    images[0].save(path, save_all=True, append_images=images[1:], **settings)
    return images


def test_all_pages_and_all_frames_are_translated(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    stack(source / "pages.tif", 5)
    for name in ("a.gif", "b.webp", "c.png"):
        stack(source / name, 4, duration=[50, 100, 150, 200], loop=0)
    save(noise(9, 7), source / "d.png")
    report = translate_folder(negative(), source, out)
    assert (report.translated, report.failed) == (5, ())
    for name, count in (("pages.tif", 5), ("a.gif", 4), ("b.webp", 4), ("c.png", 4)):
        with Image.open(out / name) as image:
            assert image.n_frames == count
            for number in range(count):
                image.seek(number)
                pixels = np.array(image.convert("RGB"), dtype=int)
                assert np.abs(pixels - (255 - 40 * number)).max() <= 1, (name, number)
                if name != "pages.tif":
                    assert image.info["duration"] == 50 * (number + 1)


def test_frames_that_the_result_cannot_hold_are_named(tmp_path: Path) -> None:
    stack(tmp_path / "in" / "a.tif")
    save(noise(4, 4), tmp_path / "in" / "b.tif")
    report = translate_folder(negative(), tmp_path / "in", tmp_path / "out", suffix="png")
    assert files(tmp_path / "out") == ["b.png"]
    [failure] = report.failed
    assert failure.path.name == "a.tif"
    assert failure.reason.startswith("it holds 3 pages, which a file that ends in .png cannot")


def test_whatever_pillow_reads_is_read_and_the_rest_is_named(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    pixels = noise(12, 10)
    wanted = []
    for suffix in (".png", ".bmp", ".jfif", ".ppm", ".gif", ".tga"):
        save(pixels, source / f"of{suffix}")
        wanted.append(f"of{suffix}" if suffix != ".tga" else "of.tga.png")
    wanted.remove("of.tga.png")
    (source / "of.tga").rename(source / "targa.tga")
    wanted.append("targa.png")
    for suffix in (".avif", ".jp2"):
        if features.check({".avif": "avif", ".jp2": "jpg_2000"}[suffix]):
            save(pixels, source / f"of{suffix}")
            wanted.append(f"of{suffix}")
    save(pixels, source / "unnamed.png").rename(source / "unnamed")
    save(pixels, source / "photo.jpg").rename(source / "photo.2024")
    wanted += ["unnamed.png", "photo.2024.jpg"]
    others = {
        "clip.mp4": "Invalid data found",
        "x.mat": "it is no image of a known format",
        "notes.txt": "it is no image of a known format",
        "phone.heic": "it is no image of a known format",
        "noending": "it is no image of a known format",
    }
    for name in others:
        (source / name).write_bytes(b"\x00\x01\x02 nothing that is an image")
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):  # of which nobody knows
        (source / name).write_bytes(b"x")
    report = translate_folder(negative(), source, out)
    assert files(out) == sorted(wanted)
    assert report.translated == len(wanted)
    assert {failure.path.name for failure in report.failed} == others.keys()
    for failure in report.failed:
        assert failure.reason.startswith(others[failure.path.name])
    for name in ("of.png", "of.ppm", "of.bmp", "unnamed.png", "targa.png"):
        np.testing.assert_array_equal(load(out / name), 255 - pixels)


def test_a_folder_without_any_image_says_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_bytes(b"x")
    with pytest.raises(DataError, match=r"There is no image in .*\(1 other files lie there\)"):
        translate_folder(negative(), tmp_path / "in", tmp_path / "out")
    with pytest.raises(DataError, match=r"notes\.txt' is not an image: it is no image of a known"):
        translate_folder(negative(), tmp_path / "in" / "notes.txt", tmp_path / "out")


@pytest.mark.parametrize("name", ["r.psd", "r.heic", "r.mp4", "r.docx"])
def test_outputs_that_cannot_be_written_are_refused(tmp_path: Path, name: str) -> None:
    source = save(noise(4, 4), tmp_path / "a.png")
    with pytest.raises(DataError, match=r"ends in \.\w+, which cannot be written: .*\.png.*\.tiff"):
        translate_folder(negative(), source, tmp_path / name)
    assert files(tmp_path) == ["a.png"]
    (tmp_path / name).mkdir()
    assert translate_folder(negative(), source, tmp_path / name).translated == 1
    for fine in ("v1.2", "run.3"):
        assert translate_folder(negative(), source, tmp_path / fine).translated == 1


def test_a_folder_is_not_translated_to_a_file(tmp_path: Path) -> None:
    save(noise(4, 4), tmp_path / "in" / "a.png")
    with pytest.raises(DataError, match=r"one\.png' is named like a file"):
        translate_folder(negative(), tmp_path / "in", tmp_path / "one.png")
    assert translate_folder(negative(), tmp_path / "in", tmp_path / "results.v2").translated == 1


def test_originals_of_another_camera_are_never_replaced(tmp_path: Path) -> None:
    for camera in ("cam1", "cam2"):
        for name in ("1.png", "2.png"):
            save(noise(4, 4), tmp_path / camera / name)
    before = {name: load(tmp_path / "cam2" / name) for name in ("1.png", "2.png")}
    with pytest.raises(DataError, match="2 of 2 results exist already"):
        translate_folder(negative(), tmp_path / "cam1", tmp_path / "cam2")
    with pytest.raises(DataError, match="2 of 2 results would replace files that i2i has not"):
        translate_folder(negative(), tmp_path / "cam1", tmp_path / "cam2", overwrite=True)
    for name, pixels in before.items():
        np.testing.assert_array_equal(load(tmp_path / "cam2" / name), pixels)


def test_what_exists_is_skipped(tmp_path: Path) -> None:
    for name in "abc":
        save(noise(4, 4), tmp_path / "in" / f"{name}.png")
    translate_folder(negative(), tmp_path / "in" / "a.png", tmp_path / "out")
    foreign = save(noise(4, 4), tmp_path / "out" / "b.png").read_bytes()
    network = Recorder()
    report = translate_folder(
        translator(network), tmp_path / "in", tmp_path / "out", skip_existing=True
    )
    assert (report.translated, report.skipped, report.failed) == (1, 2, ())
    assert sum(map(len, network.inputs)) == 1
    assert (tmp_path / "out" / "b.png").read_bytes() == foreign
    report = translate_folder(negative(), tmp_path / "in", tmp_path / "out", skip_existing=True)
    assert (report.translated, report.skipped) == (0, 3)
    with pytest.raises(OptionsError, match="either replaced"):
        translate_folder(
            negative(), tmp_path / "in", tmp_path / "out", skip_existing=True, overwrite=True
        )


def test_two_at_once_do_not_replace_each_others_results(tmp_path: Path) -> None:
    for i in range(12):
        save(np.zeros((4, 4, 3), np.uint8), tmp_path / "in" / f"{i}.png")
    both_checked = threading.Barrier(2)
    reports = {}

    def run(value: float) -> None:
        def compute(images: Tensor) -> Tensor:
            if len(network.inputs) == 1:
                both_checked.wait(timeout=10)
            return torch.full_like(images, value)

        network = Recorder(compute)
        reports[value] = translate_folder(
            translator(network), tmp_path / "in", tmp_path / "out", batch_size=1
        )

    threads = [threading.Thread(target=run, args=(value,)) for value in (-1.0, 1.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = {value: report.translated for value, report in reports.items()}
    assert sum(done.values()) == 12
    assert sum(len(report.failed) for report in reports.values()) == 12
    values = [int(load(tmp_path / "out" / f"{i}.png")[0, 0, 0]) for i in range(12)]
    assert {-1.0: values.count(0), 1.0: values.count(255)} == done
    for report in reports.values():
        assert all("exists already" in failure.reason for failure in report.failed)


@pytest.mark.parametrize(("side", "columns"), [("A", slice(0, 6)), ("B", slice(6, 12))])
def test_a_side_of_pairs_is_translated(tmp_path: Path, side: str, columns: slice) -> None:
    pixels = noise(6, 12, 4)
    save(pixels, tmp_path / "in" / "a.png")
    save(noise(6, 7), tmp_path / "in" / "odd.png")
    report = translate_folder(negative(), tmp_path / "in", tmp_path / "out", side=side)
    expected = pixels[:, columns].copy()
    expected[..., :3] = 255 - expected[..., :3]
    np.testing.assert_array_equal(load(tmp_path / "out" / "a.png"), expected)
    [failure] = report.failed
    assert "7 pixels wide" in failure.reason
    with pytest.raises(OptionsError, match=r"side \(='C'\)"):
        translate_folder(negative(), tmp_path / "in", tmp_path / "out2", side="C")


def test_another_scale_than_in_training_is_said(tmp_path: Path) -> None:
    for name, size in (("a", (96, 130)), ("b", (300, 192)), ("c", (70, 64)), ("d", (20, 90))):
        save(noise(*size), tmp_path / "in" / f"{name}.png")
    trained = negative(trained_size=64)
    report = translate_folder(trained, tmp_path / "in", tmp_path / "out")
    [remark] = report.remarks
    assert remark.startswith("2 of 4 images have a shorter side of 106 pixels (median)")
    assert "--size 64" in remark
    at_scale = translate_folder(trained, tmp_path / "in", tmp_path / "out2", size=64)
    assert at_scale.remarks == ()
    unknown = translate_folder(negative(), tmp_path / "in", tmp_path / "out3")
    assert unknown.remarks == ()


def test_pairs_side_by_side_are_said(tmp_path: Path) -> None:
    save(noise(6, 12), tmp_path / "in" / "a.png")
    save(noise(6, 6), tmp_path / "in" / "b.png")
    paired = negative(paired=True)
    [remark] = translate_folder(paired, tmp_path / "in", tmp_path / "out").remarks
    assert remark.startswith("1 of 2 images are twice as wide as high")
    assert "--side A" in remark
    halves = translate_folder(paired, tmp_path / "in", tmp_path / "out2", side="A")
    assert halves.remarks == ()


def test_sixteen_bits_become_eight_where_the_format_has_no_more(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    Image.fromarray(values).save(tmp_path / "a.png")
    translate_folder(negative(channels=1), tmp_path / "a.png", tmp_path / "out", suffix="bmp")
    expected = np.rint((65535 - values) / 257).astype(np.uint8)
    np.testing.assert_array_equal(load(tmp_path / "out" / "a.bmp"), expected)


def test_that_the_place_on_earth_is_lost_is_said_once(tmp_path: Path) -> None:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[0x87AF] = (1, 1, 0, 0)  # an empty directory of GeoTIFF's keys
    for number in range(3):
        save(noise(6, 6), tmp_path / "in" / f"{number}.tif")
        if number:
            Image.fromarray(noise(6, 6)).save(tmp_path / "in" / f"{number}.tif", tiffinfo=tags)
    assert translate_folder(negative(), tmp_path / "in", tmp_path / "kept").remarks == ()
    [remark] = translate_folder(negative(), tmp_path / "in", tmp_path / "out", suffix="png").remarks
    assert remark.startswith("2 of 3 images are GeoTIFF")
    for number in range(3):
        (tmp_path / "in" / f"{number}.tif").unlink()
    save(noise(6, 6), tmp_path / "in" / "plain.tif")
    assert translate_folder(negative(), tmp_path / "in", tmp_path / "out2").remarks == ()


def test_an_image_that_does_not_fit_into_the_memory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it runs short: the CPU's allocator raises a plain RuntimeError."""
    from i2i.inference import translator as module

    convert = module.to_signed

    def scarce(images: Tensor) -> Tensor:
        if images.shape[-1] > 50:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 4800000000 bytes")
        return convert(images)

    monkeypatch.setattr(module, "to_signed", scarce)
    save(noise(40, 40), tmp_path / "in" / "a.png")
    save(noise(60, 60), tmp_path / "in" / "b.png")
    report = translate_folder(negative(), tmp_path / "in", tmp_path / "out")
    assert files(tmp_path / "out") == ["a.png"]
    [failure] = report.failed
    assert failure.path.name == "b.png"
    assert failure.reason.startswith("60 x 60 pixels do not fit into the memory of cpu")
    with pytest.raises(torch.OutOfMemoryError, match="60 x 60 pixels do not fit"):
        negative()(tmp_path / "in" / "b.png")
