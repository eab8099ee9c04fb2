"""The contrast suite's outcome as text."""

from collections.abc import Mapping

from scisearch.benchmarks.contrast import ContrastReport
from scisearch.console.tables import Table


def render_contrast(reports: Mapping[str, ContrastReport], *, markdown: bool = False) -> str:
    """A row for each kind, and for each scorer by name its accuracy, interval and margin."""
    header = ["kind", "pairs"]
    for name in reports:
        header += [name, "95% interval", "margin"]
    by_kind = [report.kinds for report in reports.values()]
    rows = [
        [
            scores[0].kind,
            str(scores[0].n),
            *(
                cell
                for one in scores
                for cell in (
                    f"{one.accuracy:.3f}",
                    f"{one.low:.3f} to {one.high:.3f}",
                    f"{one.margin:+.3f}",
                )
            ),
        ]
        for scores in zip(*by_kind, strict=True)
    ]
    table = Table(header, rows)
    return table.markdown() if markdown else table.plain()
