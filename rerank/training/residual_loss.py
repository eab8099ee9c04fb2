"""The loss of a cross-encoder that learns what the first stage gets wrong.

Imports torch at the top, since its class derives from torch's: import it inside functions only.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from scisearch.rerank.training.list_logits import ScoredLists
from scisearch.rerank.training.losses import (
    DISTILLED_SHARE,
    DISTILLED_WEIGHT,
    KAPPA,
    OFFSET_SHARE,
)

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


def residual_losses(logits: Tensor, offsets: Tensor, corrections: Tensor, given: Tensor) -> Tensor:
    """Cross-entropy of each list, its relevant text first; (lists,) float32.

    -ln softmax(logit + kappa * given * offset + correction) at the first place. `logits`, `offsets`
    (sharpness times fused score) and `corrections` (-ln of the inclusion rate, ABSENT where there
    is no text) are (lists, texts); `given` (lists,) is 1 where the offset takes part, else 0. The
    corrections make the softmax over a sample that over all candidates, in expectation: sampled
    softmax, Bengio and Senecal, doi:10.1109/TNN.2007.912312.
    """
    known = KAPPA * given[:, None] * offsets
    return -torch.log_softmax(logits + known + corrections, dim=1)[:, 0]


def divergences(logits: Tensor, offsets: Tensor, corrections: Tensor) -> Tensor:
    """Kullback-Leibler divergence of each list's softmax from that of the first stage; (lists,)."""
    first = torch.log_softmax(offsets + corrections, dim=1)
    own = torch.log_softmax(logits + corrections, dim=1)
    return (first.exp() * (first - own)).sum(dim=1)


def distilled_weight(done: float) -> float:
    """The weight of the divergences when a share `done` (0 to 1) of the steps is done."""
    return DISTILLED_WEIGHT * max(0.0, 1 - done / DISTILLED_SHARE)


def objective(
    logits: Tensor,
    offsets: Tensor,
    corrections: Tensor,
    *,
    has_offset: Tensor,
    given: Tensor,
    done: float,
) -> Tensor:
    """What a step minimises: mean cross-entropy, and at first the mean divergence too.

    `has_offset` (lists,) is 0 for lists whose relevant text the first stage did not find: they have
    neither an offset nor a divergence. `given` and `done` are as above.
    """
    loss = residual_losses(logits, offsets, corrections, has_offset * given).mean()
    weight = distilled_weight(done)
    if weight:
        loss = loss + weight * (has_offset * divergences(logits, offsets, corrections)).mean()
    return loss


class ResidualLoss(nn.Module):
    """The objective on the rows of `examples.residual_rows`, as the trainer calls it.

    `at` says how far the training is: which lists are without their offset follows from seed and
    step, so that a continued training draws as an uninterrupted one. In evaluation every list has
    its offset and nothing is distilled.
    """

    def __init__(self, model: "CrossEncoder", seed: int) -> None:
        """Start before the first step."""
        super().__init__()
        self.model = model
        self._seed = seed
        self._step, self._steps = 0, 1

    def at(self, step: int, steps: int) -> None:
        """`step` of `steps` are done."""
        self._step, self._steps = step, max(1, steps)

    def forward(
        self,
        inputs: tuple[list[str], list[list[str]]],
        labels: list[Tensor],
        prompt: str | None = None,
        task: str | None = None,
    ) -> Tensor:
        """The mean over a batch of (queries, texts of each); a label: `examples.residual_rows`."""
        scored = ScoredLists(self.model, inputs, labels, prompt=prompt, task=task)
        flat, count = scored.has_offset, len(labels)
        given = torch.ones_like(flat)
        done = 1.0
        if self.model.training:
            draw = np.random.default_rng([self._seed, self._step])
            given = torch.from_numpy(draw.random(count) < OFFSET_SHARE).to(flat)
            done = self._step / self._steps
        return objective(
            scored.logits,
            scored.offsets,
            scored.corrections,
            has_offset=scored.has_offset,
            given=given,
            done=done,
        )
