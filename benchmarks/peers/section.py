"""The peers' part of a card: quality from their run files, tests against our systems, times."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scisearch.benchmarks.card import MAIN_MEASURE, MEASURES, figures, only_main, rows_of_tests
from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.comparison import Difference, compare_evaluations
from scisearch.benchmarks.latency import Sample, latency_summary
from scisearch.benchmarks.peers.catalogue import PeerSpec, peer_specs
from scisearch.benchmarks.peers.measuring import PeerRuns
from scisearch.benchmarks.scoring import DocIds, Evaluation, evaluate
from scisearch.index.errors import RankingError
from scisearch.retrieval.ranking import Qrels, Query, Run

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
    failed = dict(found.failed)
    evaluations = _evaluations(own, found.runs, collection.qrels, index_doc_ids, failed)
    scores = compare_evaluations(evaluations).scores
    systems: dict[str, Any] = {}
    for peer in peer_specs(tuple(name for name in found.runs if name in evaluations)):
        name, run = peer.name, found.runs[peer.name]
        quality = figures(scores[name], evaluations[name], run, collection.qrels)
        systems[name] = _entry(peer, found.facts[name], quality, timed)
    return {
        "systems": systems,
        "tests": _tests(evaluations, list(own), list(systems)),
        "ahead": list(_ahead(systems, evaluations, latency)),
        "failed": failed,
    }


def _evaluations(
    own: Mapping[str, Run],
    peers: Mapping[str, Run],
    qrels: Qrels,
    index_doc_ids: DocIds,
    failed: dict[str, str],
) -> dict[str, Evaluation]:
    """Ours, then the peers'; one that cannot be evaluated is noted in `failed`."""
    evaluations: dict[str, Evaluation] = {}
    for name, run in {**own, **peers}.items():
        try:
            evaluations[name] = evaluate(
                run, qrels, MEASURES, index_doc_ids=index_doc_ids, name=name
            )
        except RankingError as error:  # such as a run without any judged document
            if name in own:
                raise
            failed[name] = str(error)
    return evaluations


def _entry(
    peer: PeerSpec, facts: Mapping[str, Any], quality: dict[str, Any], timed: Sequence[Query]
) -> dict[str, Any]:
    """One peer in the shape that our systems have, as far as it has their parts."""
    kept = ("models", "versions", "build_seconds", "peak_rss_bytes")
    return {
        "kind": peer.kind,
        "how": peer.how,
        **{what: facts[what] for what in kept},
        "run": {what: facts[what] for what in ("file", "sha256")},
        "quality": {**quality, "deltas": None},
        "latency": _latency(facts["milliseconds"], timed),
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
    return rows_of_tests(pairs)


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
