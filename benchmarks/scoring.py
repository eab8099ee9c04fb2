"""The measures of one run by ir_measures, and what stands beside the numbers.

Means are over the judged queries that have a positive judgement: a query that the run lacks counts
as 0 (as in trec_eval -c), one that nothing can answer is left out, and the number is stated.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isfinite
from subprocess import SubprocessError
from typing import TYPE_CHECKING, TypeAlias

from scisearch.benchmarks.findings import (
    Finding,
    answerable,
    check_documents,
    depth_findings,
    examples,
    query_findings,
    tie_findings,
)
from scisearch.benchmarks.measures import DEFAULT_MEASURES, cutoff_of, parse_measures
from scisearch.index.errors import ConfigError
from scisearch.retrieval.ranking import Qrels, Run

if TYPE_CHECKING:
    from ir_measures import Measure

DocIds: TypeAlias = Collection[str] | Callable[[str], bool]  # the ids of a corpus, or a test of one


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The measures of one run: means, their parts, over how many queries, and the findings.

    `per_query` is measure -> query_id -> value, for every judged query with a positive judgement in
    the order of the judgements; `mean` is its arithmetic mean.
    """

    mean: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]
    n_queries: int
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, object]:
        """The evaluation as JSON values."""
        return {
            "n_queries": self.n_queries,
            "mean": dict(self.mean),
            "per_query": {name: dict(values) for name, values in self.per_query.items()},
            "findings": [finding.to_json() for finding in self.findings],
        }


def evaluate(
    run: Run,
    qrels: Qrels,
    measures: Sequence[str] = DEFAULT_MEASURES,
    *,
    index_doc_ids: DocIds | None = None,
    name: str = "run",
) -> Evaluation:
    """The measures of a run. Ties stand in rising doc_id, whatever the provider would do.

    Args:
        run: query_id -> ranked list.
        qrels: query_id -> doc_id -> gain.
        measures: names that ir_measures knows; gains of nDCG are linear.
        index_doc_ids: the document ids of the corpus, to check run and judgements against.
        name: what messages call the run, such as its path.

    Raises:
        RankingError: run and judgements have no query or no document in common, or nothing is
            judged relevant: the zeros that would come out must not pass for a result.
        ConfigError: a bad measure.
    """
    parsed = parse_measures(measures)
    judged = answerable(qrels)
    findings = [*query_findings(run, qrels, name)]
    findings += _corpus_findings(run, judged, index_doc_ids, name)
    cutoffs = {str(measure): c for measure in parsed if (c := cutoff_of(measure))}
    findings += [*tie_findings(run, judged), *depth_findings(run, judged, cutoffs)]
    per_query = _computed(parsed, judged, run)
    mean = {measure: fsum(of.values()) / len(of) for measure, of in per_query.items()}
    return Evaluation(mean, per_query, len(judged), tuple(findings))


def _computed(measures: "Sequence[Measure]", qrels: Qrels, run: Run) -> dict[str, dict[str, float]]:
    import ir_measures

    # Ranks as scores: they fall strictly and are exact in float32, which trec_eval keeps, so no
    # provider sees a tie, and two float64 scores that are one float32 keep their order. Queries
    # are numbered from 1, as gdeval (ERR) takes nothing else.
    numbers = {query_id: str(number) for number, query_id in enumerate(qrels, start=1)}
    scores = {
        numbers[query_id]: {
            hit.doc_id: float(len(run[query_id].hits) - position)
            for position, hit in enumerate(run[query_id].hits)
        }
        for query_id in qrels
        if query_id in run and run[query_id].hits
    }
    judged = {numbers[query_id]: dict(gains) for query_id, gains in qrels.items()}
    found: dict[str, dict[str, float]] = {str(measure): {} for measure in measures}
    try:
        for metric in ir_measures.iter_calc(list(measures), judged, scores):
            found[str(metric.measure)][metric.query_id] = float(metric.value)
    except (
        ValueError,
        TypeError,
        ArithmeticError,
        RuntimeError,
        OSError,
        SubprocessError,
    ) as error:
        names = ", ".join(found)
        raise ConfigError(f"measures {names}: ir_measures cannot compute them: {error}") from error
    return {name: _in_order(name, values, numbers) for name, values in found.items()}


def _in_order(
    name: str, values: Mapping[str, float], numbers: Mapping[str, str]
) -> dict[str, float]:
    undefined = [q for q, n in numbers.items() if not isfinite(values.get(n, float("nan")))]
    if undefined:
        raise ConfigError(
            f"measure {name}: has no value for {len(undefined)} of {len(numbers)} queries"
            f" ({examples(undefined)}), expected a number for each; choose another measure"
        )
    return {query_id: values[number] for query_id, number in numbers.items()}


def _corpus_findings(
    run: Run, qrels: Qrels, index_doc_ids: DocIds | None, name: str
) -> Iterator[Finding]:
    if index_doc_ids is None:
        check_documents(run, qrels, name)
        return
    known = index_doc_ids if callable(index_doc_ids) else index_doc_ids.__contains__
    retrieved = {hit.doc_id: None for q in qrels if q in run for hit in run[q].hits}
    relevant = {doc_id: None for gains in qrels.values() for doc_id, g in gains.items() if g > 0}
    foreign = [doc_id for doc_id in retrieved if not known(doc_id)]
    lacking = [doc_id for doc_id in relevant if not known(doc_id)]
    # Ids that the corpus has on both sides are right, and a run may deserve its zeros.
    if len(foreign) == len(retrieved) or len(lacking) == len(relevant):
        check_documents(run, qrels, name)
    if lacking:
        yield Finding(
            "warning",
            f"{len(lacking)} of {len(relevant)} relevant documents are not in the index and can"
            f" never be found ({examples(lacking)})",
        )
    if foreign:
        yield Finding(
            "warning",
            f"{len(foreign)} of {len(retrieved)} documents of the run are not in the index"
            f" ({examples(foreign)}); is it another version of the corpus?",
        )
