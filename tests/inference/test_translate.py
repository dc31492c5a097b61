"""Folders through networks whose answer is known: what is read, written, and kept safe."""

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from known import Recorder, files, load, negative, noise, save, translator
from PIL import Image, ImageOps, JpegImagePlugin
from torch import Tensor

from i2i.data.images import read as reading
from i2i.data.images.file import FORMATS
from i2i.data.images.formats import image_suffixes
from i2i.data.images.frames import Frames
from i2i.errors import DataError, OptionsError
from i2i.inference import folder as translate
from i2i.inference.folder import translate_folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images, two of one size, one of them in a sub-folder."""
    folder = tmp_path / "photos"
    save(noise(6, 9), folder / "a.png")
    save(noise(6, 9), folder / "b.png")
    save(noise(5, 5), folder / "deep" / "er" / "c.png")
    return folder


def test_whole_tree_is_translated(tmp_path: Path, told: list[tuple[int, int]]) -> None:
    source, target = tmp_path / "in", tmp_path / "new" / "out"
    images = {
        f"{i % 3}/part {i % 2}/{i:03}.{('png', 'bmp', 'tif')[i % 3]}": noise(4 + i % 5, 6 + i % 4)
        for i in range(120)
    }
    for name, pixels in images.items():
        save(pixels, source / name)
    (source / "notes.txt").write_text("no image")
    report = translate_folder(negative(), source, target)
    assert files(target) == sorted(images)
    for name, pixels in images.items():
        np.testing.assert_array_equal(load(target / name), 255 - pixels)
    assert report.translated == 120
    assert [failure.path.name for failure in report.failed] == ["notes.txt"]
    assert report.per_second == pytest.approx(120 / report.seconds)
    assert told == [(done, 120) for done in range(121)]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_batches_hold_equal_sizes_and_do_not_change_results(
    tmp_path: Path, batch_size: int
) -> None:
    source = tmp_path / "in"
    for i in range(40):
        save(np.full((8, 8 + i % 3, 3), i, np.uint8), source / f"{i}.png")

    def mean_of_the_image(images: Tensor) -> Tensor:
        return images.mean((2, 3), keepdim=True).expand_as(images)

    network = Recorder(mean_of_the_image)
    translate_folder(translator(network), source, tmp_path / "out", batch_size=batch_size)
    sizes = [len(images) for images in network.inputs]
    assert sum(sizes) == 40
    assert max(sizes) == batch_size
    assert len(sizes) <= 40 / batch_size + 3
    for i in range(40):
        assert (load(tmp_path / "out" / f"{i}.png") == i).all()


def test_large_images_are_not_stacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translate, "BYTES_PER_BATCH", 2 * 8 * 8 * 3)
    for i in range(5):
        save(noise(8, 8), tmp_path / "in" / f"small{i}.png")
        save(noise(16, 16), tmp_path / "in" / f"large{i}.png")
    network = Recorder()
    translate_folder(translator(network), tmp_path / "in", tmp_path / "out")
    sizes = {side: [len(x) for x in network.inputs if x.shape[2] == side] for side in (8, 16)}
    assert sizes == {8: [2, 2, 1], 16: [1] * 5}


def test_unreadable_images_are_reported_and_the_others_done(
    photos: Path, tmp_path: Path, told: list[tuple[int, int]]
) -> None:
    (photos / "empty.jpg").touch()
    (photos / "text.png").write_text("not an image")
    whole = save(noise(64, 64), photos / "deep" / "cut.png").read_bytes()
    (photos / "deep" / "cut.png").write_bytes(whole[: len(whole) // 2])
    report = translate_folder(negative(), photos, tmp_path / "out")
    assert files(tmp_path / "out") == ["a.png", "b.png", "deep/er/c.png"]
    assert report.translated == 3
    bad = [photos / "deep" / "cut.png", photos / "empty.jpg", photos / "text.png"]
    assert [failure.path for failure in report.failed] == bad
    assert all(failure.reason for failure in report.failed)
    assert not any("cannot be read" in failure.reason for failure in report.failed)
    assert told[-1] == (6, 6)


def test_images_that_exceed_the_memory_are_reported(photos: Path, tmp_path: Path) -> None:
    def limited(images: Tensor) -> Tensor:
        if images.numel() > 3 * 8 * 9:
            raise torch.OutOfMemoryError("out of memory")
        return images

    save(noise(9, 9), photos / "large.png")
    report = translate_folder(translator(Recorder(limited)), photos, tmp_path / "out")
    assert files(tmp_path / "out") == ["a.png", "b.png", "deep/er/c.png"]
    [failure] = report.failed
    assert failure.path == photos / "large.png"
    assert failure.reason.startswith("9 x 9 pixels do not fit into the memory of cpu")


@pytest.mark.parametrize("suffix", sorted(image_suffixes() & FORMATS.keys()))
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_is_kept_with_its_suffix(tmp_path: Path, suffix: str, channels: int) -> None:
    ramp = np.linspace(0, 255, 32).round()
    pixels = np.stack([np.add.outer(ramp, ramp) / 2] * channels, 2).astype(np.uint8)
    source = save(
        pixels, tmp_path / "in" / f"LoadedImage.of{suffix.upper()}", quality=100, lossless=True
    )
    before = load(source)
    translate_folder(negative(channels=channels), source.parent, tmp_path / "out")
    with Image.open(source) as given, Image.open(tmp_path / "out" / source.name) as written:
        assert written.format == given.format
        if suffix in (".jpg", ".jpeg"):
            assert JpegImagePlugin.get_sampling(written) == (0 if channels == 3 else -1)
            assert np.abs(np.array(written) - (255.0 - before)).mean() < 1
        else:
            np.testing.assert_array_equal(np.array(written), 255 - before)


@pytest.mark.parametrize("suffix", ["webp", ".PNG"])
def test_format_of_all_results_can_be_chosen(tmp_path: Path, suffix: str) -> None:
    pixels = noise(8, 8)
    save(pixels, tmp_path / "in" / "a.b.bmp")
    translate_folder(negative(), tmp_path / "in", tmp_path / "out", suffix=suffix)
    name = f"a.b.{suffix.lower().lstrip('.')}"
    assert files(tmp_path / "out") == [name]
    np.testing.assert_array_equal(load(tmp_path / "out" / name), 255 - pixels)


def test_unknown_format_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"'wepb'.*Did you mean 'webp'"):
        translate_folder(negative(), photos, tmp_path / "out", suffix="wepb")


@pytest.mark.parametrize("option", ["size", "batch_size", "workers"])
def test_numbers_below_one_are_refused(photos: Path, tmp_path: Path, option: str) -> None:
    with pytest.raises(OptionsError, match=rf"{option} \(=0\)"):
        translate_folder(negative(), photos, tmp_path / "out", **{option: 0})


def test_size_is_that_of_the_shorter_side(tmp_path: Path) -> None:
    pixels = noise(20, 50)
    save(pixels, tmp_path / "in" / "wide.png")
    save(pixels.transpose(1, 0, 2), tmp_path / "in" / "tall.png")
    translate_folder(negative(), tmp_path / "in", tmp_path / "out", size=8)
    assert load(tmp_path / "out" / "tall.png").shape == (20, 8, 3)
    resized = Image.fromarray(pixels).resize((20, 8), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(load(tmp_path / "out" / "wide.png"), 255 - np.array(resized))


def test_photo_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    path = save(noise(6, 9), tmp_path / "in" / "a.png", exif=exif)
    with Image.open(path) as image:
        upright = np.array(ImageOps.exif_transpose(image))
    translate_folder(negative(), path.parent, tmp_path / "out")
    np.testing.assert_array_equal(load(tmp_path / "out" / "a.png"), 255 - upright)


def test_single_image_to_a_folder_or_a_file(photos: Path, tmp_path: Path) -> None:
    source = photos / "a.png"
    assert translate_folder(negative(), source, tmp_path / "out").translated == 1
    translate_folder(negative(), str(source), str(tmp_path / "new" / "b.bmp"))
    translate_folder(negative(), source, tmp_path / "out", suffix="bmp")
    translate_folder(negative(), source, photos / "beside.png")
    assert files(tmp_path / "out") == ["a.bmp", "a.png"]
    assert files(tmp_path / "new") == ["b.bmp"]
    for path in ("out/a.png", "out/a.bmp", "new/b.bmp", "photos/beside.png"):
        np.testing.assert_array_equal(load(tmp_path / path), 255 - load(source))
    with pytest.raises(DataError, match="contradicts the format png"):
        translate_folder(negative(), source, tmp_path / "c.jpg", suffix="png")


def test_inputs_that_are_none(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"no folder '.*phots'.*Did you mean 'photos'"):
        translate_folder(negative(), tmp_path / "phots", out)
    with pytest.raises(DataError, match=r"no image in '.*empty'"):
        translate_folder(negative(), tmp_path / "empty", out)
    with pytest.raises(DataError, match=r"'.*notes\.txt' is not an image"):
        translate_folder(negative(), tmp_path / "notes.txt", out)
    with pytest.raises(DataError, match=r"'.*notes\.txt' is a file"):
        translate_folder(negative(), photos, tmp_path / "notes.txt")
    assert not out.exists()


# What must never be lost


def test_results_are_not_overwritten_unless_told(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    translate_folder(translator(Recorder()), photos, out)
    (out / "a.png").unlink()
    with pytest.raises(DataError) as caught:
        translate_folder(negative(), photos, out)
    assert "2 of 3 results exist already" in str(caught.value)
    assert str(out / "b.png") in str(caught.value)
    assert "--overwrite" in str(caught.value)
    assert files(out) == ["b.png", "deep/er/c.png"]
    np.testing.assert_array_equal(load(out / "b.png"), load(photos / "b.png"))

    translate_folder(negative(), photos, out, overwrite=True)
    for name in ("a.png", "b.png", "deep/er/c.png"):
        np.testing.assert_array_equal(load(out / name), 255 - load(photos / name))


def test_few_of_many_existing_results_are_listed(tmp_path: Path) -> None:
    for i in range(30):
        save(noise(2, 2), tmp_path / "in" / f"{i}.png")
    translate_folder(negative(), tmp_path / "in", tmp_path / "out")
    with pytest.raises(DataError, match=r"30 of 30 .*0\.png, .*1\.png, .*2\.png, \.\.\.\)"):
        translate_folder(negative(), tmp_path / "in", tmp_path / "out")


def refuse(source: Path, target: Path, message: str) -> None:
    """Expect that nothing below the common folder changes, even when told to overwrite."""
    root = Path(os.path.commonpath([source.resolve(), target.resolve()]))
    root = root if root.is_dir() else root.parent
    before = {name: (root / name).read_bytes() for name in files(root)}
    for overwrite in (False, True):
        with pytest.raises(DataError, match=message):
            translate_folder(negative(), source, target, overwrite=overwrite)
    assert {name: (root / name).read_bytes() for name in files(root)} == before


def test_own_input_is_never_written_into(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = "inside the input"
    refuse(photos, photos, inside)
    refuse(photos, photos / "new" / "out", inside)
    refuse(photos, photos / "deep" / "..", inside)
    (tmp_path / "link").symlink_to(photos, target_is_directory=True)
    refuse(photos, tmp_path / "link", inside)
    refuse(photos, tmp_path / "link" / "out", inside)
    refuse(tmp_path / "link", photos, inside)
    (tmp_path / "link").unlink()
    monkeypatch.chdir(photos)
    refuse(Path(), Path("out"), inside)
    refuse(Path(), photos, inside)


def test_folder_around_the_input_is_refused_where_results_meet_it(photos: Path) -> None:
    save(noise(4, 4), photos / "deep" / "deep" / "c.png")
    refuse(photos / "deep", photos, "inside the input")


def test_folder_around_the_input_is_fine_otherwise(photos: Path) -> None:
    assert translate_folder(negative(), photos / "deep" / "er", photos).translated == 1
    assert files(photos) == ["a.png", "b.png", "c.png", "deep/er/c.png"]


def test_linked_inputs_are_never_written_into(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    (folder / "sub").symlink_to(photos / "deep", target_is_directory=True)
    refuse(folder, photos / "deep" / "out", "inside the input")
    refuse(folder, photos / "deep", "inside the input")
    (folder / "sub").unlink()
    (folder / "a.png").symlink_to(photos / "a.png")
    refuse(folder, photos, r"a\.png' would overwrite an input")


def test_single_image_is_never_its_own_result(photos: Path) -> None:
    refuse(photos / "a.png", photos, "would overwrite an input")
    refuse(photos / "a.png", photos / "a.png", "would overwrite an input")
    (photos / "alias.png").symlink_to(photos / "a.png")
    refuse(photos / "a.png", photos / "alias.png", "would overwrite an input")


def test_two_inputs_of_one_result_are_refused(photos: Path, tmp_path: Path) -> None:
    save(noise(4, 4), photos / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg' and '.*a\.png' would both .*out/a\.webp"):
        translate_folder(negative(), photos, tmp_path / "out", suffix="webp")
    assert not (tmp_path / "out").exists()
    assert translate_folder(negative(), photos, tmp_path / "out").translated == 4


def test_failing_write_leaves_no_half_image(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Image.Image.save

    def full_disk(self: Image.Image, path: Path, **settings: Any) -> None:
        if self.size == (5, 5):
            path.write_bytes(b"half a pict")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, path, **settings)

    monkeypatch.setattr(Image.Image, "save", full_disk)
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"c\.png' cannot be written \(.*No space left on device"):
        translate_folder(negative(), photos, out)
    for name in files(out):
        np.testing.assert_array_equal(load(out / name), 255 - load(photos / name))


def test_file_in_the_place_of_a_folder_is_a_clear_error(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deep").touch()
    with pytest.raises(DataError, match=r"c\.png' cannot be written"):
        translate_folder(negative(), photos, tmp_path / "out")


def test_interrupt_stops_soon_and_leaves_whole_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for i in range(60):
        save(noise(4, 4), source / f"{i}.png")
    threads = threading.active_count()
    is_interrupted = False
    begun_too_late: list[Path] = []
    write = translate.frames.write

    def slow_write(frames: Frames, path: Path, suffix: str) -> None:
        if is_interrupted:
            begun_too_late.append(path)
        time.sleep(0.02)
        write(frames, path, suffix)

    def interrupted(images: Tensor) -> Tensor:
        nonlocal is_interrupted
        if len(network.inputs) == 5:
            is_interrupted = True
            raise KeyboardInterrupt
        return -images

    monkeypatch.setattr(translate.frames, "write", slow_write)
    network = Recorder(interrupted)
    with pytest.raises(KeyboardInterrupt):
        translate_folder(translator(network), source, out, batch_size=4, workers=1)
    assert threading.active_count() == threads
    assert len(begun_too_late) <= 2
    names = files(out)
    assert 0 < len(names) < 16
    for name in names:
        np.testing.assert_array_equal(load(out / name), 255 - load(source / name))


# The three stages


class Gauge:
    """Counts the images that have been read but not yet written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pause: float) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()
        read, write = reading.open_image, translate.frames.write

        def counted_read(path: Path) -> Image.Image:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            return read(path)

        def slow_write(frames: Frames, path: Path, suffix: str) -> None:
            time.sleep(pause)
            write(frames, path, suffix)
            with self.lock:
                self.now -= 1

        monkeypatch.setattr(reading, "open_image", counted_read)
        monkeypatch.setattr(translate.frames, "write", slow_write)


def test_a_slow_writer_holds_the_reader_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(150):
        save(noise(2, 2 + i % 2), tmp_path / "in" / f"{i}.png")
    gauge = Gauge(monkeypatch, pause=0.004)
    report = translate_folder(
        negative(), tmp_path / "in", tmp_path / "out", batch_size=4, workers=2
    )
    assert report.translated == 150
    assert gauge.now == 0
    # Being read, waiting for a batch (two sizes), being computed, being written.
    assert 10 < gauge.most <= 10 + 2 * 3 + 4 + 10


def test_many_sizes_wait_in_a_bounded_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(100):
        save(noise(1, 1 + i), tmp_path / "in" / f"{i}.png")
    gauge = Gauge(monkeypatch, pause=0)
    translate_folder(negative(), tmp_path / "in", tmp_path / "out", batch_size=2, workers=1)
    assert len(files(tmp_path / "out")) == 100
    assert gauge.most <= 5 + 8 + 2 + 5


def test_large_images_are_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(40):
        save(noise(16, 16 + i % 4), tmp_path / "in" / f"{i}.png")
    monkeypatch.setattr(translate, "BYTES_PER_STAGE", 3 * 16 * 16 * 3)
    gauge = Gauge(monkeypatch, pause=0.003)
    report = translate_folder(negative(), tmp_path / "in", tmp_path / "out", workers=4)
    assert report.translated == 40
    # Three images in each of reading, waiting and writing, and those on their way.
    assert gauge.most <= 12


@pytest.mark.parametrize("bytes_per_stage", [1, 2**28])
def test_reading_and_writing_go_on_while_the_network_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_per_stage: int
) -> None:
    for i in range(6):
        save(noise(4, 4), tmp_path / "in" / f"{i}.png")
    monkeypatch.setattr(translate, "BYTES_PER_STAGE", bytes_per_stage)
    read, computing, written = threading.Semaphore(0), threading.Event(), threading.Event()
    open_image, write = reading.open_image, translate.frames.write

    def signalling_read(path: Path) -> Image.Image:
        image = open_image(path)
        read.release()
        return image

    def compute(images: Tensor) -> Tensor:
        # The second image waits until the third has been read and the first written ...
        if len(network.inputs) == 2:
            computing.set()
            for _ in range(3):
                assert read.acquire(timeout=5)
            assert written.wait(timeout=5)
        return images

    def signalling_write(frames: Frames, path: Path, suffix: str) -> None:
        # ... and the first is not written before the second is being computed.
        assert computing.wait(timeout=5)
        write(frames, path, suffix)
        written.set()

    monkeypatch.setattr(reading, "open_image", signalling_read)
    monkeypatch.setattr(translate.frames, "write", signalling_write)
    network = Recorder(compute)
    report = translate_folder(
        translator(network), tmp_path / "in", tmp_path / "out", batch_size=1, workers=1
    )
    assert report.translated == 6
