"""The pipe of StyleGAN2-ADA against recorded vectors, and what they don't show."""

import pytest
import torch

from i2i.augment import AdaptiveProbability, AugmentPipe
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
    monkeypatch.setattr("i2i.augment.pipe._may_wait", lambda images: False)
    record = Vectors(file)
    pipe = AugmentPipe(record.config["kwargs"]).double()
    pipe.p.fill_(record["state.p"])
    result = pipe.transform(record["input.image"], record.below("draws."))
    assert error(result, record["output.image"]) < BOUND
