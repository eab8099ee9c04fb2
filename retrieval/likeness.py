"""How alike are the documents of a corpus? Known from their vectors, without any query."""

import numpy as np

from scisearch.index.models import DEFAULT_BI_ENCODER
from scisearch.index.opened import OpenIndex
from scisearch.retrieval.encoder_fusion import is_encoder

_LIKENESS_OF = 5000  # documents


def mean_likeness(index: OpenIndex) -> float | None:
    """The mean cosine of two different documents, by the vectors of at most 5,000 spread evenly.

    None where that is not known: without vectors or a second document, of a type of index that
    gives no vector back, and of another bi-encoder than the default one, whose cosines are its own.
    """
    n = len(index.documents)
    vectors_of = index.vectors_of
    if (
        vectors_of is None
        or n < 2
        or not is_encoder(index.manifest.encoder or {}, DEFAULT_BI_ENCODER)
    ):
        return None
    some = np.unique(np.linspace(0, n - 1, min(n, _LIKENESS_OF)).round().astype(np.int64))
    mean = vectors_of(some).mean(axis=0, dtype=np.float64)
    return float((len(some) * (mean @ mean) - 1) / (len(some) - 1))
