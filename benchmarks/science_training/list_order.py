"""Which list comes next: its kind by the mixture, a list again after all others of its kind."""

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.science_training.mixtures import Mixture
from scisearch.benchmarks.science_training.packed import PackedLists


class ListOrder:
    """The lists of one of several workers, which share none where a kind has enough of them.

    `shuffled` are the rows that may come, the same for all workers; `draw` is this worker's.
    """

    def __init__(
        self,
        packed: PackedLists,
        shuffled: NDArray[np.int64],
        mixture: Mixture,
        draw: np.random.Generator,
        *,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        """Share the rows out; kinds that the mixture does not name are left out."""
        self._draw = draw
        self._rows: dict[str, NDArray[np.int64]] = {}
        for number, kind in enumerate(packed.kinds):
            rows = shuffled[packed.kind[shuffled] == number]
            mine = rows[worker::workers] if len(rows) >= workers else rows
            if kind in mixture and len(mine):
                self._rows[kind] = draw.permutation(mine)
        self._shares = np.array([mixture[kind] for kind in self._rows])
        self._next = dict.fromkeys(self._rows, 0)

    def __len__(self) -> int:
        """How many kinds there are."""
        return len(self._rows)

    def next(self, done: float) -> tuple[str, int]:
        """The kind and the row of the next list when a share `done` (0 to 1) is done."""
        shares = (1 - done) * self._shares[:, 0] + done * self._shares[:, 1]
        kind = str(self._draw.choice(list(self._rows), p=shares / shares.sum()))
        rows, place = self._rows[kind], self._next[kind]
        if place == len(rows):
            rows, place = self._draw.permutation(rows), 0
            self._rows[kind] = rows
        self._next[kind] = place + 1
        return kind, int(rows[place])
