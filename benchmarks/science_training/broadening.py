"""Unrelated documents below a query's candidates, whose order stays as it was.

A model that has only told candidates of one query from each other may say anything of other
documents: ours gave random papers higher logits than cited ones (benchmarks/LOG.md, 2026-11-28).
Imports torch at the top: import it inside functions only.
"""

import torch
from torch import Tensor
from torch.nn import functional

MARGIN = 1.0  # of the relevant texts over the unrelated ones
CANDIDATES_WEIGHT = 0.3  # of irrelevant candidates above unrelated texts


def broadened_losses(logits: Tensor, before: Tensor, relevant: Tensor) -> Tensor:
    """Three parts of each list's loss, added; (lists,) float32.

    * The Kullback-Leibler divergence of the candidates' softmax from what it was before.
    * -ln(e^r / (e^r + sum of e^(u + MARGIN))) over the unrelated texts' logits u, where r is the
      ln of the mean e^logit of the relevant texts.
    * CANDIDATES_WEIGHT times the same without the margin, of the irrelevant candidates.

    Args:
        logits: (lists, candidates + unrelated), in this order.
        before: the candidates' logits by the model that is broadened, (lists, candidates).
        relevant: 1 at relevant candidates, else 0, (lists, candidates); a list has both.
    """
    count = before.shape[1]
    candidates, unrelated = logits[:, :count], logits[:, count:]
    changed = functional.kl_div(
        torch.log_softmax(candidates, dim=1),
        torch.log_softmax(before, dim=1),
        log_target=True,
        reduction="none",
    ).sum(dim=1)
    others = unrelated.logsumexp(dim=1)
    below = functional.softplus(others + MARGIN - _level(candidates, relevant))
    beside = functional.softplus(others - _level(candidates, 1 - relevant))
    return changed + below + CANDIDATES_WEIGHT * beside


def _level(logits: Tensor, chosen: Tensor) -> Tensor:
    """The ln of the mean e^logit of the chosen texts of each list."""
    return (logits + chosen.log()).logsumexp(dim=1) - chosen.sum(dim=1).log()
