"""What one posting is worth under BM25: the one place where the formula stands.

The writer uses it for all documents, filtered retrieval for the allowed ones. Everything is
computed in float64, in the same order of operations, and rounded to float32 once, so that both
give the same bits.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError

Variant = Literal["lucene", "okapi"]
# rank_bm25's default: a term of more than half of the documents gets this part of the mean idf.
_EPSILON = 0.25


@dataclass(frozen=True, slots=True)
class BM25Parameters:
    """The free parameters, and which of two formulas.

    Terms of a document's title count `title_weight` times, in tf and in its length: BM25F with one
    length for both fields; Robertson, Zaragoza and Taylor, CIKM 2004, doi:10.1145/1031171.1031181.

    `lucene` (default) is idf = ln(1 + (N - df + 0.5) / (df + 0.5)) times
    tf / (tf + k1 (1 - b + b length / average length)); Kamphuis et al., ECIR 2020,
    doi:10.1007/978-3-030-45442-5_4. `okapi` is rank_bm25.BM25Okapi:
    idf = ln(N - df + 0.5) - ln(df + 0.5), where negative a quarter of the mean idf of all terms,
    times the same fraction times (k1 + 1).
    """

    k1: float = 1.2
    b: float = 0.75
    variant: Variant = "lucene"
    title_weight: int = 3

    def __post_init__(self) -> None:
        """Refuse what the formula has no meaning for.

        Raises:
            ConfigError: k1 below 0, b outside [0, 1], an unknown variant or a title weight below 1.
        """
        if not (math.isfinite(self.k1) and self.k1 >= 0):
            raise ConfigError(f"BM25: k1 is {self.k1}, expected a number from 0 (usual: 1.2)")
        if not 0 <= self.b <= 1:
            raise ConfigError(f"BM25: b is {self.b}, expected a number from 0 to 1 (usual: 0.75)")
        if self.variant not in ("lucene", "okapi"):
            raise ConfigError(f"BM25: variant is {self.variant!r}, expected 'lucene' or 'okapi'")
        if self.title_weight < 1:
            raise ConfigError(f"BM25: title weight is {self.title_weight}, expected at least 1")

    def to_json(self) -> dict[str, object]:
        """The fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "BM25Parameters":
        """What `to_json` gave; where it is of before titles had a weight, they count once.

        Raises:
            ConfigError: a value that the formula has no meaning for.
            TypeError: other fields.
        """
        return cls(**{"title_weight": 1, **fields})


@dataclass(frozen=True, slots=True)
class Collection:
    """What the formula needs to know about all the documents that may be returned.

    `idf_floor` is None where the variant has no floor.
    """

    n_docs: int
    average_length: float
    idf_floor: float | None


def collection(
    lengths: NDArray[np.int32], df: NDArray[np.int64] | None, parameters: BM25Parameters
) -> Collection:
    """The statistics of documents with these lengths.

    Args:
        lengths: (n_docs,) terms of each document.
        df: (n_terms,) documents of every term, zeros left out of account; only `okapi` needs it.
        parameters: names the variant.
    """
    n_docs = len(lengths)
    average = int(lengths.sum(dtype=np.int64)) / n_docs if n_docs else 0.0
    floor = None
    if parameters.variant == "okapi" and df is not None:
        values, counts = np.unique(df[df > 0], return_counts=True)
        idfs = [_okapi_idf(int(value), n_docs) for value in values]
        total = math.fsum(idf * int(n) for idf, n in zip(idfs, counts, strict=True))
        floor = _EPSILON * (total / max(1, int(counts.sum())))
    return Collection(n_docs, average, floor)


def _okapi_idf(df: int, n_docs: int) -> float:
    return math.log(n_docs - df + 0.5) - math.log(df + 0.5)


def _idf(df: int, of: Collection) -> float:
    if of.idf_floor is None:
        return math.log(1 + (of.n_docs - df + 0.5) / (df + 0.5))
    idf = _okapi_idf(df, of.n_docs)
    return of.idf_floor if idf < 0 else idf


def inverse_document_frequencies(df: NDArray[np.int64], of: Collection) -> NDArray[np.float64]:
    """The idf of terms that stand in `df` documents of the collection, same shape."""
    values, places = np.unique(df, return_inverse=True)
    return np.array([_idf(int(value), of) for value in values], np.float64)[places]


def posting_scores(
    tf: NDArray[np.unsignedinteger],
    lengths: NDArray[np.int32],
    idf: NDArray[np.float64],
    of: Collection,
    parameters: BM25Parameters,
) -> NDArray[np.float32]:
    """The scores of postings: their counts, their documents' lengths, their terms' idf."""
    k1, b = parameters.k1, parameters.b
    counts = tf.astype(np.float64)
    saturation = counts + k1 * (1 - b + b * lengths / of.average_length)
    if parameters.variant == "okapi":
        counts *= k1 + 1
    return (idf * (counts / saturation)).astype(np.float32)
