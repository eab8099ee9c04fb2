"""Are probabilities what they say: Brier score, expected calibration error, reliability table."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError

Binning = Literal["equal-mass", "equal-width"]
N_BINS = 10
# Okabe and Ito's colours without their yellow: told apart by colour-blind readers too.
_LINES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"))


class Bin(NamedTuple):
    """Pairs whose probabilities are close: their range, mean, share of relevant ones, number."""

    low: float
    high: float
    probability: float
    positive_share: float
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far probabilities are from what they say; 0 is best for both numbers.

    `brier` is the mean squared error; `ece` the mean of |mean probability - share of relevant
    pairs| over the bins, weighted by their pairs. Empty bins are left out.
    """

    brier: float
    ece: float
    binning: Binning
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, object]:
        """The figures as JSON values."""
        return {
            "brier": self.brier,
            "ece": self.ece,
            "binning": self.binning,
            "bins": [one._asdict() for one in self.bins],
        }


def reliability(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    binning: Binning = "equal-mass",
    n_bins: int = N_BINS,
) -> Reliability:
    """The figures of these pairs.

    `equal-mass` bins have the same number of pairs each, but equal probabilities are never parted;
    `equal-width` bins divide [0, 1] evenly.

    Args:
        probabilities: (n,), n at least 1.
        labels: (n,), 1 where the text is relevant, else 0.
        binning: how the bins are made.
        n_bins: how many there are, at most.

    Raises:
        ConfigError: no pair, other lengths, or no bin.
    """
    chances = np.asarray(probabilities, dtype=np.float64)
    relevant = np.asarray(labels, dtype=np.float64)
    if not len(chances) or chances.shape != relevant.shape or n_bins < 1:
        raise ConfigError(
            f"reliability: found {len(chances)} probabilities, {len(relevant)} labels and"
            f" {n_bins} bins; expected as many labels as probabilities, and at least one bin"
        )
    order = np.argsort(chances, kind="stable")
    chances, relevant = chances[order], relevant[order]
    edges = _edges(chances, binning, n_bins)
    bins = tuple(
        Bin(
            float(chances[start]),
            float(chances[stop - 1]),
            float(chances[start:stop].mean()),
            float(relevant[start:stop].mean()),
            stop - start,
        )
        for start, stop in pairwise(edges)
        if stop > start
    )
    ece = sum(one.n * abs(one.probability - one.positive_share) for one in bins) / len(chances)
    return Reliability(float(np.mean((chances - relevant) ** 2)), ece, binning, bins)


def plot_reliability(curves: Mapping[str, Reliability], path: Path, *, title: str = "") -> None:
    """Write a plot of at most 4 curves: what was said against what came true.

    Raises:
        ConfigError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "a plot needs matplotlib, which is not installed; pip install 'scisearch[train]'"
        ) from error
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="as it says")
    for (name, curve), (colour, marker) in zip(curves.items(), _LINES, strict=False):
        means = [one.probability for one in curve.bins]
        shares = [one.positive_share for one in curve.bins]
        label = f"{name} (ECE {curve.ece:.3f}, Brier {curve.brier:.3f})"
        axes.plot(means, shares, color=colour, marker=marker, linewidth=1.4, label=label)
    axes.set(xlabel="predicted probability", ylabel="share of relevant pairs", title=title)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.grid(visible=True, color="0.9")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", fontsize="small")
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: the plot cannot be written ({error})") from error


def _edges(chances: NDArray[np.float64], binning: Binning, n_bins: int) -> list[int]:
    """Where the bins start and stop among the rising probabilities, n_bins + 1 positions."""
    if binning == "equal-width":
        inner = np.searchsorted(chances, np.arange(1, n_bins) / n_bins, side="left")
    else:
        places = np.arange(1, n_bins) * len(chances) // n_bins
        inner = np.searchsorted(chances, chances[places], side="left")
    return [0, *(int(place) for place in inner), len(chances)]
