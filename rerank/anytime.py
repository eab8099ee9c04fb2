"""When reranking may stop: candidates are scored in fused order, and the rest may matter no more.

With the normalisation `logit` (interpolation.py) the final score of a candidate is

    weight * logit / LOGIT_SCALE + (1 - weight) * x,    x = fused score moved to [0, 1],

and x is known for all before any is scored. So the logit that a candidate needs to enter the top is
known too, and the further down it stands, the more it needs. What is not known is its logit; a
`LogitBound`, fitted on dev queries, says how likely one is to be that high, given the logits seen.
The sum of these chances is how many newcomers the top would get from scoring on; a stop is allowed
once that is small enough.

The other normalisations give no bound: there each new logit moves the scores of all before it.

Knows scores and logits as arrays; neither models nor clocks nor files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError
from scisearch.rerank.interpolation import LOGIT_SCALE, Interpolation
from scisearch.retrieval.convex import min_max

TOP = 10  # of the final list; shall be as a rerank of all candidates gives it
FIRST_ROUND, NEXT_ROUNDS = 20, 10  # candidates scored before the first question, and between two

Floats = NDArray[np.float64]


class ScoredList(NamedTuple):
    """A query's candidates in fused order, all scored; both arrays are (n,)."""

    fused: NDArray[np.float32]
    logits: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LogitBound:
    """How high the logit of a candidate may be that was not scored, as fitted on dev queries.

    It is expected at `coefficients` times (1, x, mean logit of the scored, their mean x), and
    exceeds that by more than `excess[j]` with the chance `chances[j]`; between two points the
    logarithm of the chance is a straight line, outside them the chance is that of the nearest.
    """

    coefficients: tuple[float, float, float, float]
    excess: tuple[float, ...]  # rising, in logits
    chances: tuple[float, ...]  # falling, in (0, 1]
    allowed: float  # newcomers to the top that a stop may be expected to cost, less than
    scale: float = 1.0  # real newcomers of dev queries, for each that the chances let expect
    dev: Mapping[str, int] = field(default_factory=dict)  # fitted on: collection -> queries

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: they are no bound.
        """
        excess, chances = np.array(self.excess, float), np.array(self.chances, float)
        sound = (
            np.shape(self.coefficients) == (4,)
            and bool(np.isfinite(self.coefficients).all())
            and len(excess) == len(chances) > 0
            and bool(np.isfinite(excess).all() and (np.diff(excess) > 0).all())
            and bool((np.diff(chances) <= 0).all())
            and 0 < chances[-1] <= chances[0] <= 1
            and self.allowed >= 0
            and 0 < self.scale < np.inf
        )
        if not sound:
            raise ConfigError(
                "bound of the logits: found numbers that are none, expected 4 coefficients, as many"
                " chances in (0, 1] that fall as excesses that rise, an allowed of at least 0, a"
                " scale above 0"
            )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The bound with these fields, where lists stand for tuples.

        Raises:
            ConfigError, TypeError: they are no bound.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content.items()
        }
        return cls(**values)

    def chances_above(self, needed: Floats, x: Floats, seen: "Seen") -> Floats:
        """The chance of each unscored candidate that its logit is at least `needed`.

        `needed` and `x` are (n,) float64; the answer too. Nothing exceeds an infinite one.
        """
        features = np.stack(
            [np.ones_like(x), x, np.full_like(x, seen.logit), np.full_like(x, seen.x)]
        )
        above = needed - np.array(self.coefficients) @ features
        chances = self.scale * np.exp(np.interp(above, self.excess, np.log(self.chances)))
        return np.where(needed == np.inf, 0.0, np.minimum(chances, 1.0))


class Seen(NamedTuple):
    """Of the candidates that were scored: the mean logit and the mean x."""

    logit: float
    x: float


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """Whether the top of a final list may still change: by a fitted bound or a cautious one.

    The cautious one, used where none was fitted, takes no candidate's logit to exceed the highest
    that the query has seen. It gives no agreement.
    """

    interpolation: Interpolation
    bound: LogitBound | None = None
    top: int = TOP

    def __post_init__(self) -> None:
        """Check that the final score of a candidate does not depend on the others.

        Raises:
            ConfigError: it does, with this normalisation.
        """
        if self.interpolation.normalisation != "logit":
            raise ConfigError(
                f"normalisation {self.interpolation.normalisation}: every score changes with each"
                " candidate that is scored, so reranking cannot stop early; expected logit"
            )

    @property
    def is_settled(self) -> bool:
        """Whether no logit can change anything, so that none need be computed."""
        return self.interpolation.weight == 0

    def stops(self, fused: NDArray[np.floating], logits: NDArray[np.floating]) -> bool:
        """Whether no more need be scored.

        `fused` is (n,), of all candidates in their order; `logits` is (m,), of the first m of them.
        """
        if len(logits) == len(fused) or self.is_settled:
            return True
        if len(logits) < self.top:
            return False
        if self.bound is None:
            return not self._could_enter(fused, logits)
        return self.newcomers(fused, logits) < self.bound.allowed

    def agreement(self, fused: NDArray[np.floating], logits: NDArray[np.floating]) -> float | None:
        """The expected share of the top that a rerank of all candidates would leave there, 0 to 1.

        None where there is no fitted bound, or fewer were scored than the top has places.
        """
        if len(logits) == len(fused) or self.is_settled:
            return 1.0
        if self.bound is None or len(logits) < self.top:
            return None
        return 1.0 - self.newcomers(fused, logits) / self.top

    def newcomers(self, fused: NDArray[np.floating], logits: NDArray[np.floating]) -> float:
        """How many unscored candidates are expected to belong to the top, at most all its places.

        Infinite where nothing bounds them: without a fitted bound, or with fewer scored than the
        top has places.
        """
        scored = len(logits)
        if self.bound is None or scored < self.top:
            return np.inf
        x = min_max(fused)
        weight = self.interpolation.weight
        missing = self._last_of_top(fused, logits) - (1 - weight) * x[scored:]
        with np.errstate(divide="ignore", invalid="ignore"):
            needed = missing * LOGIT_SCALE / weight if weight else missing * np.inf
        needed = np.where(np.isnan(needed), -np.inf, needed)  # weight 0 and a tie
        seen = Seen(float(np.mean(logits)), float(x[:scored].mean()))
        chances = self.bound.chances_above(needed, x[scored:], seen)
        return min(float(chances.sum()), float(self.top))

    def _could_enter(self, fused: NDArray[np.floating], logits: NDArray[np.floating]) -> bool:
        """Whether an unscored candidate gets into the top with the highest logit seen.

        In float32, as the list is ranked: equal scores may come in by doc_id.
        """
        highest = np.full(len(fused), np.max(logits))
        best = self.interpolation.scores(fused, highest)[len(logits) :].astype(np.float32)
        return bool((best >= np.float32(self._last_of_top(fused, logits))).any())

    def _last_of_top(self, fused: NDArray[np.floating], logits: NDArray[np.floating]) -> float:
        final = self.interpolation.scores(fused, logits)
        return float(np.partition(final, -self.top)[-self.top])


def round_ends(candidates: int) -> Iterator[int]:
    """After how many scored candidates it is asked whether to stop; the last one is all of them."""
    end = FIRST_ROUND
    while end < candidates:
        yield end
        end += NEXT_ROUNDS
    yield candidates


def scored_until_stop(rule: StoppingRule, of: ScoredList) -> int:
    """How many candidates of a list would have been scored with this rule; 0 if it is settled."""
    if rule.is_settled:
        return 0
    return next(end for end in round_ends(len(of.fused)) if rule.stops(of.fused, of.logits[:end]))


# -- fitting ---------------------------------------------------------------------------------

_CHANCES = np.concatenate([[0.9, 0.75], np.geomspace(0.5, 1e-5, 24)])
_LEAST_LISTS = 20


def fit_bound(groups: Sequence[Sequence[ScoredList]], allowed: float = 0.0) -> LogitBound:
    """The bound by least squares, and the quantiles of what lies above it.

    Every candidate counts that is not scored yet when it is asked whether to stop. Groups
    (collections) weigh alike, whatever their sizes.

    Raises:
        ConfigError: too few lists are longer than the first round.
    """
    usable = [[one for one in group if len(one.fused) > FIRST_ROUND] for group in groups]
    usable = [group for group in usable if group]
    if sum(map(len, usable)) < _LEAST_LISTS:
        raise ConfigError(
            f"bound of the logits: found {sum(map(len, usable))} queries with more than"
            f" {FIRST_ROUND} candidates, expected at least {_LEAST_LISTS} to fit it on"
        )
    parts = [
        [np.concatenate(part) for part in zip(*map(_samples, group), strict=True)]
        for group in usable
    ]
    weights = np.concatenate([np.full(len(logits), 1 / len(logits)) for _, logits in parts])
    features = np.concatenate([of for of, _ in parts])
    logits = np.concatenate([of for _, of in parts])
    root = np.sqrt(weights)
    found, *_ = np.linalg.lstsq(features * root[:, None], logits * root, rcond=None)
    excess, chances = _quantiles(logits - features @ found, weights)
    a, b, c, d = found.tolist()
    return LogitBound((a, b, c, d), excess, chances, allowed)


def _samples(of: ScoredList) -> tuple[Floats, Floats]:
    """Features (rows, 4) and logits (rows,) of the unscored, at each place where it is asked."""
    x, logits = min_max(of.fused), of.logits.astype(np.float64)
    features: list[Floats] = []
    targets: list[Floats] = []
    for end in round_ends(len(x)):
        rest = x[end:]
        seen = np.broadcast_to([logits[:end].mean(), x[:end].mean()], (len(rest), 2))
        features.append(np.column_stack([np.ones_like(rest), rest, seen]))
        targets.append(logits[end:])
    return np.concatenate(features), np.concatenate(targets)


def _quantiles(residuals: Floats, weights: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Residuals that are exceeded with given chances, rising; the last one is the largest."""
    order = np.argsort(-residuals, kind="stable")
    falling, above = residuals[order], np.cumsum(weights[order]) / weights.sum()
    wanted = np.append(_CHANCES[above[0] < _CHANCES], above[0])
    excess = falling[np.searchsorted(above, wanted - 1e-12)]
    keep = np.append(True, np.diff(excess) > 0)  # of equal ones that of the higher chance
    return tuple(excess[keep].tolist()), tuple(wanted[keep].tolist())
