"""The peers' part of a card: quality from their run files, tests against our systems, times."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from scisearch.benchmarks.card import MAIN_MEASURE, MEASURES, figures, only_main
from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.comparison import Difference, compare_evaluations
from scisearch.benchmarks.latency import Sample, latency_summary
from scisearch.benchmarks.peers.catalogue import peer_specs
from scisearch.benchmarks.peers.measuring import PeerRuns
from scisearch.benchmarks.scoring import DocIds, Evaluation, evaluate
from scisearch.benchmarks.significance import holm
from scisearch.index.errors import RankingError
from scisearch.retrieval.ranking import Query, Run

_SAME = 1e-9
_COMPARED = tuple(name for name in MEASURES if not name.startswith("Judged"))


def peer_section(
    found: PeerRuns,
    own: Mapping[str, Run],
    collection: Collection,
    *,
    latency: Mapping[str, Mapping[str, Any]],
    timed: Sequence[Query],
    index_doc_ids: DocIds,
) -> dict[str, Any]:
    """What the card says of the peers, as JSON values.

    Args:
        found: their runs, times and failures.
        own: our systems' runs on the same queries.
        collection: its judgements.
        latency: our systems' times, as in the card.
        timed: the queries that our systems' times are of: a peer's are told of the same.
        index_doc_ids: the documents there are.

    Raises:
        RankingError: a run of ours and the judgements do not meet.
    """

    def evaluated(name: str, run: Run) -> Evaluation:
        return evaluate(run, collection.qrels, MEASURES, index_doc_ids=index_doc_ids, name=name)

    failed = dict(found.failed)
    evaluations = {name: evaluated(name, run) for name, run in own.items()}
    for name, run in found.runs.items():
        try:
            evaluations[name] = evaluated(name, run)
        except RankingError as error:  # such as a run without any judged document
            failed[name] = str(error)
    scores = compare_evaluations(evaluations).scores
    systems: dict[str, Any] = {}
    for peer in peer_specs(tuple(name for name in found.runs if name in evaluations)):
        name, facts = peer.name, found.facts[peer.name]
        systems[name] = {
            "kind": peer.kind,
            "how": peer.how,
            **{
                what: facts[what]
                for what in ("models", "versions", "build_seconds", "peak_rss_bytes")
            },
            "run": {what: facts[what] for what in ("file", "sha256")},
            "quality": {
                **figures(scores[name], evaluations[name], found.runs[name], collection.qrels),
                "deltas": None,
            },
            "latency": _latency(facts["milliseconds"], timed),
        }
    tests = _tests(evaluations, list(own), list(systems))
    return {
        "systems": systems,
        "tests": tests,
        "ahead": list(_ahead(systems, evaluations, latency)),
        "failed": failed,
    }


def _latency(milliseconds: Mapping[str, float], timed: Sequence[Query]) -> dict[str, Any]:
    samples = [Sample(q.query_id, "", milliseconds[q.query_id], {}) for q in timed]
    return latency_summary(samples)[""]


def _tests(
    evaluations: Mapping[str, Evaluation], own: Sequence[str], peers: Sequence[str]
) -> list[dict[str, Any]]:
    """Every peer against every system of ours on nDCG@10, peer minus ours, Holm over all rows.

    A family of its own: whether peers run changes no claim about our own systems.
    """
    pairs: dict[tuple[str, str], Difference] = {}
    for system in own:
        two = {name: only_main(evaluations[name]) for name in (system, *peers)}
        scores = compare_evaluations(two, baseline=system).scores
        for peer in peers:
            difference = scores[peer][MAIN_MEASURE].difference
            if difference is not None:
                pairs[system, peer] = difference
    corrected = holm({"\0".join(pair): one.p for pair, one in pairs.items()})
    return [
        {
            "measure": MAIN_MEASURE,
            "first": system,
            "second": peer,
            **replace(one, p_holm=corrected["\0".join((system, peer))]).to_json(),
        }
        for (system, peer), one in pairs.items()
    ]


def _ahead(
    systems: Mapping[str, Any],
    evaluations: Mapping[str, Evaluation],
    latency: Mapping[str, Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Where a peer has the better figure than our system that does the same work."""
    for name, peer in systems.items():
        ours = peer["kind"]
        if ours not in latency:
            continue
        for measure in _COMPARED:
            theirs, own = (evaluations[one].mean[measure] for one in (name, ours))
            if theirs > own + _SAME:
                yield {
                    "peer": name,
                    "system": ours,
                    "what": measure,
                    "peer_value": theirs,
                    "own_value": own,
                }
        for point in ("p50", "p95", "p99"):
            theirs, own = (one["total"][point] for one in (peer["latency"], latency[ours]))
            if theirs < own:
                yield {
                    "peer": name,
                    "system": ours,
                    "what": f"{point} ms",
                    "peer_value": theirs,
                    "own_value": own,
                }
