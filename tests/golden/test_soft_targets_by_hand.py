"""The targets of the soft loss, by hand."""

from math import log

import pytest
import torch

from scisearch.rerank.training.list_logits import ABSENT
from scisearch.rerank.training.soft_loss import soft_losses, soft_targets

# softmax(ln 1, ln 2, ln 5) = 1/8, 2/8, 5/8; the second list has no third text, the last no offsets
OFFSETS = torch.tensor([[0.0, log(2), 0.0], [0.0, log(3), 0.0], [9.0, 0.0, 0.0]])
CORRECTIONS = torch.tensor([[0.0, 0.0, log(5)], [0.0, 0.0, ABSENT], [0.0, 0.0, ABSENT]])
RELEVANT = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])


def test_judgements_and_first_stage_share_the_target() -> None:
    found = soft_targets(
        OFFSETS,
        CORRECTIONS,
        RELEVANT,
        has_offset=torch.tensor([1.0, 1.0, 0.0]),
        label_share=torch.tensor([0.6, 1.0, 0.5]),
    )
    expected = [[0.3 + 0.4 / 8, 0.3 + 0.8 / 8, 0.4 * 5 / 8], [1, 0, 0], [0.975, 0.025, 0]]
    for row, wanted in zip(found.tolist(), expected, strict=True):
        assert row == pytest.approx(wanted, abs=1e-6)
    assert found.sum(dim=1).tolist() == pytest.approx([1, 1, 1])


def test_the_loss_is_the_cross_entropy_from_the_target() -> None:
    logits = torch.tensor([[0.0, log(3), 0.0]])
    corrections = torch.tensor([[0.0, 0.0, log(4)]])  # 1/8, 3/8, 4/8
    found = soft_losses(logits, corrections, torch.tensor([[0.5, 0.0, 0.5]]))
    assert found.tolist() == pytest.approx([0.5 * log(8) + 0.5 * log(2)])
