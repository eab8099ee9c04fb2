"""The right text of a contrast list above its wrong ones, by a margin.

Imports torch at the top: import it inside functions only.
"""

import torch
from torch import Tensor

CONTRAST_WEIGHT = 0.3  # of the mean contrast list, beside the mean list of candidates


def contrast_losses(logits: Tensor, right: Tensor, margins: Tensor) -> Tensor:
    """max(0, margin - (right - wrong)), the mean over a list's wrong texts; (lists,) float32.

    Args:
        logits: of all texts of all lists, one list after another, (texts,).
        right: where each list's right text is, its first, (lists,) int64, ascending from 0.
        margins: (lists,).
    """
    ends = torch.cat([right[1:], right.new_tensor([len(logits)])])
    lists = torch.repeat_interleave(torch.arange(len(right), device=right.device), ends - right)
    short = (margins[lists] - logits[right][lists] + logits).clamp(min=0)
    short = short.index_fill(0, right, 0.0)
    sums = torch.zeros_like(margins).index_add(0, lists, short)
    return sums / (ends - right - 1)


def right_first(logits: Tensor, right: Tensor) -> float:
    """The share of the lists whose right text has the highest logit."""
    ends = [*right.tolist()[1:], len(logits)]
    best = [
        bool(logits[begin] > logits[begin + 1 : end].max())
        for begin, end in zip(right.tolist(), ends, strict=True)
    ]
    return sum(best) / max(1, len(best))
