"""How much of its pairs a cross-encoder with a limited input reads; computes no score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Truncation:
    """One query's pairs, aligned with its candidates; counts are token ids without special ones.

    `lengths` is what query and document have together, `dropped` what the model does not read of
    them. Both (n_candidates,) int64.
    """

    lengths: NDArray[np.int64]
    dropped: NDArray[np.int64]

    @property
    def cut(self) -> NDArray[np.bool_]:
        """Which pairs are not read whole, (n_candidates,)."""
        return self.dropped > 0
