"""How far probabilities tell queries apart, as text."""

from scisearch.benchmarks.answerability import Answerability
from scisearch.console.tables import Table


def render_answerability(report: Answerability) -> str:
    """The area under the curve, and a row for each threshold."""
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
        ]
    )
