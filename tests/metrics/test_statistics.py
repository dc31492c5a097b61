from pathlib import Path

import torch

from i2i.metrics.features import Pixels
from i2i.metrics.statistics import extract, remembered


def random_images(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8, generator=generator)


def test_batches_of_any_size_make_one_table() -> None:
    done: list[int] = []
    images = random_images()
    larger = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    found = extract(Pixels(8), [images[:4], images[4:], larger], done.append)
    assert found.shape == (12, 192)
    torch.testing.assert_close(found[:6], images.flatten(1) / 255)
    assert done == [4, 6, 12]


def test_the_same_content_is_described_once(tmp_path: Path) -> None:
    calls = []

    def described(content: str, features: Pixels, cache: Path = tmp_path / "cache") -> torch.Tensor:
        def compute() -> torch.Tensor:
            calls.append(content)
            return features(random_images())

        return remembered(features, content, compute, cache)

    first = described("some", Pixels(8))
    assert torch.equal(described("some", Pixels(8)), first)
    assert calls == ["some"]
    described("others", Pixels(8))  # other images
    described("some", Pixels(4))  # another network
    assert calls == ["some", "others", "some"]
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(b"broken")
    assert torch.equal(described("some", Pixels(8)), first)
    assert len(calls) == 4


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    features = Pixels(8)
    found = remembered(features, "some", lambda: features(random_images()), in_the_way / "cache")
    assert found.shape == (6, 192)
