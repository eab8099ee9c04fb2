"""What a cross-encoder reads of a document that is longer than its input: a cut, or passages.

`cut` keeps the beginning, as transformers does. `maxp` scores windows that overlap by half, and
the document's score is that of its best window (MaxP; Dai and Callan, "Deeper Text Understanding
for IR with Contextual Neural Language Modeling", SIGIR 2019, doi:10.1145/3331184.3331303; their
windows are 150 words every 75, ours as wide as the model reads).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError
from scisearch.rerank.batches import PairParts
from scisearch.rerank.pairs import cut_longest_first

LongDocuments = Literal["cut", "maxp"]
LONG_DOCUMENTS: tuple[LongDocuments, ...] = get_args(LongDocuments)


class Passages(NamedTuple):
    """A pair's passages, at least one, and how many ids of query and document none of them has."""

    parts: list[PairParts]
    dropped: int


def check_long_documents(long: str) -> None:
    """Refuse anything but `cut` and `maxp`.

    Raises:
        ConfigError: it is neither.
    """
    if long not in LONG_DOCUMENTS:
        raise ConfigError(f"long documents: {long!r}; expected one of {', '.join(LONG_DOCUMENTS)}")


def pair_passages(
    query_ids: NDArray[np.integer],
    document_ids: NDArray[np.integer],
    *,
    document_length: int,
    room: int,
    long: LongDocuments = "cut",
) -> Passages:
    """The passages of one pair.

    Args:
        query_ids: the whole query's ids.
        document_ids: the ids that are known of the document, its beginning.
        document_length: how many ids the whole document has.
        room: how many ids query and document may have together.
        long: what to do with a document that does not fit.
    """
    query_kept, width = cut_longest_first(len(query_ids), len(document_ids), room)
    query = query_ids[:query_kept]
    query_dropped = len(query_ids) - query_kept
    if long == "cut" or width == len(document_ids):
        dropped = query_dropped + document_length - width
        return Passages([PairParts(query, document_ids[:width])], dropped)
    windows = passage_windows(len(document_ids), width, stride=max(1, width // 2))
    parts = [PairParts(query, document_ids[begin:end]) for begin, end in windows]
    return Passages(parts, query_dropped + document_length - len(document_ids))


def passage_windows(length: int, width: int, *, stride: int) -> list[tuple[int, int]]:
    """Begin and end of windows of `width` every `stride` ids that cover `length` ids.

    The last window ends with the document and is as wide as the others, so it may overlap more.
    """
    if length <= width:
        return [(0, length)]
    begins = [*range(0, length - width, stride), length - width]
    return [(begin, begin + width) for begin in begins]


def best_passages(
    scores: NDArray[np.float32], passages_per_pair: Sequence[int]
) -> NDArray[np.float32]:
    """MaxP: the highest score of each pair's passages; a NaN among them is the answer.

    `scores` is (n_passages,), the passages of a pair next to each other; the answer (n_pairs,).
    """
    if not len(passages_per_pair):
        return np.empty(0, np.float32)
    begins = np.cumsum([0, *passages_per_pair[:-1]])
    return np.maximum.reduceat(scores, begins)
