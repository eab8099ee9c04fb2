"""How far probabilities tell queries apart, as text."""

from pathlib import Path

from scisearch.benchmarks.answerability import Answerability, Threshold
from scisearch.console.tables import Table


def render_answerability(report: Answerability, kept: Path | None = None) -> str:
    """The area under the curve, a row for each threshold, and where one was kept."""
    rows = [
        [f"{one.probability:.3f}", f"{one.own_answered:.0%}", f"{one.foreign_answered:.0%}"]
        for one in report.thresholds
    ]
    header = ["--min-probability", "own with a hit", "foreign with a hit"]
    return "\n".join(
        [
            f"{report.n_own} own and {report.n_foreign} foreign queries; best probability of a"
            f" query's hits, median: own {report.own_median:.3f}, foreign"
            f" {report.foreign_median:.3f}",
            f"an own query's is the higher one in {report.auc:.3f} of the pairs (AUC; 95% bootstrap"
            f" interval {report.low:.3f} to {report.high:.3f}; 0.5 is chance)",
            "",
            Table(header, rows).plain(),
            *([] if kept is None else ["", f"kept in {kept} (--config {kept})"]),
        ]
    )


def kept_comments(report: Answerability, chosen: Threshold, command: str) -> list[str]:
    """What the config file says of the threshold in it."""
    return [
        f"Written by: {command}",
        f"min_probability: {chosen.own_answered:.0%} of {report.n_own} own queries have a hit,"
        f" {chosen.foreign_answered:.0%} of {report.n_foreign} foreign ones"
        f" (AUC {report.auc:.3f}, {report.low:.3f} to {report.high:.3f}).",
    ]
