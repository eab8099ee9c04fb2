"""A training between what comes before it and after it: leaks out, then calibration and gates."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from scisearch.benchmarks.collection import Collection, judged_texts, read_collections
from scisearch.benchmarks.contrast import ContrastReport, contrast, cross_encoder_scorer
from scisearch.benchmarks.gate import GateReport, gate
from scisearch.index.durable import replace_file
from scisearch.index.errors import TrainingError
from scisearch.rerank.reliability import plot_reliability
from scisearch.rerank.search_config import SearchConfig
from scisearch.rerank.training.base_model import find_base
from scisearch.rerank.training.calibrate import CalibrationReport, calibrate_model
from scisearch.rerank.training.card import CardSection, write_card
from scisearch.rerank.training.data import TrainingData
from scisearch.rerank.training.leakage import (
    LeakReport,
    find_leaks,
    remove_leaks,
    training_texts,
)
from scisearch.rerank.training.recipe import Recipe
from scisearch.rerank.training.report import TrainingReport
from scisearch.rerank.training.train import TrainOptions, train

JUDGEMENT_FILE = "judgement.json"
RELIABILITY_FILE = "reliability.png"
HYBRID, BASE, TRAINED = "hybrid, not reranked", "base", "trained"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A finished training, and what is known of the model besides its validation lists.

    `contrast` is by model (the base only where it can score), `gates` by what the model is compared
    with. `notes` say what could not be measured.
    """

    training: TrainingReport
    leaks: LeakReport | None
    calibration: CalibrationReport | None
    contrast: Mapping[str, ContrastReport] = field(default_factory=dict)
    gates: Mapping[str, GateReport] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the model lost on no collection against what it would replace."""
        return all(report.passed for report in self.gates.values())

    def to_json(self) -> dict[str, object]:
        """Everything as JSON values."""
        return {
            "training": self.training.to_json(),
            "leaks": None if self.leaks is None else self.leaks.to_json(),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "contrast": {name: one.to_json() for name, one in self.contrast.items()},
            "gates": {name: one.to_json() for name, one in self.gates.items()},
            "passed": self.passed,
            "notes": list(self.notes),
        }


Describe = Callable[[Judgement], Sequence[CardSection]]


def train_and_judge(
    data: TrainingData,
    output: Path,
    recipe: Recipe,
    options: TrainOptions,
    *,
    collections: Sequence[Path] = (),
    encoder: str | None = None,
    describe: Describe = lambda _judgement: (),
) -> Judgement:
    """Train without what leaks, calibrate, measure, and complete the model's card.

    Args:
        data: lists; texts that a collection has are taken out of them.
        output: the model's folder.
        recipe: what the training does.
        options: how it is run.
        collections: folders of test collections that the model is to be judged on.
        encoder: the bi-encoder of the collections' indexes; None: the default one.
        describe: makes the card's sections of the outcome.

    Raises:
        TrainingError: as `train`; or nothing is left to train on without the leaks.
        ScisearchError: a collection cannot be read, indexed or searched.
    """
    judged = [one for folder in collections for one in read_collections(folder)]
    leaks, data = _without_leaks(data, judged)
    training = train(data, output, recipe, options)
    calibration, notes = _calibrated(data, output, options)
    judgement = Judgement(
        training,
        leaks,
        calibration,
        _contrast(output, recipe, options),
        _gates(judged, recipe, options, output=output, encoder=encoder),
        notes,
    )
    write_card(training, describe(judgement))
    text = json.dumps(judgement.to_json(), indent=2, ensure_ascii=False)
    replace_file(output / JUDGEMENT_FILE, text.encode())
    return judgement


def _without_leaks(
    data: TrainingData, judged: Sequence[Collection]
) -> tuple[LeakReport | None, TrainingData]:
    """What overlaps with the collections, and the data without it."""
    if not judged:
        return None, data
    lists = [*data.train, *data.validation]
    texts = (text for collection in judged for text in judged_texts(collection))
    leaks = find_leaks(training_texts(lists), texts)
    train_side, held_side = (remove_leaks(side, leaks) for side in (data.train, data.validation))
    if not train_side.lists or not held_side.lists:
        raise TrainingError(
            f"{len(train_side.lists)} training and {len(held_side.lists)} validation lists are left"
            " without what the collections have; give other lists, or judge on other collections"
        )
    note = (
        f"overlap with {', '.join(one.name for one in judged)}: {len(leaks.keys)} texts;"
        f" {train_side.lists_removed + held_side.lists_removed} lists and"
        f" {train_side.documents_removed + held_side.documents_removed} texts of others removed"
    )
    return leaks, replace(
        data,
        train=list(train_side.lists),
        validation=list(held_side.lists),
        notes=(*data.notes, note),
    )


def _calibrated(
    data: TrainingData, output: Path, options: TrainOptions
) -> tuple[CalibrationReport | None, tuple[str, ...]]:
    """The calibration, or why there is none: a trained model is not thrown away for that."""
    try:
        report = calibrate_model(output, data.validation, device=options.device)
    except TrainingError as error:
        return None, (f"not calibrated: {error}",)
    curves = {
        "sigmoid of the logit": report.before["equal-mass"],
        "calibrated": report.after["equal-mass"],
    }
    plot_reliability(curves, output / RELIABILITY_FILE)
    return report, ()


def _contrast(output: Path, recipe: Recipe, options: TrainOptions) -> dict[str, ContrastReport]:
    models = {TRAINED: output}
    if not recipe.new_head:
        models = {BASE: find_base(recipe, offline=options.offline).folder, **models}
    return {
        name: contrast(cross_encoder_scorer(folder, device=options.device))
        for name, folder in models.items()
    }


def _gates(
    judged: Sequence[Collection],
    recipe: Recipe,
    options: TrainOptions,
    *,
    output: Path,
    encoder: str | None,
) -> dict[str, GateReport]:
    """The model against the list it reorders, and against the base where that can score."""
    if not judged:
        return {}
    hybrid = SearchConfig(
        mode="hybrid", encoder=encoder, device=options.device, offline=options.offline
    )
    after = replace(hybrid, mode="rerank", reranker=str(output))
    befores = {HYBRID: hybrid}
    if not recipe.new_head:
        base = find_base(recipe, offline=options.offline)
        befores[BASE] = replace(after, reranker=str(base.folder))
    with TemporaryDirectory(prefix="scisearch-gate-") as folder:
        return {
            name: gate(before, after, judged, indexes=Path(folder), progress=options.progress)
            for name, before in befores.items()
        }
