"""Can an index answer a query: the best probability of its hits, where it can and where it cannot.

A threshold for `--min-probability` is chosen on both kinds of query.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.bootstrap import RESAMPLES
from scisearch.benchmarks.significance import SEED
from scisearch.index.errors import RankingError
from scisearch.index.progress import NoProgress, Progress, stage_of
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.ranking import Query

REFUSED = (0.8, 0.9, 0.95, 0.99)  # shares of the foreign queries that shall find nothing
_BATCH = 8
_DIGITS = 3  # of a threshold: more cannot be told from some hundred queries


@dataclass(frozen=True, slots=True)
class Threshold:
    """A `--min-probability`, and the share of either kind of query that still has a hit."""

    probability: float
    own_answered: float
    foreign_answered: float


@dataclass(frozen=True, slots=True)
class Answerability:
    """How well the best probability of a query's hits tells own from foreign queries.

    `auc` is the chance that it is higher for an own than for a foreign query, equal ones counted
    half, with its 95% bootstrap interval. `thresholds` are one for each share of REFUSED.
    """

    n_own: int
    n_foreign: int
    auc: float
    low: float
    high: float
    own_median: float
    foreign_median: float
    thresholds: tuple[Threshold, ...]

    def refusing(self, share: float) -> Threshold:
        """The threshold for one of the shares of REFUSED."""
        return self.thresholds[REFUSED.index(share)]


def answerability(
    index: str | Path,
    own: Sequence[Query],
    foreign: Sequence[Query],
    config: SearchConfig,
    *,
    progress: Progress | None = None,
) -> Answerability:
    """Ask an index queries that it answers and queries that it does not.

    Args:
        index: the index's folder.
        own: queries that documents of the index answer.
        foreign: queries that none answers.
        config: as the queries will be asked; its `min_probability` is not used.
        progress: who is told how far the work is.

    Raises:
        ConfigError: the mode is not rerank, not all candidates are scored, or the cross-encoder
            has no calibration.
        RankingError: there is no query of a kind, or a text is among both.
    """
    _check(own, foreign)
    pipeline = SearchPipeline.open(index, replace(config, min_probability=0.0))
    progress = progress or NoProgress()
    with stage_of(progress, "queries", len(own) + len(foreign), unit="queries"):
        found = [_best_probabilities(pipeline, queries, progress) for queries in (own, foreign)]
    return told_apart(*found)


def told_apart(own: NDArray[np.float64], foreign: NDArray[np.float64]) -> Answerability:
    """The report of the best probabilities of the own queries, (m,), and of the foreign, (n,).

    The area under the curve is the Mann-Whitney statistic over m * n (Hanley and McNeil, Radiology
    143, 1982, doi:10.1148/radiology.143.1.7063747); its interval draws the queries of both kinds
    with replacement, each for itself.
    """
    won = (own[:, None] > foreign) + 0.5 * (own[:, None] == foreign)
    low, high = _auc_interval(won)
    return Answerability(
        len(own),
        len(foreign),
        float(won.mean()),
        low,
        high,
        float(np.median(own)),
        float(np.median(foreign)),
        tuple(_threshold(own, foreign, share) for share in REFUSED),
    )


def _check(own: Sequence[Query], foreign: Sequence[Query]) -> None:
    for queries, what in ((own, "that the index answers"), (foreign, "that it does not answer")):
        if not queries:
            raise RankingError(f"found no query {what}, expected at least one")
    both = sorted({one.text for one in own} & {one.text for one in foreign})
    if both:
        raise RankingError(
            f"found {both[0]!r} ({len(both)} in all) among the queries that the index answers and"
            " among those that it does not; expected each in one of them"
        )


def _best_probabilities(
    pipeline: SearchPipeline, queries: Sequence[Query], progress: Progress
) -> NDArray[np.float64]:
    """The highest probability of each query's hits, (n,); 0 where nothing is found."""
    best: list[float] = []
    for begin in range(0, len(queries), _BATCH):
        results = pipeline.search_many(queries[begin : begin + _BATCH])
        best += [max((hit.probability or 0.0 for hit in one.hits), default=0.0) for one in results]
        progress.advance(len(results))
    return np.array(best)


def _threshold(own: NDArray[np.float64], foreign: NDArray[np.float64], share: float) -> Threshold:
    """The lowest probability, rounded up, that at least so many foreign queries stay below of."""
    highest = float(np.sort(foreign)[ceil(share * len(foreign)) - 1])
    unit = 10**_DIGITS
    steps = floor(highest * unit) + 1
    steps += steps / unit <= highest  # where the product was rounded down
    probability = min(1.0, steps / unit)
    return Threshold(
        probability,
        float((own >= probability).mean()),
        float((foreign >= probability).mean()),
    )


def _auc_interval(won: NDArray[np.float64]) -> tuple[float, float]:
    """The 95% percentile interval of the mean of `won`, (m, n), with other rows and columns."""
    generator = np.random.default_rng(SEED)
    rows, columns = (generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) for n in won.shape)
    areas = ((rows @ won) * columns).sum(axis=1) / won.size
    low, high = np.quantile(areas, [0.025, 0.975])
    return float(low), float(high)
