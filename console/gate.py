"""A gate's verdict as text."""

from scisearch.benchmarks.gate import GateReport
from scisearch.console.tables import Table, p_text


def render_gate(report: GateReport, *, markdown: bool = False) -> str:
    """A row for each collection, and the verdict."""
    header = ["collection", "queries", "before", "after", "difference", "95% interval", "p"]
    rows = [
        [
            one.collection,
            str(one.n_queries),
            f"{one.before:.4f}",
            f"{one.after:.4f}",
            f"{one.difference.mean:+.4f}",
            f"{one.difference.low:+.4f} to {one.difference.high:+.4f}",
            p_text(one.difference.p),
            p_text(one.difference.p_holm),
            "lost" if one.lost else "",
        ]
        for one in report.results
    ]
    table = Table([*header, "p (Holm)", ""], rows)
    verdict = (
        f"passed: no {report.measure} is lost beyond its interval"
        if report.passed
        else f"failed: {report.measure} is lost beyond the interval on {', '.join(report.lost)}"
    )
    return "\n\n".join(
        [
            table.markdown() if markdown else table.plain(),
            f"{report.measure}; intervals: bootstrap over queries, paired; p: two-sided paired"
            f" randomisation test.\n{verdict}; mean difference {report.mean_difference:+.4f}",
        ]
    )
