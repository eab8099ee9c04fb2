"""Several runs side by side on the same queries: means, intervals, differences, significance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.bootstrap import bootstrap_intervals
from scisearch.benchmarks.findings import Finding
from scisearch.benchmarks.measures import DEFAULT_MEASURES
from scisearch.benchmarks.scoring import DocIds, Evaluation, evaluate
from scisearch.benchmarks.significance import holm, permutation_p_values
from scisearch.index.errors import ConfigError
from scisearch.retrieval.ranking import Qrels, Run

# Two values of one measure that differ by less came from the same hits in another order of sums.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Difference:
    """One run against the baseline on one measure, paired by query.

    `mean` is run minus baseline with its 95% bootstrap interval; `p` is that of the two-sided
    randomisation test, `p_holm` corrected for all runs compared on this measure.
    """

    mean: float
    low: float
    high: float
    p: float
    p_holm: float
    better: int
    same: int
    worse: int

    def to_json(self) -> dict[str, object]:
        """The difference as JSON values."""
        return {
            "mean": self.mean,
            "interval": [self.low, self.high],
            "p": self.p,
            "p_holm": self.p_holm,
            "better": self.better,
            "same": self.same,
            "worse": self.worse,
        }


@dataclass(frozen=True, slots=True)
class Score:
    """One run on one measure: its mean with a 95% bootstrap interval.

    `difference` is None for the baseline itself.
    """

    mean: float
    low: float
    high: float
    difference: Difference | None

    def to_json(self) -> dict[str, object]:
        """The score as JSON values."""
        difference = None if self.difference is None else self.difference.to_json()
        return {"mean": self.mean, "interval": [self.low, self.high], "difference": difference}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs by name against the first of them, over the same queries.

    `scores` is run -> measure -> score, `evaluations` is run -> its values by query.
    """

    measures: tuple[str, ...]
    n_queries: int
    baseline: str
    scores: Mapping[str, Mapping[str, Score]]
    evaluations: Mapping[str, Evaluation]

    @property
    def findings(self) -> tuple[tuple[str, Finding], ...]:
        """Run name and finding, in the order of the runs."""
        return tuple(
            (name, finding)
            for name, evaluation in self.evaluations.items()
            for finding in evaluation.findings
        )

    def to_json(self, *, per_query: bool = False) -> dict[str, object]:
        """The comparison as JSON values, with the values of each query if asked for."""
        runs: dict[str, object] = {}
        for name, scores in self.scores.items():
            evaluation = self.evaluations[name]
            entry: dict[str, object] = {
                "measures": {measure: score.to_json() for measure, score in scores.items()},
                "findings": [finding.to_json() for finding in evaluation.findings],
            }
            if per_query:
                entry["per_query"] = evaluation.to_json()["per_query"]
            runs[name] = entry
        return {
            "n_queries": self.n_queries,
            "measures": list(self.measures),
            "baseline": self.baseline,
            "runs": runs,
        }


def compare(
    runs: Mapping[str, Run],
    qrels: Qrels,
    measures: Sequence[str] = DEFAULT_MEASURES,
    *,
    baseline: str | None = None,
    index_doc_ids: DocIds | None = None,
) -> Comparison:
    """Each run's measures, and its differences from the baseline (the first run if None).

    Raises:
        ConfigError: no run, a baseline that is none of them, or a bad measure.
        RankingError: a run and the judgements do not meet; the message names the run.
    """
    evaluations = {
        name: evaluate(run, qrels, measures, index_doc_ids=index_doc_ids, name=name)
        for name, run in runs.items()
    }
    return compare_evaluations(evaluations, baseline=baseline)


def compare_evaluations(
    evaluations: Mapping[str, Evaluation], *, baseline: str | None = None
) -> Comparison:
    """As `compare`, of runs that are evaluated already, on the same judgements and measures.

    Raises:
        ConfigError: no run, or a baseline that is none of them.
    """
    if not evaluations:
        raise ConfigError("found no run to compare, expected at least one")
    first = next(iter(evaluations))
    base = first if baseline is None else baseline
    if base not in evaluations:
        raise ConfigError(f"baseline {base}: no such run, expected one of {', '.join(evaluations)}")
    measures = tuple(evaluations[first].per_query)
    scores = _scores(evaluations, base, measures)
    return Comparison(measures, evaluations[first].n_queries, base, scores, evaluations)


def _scores(
    evaluations: Mapping[str, Evaluation], base: str, measures: Sequence[str]
) -> dict[str, dict[str, Score]]:
    """All runs and measures are columns of one table, which is resampled once."""
    names = list(evaluations)
    values = np.stack([_columns(evaluations[name], measures) for name in names], axis=1)
    differences = values - values[:, [names.index(base)], :]
    flat = (len(values), len(names) * len(measures))
    shape = (len(names), len(measures))
    bounds = bootstrap_intervals(values.reshape(flat)).reshape(*shape, 2)
    difference_bounds = bootstrap_intervals(differences.reshape(flat)).reshape(*shape, 2)
    p_values = permutation_p_values(differences.reshape(flat)).reshape(shape)
    scores: dict[str, dict[str, Score]] = {name: {} for name in names}
    for m, measure in enumerate(measures):
        others = {name: float(p_values[r, m]) for r, name in enumerate(names) if name != base}
        corrected = holm(others)
        for r, name in enumerate(names):
            difference = None
            if name != base:
                difference = _difference(
                    differences[:, r, m], difference_bounds[r, m], others[name], corrected[name]
                )
            low, high = (float(bound) for bound in bounds[r, m])
            scores[name][measure] = Score(evaluations[name].mean[measure], low, high, difference)
    return scores


def _columns(evaluation: Evaluation, measures: Sequence[str]) -> NDArray[np.float64]:
    """Values of one run, (n_queries, n_measures)."""
    columns = [list(evaluation.per_query[measure].values()) for measure in measures]
    return np.array(columns, dtype=np.float64).T


def _difference(
    values: NDArray[np.float64], bounds: NDArray[np.float64], p: float, p_holm: float
) -> Difference:
    better = int(np.count_nonzero(values > _SAME))
    worse = int(np.count_nonzero(values < -_SAME))
    return Difference(
        mean=float(values.mean()),
        low=float(bounds[0]),
        high=float(bounds[1]),
        p=p,
        p_holm=p_holm,
        better=better,
        same=len(values) - better - worse,
        worse=worse,
    )
