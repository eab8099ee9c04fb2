"""A training's data and its outcome as text."""

from typing import TYPE_CHECKING

from scisearch.console.tables import Table

if TYPE_CHECKING:
    from scisearch.rerank.training.data import TrainingData
    from scisearch.rerank.training.report import TrainingReport


def render_data(data: "TrainingData") -> str:
    """The counts of both sides, and what was left out."""
    from scisearch.rerank.training.lists import counts

    rows = []
    for name, lists in (("training", data.train), ("validation", data.validation)):
        of = counts(lists)
        numbers = (of.lists, of.queries, of.pairs, of.positives)
        rows.append([name, *(f"{number:,}" for number in numbers), f"{of.positive_share:.1%}"])
    table = Table(["", "lists", "queries", "pairs", "relevant", "share"], rows)
    return "\n".join([table.plain(), *(f"note: {note}" for note in data.notes)])


def render_training(report: "TrainingReport") -> str:
    """The table by epoch, what was kept, and what to type next."""
    from scisearch.rerank.training.report import HEADER, MEANING, epoch_cells

    rows = [
        [("* " if row.epoch == report.best_epoch else "  ") + cells[0], *cells[1:]]
        for row, cells in zip(report.epochs, epoch_cells(report.epochs), strict=True)
    ]
    stopped = ", stopped early" if report.stopped_early else ""
    return "\n".join(
        [
            Table(HEADER, rows).plain(),
            f"* kept, by {report.recipe.metric}{stopped}. {MEANING}",
            f"{report.output}: {report.n_parameters:,} parameters, sha256 {report.sha256[:12]}…,"
            f" {report.seconds:.0f} s; its card is {report.output / 'README.md'}",
            f"next: search query … --reranker {report.output}",
        ]
    )
