"""The benchmark card: quality from the run files, as JSON values, and reading a card again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

from scisearch.benchmarks.comparison import Difference, Score, compare_evaluations
from scisearch.benchmarks.findings import answerable
from scisearch.benchmarks.measures import DEFAULT_MEASURES
from scisearch.benchmarks.scoring import DocIds, Evaluation, evaluate
from scisearch.benchmarks.significance import holm
from scisearch.benchmarks.system_names import FIRST_STAGES, RERANKED
from scisearch.benchmarks.ties import ties_reordered
from scisearch.index.errors import ConfigError
from scisearch.retrieval.ranking import Qrels, Query, Run

Card: TypeAlias = Mapping[str, Any]

FORMAT = 2
MAIN_MEASURE = "nDCG@10"
MEASURES = (*DEFAULT_MEASURES, "Judged@10")
STAGES = (  # of one query, in their order
    "analyse",
    "bm25",
    "encode query",
    "faiss",
    "fuse",
    "assemble pairs",
    "cross-encoder",
    "materialise",
)
_SHOWN_QUERIES = 10
_SAME = 1e-9


def quality(
    runs: Mapping[str, Run],
    qrels: Qrels,
    queries: Sequence[Query],
    *,
    index_doc_ids: DocIds | None = None,
) -> dict[str, Any]:
    """What the runs are worth: per system its measures, ties and query by query; and the tests.

    Raises:
        RankingError: a run and the judgements do not meet.
    """
    evaluations = {
        name: evaluate(run, qrels, MEASURES, index_doc_ids=index_doc_ids, name=name)
        for name, run in runs.items()
    }
    comparison = compare_evaluations(evaluations)
    texts = {query.query_id: query.text for query in queries}
    systems: dict[str, Any] = {}
    for name, scores in comparison.scores.items():
        systems[name] = {
            **figures(scores, evaluations[name], runs[name], qrels),
            "deltas": _deltas(name, evaluations, texts),
        }
    return {
        "n_queries": comparison.n_queries,
        "systems": systems,
        "tests": _tests(evaluations),
    }


def figures(
    scores: Mapping[str, Score], evaluation: Evaluation, run: Run, qrels: Qrels
) -> dict[str, Any]:
    """One run's measures with intervals, the interval of its ties, and nDCG@10 query by query."""
    return {
        "measures": {
            measure: {"mean": score.mean, "interval": [score.low, score.high]}
            for measure, score in scores.items()
        },
        "ties": _ties(run, qrels, evaluation),
        "per_query": dict(evaluation.per_query[MAIN_MEASURE]),
        "findings": [finding.to_json() for finding in evaluation.findings],
    }


def _ties(run: Run, qrels: Qrels, evaluation: Evaluation) -> dict[str, Any]:
    """Between which values the measures stay in any order of tied documents."""
    judged = answerable(qrels)
    worst, tied = ties_reordered(run, judged, best=False)
    if not tied:
        return {"hits": 0, "intervals": {m: [v, v] for m, v in evaluation.mean.items()}}
    best, _ = ties_reordered(run, judged, best=True)
    low, high = (evaluate(one, judged, MEASURES).mean for one in (worst, best))
    return {"hits": tied, "intervals": {m: [low[m], high[m]] for m in evaluation.mean}}


def predecessor(name: str, names: Sequence[str]) -> str | None:
    """What a system is set against, query by query: the list it had to improve on."""
    wanted: tuple[str, ...] = ("bm25",)
    if name in RERANKED:
        wanted = ("hybrid", "bm25")
    elif name == "hybrid":
        wanted = FIRST_STAGES
    return next((one for one in wanted if one in names and one != name), None)


def _deltas(
    name: str, evaluations: Mapping[str, Evaluation], texts: Mapping[str, str]
) -> dict[str, Any] | None:
    """The ten queries that gain and lose most, with their texts; none that stays as it was."""
    against = predecessor(name, list(evaluations))
    if against is None:
        return None
    own, other = (evaluations[one].per_query[MAIN_MEASURE] for one in (name, against))
    changed = [
        {"query_id": q, "text": texts.get(q, ""), "before": other[q], "after": own[q]}
        for q in own
        if abs(own[q] - other[q]) > _SAME
    ]
    rising = sorted(changed, key=_gain)
    return {
        "against": against,
        "best": [row for row in rising[::-1] if _gain(row) > 0][:_SHOWN_QUERIES],
        "worst": [row for row in rising if _gain(row) < 0][:_SHOWN_QUERIES],
    }


def _gain(row: Mapping[str, Any]) -> float:
    return float(row["after"]) - float(row["before"])


def _tests(evaluations: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    """Every pair of systems on nDCG@10, later minus earlier, Holm over all pairs."""
    pairs: dict[tuple[str, str], Difference] = {}
    for first, second in combinations(evaluations, 2):
        two = {one: only_main(evaluations[one]) for one in (first, second)}
        difference = compare_evaluations(two).scores[second][MAIN_MEASURE].difference
        if difference is not None:
            pairs[first, second] = difference
    return rows_of_tests(pairs)


def rows_of_tests(pairs: Mapping[tuple[str, str], Difference]) -> list[dict[str, Any]]:
    """The differences of pairs of systems on nDCG@10 as JSON values, Holm over all of them."""
    corrected = holm({"\0".join(pair): one.p for pair, one in pairs.items()})
    return [
        {
            "measure": MAIN_MEASURE,
            "first": first,
            "second": second,
            **replace(one, p_holm=corrected["\0".join((first, second))]).to_json(),
        }
        for (first, second), one in pairs.items()
    ]


def only_main(evaluation: Evaluation) -> Evaluation:
    """The evaluation with no other measure than the main one."""
    per_query = {MAIN_MEASURE: evaluation.per_query[MAIN_MEASURE]}
    return replace(evaluation, per_query=per_query)


def digest_of(value: object) -> str:
    """The sha256, in hex, of JSON values; equal values have equal digests."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def card_bytes(card: Card) -> bytes:
    """The card as UTF-8 JSON; a lone surrogate of a query stands as its escape."""
    text = json.dumps(card, ensure_ascii=False, indent=1) + "\n"
    return text.encode(errors="backslashreplace")


def read_card(path: Path) -> Card:
    """The card in a file.

    Raises:
        ConfigError: it cannot be read, or is none of this format.
    """
    try:
        card = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}), expected the card.json of a benchmark"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path}: is no JSON ({error}), expected a benchmark card") from error
    found = card.get("card_format") if isinstance(card, dict) else None
    if found != FORMAT:
        raise ConfigError(
            f"{path}: has card format {found}, expected {FORMAT}; make it with search benchmark"
        )
    return dict(card)
