"""A training from its data to a finished model folder; continued by the same call after a kill.

output/            the model, its card and its report, once it is finished
output/work/       until then: fingerprint, prepared base, checkpoints
"""

import shutil
import time
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from scisearch.index.durable import replace_file
from scisearch.index.errors import ConfigError, TrainingError
from scisearch.index.models import ResolvedModel
from scisearch.index.progress import NoProgress, Progress
from scisearch.index.quiet import quiet
from scisearch.index.runtimes import choose_device
from scisearch.index.weights import weights_digest
from scisearch.rerank.model_settings import ModelSettings, write_model_settings
from scisearch.rerank.pair_model import read_pair_model
from scisearch.rerank.training.base_model import find_base, prepare_base
from scisearch.rerank.training.card import CardSection, write_card
from scisearch.rerank.training.curves import draw_curves
from scisearch.rerank.training.data import TrainingData
from scisearch.rerank.training.lists import counts
from scisearch.rerank.training.precision import arithmetic, told
from scisearch.rerank.training.recipe import Recipe
from scisearch.rerank.training.report import TrainingReport, epoch_markdown
from scisearch.rerank.training.run import Outcome, Place, run_training

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

REPORT_FILE = "training.json"
_LIBRARIES = ("scisearch", "torch", "transformers", "sentence-transformers", "datasets")


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How a training is run; nothing here changes the weights it gives."""

    device: str | None = None  # None: CUDA, MPS or CPU, the first there is
    offline: bool = False  # never ask a hub
    restart: bool = False  # throw away an unfinished training, or a finished model
    progress: Progress = field(default_factory=NoProgress)
    command: str | None = None  # what the card says to type
    settings: ModelSettings = field(default_factory=ModelSettings)
    sections: tuple[CardSection, ...] = ()  # of the card


def train(
    data: TrainingData, output: Path, recipe: Recipe, options: TrainOptions | None = None
) -> TrainingReport:
    """Train a cross-encoder and write its folder; an interrupted training is continued.

    The same data and recipe give the same weights on the same machine, interrupted or not.

    Raises:
        TrainingError: the loss is no number, a file cannot be written, or `output` holds something
            else; the last good checkpoint is kept.
        ModelError: the base or the teacher cannot be found, or is no model for this.
        ConfigError: the training libraries are not installed, or options do not fit the base.
    """
    options = options or TrainOptions()
    _check_libraries()
    begun = time.monotonic()
    base = find_base(recipe, offline=options.offline)
    work = output / "work"
    try:
        _open_work(output, work, recipe.digest(data.digest(), base.sha256), options.restart)
        if not (work / "base" / "config.json").is_file():
            shutil.rmtree(work / "part", ignore_errors=True)
            prepare_base(base, recipe, work / "part", data.texts())
            (work / "part").rename(work / "base")
        longest = read_pair_model(work / "base").max_length
        recipe = replace(recipe, max_length=min(recipe.max_length, longest))
        device = options.device or choose_device()
        outcome = run_training(data, recipe, Place(work, device, options.progress, options.offline))
        seconds = time.monotonic() - begun
        report = _report(outcome, data, recipe, base=base, output=output, seconds=seconds)
        return _publish(outcome.model, replace(report, command=options.command), options)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TrainingError(
            f"{output}: cannot be written ({reason}); make room and give the same command again to"
            " continue"
        ) from error


def _check_libraries() -> None:
    """The extra `train`, found before hours of training, not after."""
    for name in ("accelerate", "datasets", "matplotlib"):
        if find_spec(name) is None:
            raise ConfigError(
                f"training needs the package {name}, which is not installed;"
                " pip install 'scisearch[train]' brings it"
            )


def _open_work(output: Path, work: Path, fingerprint: str, restart: bool) -> None:
    """Make the work folder, or keep the one of the same training."""
    kept = work / "fingerprint"
    ours = kept.is_file() or (output / REPORT_FILE).is_file()
    if ours and restart:
        shutil.rmtree(work, ignore_errors=True)
        (output / REPORT_FILE).unlink(missing_ok=True)
    elif kept.is_file():
        if kept.read_text() == fingerprint:
            return
        raise TrainingError(
            f"{output}: holds an unfinished training of other data or settings; give the command it"
            " was started with to continue it, --restart to throw it away, or another folder"
        )
    elif output.is_dir() and any(output.iterdir()):
        what, way_out = "other files", "give another one"
        if ours:
            what, way_out = "a trained model", "give another one, or --restart to replace it"
        raise TrainingError(f"{output}: holds {what}, expected a new or an empty folder; {way_out}")
    work.mkdir(parents=True, exist_ok=True)
    replace_file(kept, fingerprint.encode())


def _report(
    outcome: Outcome,
    data: TrainingData,
    recipe: Recipe,
    *,
    base: ResolvedModel,
    output: Path,
    seconds: float,
) -> TrainingReport:
    """What is known before the weights are written."""
    return TrainingReport(
        output=output,
        recipe=recipe,
        base=base.name if base.source != "folder" else base.folder.name,
        base_sha256=base.sha256,
        sha256="",
        n_parameters=sum(one.numel() for one in outcome.model.parameters()),
        train=counts(data.train),
        validation=counts(data.validation),
        sources=data.sources,
        licences=data.licences(),
        notes=(*data.notes, *outcome.notes),
        epochs=outcome.epochs,
        best_epoch=outcome.best_epoch,
        stopped_early=outcome.stopped_early,
        device=str(outcome.model.device),
        precision=told(arithmetic(recipe.precision, outcome.model.device.type)),
        seconds=seconds,
        versions={name: version(name) for name in _LIBRARIES},
        command=None,
    )


def _publish(
    model: "CrossEncoder", report: TrainingReport, options: TrainOptions
) -> TrainingReport:
    """Write the model, its settings, tables, curves and card; the report last, then clean up."""
    output, work = report.output, report.output / "work"
    staged = work / "model"
    shutil.rmtree(staged, ignore_errors=True)
    if report.recipe.half:
        model.half()
    with quiet():
        model.save_pretrained(str(staged), create_model_card=False)
    readable = (staged / "config.json").stat().st_mode
    for path in sorted(staged.iterdir()):
        path.chmod(readable)  # safetensors' own is for nobody but the owner
        path.replace(output / path.name)
    report = replace(report, sha256=weights_digest(output))
    write_model_settings(output, options.settings)
    replace_file(output / "epochs.md", epoch_markdown(report).encode())
    draw_curves(report, output)
    write_card(report, options.sections)
    replace_file(output / REPORT_FILE, report.text().encode())
    shutil.rmtree(work)
    return report
