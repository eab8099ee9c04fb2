"""FAISS Flat held to numpy: the same documents, the same order."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scisearch.index.vectors import VectorIndex, build_vectors

COLLECTION = Path(__file__).parents[2].parent / "shared" / "collections" / "cranfield"


def assert_same_as_numpy(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], path: Path
) -> None:
    n_docs, dimension = vectors.shape
    build_vectors([vectors], n_docs=n_docs, dimension=dimension, factory=None, path=path)
    found = VectorIndex.open(path).search(queries, 100)
    exact = vectors.astype(np.float64) @ queries.astype(np.float64).T
    for i, (ordinals, scores) in enumerate(found):
        order = np.lexsort((np.arange(n_docs), -exact[:, i].astype(np.float32)))[:100]
        assert ordinals[:100].tolist() == order.tolist()
        np.testing.assert_allclose(scores[:100], exact[order, i], atol=1e-6)


def test_random_vectors(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((5200, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert_same_as_numpy(rows[:5000], rows[5000:], tmp_path / "vectors.faiss")


@pytest.mark.slow
@pytest.mark.skipif(not COLLECTION.is_dir(), reason="needs ../shared/collections/cranfield")
def test_cranfield(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from scisearch.index.documents import full_text
    from scisearch.index.encoder import SentenceTransformerEncoder
    from scisearch.index.models import resolve_model

    encoder = SentenceTransformerEncoder(resolve_model("all-MiniLM-L6-v2", kind="bi-encoder"))
    rows = pq.read_table(COLLECTION / "corpus.parquet").slice(0, 300).to_pylist()
    lines = (COLLECTION / "queries.jsonl").read_text("utf-8").splitlines()
    vectors = encoder.encode_documents([full_text(row["title"], row["text"]) for row in rows])
    queries = encoder.encode_queries([json.loads(line)["text"] for line in lines])
    assert_same_as_numpy(vectors, queries, tmp_path / "vectors.faiss")
