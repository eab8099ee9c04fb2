"""The nDCG@10 of re-weighed arrays is that of ir_measures on the run that a search would write."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scisearch.benchmarks.evaluation import without_judged_pairs, without_pairs
from scisearch.benchmarks.reweighing import (
    INTERPOLATIONS,
    fused_list,
    fused_row,
    interpolated_row,
    judged_query,
)
from scisearch.benchmarks.scoring import evaluate
from scisearch.retrieval.fusion import Fusion
from scisearch.retrieval.ranking import Hit, IdRank, RankedList, Scored, rank, strictly_decreasing

N = 30
id_ranks = st.permutations(range(N)).map(lambda order: np.array(order, dtype=np.int32))
scores = st.dictionaries(st.integers(0, N - 1), st.floats(-9, 9, width=32), min_size=1)
gains = st.dictionaries(st.integers(0, N + 3), st.integers(-1, 3), min_size=1).filter(
    lambda found: any(gain > 0 for gain in found.values())
)
ignored = st.frozensets(st.integers(0, N - 1), max_size=3)


def ndcg(final: Scored, judged: dict[int, int], out: frozenset[int], id_rank: IdRank) -> float:
    """By the run, its file's rules and ir_measures; doc_ids sort as id_rank says."""
    names = {o: f"d{id_rank[o] if o < N else o:03}" for o in range(N + 4)}
    hits = zip(final.ordinals.tolist(), strictly_decreasing(final.scores).tolist(), strict=True)
    run = {"q": RankedList("q", tuple(Hit(names[o], score) for o, score in hits))}
    pairs = {"q": frozenset(names[o] for o in out)}
    qrels = without_judged_pairs({"q": {names[o]: g for o, g in judged.items()}}, pairs)
    if not any(gain > 0 for gain in qrels["q"].values()):
        return 0.0
    known = names.values()
    kept, _ = without_pairs(run, pairs)
    return evaluate(kept, qrels, ("nDCG@10",), index_doc_ids=set(known)).mean["nDCG@10"]


@settings(deadline=None, max_examples=40)  # ir_measures takes its time
@given(scores, scores, gains, ignored, id_ranks, st.integers(1, N))
def test_a_row_has_what_ir_measures_says_of_each_setting(
    bm25: dict[int, float],
    dense: dict[int, float],
    judged: dict[int, int],
    out: frozenset[int],
    id_rank: IdRank,
    depth: int,
) -> None:
    legs = {name: as_list(one, id_rank) for name, one in (("bm25", bm25), ("dense", dense))}
    left = {str(o): gain for o, gain in judged.items() if o not in out}
    query = judged_query(left, lambda o: int(o) if int(o) < N else None, [str(o) for o in out])
    fusions = [(Fusion(), depth), (Fusion("convex", 0.2), N), (Fusion("rrf"), depth)]
    row = fused_row(legs, fusions, id_rank, query)
    for value, setting in zip(row, fusions, strict=True):
        final = fused_list(legs, *setting, id_rank)
        assert value == pytest.approx(ndcg(final, judged, out, id_rank), abs=1e-12)
    head = fused_list(legs, Fusion(), depth, id_rank)
    logits = np.array([dense.get(o, 0.5) for o in head.ordinals.tolist()], np.float32)
    some = INTERPOLATIONS[::7]
    reranked = interpolated_row(head, logits, some, id_rank, query)
    for value, one in zip(reranked, some, strict=True):
        final = one.interpolate(head, logits, id_rank)
        assert value == pytest.approx(ndcg(final, judged, out, id_rank), abs=1e-12)


def as_list(given_scores: dict[int, float], id_rank: IdRank) -> Scored:
    ordinals = np.array(list(given_scores), dtype=np.int64)
    return rank(ordinals, np.array(list(given_scores.values()), dtype=np.float32), id_rank)
