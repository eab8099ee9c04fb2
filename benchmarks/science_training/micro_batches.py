"""Drawn lists as arrays of token ids: pairs sorted by length, a few of like length together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.science_training.contrasts import ContrastList
from scisearch.benchmarks.science_training.draw import DrawnList

_SPECIAL = 3  # [CLS] query [SEP] text [SEP]


class Asked(Protocol):
    """A query and its texts, as token ids."""

    @property
    def query(self) -> NDArray[Any]:
        """What is asked."""
        ...

    @property
    def texts(self) -> Sequence[NDArray[Any]]:
        """What may answer."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class MicroBatch:
    """Pairs that are computed together.

    `ids` and `segments` are (pairs, tokens) int32; `lengths` (pairs,) int64, which are all `tokens`
    where no row is padded; `places` (pairs,) int64 count all texts, one list after another.
    """

    ids: NDArray[np.int32]
    segments: NDArray[np.int32]
    lengths: NDArray[np.int64]
    places: NDArray[np.int64]

    def of_first(self, count: int, texts: int) -> "MicroBatch":
        """The pairs of the first `count` of each list's `texts`, at their places among these."""
        lists, numbers = np.divmod(self.places, texts)
        kept = numbers < count
        longest = int(self.lengths[kept].max(initial=0))
        return MicroBatch(
            ids=self.ids[kept, :longest],
            segments=self.segments[kept, :longest],
            lengths=self.lengths[kept],
            places=lists[kept] * count + numbers[kept],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Contrasts:
    """The contrast lists of one step; `right` is the place of each one's right text, its first."""

    batches: list[MicroBatch]
    right: NDArray[np.int64]  # (lists,)
    margins: NDArray[np.float32]  # (lists,), logits


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The lists of one step; numbers are (lists, texts) float32 and (lists,)."""

    batches: list[MicroBatch]
    kinds: list[str]
    offsets: NDArray[np.float32]
    corrections: NDArray[np.float32]
    has_offset: NDArray[np.float32]
    relevant: NDArray[np.float32]  # 1 at relevant texts, else 0
    label_shares: NDArray[np.float32]  # (lists,)
    twisted: NDArray[np.float32]  # (lists,), 1 where the last text is a relevant one turned round
    contrasts: Contrasts | None = None


def make_step(
    lists: Sequence[DrawnList], *, longest: int, size: int, cls_id: int, sep_id: int
) -> Step:
    """The lists, all of as many texts, cut to `longest` tokens a pair, `size` pairs together."""
    return Step(
        batches=list(micro_batches(lists, longest=longest, size=size, ends=(cls_id, sep_id))),
        kinds=[one.kind for one in lists],
        offsets=np.stack([one.offsets for one in lists]),
        corrections=np.stack([one.corrections for one in lists]),
        has_offset=np.array([one.has_offset for one in lists], np.float32),
        relevant=np.stack([np.arange(len(one.texts)) < one.relevant for one in lists]).astype(
            np.float32
        ),
        label_shares=np.array([one.label_share for one in lists], np.float32),
        twisted=np.array([one.twisted for one in lists], np.float32),
    )


def make_contrasts(
    lists: Sequence[ContrastList], *, longest: int, size: int, cls_id: int, sep_id: int
) -> Contrasts:
    """The contrast lists as `make_step` has others; they differ in how many texts they have."""
    counts = [len(one.texts) for one in lists]
    return Contrasts(
        batches=list(micro_batches(lists, longest=longest, size=size, ends=(cls_id, sep_id))),
        right=np.cumsum([0, *counts[:-1]], dtype=np.int64),
        margins=np.array([one.margin for one in lists], np.float32),
    )


def micro_batches(
    lists: Sequence[Asked], *, longest: int, size: int, ends: tuple[int, int]
) -> Iterator[MicroBatch]:
    """Every pair once, shortest first; the query has at most half of the tokens."""
    cls_id, sep_id = ends
    pairs: list[tuple[int, NDArray[Any], NDArray[Any]]] = []
    for one in lists:
        query = one.query[: longest // 2]
        room = longest - _SPECIAL - len(query)
        for text in one.texts:
            pairs.append((len(pairs), query, text[:room]))
    pairs.sort(key=lambda pair: len(pair[1]) + len(pair[2]))
    for begin in range(0, len(pairs), size):
        some = pairs[begin : begin + size]
        lengths = np.array([len(query) + len(text) + _SPECIAL for _, query, text in some])
        ids = np.zeros((len(some), lengths[-1]), np.int32)
        segments = np.zeros_like(ids)
        for row, (_, query, text) in enumerate(some):
            second, end = 2 + len(query), lengths[row]
            ids[row, 0], ids[row, second - 1], ids[row, end - 1] = cls_id, sep_id, sep_id
            ids[row, 1 : second - 1], ids[row, second : end - 1] = query, text
            segments[row, second:end] = 1
        places = np.array([place for place, _, _ in some], np.int64)
        yield MicroBatch(ids, segments, lengths.astype(np.int64), places)
