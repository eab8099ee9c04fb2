"""Measures worked by hand on tiny cases, and the published baselines of real collections."""

from math import log2
from pathlib import Path

import pytest

from scisearch.benchmarks.scoring import evaluate
from scisearch.benchmarks.ties import ndcg_interval
from scisearch.retrieval.ranking import RankedList

ALL = ("nDCG@10", "nDCG@2", "P@10", "P@2", "RR@10", "AP", "R@2", "R@100", "Success@1")


def run_of(**lists: str) -> dict[str, RankedList]:
    """Query id -> its documents, best first, one letter each."""
    return {
        query_id: RankedList.from_scores(query_id, {d: -float(i) for i, d in enumerate(documents)})
        for query_id, documents in lists.items()
    }


def test_one_query_by_hand() -> None:
    # ranks: 1 c (gain 1), 2 x (unjudged), 3 a (gain 3), 4 n (judged 0); b (gain 2) is missed
    found = evaluate(run_of(q="cxan"), {"q": {"a": 3, "b": 2, "c": 1, "n": 0}}, ALL).mean
    ideal = 3 / log2(2) + 2 / log2(3) + 1 / log2(4)
    assert found == pytest.approx(
        {
            "nDCG@10": (1 / log2(2) + 3 / log2(4)) / ideal,
            "nDCG@2": (1 / log2(2)) / (3 / log2(2) + 2 / log2(3)),
            "P@10": 2 / 10,
            "P@2": 1 / 2,
            "RR@10": 1.0,
            "AP": (1 / 1 + 2 / 3) / 3,
            "R@2": 1 / 3,
            "R@100": 2 / 3,
            "Success@1": 1.0,
        }
    )


def test_means_are_over_judged_queries_with_a_positive_judgement() -> None:
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 1}, "none": {"a": 0, "b": -1}}
    found = evaluate(run_of(q1="xa", q3="c", none="a", extra="a"), qrels, ("RR@10", "AP"))
    assert found.per_query["RR@10"] == {"q1": 0.5, "q2": 0.0, "q3": 1.0}
    assert found.mean["RR@10"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert found.n_queries == 3


def test_negative_gains_count_as_not_relevant() -> None:
    found = evaluate(run_of(q="ab"), {"q": {"a": -1, "b": 2}}, ALL).mean
    assert found["nDCG@10"] == pytest.approx((2 / log2(3)) / (2 / log2(2)))
    assert found["AP"] == pytest.approx(1 / 2)
    assert found["RR@10"] == pytest.approx(1 / 2)


@pytest.mark.parametrize("relevant", ["a", "b", "c"])
def test_ties_stand_in_rising_doc_id_in_every_measure(relevant: str) -> None:
    # trec_eval alone would put c first, other tools whatever came first
    run = {"q": RankedList.from_scores("q", {"c": 1.0, "a": 1.0, "b": 1.0})}
    rank = "abc".index(relevant) + 1
    found = evaluate(run, {"q": {relevant: 1}}, ("RR@10", "RR", "nDCG@10", "AP", "ERR@10")).mean
    assert found["RR@10"] == found["RR"] == found["AP"] == pytest.approx(1 / rank)
    assert found["nDCG@10"] == pytest.approx(1 / log2(1 + rank))


def test_scores_that_float32_cannot_tell_apart_keep_their_order() -> None:
    run = {"q": RankedList.from_scores("q", {"a": 1.0, "b": 1.0 + 1e-12})}
    assert evaluate(run, {"q": {"b": 1}}, ("RR@10", "AP")).mean == {"RR@10": 1.0, "AP": 1.0}


def test_the_tie_interval_by_hand() -> None:
    # rank 1 is x, then {a: 3, b: 0, c: 1} share ranks 2 to 4; q2 is not in the run
    run = {"q": RankedList.from_scores("q", {"x": 2.0, "a": 1.0, "b": 1.0, "c": 1.0})}
    worst, best = ndcg_interval(run, {"q": {"a": 3, "c": 1}, "q2": {"z": 1}}, cutoff=10)
    ideal = 3 / log2(2) + 1 / log2(3)
    assert best == pytest.approx((3 / log2(3) + 1 / log2(4)) / ideal / 2)
    assert worst == pytest.approx((1 / log2(4) + 3 / log2(5)) / ideal / 2)


def test_without_ties_the_interval_is_the_measure() -> None:
    run, qrels = run_of(q="cxan", p="b"), {"q": {"a": 3, "b": 2, "c": 1}, "p": {"b": -1, "a": 2}}
    expected = evaluate(run, qrels, ("nDCG@2",)).mean["nDCG@2"]
    assert ndcg_interval(run, qrels, cutoff=2) == pytest.approx((expected, expected))


COLLECTIONS = Path(__file__).resolve().parents[3] / "shared" / "collections"


@pytest.mark.slow
@pytest.mark.skipif(not COLLECTIONS.is_dir(), reason="needs ../shared/collections")
@pytest.mark.parametrize(
    ("name", "qrels", "n_queries", "expected"),
    [
        ("cranfield", "qrels.tsv", 225, (0.4246, 0.7494, 0.4123, 0.8102)),
        ("cranfield", "qrels.no-minus1.tsv", 225, (0.3597, 0.7314, 0.2962, 0.5216)),
        ("cystic-fibrosis", "qrels.tsv", 100, (0.4699, 0.4344, 0.2681, 0.8518)),
        ("adi", "qrels.tsv", 35, (0.4832, 0.9103, 0.4154, 0.6450)),
    ],
)
def test_measured_baselines_are_met(
    tmp_path: Path,
    name: str,
    qrels: str,
    n_queries: int,
    expected: tuple[float, float, float, float],
) -> None:
    """The BM25 rows of the collections' README, through our files, with bm25s' own analyzer."""
    from typing import Any

    import bm25s
    import numpy as np
    import pyarrow.parquet as pq
    import Stemmer

    from scisearch.benchmarks.evaluation import evaluate_files
    from scisearch.retrieval.ranking import Hit, rank, strictly_decreasing
    from scisearch.retrieval.topics import read_topics
    from scisearch.retrieval.trec import write_run

    corpus = pq.read_table(COLLECTIONS / name / "corpus.parquet").to_pydict()
    doc_ids = corpus["doc_id"]
    texts = [f"{a or ''} {b or ''}" for a, b in zip(corpus["title"], corpus["text"], strict=True)]
    id_rank = np.argsort(np.argsort(np.array(doc_ids))).astype(np.int32)
    tokenize: Any = bm25s.tokenize
    options = {"stopwords": "en", "stemmer": Stemmer.Stemmer("english"), "show_progress": False}
    bm25 = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    bm25.index(tokenize(texts, **options), show_progress=False)
    lists: list[RankedList] = []
    for query in read_topics(COLLECTIONS / name / "queries.jsonl"):
        (terms,) = tokenize([query.text], return_ids=False, **options)
        scores = bm25.get_scores(terms)
        found = np.flatnonzero(scores > 0)
        ranked = rank(found, scores[found], id_rank).cut(1000)
        strict = strictly_decreasing(ranked.scores)
        hits = (Hit(doc_ids[o], float(s)) for o, s in zip(ranked.ordinals, strict, strict=True))
        lists.append(RankedList(query.query_id, tuple(hits)))
    write_run(tmp_path / "bm25.run", lists, tag="bm25")
    comparison = evaluate_files(
        [tmp_path / "bm25.run"],
        COLLECTIONS / name / qrels,
        measures=("nDCG@10", "R@100", "AP", "RR@10"),
    )
    means = [score.mean for score in comparison.scores["bm25"].values()]
    assert comparison.n_queries == n_queries
    assert means == pytest.approx(expected, abs=1e-4)
