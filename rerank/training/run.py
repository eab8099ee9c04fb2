"""The run itself: sentence-transformers' trainer with a recipe, and what it gave."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scisearch.index.durable import replace_file
from scisearch.index.errors import TrainingError
from scisearch.index.progress import Progress
from scisearch.index.quiet import quiet
from scisearch.rerank.training.base_model import freeze_layers
from scisearch.rerank.training.data import TrainingData
from scisearch.rerank.training.lists import counts
from scisearch.rerank.training.precision import arithmetic
from scisearch.rerank.training.recipe import FIRST_STAGE_LOSSES, Recipe
from scisearch.rerank.training.report import EpochResult

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import CrossEncoderTrainingArguments

    from scisearch.rerank.training.examples import Known, TeacherScores
    from scisearch.rerank.training.hf_trainer import ScienceTrainer


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run happens: its work folder (with `base/` in it), its device, who watches."""

    work: Path
    device: str
    progress: Progress
    offline: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The weights of the best epoch, and the table."""

    model: "CrossEncoder"
    epochs: tuple[EpochResult, ...]
    best_epoch: int
    stopped_early: bool
    notes: tuple[str, ...] = ()  # what the run found out and decided


def run_training(data: TrainingData, recipe: Recipe, place: Place) -> Outcome:
    """Train, from the last whole checkpoint if there is one.

    Raises:
        TrainingError: a loss is no number, a checkpoint cannot be written, or memory is short.
        ModelError: the teacher is not found, or does not load.
    """
    import torch
    from transformers import set_seed

    from scisearch.rerank.training.hf_trainer import whole_checkpoints
    from scisearch.rerank.training.quick_dropout import QuickDropout

    with quiet():
        trainer, notes = _trainer(data, recipe, place)
        checkpoints = whole_checkpoints(place.work / "checkpoints")
        before = _before(trainer, place.work)
        set_seed(recipe.seed)
        last = str(checkpoints[-1]) if checkpoints else None
        try:
            if checkpoints and trainer.had_stopped(checkpoints[-1]):
                trainer.take_over(checkpoints[-1])
            else:
                with QuickDropout() if place.device == "cpu" else nullcontext():
                    trainer.train(resume_from_checkpoint=last)
        except torch.cuda.OutOfMemoryError as error:
            raise TrainingError(
                f"no memory on {trainer.args.device} for a step of batch size {recipe.batch_size};"
                " use a lower --batch-size or --max-length"
            ) from error
        finally:
            place.progress.finish()
    history = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    means = trainer.losses.means
    rows = tuple(_row(i, means[i - 1], entry) for i, entry in enumerate(history, start=1))
    steps = [entry["step"] for entry in history]
    return Outcome(
        model=trainer.model,
        epochs=(_row(0, None, before), *rows),
        best_epoch=steps.index(trainer.state.best_global_step or 0) + 1,
        stopped_early=len(rows) < recipe.epochs,
        notes=notes,
    )


def _before(trainer: "ScienceTrainer", work: Path) -> Mapping[str, float]:
    """The measures of the base, computed once."""
    path = work / "before.json"
    if not path.is_file():
        replace_file(path, json.dumps(trainer.evaluate()).encode())
    found: dict[str, float] = json.loads(path.read_bytes())
    return found


def _row(epoch: int, training_loss: float | None, entry: Mapping[str, float]) -> EpochResult:
    return EpochResult(
        epoch=epoch,
        training_loss=training_loss,
        validation_loss=entry["eval_loss"],
        accuracy=entry["eval_accuracy"],
        f1=entry["eval_f1"],
        ndcg=entry["eval_ndcg@10"],
        average_precision=entry["eval_map"],
    )


def _trainer(
    data: TrainingData, recipe: Recipe, place: Place
) -> tuple["ScienceTrainer", tuple[str, ...]]:
    """The trainer of sentence-transformers with this recipe, and what is to be told of it."""
    from transformers import EarlyStoppingCallback, PrinterCallback

    from scisearch.rerank.training.examples import examples
    from scisearch.rerank.training.hf_trainer import (
        EpochLosses,
        ListEvaluator,
        ScienceTrainer,
        StepReporter,
    )
    from scisearch.rerank.training.losses import loss_function

    known, notes = _known(data, recipe, place)
    model = _model(recipe, place)
    callbacks: list[Any] = [EpochLosses(), StepReporter(place.progress, recipe.checkpoint_steps)]
    if recipe.patience:
        callbacks.append(EarlyStoppingCallback(recipe.patience))
    trainer = ScienceTrainer(
        model=model,
        args=training_arguments(recipe, place.work / "checkpoints", place.device),
        train_dataset=examples(data.train, recipe, known),
        eval_dataset=examples(data.validation, recipe, known),
        loss=loss_function(model, recipe, counts(data.train)),
        evaluator=ListEvaluator(data.validation, 4 * recipe.batch_size),
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, notes


def _model(recipe: Recipe, place: Place) -> "CrossEncoder":
    """The prepared base on its device, the frozen part frozen."""
    import torch
    from sentence_transformers import CrossEncoder

    # on a CPU the backward pass of PyTorch's fused attention takes half of a step at head size 32
    attention = {"attn_implementation": "eager"} if place.device == "cpu" else {}
    model: CrossEncoder = CrossEncoder(
        str(place.work / "base"),
        device=place.device,
        max_length=recipe.max_length,
        activation_fn=torch.nn.Identity(),
        local_files_only=True,
        model_kwargs=attention,
    )
    if recipe.freeze is not None:
        body: Any = model.model  # there is one: the folder was just loaded
        freeze_layers(body, recipe.freeze)
    return model


def _known(data: TrainingData, recipe: Recipe, place: Place) -> tuple["Known", tuple[str, ...]]:
    """What a teacher or the first stage says of the lists, and a line on it for the card."""
    from scisearch.rerank.training.examples import Known, first_stage_sharpness

    if recipe.loss not in FIRST_STAGE_LOSSES:
        return Known(teacher=_teacher(data, recipe, place)), ()
    sharpness = first_stage_sharpness(data.train, recipe)
    kinds = ", ".join(f"{kind} {value:.1f}" for kind, value in sharpness.by_kind.items())
    note = (
        f"sharpness of the first stage, by maximum likelihood: {sharpness.overall:.1f}"
        f"{f' ({kinds})' if kinds else ''}"
    )
    return Known(sharpness=sharpness), (note,)


def _teacher(data: TrainingData, recipe: Recipe, place: Place) -> "TeacherScores | None":
    from scisearch.rerank.training.teacher import teacher_scores

    if recipe.teacher is None:
        return None
    return teacher_scores(
        recipe.teacher,
        [*data.train, *data.validation],
        place.work / "teacher.npy",
        progress=place.progress,
        device=place.device,
        offline=place.offline,
    )


def training_arguments(
    recipe: Recipe, folder: Path, device: str
) -> "CrossEncoderTrainingArguments":
    """The recipe in the words of transformers."""
    from sentence_transformers.cross_encoder import CrossEncoderTrainingArguments

    from scisearch.rerank.training.hf_trainer import LengthBuckets

    numbers = arithmetic(recipe.precision, device)
    return CrossEncoderTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=4 * recipe.batch_size,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup,  # below 1 it is a share
        lr_scheduler_type="linear",
        optim="adamw_torch_fused",
        fp16=numbers == "fp16",
        bf16=numbers == "bf16",
        use_cpu=device == "cpu",
        seed=recipe.seed,
        batch_sampler=LengthBuckets,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,  # the best and the last
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{recipe.metric}",
        greater_is_better=recipe.metric != "loss",
        restore_callback_states_from_checkpoint=True,
        logging_strategy="epoch",
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
    )
