"""Losses and measures by epoch as a picture: `curves.png` and `curves.svg`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scisearch.rerank.training.report import TrainingReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# From Okabe & Ito's palette, told apart by all common kinds of colour vision; dashes and markers
# tell the lines apart without colour.
_BLUE, _VERMILION, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": _BLUE, "marker": "o", "linestyle": "-"},
    {"color": _VERMILION, "marker": "s", "linestyle": "--"},
    {"color": _GREEN, "marker": "^", "linestyle": "-."},
    {"color": _PURPLE, "marker": "D", "linestyle": ":"},
)


def draw_curves(report: TrainingReport, folder: Path) -> tuple[Path, ...]:
    """The files written."""
    from matplotlib.figure import Figure  # opens no window, unlike pyplot

    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, measures = figure.subplots(1, 2)
    rows = report.epochs
    training, validation = (
        [row.training_loss for row in rows],
        [row.validation_loss for row in rows],
    )
    _lines(losses, "loss", report, {"training": training, "validation": validation})
    shown = {
        "nDCG@10": [row.ndcg for row in rows],
        "MAP": [row.average_precision for row in rows],
        "F1": [row.f1 for row in rows],
        "accuracy": [row.accuracy for row in rows],
    }
    _lines(measures, "on the validation lists", report, shown)
    measures.set_ylim(0, 1.02)
    paths = folder / "curves.png", folder / "curves.svg"
    # without a date the same training gives the same bytes
    figure.savefig(paths[0], dpi=150, metadata={"Software": None})
    figure.savefig(paths[1], metadata={"Date": None})
    return paths


def _lines(
    axes: "Axes",
    title: str,
    report: TrainingReport,
    lines: Mapping[str, Sequence[float | None]],
) -> None:
    """The lines by epoch, and where the kept epoch is."""
    epochs = [row.epoch for row in report.epochs]
    for (name, values), style in zip(lines.items(), _STYLES, strict=False):
        known = [(x, y) for x, y in zip(epochs, values, strict=True) if y is not None]
        axes.plot(*zip(*known, strict=True), label=name, markersize=5, linewidth=1.8, **style)
    axes.axvline(report.best_epoch, color="0.6", linewidth=1, zorder=0)
    axes.annotate(
        "kept",
        (report.best_epoch, 0),
        xycoords=("data", "axes fraction"),
        xytext=(-3, 4),
        textcoords="offset points",
        ha="right",
        color="0.35",
    )
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("epoch (0: the base)")
    axes.set_xticks(epochs)
    axes.grid(visible=True, color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(edgecolor="none", framealpha=0.8)
