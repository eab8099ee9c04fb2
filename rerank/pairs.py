"""A query and a document as the one sequence of token ids that a cross-encoder reads.

Knows the special tokens around the two parts and how a pair that is too long is cut; not where the
ids come from, nor the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_PROBE = ("a", "b")


class Pair(NamedTuple):
    """One assembled pair; `dropped` is how many ids of its query and document were cut off."""

    ids: NDArray[np.int64]
    type_ids: NDArray[np.int64]
    dropped: int


@dataclass(frozen=True, slots=True)
class PairTemplate:
    """What stands before, between and after the two parts of a pair, and all segment ids.

    BERT: [CLS] query [SEP] document [SEP] with segments 0 and 1; RoBERTa: <s> query </s></s>
    document </s> with segment 0 throughout. `*_types` has a segment id for each special token.
    """

    head: tuple[int, ...]
    middle: tuple[int, ...]
    tail: tuple[int, ...]
    head_types: tuple[int, ...]
    middle_types: tuple[int, ...]
    tail_types: tuple[int, ...]
    query_type: int
    document_type: int

    @property
    def n_special(self) -> int:
        """How many special tokens a pair has."""
        return len(self.head) + len(self.middle) + len(self.tail)

    @property
    def has_segments(self) -> bool:
        """Whether the two parts are told apart by segment ids."""
        types = (*self.head_types, *self.middle_types, *self.tail_types)
        return any((*types, self.query_type, self.document_type))

    def assemble(
        self, query_ids: NDArray[np.integer], document_ids: NDArray[np.integer], max_length: int
    ) -> Pair:
        """The pair, cut to at most `max_length` ids in all, as transformers' longest_first does.

        `max_length` must leave room beside the special tokens.
        """
        query_kept, document_kept = cut_longest_first(
            len(query_ids), len(document_ids), max_length - self.n_special
        )
        dropped = len(query_ids) - query_kept + len(document_ids) - document_kept
        length = self.n_special + query_kept + document_kept
        ids = np.empty(length, np.int64)
        self.write(ids, query_ids[:query_kept], document_ids[:document_kept])
        type_ids = np.empty(length, np.int64)
        self.write_types(type_ids, query_kept)
        return Pair(ids, type_ids, dropped)

    def write(
        self,
        row: NDArray[np.int64],
        query_ids: NDArray[np.integer],
        document_ids: NDArray[np.integer],
    ) -> None:
        """Write a pair that fits into `row`, an array of exactly its length."""
        begin = len(self.head)
        end = begin + len(query_ids)
        row[:begin] = self.head
        row[begin:end] = query_ids
        begin = end + len(self.middle)
        row[end:begin] = self.middle
        end = begin + len(document_ids)
        row[begin:end] = document_ids
        row[end:] = self.tail

    def write_types(self, row: NDArray[np.int64], query_length: int) -> None:
        """Write the segment ids of a pair into `row`, an array of exactly its length."""
        begin = len(self.head)
        end = begin + query_length
        row[:begin] = self.head_types
        row[begin:end] = self.query_type
        begin = end + len(self.middle)
        row[end:begin] = self.middle_types
        end = len(row) - len(self.tail)
        row[begin:end] = self.document_type
        row[end:] = self.tail_types


def cut_longest_first(query_length: int, document_length: int, room: int) -> tuple[int, int]:
    """How many ids of the query and of the document are kept when both may take `room` together.

    The longer part is cut down to the shorter, then both in turn; an odd id goes to the part that
    was longer, and to the document where both were equally long (tokenizers' LongestFirst).
    """
    if query_length + document_length <= room:
        return query_length, document_length
    short, long = sorted((query_length, document_length))
    if short + short < room:
        long = room - short
    else:
        short, long = room // 2, room - room // 2
    return (long, short) if query_length > document_length else (short, long)


def pair_template(tokenizer: "Tokenizer", where: Path) -> PairTemplate:
    """The template of a tokenizer with its post-processor, found by encoding a pair of texts.

    Raises:
        ModelError: the tokenizer does not put two texts one after the other.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encoding = tokenizer.encode(*_PROBE)
    owners = encoding.sequence_ids  # None for a special token, 0 in the query, 1 in the document
    places = [[i for i, owner in enumerate(owners) if owner == part] for part in (0, 1)]
    if not _one_after_the_other(places):
        raise ModelError(
            f"{where}: the tokenizer makes {encoding.tokens} of the pair {_PROBE}; expected the"
            " first text, then the second: this model cannot be used as a cross-encoder"
        )
    (query_begin, query_end), (begin, end) = [(p[0], p[-1] + 1) for p in places]
    return _template(encoding, [(0, query_begin), (query_end, begin), (end, len(owners))])


def _one_after_the_other(places: Sequence[Sequence[int]]) -> bool:
    query, document = places
    return bool(
        query
        and document
        and query[-1] < document[0]
        and all(part[-1] - part[0] + 1 == len(part) for part in places)
    )


def _template(encoding: "Encoding", spans: Sequence[tuple[int, int]]) -> PairTemplate:
    head, middle, tail = (tuple(encoding.ids[begin:end]) for begin, end in spans)
    head_types, middle_types, tail_types = (
        tuple(encoding.type_ids[begin:end]) for begin, end in spans
    )
    return PairTemplate(
        head=head,
        middle=middle,
        tail=tail,
        head_types=head_types,
        middle_types=middle_types,
        tail_types=tail_types,
        query_type=encoding.type_ids[spans[0][1]],
        document_type=encoding.type_ids[spans[1][1]],
    )
