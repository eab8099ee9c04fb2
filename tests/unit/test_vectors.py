from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from scisearch.index.errors import BuildError, CorruptIndexError, FilterError, ModelError
from scisearch.index.vector_types import MOST_FOR_EXACT, choose_factory
from scisearch.index.vectors import VectorIndex, VectorReport, build_vectors

DIMENSION = 16


def unit_rows(count: int, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def build(
    vectors: NDArray[np.float32], path: Path, factory: str | None = None
) -> tuple[VectorReport, VectorIndex]:
    report = build_vectors(
        [vectors[:7], vectors[7:]],
        n_docs=len(vectors),
        dimension=DIMENSION,
        factory=factory,
        path=path,
    )
    return report, VectorIndex.open(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vectors.faiss"


def test_the_type_follows_the_size() -> None:
    assert choose_factory(MOST_FOR_EXACT) == "Flat"
    assert choose_factory(1_000_000) == "IVF4000,Flat"
    assert choose_factory(9_000_000) == "IVF12000,SQ8"


def test_flat_is_exact_and_says_so(path: Path) -> None:
    report, index = build(unit_rows(50), path)
    assert (report.factory, report.recall_at_100, report.search_parameters) == ("Flat", None, {})
    assert (index.n_docs, index.dimension, index.is_exact) == (50, DIMENSION, True)


def test_documents_that_tie_with_the_last_one_are_all_there(path: Path) -> None:
    vectors = unit_rows(300)
    vectors[10:200] = vectors[3]
    ((ordinals, scores),) = build(vectors, path)[1].search(vectors[3:4], 5)
    assert ordinals.tolist() == [3, *range(10, 200)]
    assert len(set(scores.tolist())) == 1


def test_a_score_depends_on_neither_batch_nor_place(path: Path) -> None:
    vectors = unit_rows(400)
    vectors[250] = vectors[20]
    index = build(vectors, path)[1]
    queries = unit_rows(64, seed=1)
    together = index.search(queries, 30)
    for query, (ordinals, scores) in zip(queries, together, strict=True):
        ((alone, alone_scores),) = index.search(query[None], 30)
        assert alone.tolist() == ordinals.tolist()
        assert alone_scores.tobytes() == scores.tobytes()


def test_fewer_come_back_where_fewer_are_there(path: Path) -> None:
    index = build(unit_rows(9), path)[1]
    query = unit_rows(1, seed=1)
    allowed = np.zeros(9, bool)
    assert [len(index.search(query, depth)[0][0]) for depth in (0, 5, 9, 100)] == [0, 5, 9, 9]
    assert len(index.search(query, 5, allowed)[0][0]) == 0
    allowed[4] = True
    assert index.search(query, 5, allowed)[0][0].tolist() == [4]


def test_no_documents_and_no_queries(path: Path) -> None:
    index = build(unit_rows(0), path)[1]
    assert [len(ids) for ids, _ in index.search(unit_rows(2), 10)] == [0, 0]
    assert build(unit_rows(5), path)[1].search(unit_rows(0), 10) == []


@pytest.mark.parametrize("factory", ["IVF8,Flat", "HNSW8", "IVF8,SQ8", "SQ8", "PCA8,IVF8,Flat"])
def test_a_filter_lets_only_its_documents_through(factory: str, path: Path) -> None:
    vectors = unit_rows(600)
    report, index = build(vectors, path, factory)
    assert report.factory == factory
    assert report.recall_at_100 is not None
    assert report.sample == 256
    allowed = np.random.default_rng(2).random(600) < 0.1
    for ordinals, scores in index.search(unit_rows(5, seed=3), 20, allowed):
        assert len(ordinals) == 20
        assert allowed[ordinals].all()
        assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("factory", ["IVF8,Flat", "HNSW8"])
def test_a_filter_to_few_documents_is_exact_with_uncompressed_types(
    factory: str, path: Path
) -> None:
    vectors = unit_rows(600)
    index = build(vectors, path, factory)[1]
    allowed = np.random.default_rng(2).random(600) < 0.05
    queries = unit_rows(5, seed=3)
    for query, (ordinals, _) in zip(queries, index.search(queries, 10, allowed), strict=True):
        true = np.flatnonzero(allowed)[np.argsort(-(vectors[allowed] @ query))[:10]]
        assert ordinals.tolist() == true.tolist()


def test_recall_is_tuned_to_the_goal_and_the_setting_is_in_the_file(path: Path) -> None:
    report, _ = build(unit_rows(2000), path, "IVF32,Flat")
    assert report.recall_at_100 is not None
    assert report.recall_at_100 >= 0.985
    chosen = report.search_parameters["nprobe"]
    assert faiss.extract_index_ivf(faiss.read_index(str(path))).nprobe == chosen > 1


@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "IVF16,SQ8", "HNSW16"])
def test_the_same_vectors_give_the_same_bytes(factory: str, tmp_path: Path) -> None:
    vectors = unit_rows(2000)
    for name in ("a", "b"):
        build(vectors, tmp_path / name, factory)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("Nonsense", "could not parse index string Nonsense"),
        ("IVF9000,Flat", r"with 100 vectors .*Number of training points \(100\)"),
        ("IVF0,Flat", "at least one list"),
        ("IDMap,Flat", "add does not make sense"),
        ("LSH", "METRIC_L2"),
        ("", "--vectors"),
    ],
)
def test_a_type_faiss_cannot_build_is_one_line(factory: str, reason: str, path: Path) -> None:
    with pytest.raises(BuildError, match=reason) as caught:
        build(unit_rows(100), path, factory)
    assert "\n" not in str(caught.value)
    assert "project/faiss" not in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_numbers_that_are_none_are_refused_with_their_ordinal(path: Path) -> None:
    vectors = unit_rows(20)
    vectors[12, 3] = np.nan
    with pytest.raises(BuildError, match=r"vector of document 12 .* is not finite"):
        build(vectors, path)


@pytest.mark.parametrize(("n_docs", "reason"), [(4, "more vectors for 4"), (9, "5 vectors for 9")])
def test_rows_and_documents_must_be_as_many(n_docs: int, reason: str, path: Path) -> None:
    with pytest.raises(BuildError, match=reason):
        build_vectors([unit_rows(5)], n_docs=n_docs, dimension=DIMENSION, factory=None, path=path)


def test_rows_of_another_length_are_refused(path: Path) -> None:
    with pytest.raises(BuildError, match=r"shape \(5, 16\), expected \(n, 17\)"):
        build_vectors([unit_rows(5)], n_docs=5, dimension=17, factory=None, path=path)


@pytest.mark.parametrize("factory", ["Flat", "IVF8,Flat", "HNSW8"])
@pytest.mark.parametrize("keep", [0, 3, 30, 100, -2000, -1])
def test_a_file_cut_short_is_noticed(factory: str, keep: int, path: Path) -> None:
    build(unit_rows(400), path, factory)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CorruptIndexError, match=r"is damaged or cut short \(\d+ bytes\); build"):
        VectorIndex.open(path)


@pytest.mark.parametrize("factory", ["Flat", "IVF8,Flat", "HNSW8"])
def test_a_flipped_bit_in_the_head_is_noticed(factory: str, path: Path) -> None:
    build(unit_rows(100), path, factory)
    whole = path.read_bytes()
    for position in range(0, 120):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 16]) + whole[position + 1 :])
        with pytest.raises(CorruptIndexError, match="damaged"):
            VectorIndex.open(path)


def test_a_missing_file_and_a_strange_one_are_noticed(path: Path) -> None:
    with pytest.raises(CorruptIndexError, match="No such file"):
        VectorIndex.open(path)
    faiss.write_index(faiss.IndexFlatL2(4), str(path))
    with pytest.raises(CorruptIndexError, match="damaged or cut short"):
        VectorIndex.open(path)


def test_queries_of_another_model_are_refused(path: Path) -> None:
    index = build(unit_rows(20), path)[1]
    with pytest.raises(ModelError, match=r"shape \(1, 8\), expected \(n, 16\)"):
        index.search(np.ones((1, 8), np.float32), 5)
    with pytest.raises(ModelError, match="not finite"):
        index.search(np.full((1, DIMENSION), np.nan, np.float32), 5)
    with pytest.raises(FilterError, match=r"mask of shape \(3,\), expected \(20,\)"):
        index.search(unit_rows(1), 5, np.ones(3, bool))


@pytest.mark.parametrize(
    ("factory", "error"), [("Flat", 0.0), ("IVF8,Flat", 0.0), ("IVF8,SQ8", 0.05), ("HNSW8", 0.0)]
)
def test_a_document_gives_its_vector_back(factory: str, error: float, path: Path) -> None:
    vectors = unit_rows(300)
    _, index = build(vectors, path, factory)
    assert index.gives_rows
    some = np.array([299, 0, 17])
    np.testing.assert_allclose(index.rows(some), vectors[some], atol=error)


def test_a_type_that_gives_no_vector_back_says_so(path: Path) -> None:
    _, index = build(unit_rows(600), path, "IVF8,PQ4x4fs")
    assert not index.gives_rows
    ((ordinals, _),) = index.search(unit_rows(1), 5)
    assert len(ordinals) == 5
