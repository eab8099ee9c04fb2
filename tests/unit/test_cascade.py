"""Which candidates of a list the large cross-encoder of a cascade reads."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scisearch.rerank.cascade import all_of, best_of
from scisearch.retrieval.ranking import Scored


def scored(ordinals: list[int], scores: list[float]) -> Scored:
    return Scored(np.array(ordinals, np.int64), np.array(scores, np.float32))


def test_by_hand() -> None:
    head = scored([5, 9, 2, 7], [0.9, 0.8, 0.4, 0.1])
    # the small one has 7 first; 3 and 4 are no candidates
    reranked = scored([7, 5, 2, 9, 3, 4], [0.95, 0.9, 0.5, 0.3, 0.25, 0.2])
    found = best_of(head, reranked, kept=2)
    assert found.count == 2
    assert found.head.ordinals.tolist() == [5, 7, 2, 9], "the chosen ones in fused order"
    assert found.head.scores.tolist() == scored([], [0.9, 0.1, 0.4, 0.8]).scores.tolist()
    assert found.whole.ordinals.tolist() == [5, 7, 2, 9, 3, 4]
    assert found.whole.scores[2:].tolist() == reranked.scores[2:].tolist()


def test_a_short_list_is_read_whole() -> None:
    head = scored([5, 9], [0.9, 0.8])
    whole = scored([5, 9, 1], [0.9, 0.8, 0.2])
    found = best_of(head, whole, kept=2)
    assert (found.count, found.head, found.whole) == (2, head, whole)
    assert all_of(head, whole).count == 2


@given(st.integers(1, 40), st.integers(0, 10), st.integers(1, 30), st.randoms())
def test_nothing_is_lost_and_what_is_below_falls(
    size: int, tail: int, kept: int, random: "np.random.Generator"
) -> None:
    ordinals = list(range(100, 100 + size + tail))
    random.shuffle(ordinals)
    head = scored(ordinals[:size], sorted((i % 7 for i in range(size)), reverse=True))
    order = ordinals[:size]
    random.shuffle(order)
    falling = [float(-place) for place in range(size + tail)]
    found = best_of(head, scored(order + ordinals[size:], falling), kept)
    assert found.count == min(size, kept)
    fused = dict(zip(head.ordinals.tolist(), head.scores.tolist(), strict=True))
    found_scores = zip(found.head.ordinals.tolist(), found.head.scores.tolist(), strict=True)
    assert dict(found_scores) == fused
    if size > kept:
        assert found.whole.ordinals[:size].tolist() == found.head.ordinals.tolist()
        assert set(found.head.ordinals[:kept].tolist()) == set(order[:kept])
    assert found.whole.ordinals[size:].tolist() == ordinals[size:]
    below = found.whole.scores[found.count :]
    assert (np.diff(below) < 0).all()
