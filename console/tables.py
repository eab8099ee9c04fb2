"""Tables as aligned plain text or as markdown, and the tables of `search evaluate`."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from scisearch.benchmarks.comparison import Comparison

_GAP = "  "


@dataclass(frozen=True, slots=True)
class Table:
    """A header and rows of cells, one string each.

    The first `n_left` columns (names) stand to the left, the others (numbers) to the right.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    n_left: int = 1

    def plain(self) -> str:
        """The table with two blanks between columns, without blanks at line ends."""
        lines = self._lines(self.header, self.rows)
        return "\n".join(_GAP.join(cells).rstrip() for cells in lines)

    def markdown(self) -> str:
        """The table as markdown that also reads well as text."""
        header = [_escaped(cell) for cell in self.header]
        rows = [[_escaped(cell) for cell in row] for row in self.rows]
        widths = [max(3, width) for width in _widths([header, *rows])]
        rule = [
            "-" * width if position < self.n_left else "-" * (width - 1) + ":"
            for position, width in enumerate(widths)
        ]
        first, *others = self._lines(header, rows, least=3)
        return "\n".join("| " + " | ".join(cells) + " |" for cells in [first, rule, *others])

    def html(self) -> str:
        """The table as an HTML element, every cell escaped."""
        kinds = [
            "" if place < self.n_left else ' class="number"' for place in range(len(self.header))
        ]
        head = "".join(
            f'<th scope="col"{kind}>{escape(_one_line(cell))}</th>'
            for cell, kind in zip(self.header, kinds, strict=True)
        )
        rows = [
            "".join(
                f"<td{kind}>{_html_cell(cell, number=bool(kind))}</td>"
                for cell, kind in zip(row, kinds, strict=True)
            )
            for row in self.rows
        ]
        body = "\n".join(f"<tr>{cells}</tr>" for cells in rows)
        return (
            f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>"
        )

    def _lines(
        self, header: Sequence[str], rows: Sequence[Sequence[str]], *, least: int = 0
    ) -> list[list[str]]:
        cells = [[_one_line(cell) for cell in row] for row in (header, *rows)]
        widths = [max(least, width) for width in _widths(cells)]
        return [
            [
                _padded(cell, width, left=position < self.n_left)
                for position, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            for row in cells
        ]


def display_width(text: str) -> int:
    """How many columns of a terminal the text takes: wide East Asian 2, combining marks 0."""
    return sum(_character_width(character) for character in text)


def render_comparison(
    comparison: Comparison, *, per_query: bool = False, markdown: bool = False
) -> str:
    """The evaluation of one run, or of several against the baseline, for a reader.

    One run: its means with intervals. Several: the means of all, then for each measure the
    differences from the baseline. `per_query` adds a row for each query and run. The findings and
    what the numbers mean come last.
    """
    tables: list[tuple[str, Table]] = []
    if len(comparison.scores) == 1:
        tables.append(("", _single_table(comparison)))
    else:
        tables.append(("", _means_table(comparison)))
        tables += [
            (f"{measure} against {comparison.baseline}", _difference_table(comparison, measure))
            for measure in comparison.measures
        ]
    if per_query:
        tables.append(("by query", _query_table(comparison)))
    blocks = [
        "\n".join(filter(None, [_titled(title, markdown), _text(table, markdown)]))
        for title, table in tables
    ]
    return "\n\n".join([*blocks, "\n".join(_footer(comparison))])


def _single_table(comparison: Comparison) -> Table:
    ((name, scores),) = comparison.scores.items()
    rows = [
        [measure, f"{score.mean:.4f}", f"{score.low:.4f} to {score.high:.4f}"]
        for measure, score in scores.items()
    ]
    return Table([name, "mean", "95% interval"], rows)


def _means_table(comparison: Comparison) -> Table:
    rows = [
        [name, *(f"{scores[measure].mean:.4f}" for measure in comparison.measures)]
        for name, scores in comparison.scores.items()
    ]
    return Table(["run", *comparison.measures], rows)


def _difference_table(comparison: Comparison, measure: str) -> Table:
    header = ["run", "mean", "95% interval", "difference", "95% interval"]
    header += ["p", "p (Holm)", "better", "same", "worse"]
    rows: list[list[str]] = []
    for name, scores in comparison.scores.items():
        score = scores[measure]
        row = [name, f"{score.mean:.4f}", f"{score.low:.4f} to {score.high:.4f}"]
        difference = score.difference
        if difference is None:
            row += [""] * 7
        else:
            row += [
                f"{difference.mean:+.4f}",
                f"{difference.low:+.4f} to {difference.high:+.4f}",
                p_text(difference.p),
                p_text(difference.p_holm),
                str(difference.better),
                str(difference.same),
                str(difference.worse),
            ]
        rows.append(row)
    return Table(header, rows)


def _query_table(comparison: Comparison) -> Table:
    rows: list[list[str]] = []
    evaluations = comparison.evaluations
    first = evaluations[comparison.baseline].per_query[comparison.measures[0]]
    for query_id in first:
        for name, evaluation in evaluations.items():
            values = [evaluation.per_query[measure][query_id] for measure in comparison.measures]
            rows.append([query_id, name, *(f"{value:.4f}" for value in values)])
    return Table(["query_id", "run", *comparison.measures], rows, n_left=2)


def _footer(comparison: Comparison) -> list[str]:
    queries = "1 query" if comparison.n_queries == 1 else f"{comparison.n_queries} queries"
    lines = [f"means over {queries} with a positive judgement; intervals: bootstrap over queries"]
    if len(comparison.scores) > 1:
        lines.append(
            "p: two-sided paired randomisation test; p (Holm): corrected for the runs compared"
            " on a measure"
        )
    for severity in ("warning", "note"):
        lines += [
            f"{severity}: {run}: {finding.message}"
            for run, finding in comparison.findings
            if finding.severity == severity
        ]
    return lines


def p_text(p: float) -> str:
    """A p value with four decimals; a smaller one as the bound that four decimals can show."""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def _titled(title: str, markdown: bool) -> str:
    return f"**{title}**\n" if title and markdown else title


def _text(table: Table, markdown: bool) -> str:
    return table.markdown() if markdown else table.plain()


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(display_width, column)) for column in zip(*rows, strict=True)]


def _padded(cell: str, width: int, *, left: bool) -> str:
    blanks = " " * (width - display_width(cell))
    return cell + blanks if left else blanks + cell


def _one_line(cell: str) -> str:
    """The cell with control characters, line ends among them, as blanks: none may break a row."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in cell)


def _html_cell(cell: str, *, number: bool) -> str:
    """The cell escaped; a number's interval in brackets stands below it."""
    value, bracket, interval = escape(_one_line(cell)).partition(" [")
    if not number or not interval.endswith("]"):
        return value + bracket + interval
    return f"{value}<br><small>[{interval}</small>"


def _escaped(cell: str) -> str:
    return _one_line(cell).replace("\\", "\\\\").replace("|", "\\|")


def _character_width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
