"""What a training was and gave, as values, JSON, and the table that its card shows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scisearch.rerank.training.lists import ListCounts
from scisearch.rerank.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class EpochResult:
    """One row of the table. Epoch 0 is the base before training, without a training loss."""

    epoch: int
    training_loss: float | None
    validation_loss: float
    accuracy: float  # of pairs, relevant from a probability of 0.5
    f1: float  # likewise
    ndcg: float  # nDCG@10 of the validation lists
    average_precision: float  # MAP of the validation lists


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """A finished training."""

    output: Path
    recipe: Recipe
    base: str
    base_sha256: str
    sha256: str  # of the new weights
    n_parameters: int
    train: ListCounts
    validation: ListCounts
    sources: tuple[str, ...]  # the files the lists came from
    licences: Mapping[str, int]  # licence -> lists
    notes: tuple[str, ...]  # what was left out of the lists, and why
    epochs: tuple[EpochResult, ...]
    best_epoch: int
    stopped_early: bool
    device: str
    precision: str  # of the arithmetic
    seconds: float
    versions: Mapping[str, str]  # of the libraries
    command: str | None  # how it was called

    @property
    def best(self) -> EpochResult:
        """The row of the epoch whose weights were kept."""
        return next(row for row in self.epochs if row.epoch == self.best_epoch)

    @property
    def helped(self) -> bool:
        """Whether the kept epoch ranks the validation lists better than the base did."""
        return self.best.ndcg > self.epochs[0].ndcg

    def to_json(self) -> dict[str, object]:
        """Everything, for `training.json` and `--json`."""
        values = asdict(self)
        values["output"] = str(self.output)
        values["train"]["positive_share"] = self.train.positive_share
        values["validation"]["positive_share"] = self.validation.positive_share
        return values

    def text(self) -> str:
        """`to_json` as a file's content."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"


HEADER = (
    "Epoch",
    "Training Loss",
    "Validation Loss",
    "Accuracy",
    "F1",
    "nDCG@10",
    "MAP",
)


def epoch_cells(rows: Sequence[EpochResult]) -> list[list[str]]:
    """The cells of the table below HEADER, four decimals."""
    return [
        [
            str(row.epoch) if row.epoch else "0 (base)",
            "" if row.training_loss is None else f"{row.training_loss:.4f}",
            *(
                f"{value:.4f}"
                for value in (
                    row.validation_loss,
                    row.accuracy,
                    row.f1,
                    row.ndcg,
                    row.average_precision,
                )
            ),
        ]
        for row in rows
    ]


def epoch_markdown(report: TrainingReport) -> str:
    """The table in markdown, the kept epoch in bold, and what its numbers are."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + " ---: |" * len(HEADER)]
    for row, cells in zip(report.epochs, epoch_cells(report.epochs), strict=True):
        if row.epoch == report.best_epoch:
            cells = [f"**{cell}**" if cell else "" for cell in cells]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"Bold: the epoch that was kept, by {report.recipe.metric}. {MEANING}"]
    return "\n".join(lines) + "\n"


NOT_BETTER = (
    "The base ranked the validation lists at least as well: this training did not help. More lists,"
    " more epochs or another learning rate may."
)
MEANING = (
    "Accuracy and F1 are those of the validation pairs at a probability of 0.5; nDCG@10 and MAP"
    " are means over the validation lists, ties at their worst."
)
