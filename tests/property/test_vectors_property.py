"""filter(search) == search(filter), ties included, for any vectors, mask and depth."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scisearch.index.vectors import VectorIndex, build_vectors
from scisearch.retrieval.ranking import rank


def open_index(vectors: NDArray[np.float32], folder: str, name: str) -> VectorIndex:
    path = Path(folder) / name
    n_docs, dimension = vectors.shape
    build_vectors([vectors], n_docs=n_docs, dimension=dimension, factory="Flat", path=path)
    return VectorIndex.open(path)


@st.composite
def corpora(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Unit rows with many equal ones, and a mask that lets at least one through."""
    n_docs = draw(st.integers(1, 120))
    seed = draw(st.integers(0, 10_000))
    generator = np.random.default_rng(seed)
    distinct = draw(st.integers(1, n_docs))
    rows = generator.standard_normal((distinct, 24)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = rows[generator.integers(0, distinct, n_docs)]
    allowed = generator.random(n_docs) < draw(st.floats(0, 1))
    allowed[generator.integers(0, n_docs)] = True
    return vectors, allowed


@settings(deadline=None, max_examples=60)
@given(corpora(), st.integers(1, 130), st.integers(1, 40))
def test_a_filtered_search_is_a_search_of_the_filtered(
    corpus: tuple[NDArray[np.float32], NDArray[np.bool_]], depth: int, n_queries: int
) -> None:
    vectors, allowed = corpus
    queries = np.random.default_rng(1).standard_normal((n_queries, 24)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    id_rank = np.arange(len(vectors), dtype=np.int32)[::-1].copy()
    kept = np.flatnonzero(allowed)
    with TemporaryDirectory() as folder:
        whole = open_index(vectors, folder, "whole").search(queries, depth, allowed)
        part = open_index(vectors[kept], folder, "part").search(queries, depth)
    for (ids, scores), (part_ids, part_scores) in zip(whole, part, strict=True):
        filtered = rank(ids, scores, id_rank).cut(depth)
        scratch = rank(kept[part_ids], part_scores, id_rank).cut(depth)
        assert filtered.ordinals.tolist() == scratch.ordinals.tolist()
        assert filtered.scores.tobytes() == scratch.scores.tobytes()


@settings(deadline=None, max_examples=40)
@given(corpora(), st.integers(1, 130))
def test_the_order_is_that_of_all_scores_and_doc_ids(
    corpus: tuple[NDArray[np.float32], NDArray[np.bool_]], depth: int
) -> None:
    vectors, _ = corpus
    id_rank = np.random.default_rng(2).permutation(len(vectors)).astype(np.int32)
    query = vectors[:1]
    with TemporaryDirectory() as folder:
        ((ids, scores),) = open_index(vectors, folder, "v").search(query, depth)
    found = rank(ids, scores, id_rank).cut(depth)
    exact = (vectors.astype(np.float64) * query[0]).sum(axis=1).astype(np.float32)
    expected = rank(np.arange(len(vectors)), exact, id_rank).cut(depth)
    assert found.ordinals.tolist() == expected.ordinals.tolist()
