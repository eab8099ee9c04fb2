from pathlib import Path

import pytest

from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.gate import System, gate
from scisearch.console.gate import render_gate
from scisearch.index.errors import ConfigError
from scisearch.retrieval.ranking import Query, RankedList, Run


def collection(name: str, n: int = 20) -> Collection:
    queries = tuple(Query(f"q{i}", "text") for i in range(n))
    return Collection(name, Path("absent"), queries, {q.query_id: {"right": 1} for q in queries})


def answering(good: int) -> System:
    """A system that ranks the right document first for `good` queries, second for the others."""

    def run(asked: Collection) -> Run:
        return {
            query.query_id: RankedList.from_scores(
                query.query_id, {"right": 1.0 if i < good else 0.1, "wrong": 0.5}
            )
            for i, query in enumerate(asked.queries)
        }

    return run


def test_a_loss_beyond_the_interval_fails_the_gate() -> None:
    """nDCG@10 is 1 at rank 1 and 1 / log2(3) = 0.6309 at rank 2."""

    def after(asked: Collection) -> Run:
        return answering(5 if asked.name == "b" else 19)(asked)

    report = gate(answering(18), after, [collection("a"), collection("b")])
    assert not report.passed
    assert report.lost == ("b",)
    won, lost = report.results
    assert won.before == pytest.approx((18 + 2 * 0.6309) / 20, abs=1e-4)
    assert won.difference.mean == pytest.approx(0.3691 / 20, abs=1e-4)
    assert lost.difference.mean == pytest.approx(-13 * 0.3691 / 20, abs=1e-4)
    assert lost.difference.p == pytest.approx(2 / 2**13)
    assert lost.difference.p_holm == pytest.approx(4 / 2**13)
    assert report.mean_difference == pytest.approx(-6 * 0.3691 / 20, abs=1e-4)
    text = render_gate(report)
    assert "failed: nDCG@10 is lost beyond the interval on b; mean difference -0.1107" in text
    assert report.to_json()["passed"] is False


def test_a_loss_within_the_interval_passes() -> None:
    report = gate(answering(18), answering(17), [collection("a")])
    assert report.results[0].difference.mean < 0
    assert report.passed
    assert "passed: no nDCG@10 is lost beyond its interval" in render_gate(report, markdown=True)


@pytest.mark.parametrize("names", [(), ("a", "a")])
def test_collections_must_be_there_and_differ(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"gate: found collections .*; expected one or more of"):
        gate(answering(1), answering(1), [collection(name) for name in names])
