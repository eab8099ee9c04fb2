"""Calibrate a trained cross-encoder on held-out lists, and say how good its probabilities are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import TrainingError
from scisearch.rerank.calibration import METHODS, Calibration, Method, fit_calibration, sigmoid
from scisearch.rerank.model_settings import read_model_settings, write_model_settings
from scisearch.rerank.reliability import Binning, Reliability, reliability
from scisearch.rerank.training.lists import RerankingList

_BINNINGS: tuple[Binning, ...] = ("equal-mass", "equal-width")


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """The calibration, fitted on all held-out lists, and the figures of half-fitted ones.

    `before` is of sigmoid(logit); `after` of probabilities that were fitted on the other half of
    the lists, so that neither has seen its labels. Both are name of the binning -> figures.
    """

    calibration: Calibration
    n_lists: int
    before: dict[Binning, Reliability]
    after: dict[Binning, Reliability]

    def to_json(self) -> dict[str, object]:
        """The report as JSON values."""
        return {
            "calibration": self.calibration.to_json(),
            "lists": self.n_lists,
            "before": {name: figures.to_json() for name, figures in self.before.items()},
            "after": {name: figures.to_json() for name, figures in self.after.items()},
        }


def calibrate_model(
    folder: Path,
    lists: Sequence[RerankingList],
    *,
    method: Method | None = None,
    device: str | None = None,
) -> CalibrationReport:
    """Fit on these lists and keep the calibration in the folder's scisearch.json.

    Args:
        folder: the cross-encoder.
        lists: at least 4, which training did not learn from.
        method: None takes the one whose probabilities have the lower Brier score on the halves that
            they were not fitted on.
        device: of the scoring.

    Raises:
        TrainingError: too few lists, or logits that do not rise with relevance.
        ModelError: the folder is no cross-encoder.
    """
    _check_enough(len(lists))  # before they are scored
    logits, labels = _scored(folder, lists, device)
    return calibrate_scores(folder, logits, labels, [len(one) for one in lists], method=method)


def calibrate_scores(
    folder: Path,
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    sizes: Sequence[int],
    *,
    method: Method | None = None,
) -> CalibrationReport:
    """As `calibrate_model`, of pairs that were scored already.

    Args:
        folder: the cross-encoder.
        logits: (n_pairs,), list after list.
        labels: (n_pairs,), 1 for relevant pairs and 0 for others.
        sizes: pairs of each list; at least 4 lists.
        method: as there.

    Raises:
        TrainingError: too few lists, or logits that do not rise with relevance.
    """
    _check_enough(len(sizes))
    second = np.repeat(np.arange(len(sizes)) % 2 == 1, sizes)
    methods: tuple[Method, ...] = METHODS if method is None else (method,)
    tried = {name: _cross_fitted(logits, labels, second, name) for name in methods}
    chosen = min(methods, key=lambda name: float(np.mean((tried[name] - labels) ** 2)))
    report = CalibrationReport(
        fit_calibration(logits, labels, method=chosen),
        len(sizes),
        _figures(sigmoid(logits), labels),
        _figures(tried[chosen], labels),
    )
    settings = read_model_settings(folder)
    write_model_settings(folder, replace(settings, calibration=report.calibration.to_json()))
    return report


def calibration_markdown(report: CalibrationReport) -> str:
    """What the model card says of it."""
    lines = ["| | Brier | ECE (equal mass) | ECE (equal width) |", "| --- | ---: | ---: | ---: |"]
    for name, figures in (("sigmoid of the logit", report.before), ("calibrated", report.after)):
        cells = [figures["equal-mass"].brier, *(figures[binning].ece for binning in _BINNINGS)]
        lines.append(f"| {name} | " + " | ".join(f"{value:.4f}" for value in cells) + " |")
    made = report.calibration
    shape: str = made.method
    if made.method == "platt":
        shape += f", temperature {1 / made.slope:.3g}, bias {made.intercept:.3g}"
    lines.append(
        f"\n{shape}; fitted on {made.n_pairs:,} pairs of {report.n_lists:,} held-out lists,"
        f" {made.positive_share:.1%} of them relevant. Where relevant texts are rarer, the"
        " probabilities are too high. The figures are of halves that were not fitted on; 10 bins."
    )
    return "\n".join(lines)


def _check_enough(n_lists: int) -> None:
    if n_lists < 4:
        raise TrainingError(
            f"calibration: found {n_lists} held-out lists, expected at least 4 to fit on"
        )


def _scored(
    folder: Path, lists: Sequence[RerankingList], device: str | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logit and label of each pair, list by list."""
    from scisearch.rerank.cross_encoder import TorchCrossEncoder

    texts = [text for one in lists for text in one.texts]
    ends = np.cumsum([len(one) for one in lists])
    candidates = [
        np.arange(end - len(one), end, dtype=np.int64)
        for one, end in zip(lists, ends.tolist(), strict=True)
    ]
    model = TorchCrossEncoder(
        folder, texts=lambda ordinals: [texts[int(i)] for i in ordinals], device=device
    )
    scores = model.score([one.query for one in lists], candidates)
    labels = [[1] * len(one.positives) + [0] * len(one.negatives) for one in lists]
    return np.concatenate(scores.logits), np.array([label for of in labels for label in of])


def _cross_fitted(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    second: NDArray[np.bool_],
    method: Method,
) -> NDArray[np.float32]:
    """Each half's probabilities by the calibration of the other."""
    found = np.empty(len(logits), dtype=np.float32)
    for half in (second, ~second):
        fitted = fit_calibration(logits[~half], labels[~half], method=method)
        found[half] = fitted.probabilities(logits[half])
    return found


def _figures(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64]
) -> dict[Binning, Reliability]:
    return {name: reliability(probabilities, labels, binning=name) for name in _BINNINGS}
