"""The sum of score columns against bm25s's own, whose layout they have."""

import bm25s
import numpy as np
import pytest

from scisearch.retrieval.columns import Columns, add_columns, bm25s_kernel

N_DOCS = 300


@pytest.fixture(scope="module")
def columns() -> Columns:
    random = np.random.default_rng(3)
    parts = [np.flatnonzero(random.random(N_DOCS) < share) for share in (0.01, 0.9, 0, 0.3, 1)]
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    indices = np.concatenate(parts).astype(np.int32)
    data = random.random(len(indices)).astype(np.float32)
    for array in (data, indices):
        array.flags.writeable = False  # as the maps of an index
    return Columns(data, indices, indptr.astype(np.int64))


@pytest.mark.parametrize("terms", [[], [2], [0, 1, 2, 3, 4], [1, 4]])
def test_each_term_once_gives_the_bits_of_bm25s(columns: Columns, terms: list[int]) -> None:
    scorer = bm25s.BM25(backend="numpy")
    scorer.scores = {**columns._asdict(), "num_docs": N_DOCS}
    scorer.nonoccurrence_array = None
    expected = scorer.get_scores_from_ids(terms)
    found = add_columns(columns, dict.fromkeys(terms, 1), N_DOCS)
    assert found.tolist() == expected.tolist()


def test_without_scipys_product_the_sum_is_the_same(
    columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {0: 1, 1: 3, 3: 2, 4: 1}
    expected = add_columns(columns, counts, N_DOCS)
    monkeypatch.setattr("scisearch.retrieval.columns._kernel", bm25s_kernel)
    found = add_columns(columns, counts, N_DOCS)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
