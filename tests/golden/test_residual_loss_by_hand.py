"""The residual loss against its formula, written out."""

from math import exp, log

import pytest
import torch

from scisearch.rerank.training.list_logits import ABSENT
from scisearch.rerank.training.residual_loss import (
    distilled_weight,
    divergences,
    objective,
    residual_losses,
)

LOGITS = torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 0.0]])
OFFSETS = torch.tensor([[4.0, 2.0, 0.0], [0.0, 6.0, 0.0]])
# a negative of which one in ten was drawn; and a place without a text
CORRECTIONS = torch.tensor([[0.0, log(10), 0.0], [0.0, 0.0, ABSENT]])
ONE, NONE = torch.ones(2), torch.zeros(2)


def test_cross_entropy_with_the_offset() -> None:
    found = residual_losses(LOGITS, OFFSETS, CORRECTIONS, torch.tensor([1.0, 0.0]))
    with_it = exp(1 + 0.7 * 4), 10 * exp(2 + 0.7 * 2), exp(0)
    alone = exp(0.5), exp(-1)
    assert found[0].item() == pytest.approx(-log(with_it[0] / sum(with_it)), abs=1e-6)
    assert found[1].item() == pytest.approx(-log(alone[0] / sum(alone)), abs=1e-6)


def test_divergence_from_the_first_stage() -> None:
    found = divergences(LOGITS, OFFSETS, CORRECTIONS)
    first, own = (exp(4), 10 * exp(2), exp(0)), (exp(1), 10 * exp(2), exp(0))
    by_hand = sum(
        p / sum(first) * (log(p / sum(first)) - log(q / sum(own)))
        for p, q in zip(first, own, strict=True)
    )
    assert found[0].item() == pytest.approx(by_hand, abs=1e-5)
    assert divergences(OFFSETS, OFFSETS, CORRECTIONS).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_the_weight_of_the_divergence_falls_to_nought() -> None:
    assert distilled_weight(0.0) == 0.5
    assert distilled_weight(0.075) == pytest.approx(0.25)
    assert distilled_weight(0.15) == distilled_weight(1.0) == 0.0


def test_a_list_whose_positive_was_not_found_has_neither() -> None:
    found = torch.tensor([1.0, 0.0])
    value = objective(LOGITS, OFFSETS, CORRECTIONS, has_offset=found, given=ONE, done=0.0)
    entropy = residual_losses(LOGITS, OFFSETS, CORRECTIONS, found).mean()
    divergence = divergences(LOGITS, OFFSETS, CORRECTIONS)[0] / 2
    assert value.item() == pytest.approx((entropy + 0.5 * divergence).item())


def test_what_the_first_stage_knows_needs_no_learning() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    sure = torch.tensor([[40.0, 0.0, 0.0], [40.0, 0.0, 0.0]])
    objective(logits, sure, torch.zeros(2, 3), has_offset=ONE, given=ONE, done=1.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.abs().max().item() < 1e-6
    logits.grad = None
    objective(logits, sure, torch.zeros(2, 3), has_offset=ONE, given=NONE, done=1.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[:, 0].tolist() == pytest.approx([-1 / 3, -1 / 3])
