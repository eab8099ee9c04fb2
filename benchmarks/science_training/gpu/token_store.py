"""All texts of a packed file as one row of token ids on the device, and where each begins.

Imports torch at the top: import it inside functions only.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scisearch.benchmarks.science_training.packed import PackedLists, Ragged

SPECIAL = 3  # [CLS] query [SEP] text [SEP]
_STEP = 8  # lengths that are computed are multiples of this


@dataclass(frozen=True, slots=True, eq=False)
class TokenStore:
    """m documents, then those that stand for a document whose sentence asks.

    `tokens` (all,) int32; the other fields are (documents,) int64: where a document begins, how
    long its title is, and its length with the title.
    """

    tokens: Tensor
    starts: Tensor
    titles: Tensor
    lengths: Tensor
    cls_id: int
    sep_id: int

    @classmethod
    def of(cls, packed: PackedLists, device: str) -> "TokenStore":
        """The documents of a packed file; list i's replacement is document m + i."""
        titles = _joined(packed.titles, [_first_titles(packed)])
        texts = _joined(packed.texts, [packed.instead])
        title_lengths, text_lengths = np.diff(titles.starts), np.diff(texts.starts)
        lengths = title_lengths + text_lengths
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        values = np.empty(int(lengths.sum()), np.int32)
        values[_places(starts, title_lengths)] = titles.values
        values[_places(starts + title_lengths, text_lengths)] = texts.values
        ids, begin, title, length = (
            torch.from_numpy(x).to(device) for x in (values, starts, title_lengths, lengths)
        )
        return cls(ids, begin, title, length, packed.cls_id, packed.sep_id)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """n pairs to be computed: `query` is a row of `queries`; the others are (n,) int64.

    A document's tokens are `length` from `start` on.
    """

    queries: Tensor  # (rows, longest) int32
    query: Tensor
    query_length: Tensor
    start: Tensor
    length: Tensor

    def cut(self, longest: int) -> "Pairs":
        """The pairs in so many tokens; a query has at most half of them."""
        query_length = self.query_length.clamp(max=longest // 2)
        length = torch.minimum(self.length, longest - SPECIAL - query_length)
        return Pairs(self.queries, self.query, query_length, self.start, length)

    def rows(self, places: Tensor) -> "Pairs":
        """Some of the pairs."""
        return Pairs(
            self.queries,
            self.query[places],
            self.query_length[places],
            self.start[places],
            self.length[places],
        )

    def totals(self) -> Tensor:
        """Tokens of each pair with the special ones."""
        return self.query_length + self.length + SPECIAL


def pair_arrays(store: TokenStore, pairs: Pairs, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, segments and the attention's mask of the pairs, (n, tokens) each; nothing is cut.

    The mask is 0 at tokens and very negative at padding. `longest` is that of the pairs; it is
    rounded up.
    """
    tokens = -(-longest // _STEP) * _STEP
    place = torch.arange(tokens, device=store.tokens.device)[None]
    query_end, total = 1 + pairs.query_length[:, None], pairs.totals()[:, None]
    width = pairs.queries.shape[1]
    query = pairs.queries[pairs.query[:, None], (place - 1).clamp(0, width - 1)]
    at = pairs.start[:, None] + place - query_end - 1
    text = store.tokens[at.clamp(0, len(store.tokens) - 1)]
    ids = torch.where(place < query_end, query, text)
    ids[:, 0] = store.cls_id
    ids = torch.where((place == query_end) | (place == total - 1), store.sep_id, ids)
    there = place < total
    segments = ((place > query_end) & there).int()
    mask = torch.where(there, 0.0, -1e4)
    return torch.where(there, ids, 0), segments, mask


def batches_of(totals: Tensor, tokens: int) -> list[tuple[Tensor, int]]:
    """The places of pairs of like length, and their longest; `tokens` of a batch at most.

    Pairs of no length (0) are in none.
    """
    order = torch.argsort(totals)
    lengths = totals[order].cpu().numpy()
    begin = int(np.searchsorted(lengths, 1))
    found: list[tuple[Tensor, int]] = []
    end = len(lengths)
    while end > begin:
        longest = int(lengths[end - 1])
        first = max(begin, end - max(1, tokens // longest))
        found.append((order[first:end], longest))
        end = first
    return found


def padded(rows: list[NDArray[np.generic]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Rows of ids side by side, 0 after their ends, and their lengths."""
    lengths = np.array([len(row) for row in rows], np.int64)
    found = np.zeros((len(rows), max(1, int(lengths.max(initial=0)))), np.int32)
    for number, row in enumerate(rows):
        found[number, : len(row)] = row
    return found, lengths


def _first_titles(packed: PackedLists) -> Ragged:
    """The title of each list's first positive where its text is replaced, else nothing."""
    empty = packed.titles.values[:0]
    rows = [
        packed.titles[int(packed.positives[row][0])] if len(packed.instead[row]) else empty
        for row in range(len(packed))
    ]
    return Ragged.of(rows, np.uint16)


def _joined(one: Ragged, others: list[Ragged]) -> Ragged:
    values = np.concatenate([one.values, *(other.values for other in others)])
    lengths = np.concatenate([np.diff(one.starts), *(np.diff(other.starts) for other in others)])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Ragged(values, starts)


def _places(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """start, start + 1, … of each row, one after another."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
