"""What a list's softmax should be: in part what the judgements say, in part the first stage's own.

A relevant text that nobody judged stands among the negatives at the top of the first stage. Where
the target is the judged text alone, a model learns to push the others down; where the first stage
keeps a share of the target, it learns to do so only as far as the texts themselves tell.
"""

import numpy as np
from numpy.typing import NDArray


def soft_target(
    exponents: NDArray[np.float32], relevant: int, label_share: float
) -> NDArray[np.float32]:
    """The target of a list whose first `relevant` texts are relevant; (n,) float32, sums to 1.

    label_share / relevant at each relevant text, plus 1 - label_share times the softmax of
    `exponents`: sharpness times fused score plus correction, (n,).
    """
    shifted = np.exp(exponents.astype(np.float64) - exponents.max())
    target = (1 - label_share) * shifted / shifted.sum()
    target[:relevant] += label_share / relevant
    found: NDArray[np.float32] = target.astype(np.float32)
    return found
