"""Does a scorer read, or does it count shared words: pairs in which one sentence is the better."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ModelError

if TYPE_CHECKING:
    from scisearch.index.models import ResolvedModel

_DATA = files("scisearch.benchmarks.contrast_pairs")
_Z95 = 1.959964  # standard normal quantile of 0.975
OVERALL = "all"

# Queries and texts, aligned, to one score each; higher is more relevant.
Scorer = Callable[[Sequence[str], Sequence[str]], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class ContrastPair:
    """A query, a sentence that answers it, and one that only looks as if it did."""

    pair_id: str
    kind: str
    query: str
    better: str
    worse: str


@dataclass(frozen=True, slots=True)
class KindScore:
    """How often the better sentence won, with Wilson's 95% interval, and by how much on average.

    A tie counts as lost. `margin` is the mean of better minus worse, in the scorer's own unit.
    """

    kind: str
    n: int
    accuracy: float
    low: float
    high: float
    margin: float


@dataclass(frozen=True, slots=True)
class ContrastReport:
    """The kinds in the order of the pairs, then "all", and the ids of the pairs that were lost."""

    kinds: tuple[KindScore, ...]
    lost: tuple[str, ...]

    @property
    def overall(self) -> KindScore:
        """All pairs together."""
        return self.kinds[-1]

    def to_json(self) -> dict[str, object]:
        """The report as JSON values."""
        return {"kinds": [asdict(kind) for kind in self.kinds], "lost": list(self.lost)}


def contrast_pairs() -> tuple[ContrastPair, ...]:
    """The pairs that come with this version."""
    with (_DATA / "pairs.jsonl").open(encoding="utf-8") as stream:
        return tuple(
            ContrastPair(row["id"], row["kind"], row["query"], row["better"], row["worse"])
            for row in map(json.loads, stream)
        )


def contrast(score: Scorer, pairs: Sequence[ContrastPair] | None = None) -> ContrastReport:
    """How often a scorer prefers the better sentence.

    Args:
        score: called once, with each query twice: all better sentences, then all worse ones.
        pairs: at least one; None: those that come with this version.

    Raises:
        ModelError: it does not give one finite score for each text.
    """
    pairs = contrast_pairs() if pairs is None else pairs
    queries = [pair.query for pair in pairs]
    texts = [pair.better for pair in pairs] + [pair.worse for pair in pairs]
    scores = np.asarray(score(queries * 2, texts), dtype=np.float64)
    if scores.shape != (len(texts),) or not np.isfinite(scores).all():
        raise ModelError(
            f"contrast pairs: found scores of shape {scores.shape}, {_unfinite(scores)} of them not"
            f" finite; expected {len(texts)} finite numbers"
        )
    margins = scores[: len(pairs)] - scores[len(pairs) :]
    kinds = np.array([pair.kind for pair in pairs])
    by_kind = [_scored(kind, margins[kinds == kind]) for kind in dict.fromkeys(kinds.tolist())]
    lost = tuple(pair.pair_id for pair, margin in zip(pairs, margins, strict=True) if margin <= 0)
    return ContrastReport((*by_kind, _scored(OVERALL, margins)), lost)


def cross_encoder_scorer(model: "ResolvedModel | Path", *, device: str | None = None) -> Scorer:
    """What scores pairs with a cross-encoder's logits.

    Raises:
        ModelError: the folder is no cross-encoder with one output.
    """
    from scisearch.rerank.cross_encoder import TorchCrossEncoder

    def score(queries: Sequence[str], texts: Sequence[str]) -> NDArray[np.floating]:
        encoder = TorchCrossEncoder(
            model, texts=lambda ordinals: [texts[int(i)] for i in ordinals], device=device
        )
        candidates = [np.array([i], dtype=np.int64) for i in range(len(texts))]
        return np.concatenate(encoder.score(queries, candidates).logits)

    return score


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson 1927, doi 10.1080/01621459.1927.10502953); n above 0."""
    share, z2 = successes / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def _scored(kind: str, margins: NDArray[np.float64]) -> KindScore:
    won = int(np.count_nonzero(margins > 0))
    low, high = wilson_interval(won, len(margins))
    return KindScore(kind, len(margins), won / len(margins), low, high, float(margins.mean()))


def _unfinite(scores: NDArray[np.float64]) -> int:
    return int(np.count_nonzero(~np.isfinite(scores)))
