"""Pairs of many lengths as few padded arrays, with little padding.

Pairs of like length go together, longest first, so that the first batch needs the most memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scisearch.rerank.pairs import PairTemplate


class PairParts(NamedTuple):
    """The ids of a query and of (a part of) a document that fit into the model together."""

    query_ids: NDArray[np.integer]
    document_ids: NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Padded pairs for one forward pass; all three arrays are (rows, longest) int64."""

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]

    def __len__(self) -> int:
        """How many pairs it holds."""
        return len(self.input_ids)

    def halves(self) -> tuple["Batch", "Batch"]:
        """The first half and the rest, of the same width."""
        middle = len(self) // 2
        arrays = (self.input_ids, self.attention_mask, self.token_type_ids)
        return Batch(*(a[:middle] for a in arrays)), Batch(*(a[middle:] for a in arrays))


def plan_batches(
    lengths: NDArray[np.int64], batch_tokens: Callable[[], int]
) -> Iterator[NDArray[np.int64]]:
    """The places of the pairs that go together, so that rows x longest <= `batch_tokens()`.

    Longest first, equal lengths in their order. A pair that is longer by itself is a batch of one.
    `lengths` is (n,), special tokens included. The budget is asked for before each batch, since a
    runtime may find that it has less memory.
    """
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        rows = max(1, batch_tokens() // max(1, int(lengths[order[begin]])))
        yield order[begin : begin + rows]
        begin += rows


def fill_batch(
    template: PairTemplate, pairs: Sequence[PairParts], pad_id: int, *, length: int | None = None
) -> Batch:
    """The pairs in their order, padded on the right to `length`; None: to the longest of them."""
    lengths = [len(pair.query_ids) + len(pair.document_ids) for pair in pairs]
    shape = (len(pairs), length or max(lengths, default=0) + template.n_special)
    input_ids = np.full(shape, pad_id, np.int64)
    mask = np.zeros(shape, np.int64)
    type_ids = np.zeros(shape, np.int64)
    for row, (pair, length) in enumerate(zip(pairs, lengths, strict=True)):
        end = length + template.n_special
        template.write(input_ids[row, :end], pair.query_ids, pair.document_ids)
        template.write_types(type_ids[row, :end], len(pair.query_ids))
        mask[row, :end] = 1
    return Batch(input_ids, mask, type_ids)
