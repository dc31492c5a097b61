"""Videos, translated frame after frame; what is expected of them is read with PyAV alone."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from clips import frames_of, look, make_clip
from i2i.data.video.read import VideoReader
from i2i.errors import DataError, I2iError, OptionsError
from i2i.inference.folder import translate_folder
from i2i.inference.streams import video
from i2i.inference.streams.flicker import Flicker
from i2i.inference.translator import Translator


class Watching(nn.Module):
    """Returns its input, or its negative, and remembers the shapes."""

    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.sign = sign
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shapes.append(tuple(images.shape))
        return self.sign * images


def translator(network: nn.Module | None = None, channels: int = 3) -> Translator:
    return Translator(
        network or Watching(),
        input_channels=channels,
        output_channels=channels,
        norm="instance",
        dropout=False,
        device="cpu",
    )


KINDS: dict[str, dict[str, Any]] = {
    "film.mp4": {"rotation": 90},
    "film.mkv": {"codec": "ffv1", "pixels": "yuv444p", "tags": (2, 1, 13, 1)},
    "film.webm": {"codec": "libvpx-vp9", "sound": "libopus"},
    "film.mov": {"codec": "libx265", "pixels": "yuv420p10le", "tags": (1, 9, 16, 9)},
}


@pytest.mark.parametrize("name", KINDS)
def test_everything_but_the_pixels_stays(name: str, tmp_path: Path) -> None:
    make_clip(tmp_path / name, **KINDS[name])
    target = tmp_path / f"out{Path(name).suffix}"
    report = translate_folder(translator(), tmp_path / name, target)
    assert report.translated == 1
    assert report.failed == ()
    before, after = look(tmp_path / name), look(target)
    assert after.codec == before.codec
    assert after.size == before.size
    assert after.tags == before.tags == KINDS[name].get("tags", (1, 1, 1, 1))
    assert after.rotation == before.rotation == KINDS[name].get("rotation", 0)
    np.testing.assert_allclose(after.times, before.times, atol=1e-3)
    assert len({round(b - a, 3) for a, b in zip(before.times, before.times[1:], strict=False)}) == 2
    assert after.seconds == pytest.approx(before.seconds, abs=0.002)
    assert after.sound == before.sound != []
    difference = np.abs(after.pixels.astype(int) - before.pixels)
    assert difference.mean() < 3  # of 255, lost by the codec


def test_lossless_video_is_translated_value_by_value(tmp_path: Path) -> None:
    frames = frames_of(9, 32, 20)
    make_clip(tmp_path / "a.mkv", frames=frames, codec="ffv1", pixels="bgr0", sound=None)
    translate_folder(translator(Watching(-1)), tmp_path / "a.mkv", tmp_path / "b.mkv", batch_size=4)
    np.testing.assert_array_equal(look(tmp_path / "b.mkv").pixels, 255 - frames)


def test_network_sees_frames_upright_and_in_batches(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", rotation=270, sound=None)
    asked = translator()
    translate_folder(asked, tmp_path / "a.mp4", tmp_path / "b.mp4", batch_size=5)
    shapes: Any = asked.network.shapes
    assert [each[0] for each in shapes] == [5, 5, 5, 5, 4]
    assert {each[2:] for each in shapes} == {(64, 48)}
    small = translator()
    translate_folder(small, tmp_path / "a.mp4", tmp_path / "c.mp4", size=24, batch_size=24)
    assert small.network.shapes == [(24, 3, 32, 24)]
    assert look(tmp_path / "c.mp4").size == (32, 24)  # as it is stored


def test_video_of_odd_sides_keeps_its_size_and_one_of_old_kind_becomes_matroska(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    frames = frames_of(5, 33, 21)
    make_clip(folder / "odd.mkv", frames=frames, codec="ffv1", pixels="yuv444p", sound=None)
    make_clip(folder / "old.avi", codec="mpeg4", sound="mp3")
    translate_folder(translator(), folder, tmp_path / "out", suffix="mkv")
    assert look(tmp_path / "out" / "odd.mkv").size == (33, 21)
    old = look(tmp_path / "out" / "old.mkv")
    assert (old.codec, len(old.pixels)) == ("h264", 24)
    assert old.sound == look(folder / "old.avi").sound != []
    translate_folder(translator(), folder / "odd.mkv", tmp_path / "odd.mp4")
    assert look(tmp_path / "odd.mp4").size == (33, 21)


def test_grey_networks_translate_the_luma(tmp_path: Path) -> None:
    frames = np.repeat(frames_of(4, 32, 24)[..., :1], 3, axis=3)
    make_clip(tmp_path / "a.mkv", frames=frames, codec="ffv1", pixels="yuv444p", sound=None)
    translate_folder(translator(channels=1), tmp_path / "a.mkv", tmp_path / "b.mkv")
    found = look(tmp_path / "b.mkv").pixels.astype(int)
    assert np.abs(found - frames).max() <= 3


def test_flicker_is_the_ratio_of_changes() -> None:
    flicker = Flicker()
    for number in range(5):
        source = np.full((4, 6, 3), 10 + 2 * number, np.uint8)  # changes by 2
        flicker.add(source, source + np.uint8(5 * (number % 2)))  # by 7, -3, 7, -3
    assert flicker.ratio == pytest.approx((7 + 3 + 7 + 3) / (4 * 2))
    still = Flicker()
    for _ in range(3):
        still.add(np.zeros((2, 2, 1), np.uint16), np.ones((2, 2, 1), np.uint16))
    assert still.ratio is None


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animations_keep_their_times_and_tell_their_flicker(name: str, tmp_path: Path) -> None:
    frames = [Image.fromarray(each) for each in frames_of(4, 24, 16) // 64 * 64]
    times = [40, 100, 60, 200]
    first, *others = frames
    first.save(
        tmp_path / name, save_all=True, append_images=others, duration=times, loop=3, lossless=True
    )
    report = translate_folder(translator(), tmp_path / name, tmp_path / "out")
    assert report.streamed == (
        f"{tmp_path / name}: 4 frames, flicker 1.00 (change between frames over that of the input)",
    )
    with Image.open(tmp_path / "out" / name) as image:
        assert image.info["loop"] == 3
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            found.append(image.info["duration"])
    assert found == times


def test_few_frames_are_in_memory_however_long_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = frames_of(150, 32, 32)
    make_clip(tmp_path / "a.mkv", frames=frames, codec="ffv1", pixels="bgr0", sound=None)
    there = most = 0
    plain_read, plain_add = VideoReader.read, Flicker.add

    def read(self: VideoReader, *arguments: Any) -> Any:
        nonlocal there, most
        for item in plain_read(self, *arguments):
            there += 1
            most = max(most, there)
            yield item

    def add(self: Flicker, *arguments: Any) -> None:
        nonlocal there
        there -= 1  # about to be written
        plain_add(self, *arguments)

    monkeypatch.setattr(VideoReader, "read", read)
    monkeypatch.setattr(Flicker, "add", add)
    translate_folder(translator(), tmp_path / "a.mkv", tmp_path / "b.mkv", batch_size=4)
    assert there == 0
    assert most <= 8 + 4 + 3 * 4 + 1  # ahead, computed, waiting to be written


def test_progress_counts_frames_and_finished_videos_are_left_out(
    tmp_path: Path, told: list[tuple[int, int]]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        make_clip(folder / name, sound=None)
    translate_folder(translator(), folder, tmp_path / "out")
    assert told[-1] == (50, 50)  # two files of 24 frames
    (tmp_path / "out" / "b.mp4").unlink()
    again = translate_folder(translator(), folder, tmp_path / "out", skip_existing=True)
    assert (again.translated, again.skipped) == (1, 1)
    [line] = again.streamed
    assert line.startswith(f"{folder / 'b.mp4'}: 24 frames, flicker ")


def test_sound_that_cannot_be_held_is_named_before_the_work(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4")
    report = translate_folder(translator(), tmp_path / "a.mp4", tmp_path / "a.webm")
    [(_, reason)] = report.failed
    assert reason == "a .webm file cannot hold its sound (aac): write a .mkv"
    assert not (tmp_path / "a.webm").exists()


@pytest.mark.parametrize("target", ["a.png", "a.gif", "a.avi"])
def test_video_becomes_a_video(target: str, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", sound=None)
    with pytest.raises(DataError, match=r"expected a file that ends in \.mp4, \.m4v"):
        translate_folder(translator(), tmp_path / "a.mp4", tmp_path / "out" / target)
    with pytest.raises(DataError, match="can be translated to the format png: drop it"):
        translate_folder(translator(), tmp_path / "a.mp4", tmp_path / "out", suffix="png")
    with pytest.raises(OptionsError, match="must be one of"):
        translate_folder(translator(), tmp_path / "a.mp4", tmp_path / "out", suffix="avi")


def test_what_is_broken_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    make_clip(folder / "whole.mp4")
    make_clip(folder / "cut.mkv", codec="ffv1", pixels="bgr0")
    data = (folder / "cut.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(data[: len(data) // 2])
    (folder / "headless.mp4").write_bytes((folder / "whole.mp4").read_bytes()[:3000])
    (folder / "empty.mov").write_bytes(b"")
    (folder / "text.webm").write_text("no video")
    report = translate_folder(translator(), folder, tmp_path / "out")
    assert report.translated == 1
    reasons = {path.name: reason for path, reason in report.failed}
    assert reasons.keys() == {"cut.mkv", "headless.mp4", "empty.mov", "text.webm"}
    assert reasons["cut.mkv"].endswith("the file is not complete")
    assert all("\n" not in reason for reason in reasons.values())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"whole.mp4", ".i2i-written"}


def test_damage_anywhere_gives_a_translation_or_a_sentence(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=frames_of(6, 32, 32))
    data = (tmp_path / "a.mp4").read_bytes()
    draw = random.Random(0)
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(40):
        damaged = bytearray(data)
        for _ in range(draw.choice((1, 8, 64))):
            damaged[draw.randrange(len(data))] = draw.randrange(256)
        length = draw.choice((len(data), draw.randrange(len(data))))
        (folder / f"{number}.mp4").write_bytes(damaged[:length])
    report = translate_folder(translator(), folder, tmp_path / "out")
    assert report.translated + len(report.failed) == 40
    assert report.failed
    left = {path.name for path in (tmp_path / "out").glob("*.mp4")}
    assert len(left) == report.translated
    assert not list((tmp_path / "out").glob("*.part"))


def test_values_that_are_not_finite_are_no_video(tmp_path: Path) -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images * torch.nan

    make_clip(tmp_path / "a.mp4")
    report = translate_folder(translator(Broken()), tmp_path / "a.mp4", tmp_path / "b.mp4")
    [(_, reason)] = report.failed
    assert "NaN or infinite" in reason
    assert not (tmp_path / "b.mp4").exists()


def test_without_the_library_a_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"")
    report = translate_folder(translator(), tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert report.failed[0].reason == "videos need PyAV: pip install 'i2i-toolkit[video]'"
    with pytest.raises(I2iError):
        VideoReader(tmp_path / "a.mp4")
    assert video.is_video(tmp_path / "a.MP4")
