"""Where nDCG@10 is lost: never a candidate, or a candidate in the wrong place; and what to change.

1 ─ what no candidate list had ─► oracle ─ what stood in the wrong order ─► the last system
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from scisearch.benchmarks.findings import answerable
from scisearch.benchmarks.scoring import evaluate
from scisearch.benchmarks.system_names import CANDIDATE_LISTS, FIRST_STAGES, RERANKED
from scisearch.index.errors import ConfigError
from scisearch.retrieval.ranking import Qrels, RankedList, Run

_MEASURE = "nDCG@10"


@dataclass(frozen=True, slots=True)
class RelevantDocuments:
    """Where the relevant documents of all queries are; the four parts add up to `total`."""

    total: int
    candidates: int  # among the candidates that the last stage may reorder
    cut_by_fusion: int  # in a first stage's list, but below the candidates after fusion
    cut_by_depth: int  # in no such list, but a first stage ranks them below its depth
    never: int  # not in the first stages' deep lists either


@dataclass(frozen=True, slots=True)
class Step:
    """What one stage added to nDCG@10 over what it was given."""

    stage: str
    over: str
    gain: float


@dataclass(frozen=True, slots=True)
class LossReport:
    """One collection's account of nDCG@10; means over the queries with a positive judgement."""

    depth: int  # candidates of a query
    deep: int  # how deep the first stages were looked through
    candidates_of: str  # the system whose list the candidates are
    recall_ceiling: float  # mean share of a query's relevant documents among its candidates
    oracle: float  # nDCG@10 of the best order of the candidates
    last: str  # the last system
    reached: float  # its nDCG@10
    alone: Mapping[str, float]  # nDCG@10 of every system
    steps: tuple[Step, ...]
    relevant: RelevantDocuments
    advice: tuple[str, str]

    @property
    def never_share(self) -> float:
        """The part of what is missing from 1 that no order of the candidates can give."""
        missing = 1 - self.reached
        return (1 - self.oracle) / missing if missing > 0 else 0.0

    def to_json(self) -> dict[str, object]:
        """The report as JSON values."""
        return {**asdict(self), "never_share": self.never_share}


def loss_report(
    runs: Mapping[str, Run], deep_runs: Mapping[str, Run], qrels: Qrels, *, depth: int, deep: int
) -> LossReport:
    """The account of these runs.

    Args:
        runs: of each system, in the order of the stages, with lists of at least `depth` hits where
            so many were found.
        deep_runs: of the first stages, with lists of `deep` hits.
        qrels: query_id -> doc_id -> gain.
        depth: how many candidates the last stage may reorder.
        deep: how far down the first stages are looked through for what was missed.

    Raises:
        ConfigError: no run.
        RankingError: a run and the judgements do not meet.
    """
    stages = [name for name in CANDIDATE_LISTS if name in runs]
    if not stages:
        raise ConfigError("loss report: found no first stage, expected bm25, dense or hybrid")
    judged, last = answerable(qrels), list(runs)[-1]
    # Reranking keeps the set: its own list tells the candidates where the fused one is not there.
    reranked = next((name for name in reversed(RERANKED) if name in runs), None)
    candidates_of = reranked if reranked and "hybrid" not in runs else stages[-1]
    candidates = _heads(runs[candidates_of], judged, depth)
    ceiling = _mean(
        [len(candidates[q] & found) / len(found) for q, found in _relevant(judged).items()]
    )
    alone = {name: _ndcg(run, judged, name) for name, run in runs.items()}
    oracle = _oracle(runs[candidates_of], judged, depth)
    relevant = _counted(runs, deep_runs, judged, candidates, depth)
    steps = _steps(alone)
    return LossReport(
        depth=depth,
        deep=deep,
        candidates_of=candidates_of,
        recall_ceiling=ceiling,
        oracle=oracle,
        last=last,
        reached=alone[last],
        alone=alone,
        steps=steps,
        relevant=relevant,
        advice=_advice(alone, last, oracle, relevant, steps, (depth, deep)),
    )


def recall_by_depth(run: Run, qrels: Qrels, depths: Sequence[int]) -> list[float]:
    """Mean share of a query's relevant documents among its first hits, for each depth."""
    relevant = _relevant(answerable(qrels))
    shares: list[list[float]] = [[] for _ in depths]
    for query_id, wanted in relevant.items():
        hits = run[query_id].hits if query_id in run else ()
        found = [rank for rank, hit in enumerate(hits, start=1) if hit.doc_id in wanted]
        for share, depth in zip(shares, depths, strict=True):
            share.append(sum(rank <= depth for rank in found) / len(wanted))
    return [_mean(share) for share in shares]


def _relevant(judged: Qrels) -> dict[str, set[str]]:
    return {
        q: {doc_id for doc_id, gain in gains.items() if gain > 0} for q, gains in judged.items()
    }


def _heads(run: Run, judged: Qrels, depth: int) -> dict[str, set[str]]:
    """The documents of each query's first `depth` hits."""
    return {q: {hit.doc_id for hit in (run[q].hits[:depth] if q in run else ())} for q in judged}


def _oracle(run: Run, judged: Qrels, depth: int) -> float:
    """NDCG@10 of the candidates by falling gain."""
    best: dict[str, RankedList] = {}
    for query_id, gains in judged.items():
        hits = run[query_id].hits[:depth] if query_id in run else ()
        scores = {hit.doc_id: float(gains.get(hit.doc_id, 0)) for hit in hits}
        best[query_id] = RankedList.from_scores(query_id, scores)
    return _ndcg(best, judged, "oracle")


def _ndcg(run: Run, judged: Qrels, name: str) -> float:
    return evaluate(run, judged, (_MEASURE,), name=name).mean[_MEASURE]


def _counted(
    runs: Mapping[str, Run],
    deep_runs: Mapping[str, Run],
    judged: Qrels,
    candidates: Mapping[str, set[str]],
    depth: int,
) -> RelevantDocuments:
    first = [_heads(runs[name], judged, depth) for name in FIRST_STAGES if name in runs]
    below = [
        {q: {hit.doc_id for hit in run[q].hits} if q in run else set() for q in judged}
        for run in deep_runs.values()
    ]
    counts = {"candidates": 0, "cut_by_fusion": 0, "cut_by_depth": 0, "never": 0}
    for query_id, wanted in _relevant(judged).items():
        for doc_id in wanted:
            if doc_id in candidates[query_id]:
                where = "candidates"
            elif any(doc_id in lists[query_id] for lists in first):
                where = "cut_by_fusion"
            elif any(doc_id in lists[query_id] for lists in below):
                where = "cut_by_depth"
            else:
                where = "never"
            counts[where] += 1
    return RelevantDocuments(total=sum(counts.values()), **counts)


def _steps(alone: Mapping[str, float]) -> tuple[Step, ...]:
    """Fusion over the better of its lists, reranking over what it was given."""
    steps: list[Step] = []
    if all(name in alone for name in CANDIDATE_LISTS):
        better = max(FIRST_STAGES, key=lambda name: alone[name])
        steps.append(Step("hybrid", better, alone["hybrid"] - alone[better]))
    given = next((name for name in reversed(CANDIDATE_LISTS) if name in alone), None)
    if given is not None:
        steps += [
            Step(name, given, alone[name] - alone[given]) for name in RERANKED if name in alone
        ]
    return tuple(steps)


def _advice(
    alone: Mapping[str, float],
    last: str,
    oracle: float,
    relevant: RelevantDocuments,
    steps: Sequence[Step],
    depths: tuple[int, int],
) -> tuple[str, str]:
    """Two sentences: what is missing, and what to change first."""
    missing = 1 - alone[last]
    if missing <= 0:
        return f"{last} reaches nDCG@10 1: nothing is missing.", "Change nothing."
    never = (1 - oracle) / missing
    account = (
        f"{never:.0%} of what {last} misses ({missing:.3f} of nDCG@10) was never a candidate, and"
        f" {1 - never:.0%} was a candidate in the wrong place."
    )
    if never > 0.5:
        return account, _candidates_advice(relevant, *depths)
    return account, _order_advice(alone, steps)


def _candidates_advice(relevant: RelevantDocuments, depth: int, deep: int) -> str:
    missed = relevant.total - relevant.candidates
    cut = relevant.cut_by_fusion + relevant.cut_by_depth
    if 2 * cut > missed:
        return (
            f"Raise --depth and --rerank-depth: of {missed} missed relevant documents the first"
            f" stages had {relevant.cut_by_fusion} but fusion cut them at rank {depth}, and"
            f" {relevant.cut_by_depth} stand between ranks {depth} and {deep}."
        )
    return (
        f"Improve the first stage (another --encoder, or both bm25 and dense): of {missed} missed"
        f" relevant documents {relevant.never} are not even among its best {deep}."
    )


def _order_advice(alone: Mapping[str, float], steps: Sequence[Step]) -> str:
    worst = min(steps, key=lambda step: step.gain, default=None)
    if worst is not None and worst.gain < 0:
        what = "--rerank-weight" if worst.stage in RERANKED else "the weight of the worse list"
        return (
            f"Leave {worst.stage} out or lower {what}: it loses {-worst.gain:.3f} against"
            f" {worst.over}."
        )
    if any(name in alone for name in RERANKED):
        return (
            "Improve the cross-encoder (another --reranker, or search train on lists of your"
            " field): the candidates are there."
        )
    return "Add a cross-encoder (--reranker): the candidates are there, their order is not."


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
