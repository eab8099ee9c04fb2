"""Unrelated texts below the candidates: the loss by hand."""

import math

import pytest
import torch

from scisearch.benchmarks.science_training.broadening import broadened_losses


def loss(own: list[float], before: list[float], relevant: list[float]) -> float:
    found = broadened_losses(torch.tensor([own]), torch.tensor([before]), torch.tensor([relevant]))
    assert found.shape == (1,)
    return float(found)


def test_by_hand() -> None:
    """Relevant at 1 and 3, another candidate at 0, unrelated texts at 2 and -1; moved by 7."""
    before, own = [8.0, 10.0, 7.0], [1.0, 3.0, 0.0, 2.0, -1.0]
    level = math.log((math.e + math.e**3) / 2)
    below = math.log(1 + (math.e**3 + 1) / math.exp(level))
    beside = math.log(1 + (math.e**2 + math.e**-1) / 1)
    assert loss(own, before, [1, 1, 0]) == pytest.approx(below + 0.3 * beside, abs=1e-5)


def test_another_order_of_the_candidates_costs_its_divergence() -> None:
    far = [-50.0]
    old, new = torch.tensor([2.0, 0.0]).softmax(0), torch.tensor([0.0, 2.0]).softmax(0)
    divergence = float((old * (old.log() - new.log())).sum())
    assert loss([0.0, 2.0, *far], [2.0, 0.0], [1, 0]) == pytest.approx(divergence, abs=1e-5)
    assert loss([2.0, 0.0, *far], [2.0, 0.0], [1, 0]) == pytest.approx(0, abs=1e-5)


def test_the_gradient_lowers_what_is_unrelated_and_is_a_number_throughout() -> None:
    logits = torch.zeros(2, 5, requires_grad=True)
    relevant = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    broadened_losses(logits, torch.zeros(2, 3), relevant).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[:, 3:] > 0).all()
    assert (logits.grad[:, 0] < 0).all()
