"""Scores drawn towards those of similar candidates, by hand."""

import numpy as np
import pytest

from scisearch.retrieval.fusion import Fusion
from scisearch.retrieval.neighbours import AMONG, NEAREST, smoothed
from scisearch.retrieval.ranking import Scored


def rows(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_the_mean_is_weighed_by_the_fourth_power_of_the_cosine() -> None:
    scores = np.array([1.0, 0.6, 0.5, 0.2])
    vectors = rows(0, 90, 30, 60)  # cosine^4 of 30 degrees is 9/16, of 60 degrees 1/16
    means = [
        (0.5 * 9 + 0.2 * 1) / 10,  # the one at 90 degrees counts for nothing
        (0.5 * 1 + 0.2 * 9) / 10,
        (1.0 * 9 + 0.6 * 1 + 0.2 * 9) / 19,
        (1.0 * 1 + 0.6 * 9 + 0.5 * 9) / 19,
    ]
    low, high = min(means), max(means)
    moved = [0.2 + 0.8 * (mean - low) / (high - low) for mean in means]
    expected = [0.75 * score + 0.25 * mean for score, mean in zip(scores, moved, strict=True)]
    assert smoothed(scores, vectors, 0.25).tolist() == pytest.approx(expected, abs=1e-6)


def test_a_candidate_among_good_ones_passes_one_that_stands_alone() -> None:
    scores = np.array([1.0, 0.52, 0.5, 0.1])
    vectors = rows(0, 120, 5, 240)
    found = smoothed(scores, vectors, 0.2)
    assert found[2] > found[1]
    assert found.argmax() == 0


def test_neighbours_are_of_the_best_fifty_and_twenty_of_them_count() -> None:
    n = AMONG + 10
    scores = np.linspace(1, 0, n)
    vectors = rows(*(0.9 * np.arange(n) ** 1.1))  # up to 80 degrees
    before = smoothed(scores, vectors, 0.5)
    turned = vectors.copy()
    turned[AMONG:-1] = turned[AMONG:-1][::-1]  # nobody's neighbours
    after = smoothed(scores, turned, 0.5)
    np.testing.assert_allclose(before[:AMONG], after[:AMONG])
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    means = []
    for i in range(n):
        others = sorted((j for j in range(AMONG) if j != i), key=lambda j: -cosines[i, j])
        some = others[:NEAREST]
        weights = [cosines[i, j] ** 4 for j in some]
        total = sum(w * scores[j] for w, j in zip(weights, some, strict=True))
        means.append(total / sum(weights))
    low, high = min(means), max(means)
    moved = (np.array(means) - low) / (high - low)
    expected = 0.5 * scores + 0.5 * moved
    np.testing.assert_allclose(before, expected, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_stay_as_they_are(n: int) -> None:
    scores = np.linspace(1, 0.5, n)
    assert smoothed(scores, rows(*range(n)), 0.5).tolist() == scores.tolist()


def test_opposite_vectors_have_no_neighbours_and_give_numbers() -> None:
    found = smoothed(np.array([3.0, 2.0, 1.0]), rows(0, 120, 240), 0.5)
    assert np.isfinite(found).all()


def test_the_fusion_smooths_where_it_is_told_what_is_similar() -> None:
    legs = {
        "bm25": Scored(np.array([4, 1, 2, 3]), np.array([9, 5.1, 5, 1], np.float32)),
        "dense": Scored(np.array([4, 1, 2, 3]), np.array([9, 5.1, 5, 1], np.float32)),
    }
    vectors = dict(zip((4, 1, 2, 3), rows(0, 120, 5, 240), strict=True))
    id_rank = np.arange(5, dtype=np.int32)
    asked = []

    def vectors_of(ordinals: np.ndarray) -> np.ndarray:
        asked.append(ordinals.tolist())
        return np.stack([vectors[ordinal] for ordinal in ordinals.tolist()])

    assert Fusion().fuse(legs, id_rank).ordinals.tolist() == [4, 1, 2, 3]
    assert Fusion().fuse(legs, id_rank, vectors_of).ordinals.tolist() == [4, 2, 1, 3]
    none = Fusion(neighbour_weight=0).fuse(legs, id_rank, vectors_of)
    assert none.ordinals.tolist() == [4, 1, 2, 3]
    assert asked == [[4, 1, 2, 3]]
