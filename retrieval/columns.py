"""Score columns of terms, and their sum over the terms of a query.

The columns are in bm25s's layout. Knows nothing of texts, terms or formulas.
"""

import logging
from collections.abc import Callable, Mapping
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scisearch.retrieval.ranking import Scores


class Columns(NamedTuple):
    """Column t is `data[indptr[t] : indptr[t + 1]]`, of the documents `indices[...]`, rising."""

    data: NDArray[np.float32]
    indices: NDArray[np.int32]
    indptr: NDArray[np.int64]


_AddColumn = Callable[[Scores, NDArray[np.int32], NDArray[np.float32], float], None]


def add_columns(columns: Columns, counts: Mapping[int, int], n_docs: int) -> Scores:
    """(n_docs,) float32: the sum of these columns, each times its count, in the order given.

    Lets other threads run while it computes.
    """
    add = _kernel()
    scores = np.zeros(n_docs, np.float32)
    for column, count in counts.items():
        begin, end = int(columns.indptr[column]), int(columns.indptr[column + 1])
        add(scores, columns.indices[begin:end], columns.data[begin:end], count)
    return scores


def prepare() -> None:
    """Load what `add_columns` computes with, so that the first query does not wait for it."""
    _kernel()


@cache
def _kernel() -> _AddColumn:
    """Scipy's compiled product of a column and a number, else the sum of bm25s.

    scipy's takes half the time. It is behind scipy's public face, so it may go away.
    """
    try:
        csc_matvec = _sparse_tools().csc_matvec
    except ImportError:
        return bm25s_kernel()

    def add(
        scores: Scores, indices: NDArray[np.int32], data: NDArray[np.float32], weight: float
    ) -> None:
        bounds = np.array([0, len(indices)], np.int32)
        csc_matvec(len(scores), 1, bounds, indices, data, np.array([weight], np.float32), scores)

    return add


def _sparse_tools() -> Any:
    """The compiled module of scipy.sparse, by itself: the package takes 0.2 s to import.

    Raises ImportError.
    """
    import scipy

    folders = [str(Path(folder) / "sparse") for folder in scipy.__path__]
    # under a name of ours: a later import of scipy.sparse finds its own place untouched
    spec = PathFinder.find_spec(f"{__name__}._sparsetools", folders)
    if spec is None or spec.loader is None:
        raise ImportError(f"no _sparsetools in {folders}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bm25s_kernel() -> _AddColumn:
    """The sum as bm25s computes it on numpy."""
    logger = logging.getLogger("bm25s")
    level = logger.level
    import bm25s

    logger.setLevel(level)  # its import turns on debug messages for the whole process

    def add(
        scores: Scores, indices: NDArray[np.int32], data: NDArray[np.float32], weight: float
    ) -> None:
        scorer = bm25s.BM25(backend="numpy")
        bounds = np.array([0, len(indices)], np.int64)
        columns = Columns(data, indices, bounds)
        scorer.scores = {**columns._asdict(), "num_docs": len(scores)}
        scorer.nonoccurrence_array = None
        scores += np.float32(weight) * scorer.get_scores_from_ids([0])

    return add
