from pathlib import Path

import pytest
import torch

from i2i.errors import CheckpointError, DataError
from i2i.metrics.classifier import (
    Classifier,
    ClassifierFeatures,
    Network,
    brought,
    cached_classifier,
    load_classifier,
    save_classifier,
    train_classifier,
)
from i2i.metrics.features import find_features

NAMES = ("red", "green", "blue")
QUICK = {"steps": 30, "batch_size": 16}


def tinted(count: int, seed: int = 0, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise that is brighter in the channel that its label names."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 200, (count, 3, size, size), generator=generator)
    images[torch.arange(count), labels] += 40
    return images.to(torch.uint8), labels


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return train_classifier(*tinted(120), NAMES, **QUICK)


def test_it_learns_and_says_how_well(classifier: Classifier) -> None:
    images, labels = tinted(90, seed=1)
    right = classifier.recognised(images, labels)
    assert right.shape == (90,)
    assert right.float().mean() > 0.9
    assert classifier.accuracy > 0.9
    assert classifier.held_out == 12
    # Another size, and the wrong label.
    larger = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert classifier.recognised(larger, labels).float().mean() > 0.9
    assert classifier.recognised(images, (labels + 1) % 3).float().mean() < 0.1


def test_accuracy_is_that_on_the_images_held_out() -> None:
    images, labels = tinted(60)
    wrong = (labels + 1) % 3
    found = train_classifier(images, labels, NAMES, held_out=(images, wrong), **QUICK)
    assert found.held_out == 60
    assert found.accuracy < 0.1


def test_it_follows_from_the_seed_and_leaves_the_random_state_alone(
    classifier: Classifier,
) -> None:
    state = torch.get_rng_state()
    again = train_classifier(*tinted(120), NAMES, **QUICK)
    assert torch.equal(torch.get_rng_state(), state)
    assert again.digest == classifier.digest
    other = train_classifier(*tinted(120), NAMES, seed=1, **QUICK)
    assert other.digest != classifier.digest


def test_a_file_gives_it_back(classifier: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "classifier.pt"
    save_classifier(classifier, path)
    assert torch.load(path, weights_only=True)["names"] == list(NAMES)
    loaded = load_classifier(path)
    images, _ = tinted(5, seed=2)
    assert torch.equal(loaded.logits(images), classifier.logits(images))
    assert (loaded.names, loaded.accuracy, loaded.held_out) == (
        classifier.names,
        classifier.accuracy,
        classifier.held_out,
    )
    assert loaded.digest == classifier.digest
    features = find_features(f"classifier:{path}")
    assert features is not None
    assert features.name == f"classifier-{classifier.digest}"
    assert torch.equal(features(images), classifier.features(images))


def test_features_lead_to_the_answer(classifier: Classifier) -> None:
    images, _ = tinted(4)
    features = ClassifierFeatures(classifier)
    found = features(images)
    assert found.shape == (4, features.dimension)
    torch.testing.assert_close(classifier.network.head(found), classifier.logits(images))


def test_it_is_trained_once_for_the_same_images(
    tmp_path: Path, told: list[tuple[int, int]], caplog: pytest.LogCaptureFixture
) -> None:
    images, labels = tinted(30)
    caplog.set_level("INFO", "i2i.metrics")

    def cached(images: torch.Tensor, **settings: int) -> Classifier:
        settings = {**QUICK, **settings}
        return cached_classifier(images, labels, NAMES, tmp_path, without="leave it", **settings)

    first = cached(images)
    assert len(told) == 30
    # Three of the thirty, one of each kind, are held out.
    said = (
        "a classifier of 3 kinds learns from 27 images, 30 steps; this may take minutes (leave it)"
    )
    assert caplog.messages == [said]
    assert cached(images).digest == first.digest
    assert len(told) == 30
    assert caplog.messages == [said]
    changed = images.clone()
    changed[0, 0, 0, 0] ^= 1
    cached(changed)
    cached(images, seed=1)
    assert len(told) == 90
    # What is broken is made again.
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(path.read_bytes()[:100])
    assert cached(images).digest == first.digest
    assert len(told) == 120


@pytest.mark.parametrize("content", [b"no file of torch", None])
def test_what_is_no_classifier_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as a classifier"):
        load_classifier(path)


def test_other_files_of_torch_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    torch.save({"model": {}}, path)
    with pytest.raises(CheckpointError, match="something else"):
        load_classifier(path)


def test_too_few_images_are_refused() -> None:
    images, labels = tinted(6)
    with pytest.raises(DataError, match="1 images of 'blue'"):
        train_classifier(images[:5], labels[:5], NAMES, **QUICK)
    with pytest.raises(DataError, match="there are 1 kinds"):
        train_classifier(images, torch.zeros(6, dtype=torch.long), ["all"], **QUICK)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 64), (3, 16), (1, 7), (3, 33)])
def test_the_network_takes_any_size(channels: int, size: int) -> None:
    network = Network(channels, size, 5).eval()
    assert network(torch.zeros(2, channels, size, size)).shape == (2, 5)


def test_grey_and_colour_are_brought_to_each_other() -> None:
    colour = torch.tensor([100, 50, 200], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 8, 8)
    grey = brought(colour, 1, 8)
    assert grey.unique().tolist() == [round(0.299 * 100 + 0.587 * 50 + 0.114 * 200)]
    assert torch.equal(brought(grey, 3, 8), grey.repeat(1, 3, 1, 1))
    assert brought(colour, 3, 4).shape == (1, 3, 4, 4)


def test_two_processes_may_write_one_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when two evaluations of the same images end at the same time."""
    images, labels = torch.rand(20, 1, 8, 8).mul(255).byte(), torch.arange(20) % 2
    classifier = train_classifier(images, labels, ["a", "b"], steps=1, batch_size=4)
    path, save = tmp_path / "classifier.pt", torch.save

    def slowly(*arguments: object, **more: object) -> None:
        monkeypatch.setattr(torch, "save", save)
        save_classifier(classifier, path)  # the other one, from beginning to end
        save(*arguments, **more)

    monkeypatch.setattr(torch, "save", slowly)
    save_classifier(classifier, path)
    assert load_classifier(path).names == classifier.names
    assert list(tmp_path.iterdir()) == [path]
