"""How much `--rerank auto` may leave unscored: what loses nearly nothing on dev collections.

The candidates that the weight is chosen on (interpolation_choice.py) are all scored; stopping is
then only looking at fewer of them. A collection is always judged by a bound that was fitted without
it, a single one half by half, so that the loss is that on queries the bound has not seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from math import sqrt
from statistics import fmean

import numpy as np

from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.gate import MEASURE
from scisearch.benchmarks.interpolation_choice import ScoredCandidates, reranked
from scisearch.benchmarks.scoring import evaluate
from scisearch.rerank.anytime import (
    TOP,
    LogitBound,
    ScoredList,
    StoppingRule,
    fit_bound,
    round_ends,
    scored_until_stop,
)
from scisearch.rerank.interpolation import Interpolation

# Newcomers to the top 10 that are expected at a stop, less than: agreement is always above 95%.
ALLOWED = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
MEAN_LOSS = 0.002  # of nDCG@10 over all dev queries, at most
LOSS_OF_ONE = 0.003  # of one collection, at most; as far as its queries can tell

# Judged by a bound that was fitted without it.
Part = tuple[Collection, Sequence[ScoredCandidates], LogitBound]


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stopping by one bound does to the queries of a collection, or to all of them."""

    queries: int
    scored: float  # share of the candidates
    loss: float  # of nDCG@10 against scoring all, mean over the queries
    error: float  # standard error of the loss
    agreement: float  # share of the top 10 that stays, as it is
    expected: float  # the same, as the bound says before it knows


@dataclass(frozen=True, slots=True)
class BoundChoice:
    """The bound that is kept with the model, and what each one that was tried costs and saves."""

    bound: LogitBound
    interpolation: Interpolation
    tried: Mapping[float, Mapping[str, Stopped]]  # by `allowed`, then by collection

    def mean(self, allowed: float) -> Stopped:
        """The mean over the queries of all collections."""
        return _mean(list(self.tried[allowed].values()))

    @property
    def chosen(self) -> Stopped:
        """What the kept one does on average."""
        return self.mean(self.bound.allowed)

    def to_json(self) -> dict[str, object]:
        """The choice as JSON values."""
        return {
            "bound": asdict(self.bound),
            "interpolation": asdict(self.interpolation),
            "tried": [
                {"allowed": allowed, **{name: asdict(one) for name, one in of.items()}}
                for allowed, of in self.tried.items()
            ],
        }


def choose_bound(
    scored: Sequence[tuple[Collection, Sequence[ScoredCandidates]]], interpolation: Interpolation
) -> BoundChoice:
    """The bound that scores least of those that lose little on every collection.

    The most cautious one, where all lose more.

    Raises:
        ConfigError: too few queries to fit it on, or another normalisation than logit.
    """
    StoppingRule(interpolation)  # refuses what cannot stop before any work
    parts = _held_out(scored)
    scale = _scale(parts, interpolation)
    parts = [(of, candidates, replace(bound, scale=scale)) for of, candidates, bound in parts]
    tried = {allowed: _stopped(parts, interpolation, allowed) for allowed in ALLOWED}
    # up to the first that loses more: a good one above it is so by chance
    good = list(takewhile(lambda allowed: _is_good(list(tried[allowed].values())), ALLOWED))
    groups = [_lists(candidates) for _, candidates in scored]
    whole = fit_bound(groups, max(good, default=ALLOWED[0]))
    dev = {collection.name: len(candidates) for collection, candidates in scored}
    return BoundChoice(replace(whole, scale=scale, dev=dev), interpolation, tried)


def _held_out(scored: Sequence[tuple[Collection, Sequence[ScoredCandidates]]]) -> list[Part]:
    if len(scored) == 1:
        ((collection, candidates),) = scored
        even, odd = candidates[0::2], candidates[1::2]
        return [
            (collection, judged, fit_bound([_lists(fitted)]))
            for judged, fitted in ((even, odd), (odd, even))
        ]
    return [
        (
            collection,
            candidates,
            fit_bound([_lists(other) for one, other in scored if one is not collection]),
        )
        for collection, candidates in scored
    ]


def _lists(candidates: Sequence[ScoredCandidates]) -> list[ScoredList]:
    return [ScoredList(one.fused, one.logits) for one in candidates]


def _scale(parts: Sequence[Part], interpolation: Interpolation) -> float:
    """Newcomers that came, over all places where it is asked, for each that was expected."""
    came, expected = 0.0, 0.0
    for _, candidates, bound in parts:
        for one in candidates:
            rule = StoppingRule(interpolation.for_query(one.reading), bound)
            final = reranked(one, interpolation)
            top = {hit.doc_id for hit in final.hits[:TOP]}
            for end in list(round_ends(len(one.fused)))[:-1]:
                came += len(top.difference(one.doc_ids[:end])) / len(candidates)
                expected += rule.newcomers(one.fused, one.logits[:end]) / len(candidates)
    return came / expected if came and expected else 1.0


def _stopped(
    parts: Sequence[Part], interpolation: Interpolation, allowed: float
) -> dict[str, Stopped]:
    """Collection -> what stopping with this allowance does to it."""
    found: dict[str, list[Stopped]] = {}
    for collection, candidates, bound in parts:
        one = _judged(collection, candidates, interpolation, replace(bound, allowed=allowed))
        found.setdefault(collection.name, []).append(one)
    return {name: _mean(of) for name, of in found.items()}


def _judged(
    collection: Collection,
    candidates: Sequence[ScoredCandidates],
    setting: Interpolation,
    bound: LogitBound,
) -> Stopped:
    rules = [StoppingRule(setting.for_query(one.reading), bound) for one in candidates]
    ends = [
        scored_until_stop(rule, ScoredList(one.fused, one.logits))
        for rule, one in zip(rules, candidates, strict=True)
    ]
    full = {one.query_id: reranked(one, setting) for one in candidates}
    early = {
        one.query_id: reranked(one, setting, end) for one, end in zip(candidates, ends, strict=True)
    }
    qrels = {query_id: collection.qrels[query_id] for query_id in full}
    whole, part = (evaluate(run, qrels, (MEASURE,)).per_query[MEASURE] for run in (full, early))
    losses = np.array([whole[query_id] - part[query_id] for query_id in whole])
    tops = [
        [{hit.doc_id for hit in run[one.query_id].hits[:TOP]} for run in (full, early)]
        for one in candidates
    ]
    expected = [
        rule.agreement(one.fused, one.logits[:end])
        for rule, one, end in zip(rules, candidates, ends, strict=True)
    ]
    return Stopped(
        queries=len(candidates),
        scored=fmean(
            end / max(1, len(one.fused)) for end, one in zip(ends, candidates, strict=True)
        ),
        loss=float(losses.mean()),
        error=float(losses.std(ddof=1) / np.sqrt(len(losses))) if len(losses) > 1 else 0.0,
        agreement=fmean(len(a & b) / max(1, len(a)) for a, b in tops),
        expected=fmean(1.0 if one is None else one for one in expected),
    )


def _mean(of: Sequence[Stopped]) -> Stopped:
    """Of all queries together."""
    queries = sum(one.queries for one in of)
    shares = [one.queries / queries for one in of]

    def mean(values: Iterable[float]) -> float:
        return sum(share * value for share, value in zip(shares, values, strict=True))

    return Stopped(
        queries=queries,
        scored=mean(one.scored for one in of),
        loss=mean(one.loss for one in of),
        error=sqrt(sum((share * one.error) ** 2 for share, one in zip(shares, of, strict=True))),
        agreement=mean(one.agreement for one in of),
        expected=mean(one.expected for one in of),
    )


def _is_good(of: Sequence[Stopped]) -> bool:
    """Whether little is lost on all, and on none more than may be chance."""
    return _mean(of).loss <= MEAN_LOSS and all(one.loss - one.error <= LOSS_OF_ONE for one in of)
