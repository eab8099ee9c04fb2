import numpy as np
import pytest

from scisearch.index.errors import ConfigError
from scisearch.retrieval.convex import convex, min_max
from scisearch.retrieval.fusion import Fusion
from scisearch.retrieval.ranking import Scored, rank
from scisearch.retrieval.rrf import rrf

ID_RANK = np.arange(12, dtype=np.int32)


def scored(scores: dict[int, float]) -> Scored:
    return rank(np.array(list(scores)), np.array(list(scores.values())), ID_RANK)


def test_rrf_as_worked_by_hand() -> None:
    """Two lists; document 2 is second and first, 1 first and missing, 3 missing and second."""
    fused = rrf([scored({1: 9.0, 2: 8.0}), scored({2: 0.5, 3: 0.4})], ID_RANK)
    assert fused.ordinals.tolist() == [2, 1, 3]
    assert fused.scores.tolist() == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_convex_as_worked_by_hand() -> None:
    """BM25 12, 8, 4 becomes 1, 0.5, 0; cosine 0.9, 0.7, 0.6 becomes 1, 1/3, 0."""
    bm25 = scored({0: 12.0, 1: 8.0, 2: 4.0})
    dense = scored({1: 0.9, 3: 0.7, 0: 0.6})
    fused = convex([bm25, dense], [0.4, 0.6], ID_RANK)
    assert fused.ordinals.tolist() == [1, 0, 3, 2]
    assert fused.scores.tolist() == pytest.approx([0.4 * 0.5 + 0.6, 0.4, 0.6 / 3, 0.0])


def test_a_dense_list_weighs_by_its_spread_where_a_span_is_given() -> None:
    """Cosines 0.9 to 0.6 are half of a span of 0.6: weights 0.4 and 0.6 / 2, made to sum to 1."""
    legs = {"bm25": scored({0: 12.0, 1: 8.0, 2: 4.0}), "dense": scored({1: 0.9, 3: 0.7, 0: 0.6})}
    fused = Fusion(dense_weight=0.6, dense_span=0.6).fuse(legs, ID_RANK)
    assert fused.ordinals.tolist() == [1, 0, 3, 2]
    expected = [(0.4 * 0.5 + 0.3) / 0.7, 0.4 / 0.7, 0.1 / 0.7, 0.0]
    assert fused.scores.tolist() == pytest.approx(expected)
    plain = Fusion(dense_weight=0.6).fuse(legs, ID_RANK)
    none = Fusion(dense_weight=0.6, dense_span=0).fuse(legs, ID_RANK)
    assert none.scores.tolist() == plain.scores.tolist()
    same = Fusion(dense_weight=0.6, dense_span=0.3).fuse(legs, ID_RANK)
    assert same.scores.tolist() == pytest.approx(plain.scores.tolist()), "its own spread"


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_a_span_needs_a_list_that_tells_documents_apart(weight: float) -> None:
    fusion = Fusion(dense_weight=weight, dense_span=0.35)
    one = {"bm25": scored({0: 2.0, 1: 1.0}), "dense": scored({2: 0.5})}
    found, plain = (each.fuse(one, ID_RANK) for each in (fusion, Fusion(dense_weight=weight)))
    assert found.ordinals.tolist() == plain.ordinals.tolist()
    assert found.scores.tolist() == plain.scores.tolist()
    level = fusion.fuse(
        {"bm25": scored({0: 2.0, 1: 1.0}), "dense": scored({1: 0.5, 2: 0.5})}, ID_RANK
    )
    assert level.ordinals.tolist()[0] == (0 if weight < 1 else 1)
    assert np.isfinite(level.scores).all()


def test_the_spread_is_that_of_the_ten_best() -> None:
    """Cosines 0.9 to 0.81 are 0.09 apart, half of 0.18; what comes after them tells nothing."""
    bm25 = scored({0: 2.0, 11: 1.0})
    for last in (0.81, 0.5, 0.1):
        dense = scored({**{i: 0.9 - 0.01 * i for i in range(10)}, 10: last})
        fused = Fusion(dense_weight=0.5, dense_span=0.18).fuse(
            {"bm25": bm25, "dense": dense}, ID_RANK
        )
        assert fused.ordinals.tolist()[:2] == [0, 1]
        second = (1 - 0.01 / (0.9 - last)) / 3  # of a third, which is the dense list's
        assert fused.scores.tolist()[:2] == pytest.approx([1.0, second], rel=1e-5)


def test_equal_scores_and_single_documents_are_all_best() -> None:
    assert min_max(np.array([3.0, 3.0])).tolist() == [1.0, 1.0]
    assert min_max(np.array([3.0])).tolist() == [1.0]
    assert min_max(np.array([])).tolist() == []


def test_ties_stand_in_rising_doc_id() -> None:
    fused = convex([scored({3: 1.0, 0: 1.0, 4: 1.0})], [1.0], ID_RANK)
    assert fused.ordinals.tolist() == [0, 3, 4]


def test_wrong_numbers_are_named() -> None:
    with pytest.raises(ConfigError, match=r"dense weight 1.5; expected a number from 0 to 1"):
        Fusion(dense_weight=1.5)
    with pytest.raises(ConfigError, match=r"RRF k -1; expected a number of at least 0"):
        Fusion(rrf_k=-1)
    for span in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=r"dense span .*; expected a number of at least 0"):
            Fusion(dense_span=span)
    with pytest.raises(ConfigError, match=r"weights .*expected one weight of at least 0"):
        convex([scored({0: 1.0})], [], ID_RANK)
