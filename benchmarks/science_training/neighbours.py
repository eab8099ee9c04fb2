"""Documents two steps from a query: candidates of another query that has a candidate in common.

They are of the query's field and share a word or two with it, and the first stage did not find
them: less foreign than a document drawn at random, as the lower ranks of a small collection are.
"""

import numpy as np

from scisearch.benchmarks.science_training.packed import PackedLists, Ragged

_TRIES = 6


class Neighbours:
    """Which lists have a document among their negatives."""

    def __init__(self, packed: PackedLists) -> None:
        """Invert the lists; memory in proportion to all their negatives."""
        self._packed = packed
        lists = np.repeat(np.arange(len(packed), dtype=np.int32), np.diff(packed.negatives.starts))
        self._lists = Ragged.inverted(packed.negatives.values, lists, len(packed.titles))

    def of(self, row: int, own: set[int], draw: np.random.Generator) -> int | None:
        """A document two steps from list `row` that is not in `own`; None where none was met."""
        negatives = self._packed.of_negatives(row)[0]
        for _ in range(_TRIES if len(negatives) else 0):
            shared = int(draw.choice(negatives))
            lists = self._lists[shared]
            other = int(lists[int(draw.integers(len(lists)))])
            document = int(draw.choice(self._packed.of_negatives(other)[0]))
            if document not in own:
                return document
        return None
