from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scisearch.index.errors import ModelError
from scisearch.index.stopwatch import Stopwatch
from scisearch.index.vectors import VectorIndex, build_vectors
from scisearch.retrieval.dense import DenseRetriever
from scisearch.retrieval.ranking import Retriever


class CompassEncoder:
    """A text is the direction it names."""

    name = "compass"
    dimension = 2
    runtime_name = "by hand"

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        directions = {"north": (0, 1), "east": (1, 0), "north-east": (0.6, 0.8)}
        return np.array([directions[text] for text in texts], np.float32).reshape(-1, 2)

    encode_documents = encode_queries


@pytest.fixture
def vectors(tmp_path: Path) -> VectorIndex:
    rows = CompassEncoder().encode_documents(["north", "east", "north", "north-east", "north"])
    path = tmp_path / "vectors.faiss"
    build_vectors([rows], n_docs=5, dimension=2, factory=None, path=path)
    return VectorIndex.open(path)


# doc_ids in rising order belong to ordinals 4, 3, 2, 1, 0
ID_RANK = np.array([4, 3, 2, 1, 0], np.int32)


def test_best_first_with_ties_in_rising_doc_id(vectors: VectorIndex) -> None:
    retriever: Retriever = DenseRetriever(CompassEncoder(), vectors, ID_RANK)
    watch = Stopwatch()
    north, east = retriever.retrieve(["north", "east"], depth=4, watch=watch)
    assert north.ordinals.tolist() == [4, 2, 0, 3]
    np.testing.assert_allclose(north.scores, [1, 1, 1, 0.8], rtol=1e-6)
    assert east.ordinals.tolist() == [1, 3, 4, 2]
    assert list(watch.milliseconds()) == ["encode query", "faiss"]


def test_a_tie_at_the_cut_goes_to_the_lowest_doc_ids(vectors: VectorIndex) -> None:
    (north,) = DenseRetriever(CompassEncoder(), vectors, ID_RANK).retrieve(["north"], depth=2)
    assert north.ordinals.tolist() == [4, 2]


def test_a_filter_is_an_index_of_the_allowed(vectors: VectorIndex) -> None:
    allowed = np.array([True, True, False, False, True])
    retriever = DenseRetriever(CompassEncoder(), vectors, ID_RANK)
    (north,) = retriever.retrieve(["north"], depth=10, allowed=allowed)
    assert north.ordinals.tolist() == [4, 0, 1]


def test_ready_vectors_are_searched_as_they_are(vectors: VectorIndex) -> None:
    retriever = DenseRetriever(CompassEncoder(), vectors, ID_RANK)
    (east,) = retriever.retrieve_vectors(np.array([[1, 0]], np.float32), depth=1)
    assert east.ordinals.tolist() == [1]
    assert retriever.retrieve([], depth=5) == []


def test_a_model_of_another_length_is_refused(vectors: VectorIndex) -> None:
    encoder = CompassEncoder()
    encoder.dimension = 3
    with pytest.raises(ModelError, match="compass gives vectors of length 3, the index holds 2"):
        DenseRetriever(encoder, vectors, ID_RANK)
