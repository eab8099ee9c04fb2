"""A training between what comes before it and after it: leaks out, then calibration and gates."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from scisearch.benchmarks.bound_choice import BoundChoice
from scisearch.benchmarks.collection import Collection, judged_texts
from scisearch.benchmarks.collection_places import IgnoreFiles, read_places
from scisearch.benchmarks.contrast import ContrastReport, contrast, cross_encoder_scorer
from scisearch.benchmarks.gate import CollectionIndexes, GateReport, gate
from scisearch.benchmarks.interpolation_choice import (
    InterpolationChoice,
    choose_interpolation,
    score_candidates,
)
from scisearch.benchmarks.reranker_fit import bound_of
from scisearch.index.durable import replace_file
from scisearch.index.errors import TrainingError
from scisearch.rerank.model_settings import read_model_settings, write_model_settings
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
    interpolation: InterpolationChoice | None
    contrast: Mapping[str, ContrastReport] = field(default_factory=dict)
    gates: Mapping[str, GateReport] = field(default_factory=dict)
    bound: BoundChoice | None = None  # for --rerank auto
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
            "interpolation": None if self.interpolation is None else self.interpolation.to_json(),
            "bound": None if self.bound is None else self.bound.to_json(),
            "contrast": {name: one.to_json() for name, one in self.contrast.items()},
            "gates": {name: one.to_json() for name, one in self.gates.items()},
            "passed": self.passed,
            "notes": list(self.notes),
        }


Describe = Callable[[Judgement], Sequence[CardSection]]


@dataclass(frozen=True, slots=True)
class Judging:
    """What a training is judged with, besides its validation lists."""

    collections: tuple[str | Path, ...] = ()  # places of those that it must not lose on
    dev: tuple[str | Path, ...] = ()  # places of those that the weight of the model is chosen on
    ignore: IgnoreFiles = field(default_factory=dict)  # what is left out of their judgements
    encoder: str | None = None  # of the collections' indexes; None: the default one
    describe: Describe = lambda _judgement: ()  # makes the card's sections of the outcome


def train_and_judge(
    data: TrainingData,
    output: Path,
    recipe: Recipe,
    options: TrainOptions,
    judging: Judging,
) -> Judgement:
    """Train without what leaks, calibrate, measure, and complete the model's card.

    Args:
        data: lists; texts that a collection has are taken out of them.
        output: the model's folder.
        recipe: what the training does.
        options: how it is run.
        judging: what it is judged with.

    Raises:
        TrainingError: as `train`; or nothing is left to train on without the leaks.
        ScisearchError: a collection cannot be read, indexed or searched.
    """
    judged, dev = read_places(judging.collections, judging.dev, ignore=judging.ignore)
    known = {one.name: one for one in (*judged, *dev)}
    leaks, data = _without_leaks(data, list(known.values()))
    training = train(data, output, recipe, options)
    calibration, notes = _calibrated(data, output, options)
    with TemporaryDirectory(prefix="scisearch-judged-") as folder:
        systems = _Systems(output, recipe, options, judging.encoder, Path(folder))
        interpolation, bound, unbounded = _interpolated(systems, dev)
        judgement = Judgement(
            training=training,
            leaks=leaks,
            calibration=calibration,
            interpolation=interpolation,
            contrast=_contrast(output, recipe, options),
            gates=_gates(systems, judged),
            bound=bound,
            notes=(*notes, *unbounded),
        )
    write_card(training, judging.describe(judgement))
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


@dataclass(frozen=True, slots=True)
class _Systems:
    """What is compared: the model, the list it reorders, and the base where that can score."""

    output: Path
    recipe: Recipe
    options: TrainOptions
    encoder: str | None
    indexes: Path

    def hybrid(self) -> SearchConfig:
        return SearchConfig(
            mode="hybrid",
            encoder=self.encoder,
            device=self.options.device,
            offline=self.options.offline,
        )

    def trained(self) -> SearchConfig:
        return replace(self.hybrid(), mode="rerank", reranker=str(self.output))

    def befores(self) -> dict[str, SearchConfig]:
        found = {HYBRID: self.hybrid()}
        if not self.recipe.new_head:
            base = find_base(self.recipe, offline=self.options.offline)
            found[BASE] = replace(self.trained(), reranker=str(base.folder))
        return found


def _interpolated(
    systems: _Systems, dev: Sequence[Collection]
) -> tuple[InterpolationChoice | None, BoundChoice | None, tuple[str, ...]]:
    """The weight that the dev collections are ranked best with, and the bound; kept with the model.

    The last one says why there is no bound.
    """
    if not dev:
        return None, None, ()
    config = systems.trained()
    config = replace(config, cutoff=config.rerank_depth)
    indexes = CollectionIndexes(systems.indexes, systems.options.progress)
    scored = [(one, score_candidates(one, config, indexes)) for one in dev]
    choice = choose_interpolation(scored)
    bound, notes = bound_of(scored, choice.chosen)
    settings = replace(
        read_model_settings(systems.output),
        interpolation=choice.chosen,
        bound=None if bound is None else bound.bound,
    )
    write_model_settings(systems.output, settings)
    return choice, bound, notes


def _gates(systems: _Systems, judged: Sequence[Collection]) -> dict[str, GateReport]:
    """The verdicts by what the model is compared with."""
    if not judged:
        return {}
    after, progress = systems.trained(), systems.options.progress
    return {
        name: gate(before, after, judged, indexes=systems.indexes, progress=progress)
        for name, before in systems.befores().items()
    }
