from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scisearch.retrieval.convex import convex
from scisearch.retrieval.ranking import IdRank, Scored, rank, strictly_decreasing, top
from scisearch.retrieval.rrf import rrf

N = 8
id_ranks = st.permutations(range(N)).map(lambda order: np.array(order, dtype=np.int32))
scores = st.dictionaries(st.integers(0, N - 1), st.floats(-9, 9, width=32), max_size=N)


def as_list(given_scores: dict[int, float], id_rank: IdRank) -> Scored:
    ordinals = np.array(list(given_scores), dtype=np.int64)
    return rank(ordinals, np.array(list(given_scores.values()), dtype=np.float32), id_rank)


@given(st.lists(scores, min_size=1, max_size=4), id_ranks, st.randoms())
def test_the_order_of_the_lists_does_not_matter(
    lists: list[dict[int, float]], id_rank: IdRank, random: Random
) -> None:
    whole = [as_list(one, id_rank) for one in lists]
    shuffled = list(whole)
    random.shuffle(shuffled)
    weights = [0.5] * len(whole)
    for one, other in (
        (rrf(whole, id_rank), rrf(shuffled, id_rank)),
        (convex(whole, weights, id_rank), convex(shuffled, weights, id_rank)),
    ):
        assert one.ordinals.tolist() == other.ordinals.tolist()
        assert one.scores.tolist() == other.scores.tolist()


@given(scores, id_ranks)
def test_one_list_keeps_its_order(given_scores: dict[int, float], id_rank: IdRank) -> None:
    alone = as_list(given_scores, id_rank)
    assert rrf([alone], id_rank).ordinals.tolist() == alone.ordinals.tolist()


@given(
    st.lists(st.floats(-5, 5, width=32).map(lambda x: round(x, 0)), min_size=N, max_size=N),
    id_ranks,
    st.integers(0, N + 2),
)
def test_top_is_the_head_of_the_whole_ranking(
    values: list[float], id_rank: IdRank, depth: int
) -> None:
    """Also where a tie stands at the cut: the documents with the lower doc_ids are kept."""
    array = np.array(values, dtype=np.float32)
    whole = rank(np.arange(N), array, id_rank)
    found = top(array, depth=depth, id_rank=id_rank)
    assert found.ordinals.tolist() == whole.ordinals[:depth].tolist()
    positive = top(array, depth=depth, id_rank=id_rank, above=0.0)
    assert (
        positive.ordinals.tolist() == [o for o in whole.ordinals.tolist() if array[o] > 0][:depth]
    )


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), max_size=20))
def test_scores_leave_strictly_decreasing_and_nearly_unchanged(values: list[float]) -> None:
    falling = np.sort(np.array(values, dtype=np.float32))[::-1]
    out = strictly_decreasing(falling)
    assert (np.diff(out) < 0).all()
    steps = np.arange(len(out)) * np.spacing(np.abs(out).max(initial=0))
    assert (np.abs(out - falling) <= steps).all()
