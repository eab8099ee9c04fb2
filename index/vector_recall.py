"""How many of the true neighbours does a vector index find, and how wide must it search?

Knows FAISS's search parameters; not files, not documents.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scisearch.index.openmp import load_faiss
from scisearch.index.vector_types import Index, inverted_lists

# For documents as queries. Real queries lie farther out and lose some 0.012 more, so that theirs is
# above 0.97 (benchmarks/LOG.md, 2026-11-27).
RECALL_GOAL = 0.985
_DEPTH = 100  # recall@100
_SAMPLE = 256  # document vectors to measure with
_ROWS = 16_384  # vectors compared at once
# Tuned in this order, each raised until the goal is reached or raising it no longer helps.
_TUNABLE = {"nprobe": 4, "efSearch": 128, "k_factor_rf": 2}


@dataclass(frozen=True, slots=True)
class Sample:
    """Vectors to measure recall with: their own neighbours are known, themselves left out."""

    ordinals: NDArray[np.int64]  # (n,)
    vectors: NDArray[np.float32]  # (n, dimension)
    neighbours: NDArray[np.int64]  # (n, depth) exact, without the vector itself


def draw_sample(vectors: NDArray[np.float32]) -> Sample:
    """Document vectors spread over the corpus, with their exact neighbours, themselves left out."""
    faiss = load_faiss()
    ordinals = spread(len(vectors), _SAMPLE)
    chosen = np.ascontiguousarray(vectors[ordinals])
    depth = max(min(_DEPTH, len(vectors) - 1), 0)
    best = faiss.ResultHeap(len(chosen), depth + 1, keep_max=True)
    for start in range(0, len(vectors), _ROWS):
        part = np.ascontiguousarray(vectors[start : start + _ROWS])
        fetched = min(depth + 1, len(part))
        scores, found = faiss.knn(chosen, part, fetched, metric=faiss.METRIC_INNER_PRODUCT)
        best.add_result(scores, found + start)
    best.finalize()
    neighbours = np.empty((len(ordinals), depth), np.int64)
    for i, (own, row) in enumerate(zip(ordinals, best.I, strict=True)):
        # Among more than 100 equal vectors its own number may be missing; the last one goes then.
        neighbours[i] = row[row != own][:depth]
    return Sample(ordinals, chosen, neighbours)


def tune(index: Index, sample: Sample) -> tuple[float, dict[str, int]]:
    """Recall@100 on the sample and the search parameters it was reached with, now set.

    Each parameter grows by half until the recall is `RECALL_GOAL`; one that three steps long does
    not help is left where it last did.
    """
    space = load_faiss().ParameterSpace()
    names = [name for name in _TUNABLE if _has(index, name)]
    recall, chosen = (0.0, dict[str, int]()) if names else (measure_recall(index, sample), {})
    for name in names:
        idle = 0
        for value in _steps(index, name):
            if recall >= RECALL_GOAL or idle == 3:
                break
            space.set_index_parameter(index, name, value)
            reached = measure_recall(index, sample)
            idle = 0 if reached > recall else idle + 1
            if reached > recall:
                recall, chosen[name] = reached, value
        space.set_index_parameter(index, name, chosen.get(name, 1))
    return recall, chosen


def measure_recall(index: Index, sample: Sample) -> float:
    """The mean share of the exact 100 nearest neighbours that the index finds, 0 to 1."""
    depth = sample.neighbours.shape[1]
    if depth == 0 or len(sample.vectors) == 0:
        return 1.0
    _, found = index.search(sample.vectors, depth + 1)
    shares = []
    for own, row, exact in zip(sample.ordinals, found, sample.neighbours, strict=True):
        others = row[row != own][:depth]
        shares.append(np.isin(exact, others).mean())
    return float(np.mean(shares))


def spread(n_rows: int, count: int) -> NDArray[np.int64]:
    """`count` row numbers evenly over all: a corpus sorted by year is learnt from as a whole."""
    return np.unique(np.linspace(0, max(n_rows - 1, 0), min(count, n_rows)).astype(np.int64))


def _has(index: Index, name: str) -> bool:
    space = load_faiss().ParameterSpace()
    space.initialize(index)
    ranges = space.parameter_ranges
    return any(ranges.at(i).name == name for i in range(ranges.size()))


def _steps(index: Index, name: str) -> Iterator[int]:
    lists = inverted_lists(index)
    if name == "nprobe" and lists is not None:
        limit = int(lists.nlist)
    else:
        limit = 64 if name == "k_factor_rf" else 4096
    value = min(_TUNABLE[name], limit)
    while value < limit:
        yield value
        value += max(value // 2, 1)
    yield limit
