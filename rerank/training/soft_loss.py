"""The loss of a cross-encoder whose targets are in part the judgements, in part the first stage's.

A relevant text that nobody judged stands among the negatives at the top of the first stage. Where
the target is the judged text alone, a model learns to push the others down; where the first stage
keeps a share of the target, it learns to do so only as far as the texts themselves tell. Imports
torch at the top, since its class derives from torch's: import it inside functions only.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from scisearch.rerank.training.list_logits import ABSENT, ScoredLists

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_CERTAIN_SHARE = 0.95  # of the judgements where the first stage says nothing; the rest is even


def soft_targets(
    offsets: Tensor,
    corrections: Tensor,
    relevant: Tensor,
    *,
    has_offset: Tensor,
    label_share: Tensor,
) -> Tensor:
    """What the softmax of each list should be; (lists, texts) float32, each list sums to 1.

    label_share at the relevant texts, evenly, plus 1 - label_share times the first stage's softmax.

    Args:
        offsets: sharpness times fused score, (lists, texts).
        corrections: -ln of the inclusion rate, ABSENT where there is no text.
        relevant: 1 at relevant texts, else 0.
        has_offset: (lists,), 0 where the offsets mean nothing: there the judgements have 0.95, and
            all texts the rest.
        label_share: (lists,), 0 to 1.
    """
    there = (corrections > ABSENT).float()
    even = there / there.sum(dim=1, keepdim=True)
    told = has_offset[:, None] > 0
    others = torch.where(told, torch.softmax(offsets + corrections, dim=1), even)
    share = torch.where(told, label_share[:, None], torch.full_like(others[:, :1], _CERTAIN_SHARE))
    return share * relevant / relevant.sum(dim=1, keepdim=True) + (1 - share) * others


def soft_losses(logits: Tensor, corrections: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each list's softmax from its target; (lists,) float32."""
    return -(targets * torch.log_softmax(logits + corrections, dim=1)).sum(dim=1)


class SoftLoss(nn.Module):
    """The loss on the rows of `examples.residual_rows`, whose first text is the relevant one."""

    def __init__(self, model: "CrossEncoder", label_share: float) -> None:
        """Take the model and the judgements' share of the target."""
        super().__init__()
        self.model = model
        self._label_share = label_share

    def forward(
        self,
        inputs: tuple[list[str], list[list[str]]],
        labels: list[Tensor],
        prompt: str | None = None,
        task: str | None = None,
    ) -> Tensor:
        """The mean over a batch of (queries, texts of each)."""
        scored = ScoredLists(self.model, inputs, labels, prompt=prompt, task=task)
        relevant = torch.zeros_like(scored.logits)
        relevant[:, 0] = 1
        targets = soft_targets(
            scored.offsets,
            scored.corrections,
            relevant,
            has_offset=scored.has_offset,
            label_share=torch.full_like(scored.has_offset, self._label_share),
        )
        return soft_losses(scored.logits, scored.corrections, targets).mean()
