"""MNIST's format, written here by hand."""

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from i2i.data.catalogue.idx import find_idx, has_idx
from i2i.errors import DataError

HEIGHT, WIDTH = 3, 5


def images(count: int, first: int = 0) -> bytes:
    """LoadedImage n is filled with n, but for its corners: above 100 + n, below 200 + n."""
    packed = struct.pack(">IIII", 2051, count, HEIGHT, WIDTH)
    for n in range(first, first + count):
        pixels = [n] * (HEIGHT * WIDTH)
        pixels[WIDTH - 1] = 100 + n  # above on the right
        pixels[-WIDTH] = 200 + n  # below on the left
        packed += bytes(pixels)
    return packed


def labels(*values: int) -> bytes:
    return struct.pack(">II", 2049, len(values)) + bytes(values)


def write(root: Path, **files: bytes) -> Path:
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        (root / f"{name.replace('_', '-')}-ubyte").write_bytes(content)
    return root


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    return write(
        tmp_path / "mnist",
        train_images_idx3=images(4),
        train_labels_idx1=labels(2, 0, 5, 2),
        t10k_images_idx3=images(2, first=30),
        t10k_labels_idx1=labels(5, 0),
    )


def test_images_and_labels(mnist: Path, own_cache: Path) -> None:
    assert has_idx(mnist)
    found = find_idx(mnist, own_cache)
    assert found.classes == ("0", "2", "5")
    train = found.train.of_classes(found.classes)
    assert train.labels is not None
    assert train.labels.tolist() == [1, 0, 2, 1]
    for n in range(4):
        pixels = train.read(n, 1)
        assert pixels.shape == (HEIGHT, WIDTH, 1)
        assert pixels.dtype == np.uint8
        assert pixels[0, 0, 0] == n
        assert pixels[0, -1, 0] == 100 + n
        assert pixels[-1, 0, 0] == 200 + n
    colour = train.read(1, 3)
    assert colour.shape == (HEIGHT, WIDTH, 3)
    assert (colour == train.read(1, 1)).all()
    assert found.validation is not None
    held = found.validation.of_classes(["5", "0"])
    assert held.labels is not None
    assert held.labels.tolist() == [0, 1]
    assert [held.read(n, 1)[1, 1, 0] for n in range(2)] == [30, 31]


@pytest.mark.parametrize(
    ("before", "packed", "prefix"),
    [("-", False, "x-"), ("-", True, ""), (".", False, ""), (".", True, "x-")],
)
def test_names_and_compression(
    mnist: Path, own_cache: Path, before: str, packed: bool, prefix: str
) -> None:
    before_that = find_idx(mnist, own_cache).train
    fingerprint, pixels = before_that.fingerprint, before_that.read(3, 1)
    for path in list(mnist.iterdir()):
        name = prefix + path.name.replace("-idx", f"{before}idx") + ".gz" * packed
        content = path.read_bytes()
        path.unlink()
        (mnist / name).write_bytes(gzip.compress(content, mtime=0) if packed else content)
    found = find_idx(mnist, own_cache).train
    assert len(found) == 4
    assert found.fingerprint == fingerprint
    assert (found.read(3, 1) == pixels).all()


def test_a_compressed_file_is_unpacked_once_and_anew_when_it_changes(
    tmp_path: Path, own_cache: Path
) -> None:
    file = tmp_path / "train-images-idx3-ubyte.gz"
    for count in (2, 3):
        file.write_bytes(gzip.compress(images(count)))
        assert len(find_idx(tmp_path, own_cache).train) == count
    unpacked = sorted((own_cache / "unpacked").iterdir())
    assert len(unpacked) == 2
    times = [path.stat().st_mtime_ns for path in unpacked]
    find_idx(tmp_path, own_cache)
    assert [path.stat().st_mtime_ns for path in unpacked] == times


def test_the_letters_of_emnist_are_put_upright(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "emnist-letters-train-images-idx3-ubyte").write_bytes(images(1))
    (tmp_path / "emnist-letters-test-images-idx3-ubyte").write_bytes(images(1))
    found = find_idx(tmp_path, own_cache)
    pixels = found.train.read(0, 1)
    assert pixels.shape == (WIDTH, HEIGHT, 1)
    assert pixels[-1, 0, 0] == 100
    assert pixels[0, -1, 0] == 200
    assert found.classes == ()
    assert found.train.labels is None
    assert found.validation is not None


def test_what_is_sent_to_other_processes_is_small_and_the_same(
    tmp_path: Path, own_cache: Path
) -> None:
    content = struct.pack(">IIII", 2051, 100, 100, 100) + bytes(range(250)) * 4000
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    train = find_idx(tmp_path, own_cache).train
    pixels = train.read(7, 1)
    sent = pickle.dumps(train)
    assert len(sent) < 10_000
    assert (pickle.loads(sent).read(7, 1) == pixels).all()


def test_images_of_classes_that_are_not_trained_on_are_left_out(
    mnist: Path, own_cache: Path
) -> None:
    write(mnist, t10k_labels_idx1=labels(9, 2))
    validation = find_idx(mnist, own_cache).validation
    assert validation is not None
    assert [validation.read(n, 1)[1, 1, 0] for n in range(len(validation))] == [31]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (images(4)[:-1], r"is truncated: its header \(4, 3, 5\) calls for 76 bytes, 75 were found"),
        (images(4) + b"?", "is too long: .* calls for 76 bytes, at least 77 were found"),
        (images(4)[:9], "ends within its header"),
        (labels(1, 2, 3), "no file of images in MNIST's format: it begins with 0x00000801; 0x0000"),
        (b"", "it begins with 0x; 0x00000803 was expected"),
        (struct.pack(">IIII", 2051, 0, 3, 5), r"holds nothing: its dimensions are \(0, 3, 5\)"),
        (images(3), r"'.*images.*' holds 3 images, but '.*labels.*' 4 labels"),
    ],
)
def test_damaged_files(
    mnist: Path, own_cache: Path, content: bytes, message: str, packed: bool
) -> None:
    file = mnist / "train-images-idx3-ubyte"
    if packed:
        file.unlink()
        file = file.with_name(f"{file.name}.gz")
        content = gzip.compress(content, mtime=0)
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        find_idx(mnist, own_cache)
    assert not list(own_cache.rglob("tmp*"))


@pytest.mark.parametrize("broken", [b"no gzip", gzip.compress(bytes(10_000), mtime=0)[:20]])
def test_damaged_compression(mnist: Path, own_cache: Path, broken: bytes) -> None:
    (mnist / "train-images-idx3-ubyte").unlink()
    (mnist / "train-images-idx3-ubyte.gz").write_bytes(broken)
    with pytest.raises(DataError, match=r"images-idx3-ubyte\.gz' (cannot be unpacked|is no file)"):
        find_idx(mnist, own_cache)


def test_a_file_that_ends_in_the_middle_of_its_compression(mnist: Path, own_cache: Path) -> None:
    (mnist / "train-images-idx3-ubyte").unlink()
    noise = np.random.default_rng(0).integers(0, 256, 60_000, dtype=np.uint8).tobytes()
    content = gzip.compress(struct.pack(">IIII", 2051, 4, 100, 150) + noise)
    (mnist / "train-images-idx3-ubyte.gz").write_bytes(content[:30_000])
    with pytest.raises(DataError, match=r"ubyte\.gz' cannot be unpacked into '.*': "):
        find_idx(mnist, own_cache)


def test_incomplete_and_mixed_folders(mnist: Path, own_cache: Path) -> None:
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="only one of the two parts of the data set has labels"):
        find_idx(mnist, own_cache)
    (mnist / "train-labels-idx1-ubyte").unlink()
    assert find_idx(mnist, own_cache).classes == ()
    (mnist / "emnist-digits-train-images-idx3-ubyte").write_bytes(images(1))
    with pytest.raises(DataError, match=r"several data sets:\n  \(no prefix\)\n  emnist-digits"):
        find_idx(mnist, own_cache)
    (mnist / "emnist-digits-train-images-idx3-ubyte").unlink()
    (mnist / "train-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match=r"no file train-images.*only:\n  t10k-images-idx3-ubyte"):
        find_idx(mnist, own_cache)
