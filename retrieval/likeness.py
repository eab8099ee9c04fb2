"""How alike are the documents of a corpus? Known from their vectors, without any query."""

import numpy as np

from scisearch.index.models import DEFAULT_BI_ENCODER
from scisearch.index.opened import OpenIndex
from scisearch.retrieval.encoder_fusion import is_encoder

_LIKENESS_OF = 5000  # documents


def likeness_is_known(index: OpenIndex) -> bool:
    """Whether the vectors can be had, and are the default bi-encoder's: others have own cosines."""
    return index.vectors_of is not None and is_encoder(
        index.manifest.encoder or {}, DEFAULT_BI_ENCODER
    )


def mean_likeness(index: OpenIndex) -> float | None:
    """The mean cosine of two different documents, by the vectors of at most 5,000 spread evenly.

    None where it is not known (`likeness_is_known`), and without a second document.
    """
    n = len(index.documents)
    vectors_of = index.vectors_of
    if vectors_of is None or n < 2 or not likeness_is_known(index):
        return None
    some = np.unique(np.linspace(0, n - 1, min(n, _LIKENESS_OF)).round().astype(np.int64))
    mean = vectors_of(some).mean(axis=0, dtype=np.float64)
    return float((len(some) * (mean @ mean) - 1) / (len(some) - 1))
