"""The hinge of contrast lists, by hand."""

import pytest
import torch

from scisearch.benchmarks.science_training.contrast_loss import contrast_losses, right_first

LOGITS = torch.tensor([3.0, 1.0, 2.5, 0.0, -0.5, 1.0, 1.0])  # lists of three, two and two texts
RIGHT = torch.tensor([0, 3, 5])


def test_what_is_short_of_the_margin_is_the_loss() -> None:
    found = contrast_losses(LOGITS, RIGHT, torch.tensor([2.0, 1.0, 1.0]))
    assert found.tolist() == pytest.approx([(0 + 1.5) / 2, 0.5, 1.0])


def test_the_gradient_lifts_the_right_text_and_lowers_the_wrong_ones_that_are_too_near() -> None:
    logits = LOGITS.clone().requires_grad_()
    contrast_losses(logits, RIGHT, torch.tensor([1.5, 0.2, 0.5])).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.tolist() == pytest.approx([-0.5, 0, 0.5, 0, 0, -1, 1])


def test_a_tie_is_not_right() -> None:
    assert right_first(LOGITS, RIGHT) == pytest.approx(2 / 3)
    assert right_first(torch.tensor([0.0, 1.0]), torch.tensor([0])) == 0
