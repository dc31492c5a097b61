import torch

from i2i.core.batch import Pair, to_bytes, to_device, to_signed


def test_every_byte_comes_back() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(to_signed(values)), values)


def test_ends_of_the_range() -> None:
    assert to_signed(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_bytes_are_rounded_and_clamped() -> None:
    signed = torch.tensor([-2.0, -1 + 0.6 / 127.5, 1 - 0.6 / 127.5, 3.0])
    assert to_bytes(signed).tolist() == [0, 1, 254, 255]


def test_to_device_signs_images_and_leaves_labels() -> None:
    images = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    labels = torch.tensor([3, 7], dtype=torch.uint8)
    moved = to_device(Pair(images, labels), torch.device("cpu"))
    assert isinstance(moved, Pair)
    assert moved.source.dtype == torch.float32
    assert moved.source.unique().tolist() == [1.0]
    assert torch.equal(moved.target, labels)


def test_to_device_keeps_floats_and_sets_the_memory_format() -> None:
    signed = torch.randn(2, 3, 4, 4)
    moved = to_device(Pair(signed, signed), torch.device("cpu"), torch.channels_last)
    assert torch.equal(moved.source, signed)
    assert moved.target.is_contiguous(memory_format=torch.channels_last)
