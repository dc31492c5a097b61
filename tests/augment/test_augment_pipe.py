"""The pipe of StyleGAN2-ADA against recorded vectors, and what they don't show."""

import numpy as np
import pytest
import torch
from torch import Tensor

from i2i.errors import OptionsError
from i2i.networks.augment import AdaptiveProbability, AugmentPipe
from i2i.networks.augment.pipe import BGC, COLOUR, NORMAL, R3GAN, _Chosen
from i2i.networks.augment.sampling import sample_bilinear
from vectors import Vectors, error, errors

BOUND = 1e-9


@pytest.mark.parametrize("file", ["ada_bgc", "ada_r3gan"])
def test_the_pipe_is_the_published_one_to_the_second_derivative(file):
    record = Vectors(file)
    pipe = AugmentPipe(record.config["kwargs"], record.config["p"]).double()
    pipe.p.fill_(record["state.p"])
    images = record["input.image"].requires_grad_()
    cotangent = record["input.cotangent"].requires_grad_()
    result = pipe.transform(images, record.below("draws."))
    ours = {"image": result}
    (ours["input_gradient"],) = torch.autograd.grad(
        result.square().mean(), images, retain_graph=True
    )
    (ours["cotangent_gradient"],) = torch.autograd.grad(
        (result * cotangent).sum(), images, create_graph=True
    )
    (ours["penalty_gradient"],) = torch.autograd.grad(
        ours["cotangent_gradient"].square().sum(), cotangent
    )
    assert max(errors(ours, record.below("output.")).values()) < BOUND


def test_p_moves_as_published():
    record = Vectors("ada_p")
    for row, (_, _, after) in zip(record["input.rows"], record["output.rows"], strict=True):
        before, target, batch, interval, kimg = row[:5].tolist()
        adaptive = AdaptiveProbability(target=target, kimg=kimg).double()
        scores = row[5:][~row[5:].isnan()]
        half = len(scores) // 2
        adaptive.observe(scores[:half, None])
        adaptive.observe(scores[half:])
        p = torch.tensor(before, dtype=torch.float64)
        adaptive.adjust(p, int(batch * interval))
        assert p.item() == pytest.approx(after.item(), abs=1e-12)
        assert adaptive.scores == adaptive.signs == 0


@pytest.mark.parametrize("file", ["ada_bgc", "ada_r3gan"])
def test_fixed_sizes_give_the_same(file, monkeypatch):
    monkeypatch.setattr("i2i.networks.augment.pipe._may_wait", lambda images: False)
    record = Vectors(file)
    pipe = AugmentPipe(record.config["kwargs"]).double()
    pipe.p.fill_(record["state.p"])
    result = pipe.transform(record["input.image"], record.below("draws."))
    assert error(result, record["output.image"]) < BOUND


def images_of(*shape: int) -> Tensor:
    torch.manual_seed(0)
    return 2 * torch.rand(shape, dtype=torch.float64) - 1


def pipe_of(p: float = 1.0, **strengths: float) -> AugmentPipe:
    return AugmentPipe(strengths, p).double()


@pytest.mark.parametrize("shape", [(3, 3, 16, 16), (2, 1, 12, 20), (2, 3, 9, 7)])
def test_nothing_happens_without_probability(shape):
    images = images_of(*shape)
    # Not even the resampling shows: the filter is orthogonal to its even shifts.
    torch.testing.assert_close(AugmentPipe(R3GAN).double()(images), images, atol=1e-9, rtol=0)


def test_whole_pixels_are_shifted_and_reflected_at_the_edge():
    images = images_of(4, 2, 16, 24)
    pipe = pipe_of(xint=1)
    value = torch.tensor([[0.9, 0.5], [0.5, 0.1], [0.0, 0.99], [0.31, 0.7]])
    draws = {"xint.value": value, "xint.gate": torch.tensor([0.2, 0.3, 0.4, 0.999])}
    result = pipe.transform(images, draws).numpy()
    for i, (u, v) in enumerate(value.numpy()):
        right, down = round((2 * u - 1) * 0.125 * 24), round((2 * v - 1) * 0.125 * 16)
        padded = np.pad(images[i].numpy(), ((0, 0), (8, 8), (8, 8)), mode="reflect")
        expected = padded[:, 8 - down : 24 - down, 8 - right : 32 - right]
        np.testing.assert_allclose(result[i], expected, atol=1e-9)


def test_a_gate_is_compared_with_strength_times_p():
    images = images_of(4, 3, 8, 8)
    draws = {"brightness.value": torch.ones(4), "brightness.gate": torch.tensor([0, 0.29, 0.31, 1])}
    change = (pipe_of(0.6, brightness=0.5).transform(images, draws) - images).mean((1, 2, 3))
    torch.testing.assert_close(change, torch.tensor([0.2, 0.2, 0, 0], dtype=torch.float64))


@pytest.mark.parametrize("p", [0.3, 1.0, 1.7])
def test_one_of_two_rotations_happens_with_probability_p(p):
    count = 20_000
    pipe = pipe_of(p, rotate=1)
    draws = pipe.draw(torch.empty(count, 3, 1, 1), torch.Generator().manual_seed(0))
    draws |= {f"rotate_{which}.value": torch.full((count,), 0.75) for which in ("pre", "post")}
    chosen = _Chosen(draws, pipe.strengths, pipe.p, torch.empty(0).double())
    turned = torch.stack([chosen(f"rotate_{which}", 0.5) != 0.5 for which in ("pre", "post")])
    assert turned.any(0).double().mean().item() == pytest.approx(min(p, 1), abs=0.02)
    assert torch.equal(turned.all(), turned[0].all())


def test_colours_by_hand():
    images = images_of(2, 3, 4, 5)
    on = torch.zeros(2)

    def coloured(part: str, value: float) -> Tensor:
        draws = {f"{part}.value": torch.full((2,), value, dtype=torch.float64), f"{part}.gate": on}
        return pipe_of(**{part: 1}).transform(images, draws)

    grey = images.mean(1, keepdim=True)
    for part, value, expected in (
        ("brightness", -1.5, images - 0.3),
        ("contrast", 2.0, images * 2),
        ("lumaflip", 0.7, images - 2 * grey),
        ("lumaflip", 0.3, images),
        ("saturation", 1.0, grey + 2 * (images - grey)),
        ("hue", 0.5 + 1 / 3, images.roll(1, 1)),  # a third of the circle
        ("hue", 0.5, images),
    ):
        torch.testing.assert_close(coloured(part, value), expected, atol=1e-7, rtol=0)


def test_grey_images_have_neither_hue_nor_saturation():
    pipe = AugmentPipe(BGC, 1.0).double()
    images = images_of(3, 1, 8, 12)
    draws = pipe.draw(images)
    assert not [name for name in draws if "hue" in name or "saturation" in name]
    assert len(draws) == 2 * 11
    colours = {name: value for name, value in draws.items() if name.split(".")[0] in COLOUR}
    in_grey = pipe_of(**dict.fromkeys(("brightness", "contrast", "lumaflip"), 1.0))
    result = in_grey.transform(images, colours)
    in_colour = in_grey.transform(images.expand(-1, 3, -1, -1), colours)
    torch.testing.assert_close(result, in_colour.mean(1, keepdim=True))
    assert torch.equal(pipe_of(hue=1)(images), images)


def test_an_image_and_its_label_map_move_alike():
    pipe = AugmentPipe(R3GAN, 0.9).double()
    images = images_of(4, 3, 16, 16)
    draws = pipe.draw(images)
    moved = pipe.transform(images, draws, colour=False)
    many = pipe.transform(images.repeat(1, 2, 1, 1), draws, colour=False)
    torch.testing.assert_close(many, moved.repeat(1, 2, 1, 1))
    assert (pipe.transform(images, draws) - moved).abs().max() > 0.01
    with pytest.raises(OptionsError, match="1 or 3 channels, but these have 6"):
        pipe.transform(images.repeat(1, 2, 1, 1), draws)


def test_a_box_of_half_the_sides_is_cut_out():
    pipe = pipe_of(cutout=1)
    images = torch.ones(2, 1, 8, 12, dtype=torch.float64)
    draws = {"cutout.gate": torch.zeros(2), "cutout.center": torch.tensor([[0.5, 0.5], [1.0, 0.0]])}
    result = pipe.transform(images, draws)[:, 0]
    assert torch.equal(result[0, 2:6, 3:9], torch.zeros(4, 6).double())
    assert result[0].sum() == 8 * 12 - 4 * 6
    assert torch.equal(result[1, :2, 9:], torch.zeros(2, 3).double())
    assert result[1].sum() == 8 * 12 - 2 * 3


def test_sampling_has_all_derivatives_with_respect_to_the_image():
    images = images_of(2, 1, 3, 4).requires_grad_()
    grid = images_of(2, 3, 2, 2) * 1.2
    assert torch.autograd.gradcheck(lambda x: sample_bilinear(x, grid), images)
    assert torch.autograd.gradgradcheck(lambda x: sample_bilinear(x, grid).square(), images)


def test_draws_repeat_with_their_generator_and_have_the_right_range():
    pipe, images = AugmentPipe(R3GAN, 0.5), torch.zeros(500, 3, 8, 8)
    first, second = (pipe.draw(images, torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first.keys() == Vectors("ada_r3gan").below("draws.").keys()
    for name, value in first.items():
        if name.endswith("gate") or name.split(".")[0] not in NORMAL:
            assert 0 <= value.min() < 0.05
            assert 0.95 < value.max() < 1
        else:
            assert value.std().item() == pytest.approx(1, abs=0.15)


def test_bfloat16_stays_bfloat16_and_places_are_exact():
    pipe = AugmentPipe(BGC, 1.0)
    images = images_of(2, 3, 16, 16).to(torch.bfloat16)
    draws = pipe.draw(images)
    with torch.autocast("cpu", torch.bfloat16):
        result = pipe.transform(images, draws)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, pipe.transform(images.float(), draws).to(torch.bfloat16))


def test_what_is_no_part_is_named():
    with pytest.raises(OptionsError, match=r"'hues' is no part .* Did you mean 'hue'"):
        AugmentPipe({"hues": 1})
    with pytest.raises(OptionsError, match="strength of hue is -1, but must be at least 0"):
        AugmentPipe({"hue": -1})


def test_without_scores_p_stays():
    adaptive, p = AdaptiveProbability(), torch.tensor(0.25)
    adaptive.adjust(p, 10_000)
    assert p.item() == 0.25
    adaptive.observe(torch.ones(4, 1, 3, 3))
    adaptive.adjust(p, 10_000)
    assert p.item() == pytest.approx(0.27)


def test_tensors_without_data_pass():
    pipe = AugmentPipe(R3GAN, 0.5).to("meta")
    assert pipe(torch.empty(4, 3, 16, 24, device="meta")).shape == (4, 3, 16, 24)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_the_same_without_being_waited_for():
    pipe, images = AugmentPipe(R3GAN, 0.8), images_of(4, 3, 16, 24).float()
    draws = pipe.draw(images)
    expected = pipe.transform(images, draws)
    pipe.to("cuda")
    images = images.cuda()
    draws = {name: value.cuda() for name, value in draws.items()}
    for mode in ("default", "error"):  # libraries may wait while they warm up
        torch.cuda.set_sync_debug_mode(mode)
        try:
            pipe(images)
            result = pipe.transform(images, draws)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(result.cpu(), expected, atol=1e-3, rtol=0)
