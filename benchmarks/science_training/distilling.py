"""What a small model learns of a larger one's logits: their order in a list, scale and level.

Imports torch at the top: import it inside functions only.
"""

from torch import Tensor

from scisearch.rerank.training.list_logits import ABSENT
from scisearch.rerank.training.soft_loss import soft_losses

APART_WEIGHT = 0.1  # of half the variance and half the squared mean of the differences


def student_losses(logits: Tensor, wanted: Tensor, corrections: Tensor) -> Tensor:
    """How far a student is from its teacher; (lists,) float32.

    The cross-entropy of each list's softmax from the teacher's, and of the difference of both
    logits within a list half the variance and half the squared mean, APART_WEIGHT of it: so the
    student's logits have the teacher's scale and level, and can be heard with its weight.

    Args:
        logits: the student's, (lists, texts).
        wanted: the teacher's, as many; no gradient is needed of them.
        corrections: -ln of the inclusion rate, ABSENT where there is no text.
    """
    targets = (wanted + corrections).softmax(dim=1)
    there = (corrections > ABSENT).float()
    count = there.sum(dim=1)
    apart = (logits - wanted) * there
    mean = apart.sum(dim=1) / count
    spread = ((apart - mean[:, None]) * there).square().sum(dim=1) / count
    level = mean.square()
    return soft_losses(logits, corrections, targets) + APART_WEIGHT * (0.5 * spread + 0.5 * level)
