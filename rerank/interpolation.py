"""The final score: the cross-encoder's opinion and the first stages', weighed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError, ModelError
from scisearch.retrieval.convex import min_max
from scisearch.retrieval.ranking import IdRank, Scored, rank

Normalisation = Literal["logit", "minmax", "zscore"]
NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)

LOGIT_SCALE = 10.0  # logits that weigh as much as the whole range of the fused scores
AMONG = 20  # candidates, the best fused ones, whose lengths tell what a query's candidates are like


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a cross-encoder has to read for one query.

    `lengths` is (n,), the tokens of each candidate's whole document, best fused one first: the
    median of the first AMONG counts. `likeness` is the mean cosine of two documents of the corpus.
    """

    lengths: NDArray[np.integer] = field(default_factory=lambda: np.empty(0, np.int64))
    likeness: float | None = None  # None: not known


@dataclass(frozen=True, slots=True)
class Interpolation:
    """final = weight * norm(cross-encoder) + (1 - weight) * norm(fused), query by query.

    `logit` takes the logits as they are, divided by LOGIT_SCALE, beside fused scores in [0, 1]: a
    model that is sure moves a document far, one that is not leaves the order, and a document's
    score does not depend on which others were scored. The other two treat both sides alike:
    `minmax` moves each side to [0, 1] (all 1 where they are equal); `zscore` to mean 0 and standard
    deviation 1 (all 0 where they are equal), so that one outlier does not flatten the rest. With
    weight 1 the cross-encoder alone decides, with weight 0 it is not heard.

    `lengths` (short, long) lets the weight depend on how much there is to read: `for_query` gives a
    query whose candidates have at most `short` tokens the weight 0, from `long` on the whole one,
    and in between a straight line. A title, or an abstract of three lines, fits into the first
    stages' vectors and terms as it is. `likeness` (broad, narrow) does the same by the mean cosine
    of two documents of the corpus: the whole weight up to `broad`, none from `narrow` on. Where all
    documents are about one thing, a model that was trained on broad corpora tells them apart badly.
    """

    weight: float = 0.5
    normalisation: Normalisation = "minmax"
    lengths: tuple[int, int] | None = None  # tokens of a document; None: the weight is the same
    likeness: tuple[float, float] | None = None  # cosines; None: the weight is the same

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ConfigError: the weight is not in [0, 1], the normalisation is unknown, or lengths or
                likeness do not rise.
        """
        if not 0 <= self.weight <= 1:  # also false for NaN
            raise ConfigError(
                f"rerank weight {self.weight}; expected a number from 0 (first stages only) to 1"
                " (cross-encoder only)"
            )
        if self.normalisation not in NORMALISATIONS:
            raise ConfigError(
                f"rerank normalisation {self.normalisation!r};"
                f" expected one of {', '.join(NORMALISATIONS)}"
            )
        if self.lengths is not None and not 0 <= self.lengths[0] < self.lengths[1]:
            raise ConfigError(
                f"rerank lengths {self.lengths}; expected two numbers of tokens, the second larger"
            )
        if self.likeness is not None and not -1 <= self.likeness[0] < self.likeness[1] <= 1:
            raise ConfigError(
                f"rerank likeness {self.likeness}; expected two cosines, the second larger"
            )

    def changed(self, weight: float | None, normalisation: Normalisation | None) -> "Interpolation":
        """The same with another weight or normalisation, where one is given.

        A weight that is given is the weight of every query, whatever there is to read.

        Raises:
            ConfigError: as for the constructor.
        """
        normalisation = normalisation or self.normalisation
        if weight is None:
            return replace(self, normalisation=normalisation)
        return Interpolation(weight, normalisation)

    @property
    def depends(self) -> bool:
        """Whether the weight differs from query to query or from corpus to corpus."""
        return self.lengths is not None or self.likeness is not None

    def for_query(self, reading: Reading) -> "Interpolation":
        """The interpolation of one query, the same for all of its candidates."""
        if not self.depends:
            return self
        share = 1.0
        if self.lengths is not None:
            tokens = reading.lengths[:AMONG]
            share *= _between(float(np.median(tokens)) if len(tokens) else 0.0, *self.lengths)
        if self.likeness is not None and reading.likeness is not None:
            share *= 1 - _between(reading.likeness, *self.likeness)
        return Interpolation(self.weight * share, self.normalisation)

    def interpolate(self, fused: Scored, logits: NDArray[np.floating], id_rank: IdRank) -> Scored:
        """The candidates of `fused` in their final order.

        `logits` is (n,), one for each candidate, in the order of `fused`. Computed in float64.

        Raises:
            ModelError: a logit is NaN or infinite, or there is not one for each candidate.
        """
        if len(logits) != len(fused):
            raise ModelError(
                f"the cross-encoder gave {len(logits)} scores for {len(fused)} candidates"
            )
        return self.interpolate_first(fused, logits, id_rank)

    def interpolate_first(
        self, fused: Scored, logits: NDArray[np.floating], id_rank: IdRank
    ) -> Scored:
        """The first candidates of `fused`, those that have a logit, in their final order.

        Raises:
            ModelError: a logit is NaN or infinite.
        """
        if not np.isfinite(logits).all():
            place = int(np.flatnonzero(~np.isfinite(logits))[0])
            raise ModelError(
                f"the cross-encoder scored candidate {place + 1} of {len(fused)} as"
                f" {logits[place]}, expected a finite number: its weights are broken or overflow"
                " in half precision (--device cpu computes in float32)"
            )
        scored = len(logits)
        return rank(fused.ordinals[:scored], self.scores(fused.scores, logits), id_rank)

    def scores(
        self, fused: NDArray[np.floating], logits: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """The final scores of the first m candidates, (m,) float64.

        `fused` is (n,), of all candidates: these scores are normalised over all of them. `logits`
        is (m,), m at most n; `minmax` and `zscore` normalise them over the m.
        """
        of_logits, of_fused = _NORMALISE[self.normalisation]
        heard = self.weight * of_logits(logits)
        final: NDArray[np.float64] = heard + (1 - self.weight) * of_fused(fused)[: len(logits)]
        return final


def with_rest(final: Scored, whole: Scored, scored: int) -> Scored:
    """The final list and below it the candidates that were not scored, in their order."""
    rest = Scored(whole.ordinals[scored:], whole.scores[scored:])
    if not len(rest):
        return final
    if not len(final):
        return rest
    below = final.scores[-1] - (rest.scores[0] - rest.scores)
    return Scored(
        np.concatenate([final.ordinals, rest.ordinals]),
        np.concatenate([final.scores, below.astype(np.float32)]),
    )


def _between(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, a straight line between."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def z_scores(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scores moved to mean 0 and standard deviation 1; all 0 where they are equal. Shape (n,)."""
    values = np.asarray(scores, dtype=np.float64)
    spread = values.std() if len(values) else 0.0
    if spread == 0:
        return np.zeros_like(values)
    standardised: NDArray[np.float64] = (values - values.mean()) / spread
    return standardised


def scaled_logits(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logits divided by LOGIT_SCALE. Shape (n,)."""
    return np.asarray(logits, dtype=np.float64) / LOGIT_SCALE


_Normalise = Callable[[NDArray[np.floating]], NDArray[np.float64]]
_NORMALISE: Mapping[Normalisation, tuple[_Normalise, _Normalise]] = {
    "logit": (scaled_logits, min_max),
    "minmax": (min_max, min_max),
    "zscore": (z_scores, z_scores),
}
