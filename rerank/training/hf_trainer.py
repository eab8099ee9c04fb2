"""Our additions to sentence-transformers' CrossEncoderTrainer.

Imports torch and sentence-transformers at the top, since its classes derive from theirs: import
this module inside functions only.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.cross_encoder import CrossEncoderTrainer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from scisearch.index.errors import TrainingError
from scisearch.index.progress import Progress
from scisearch.rerank.training.lists import RerankingList, flatten
from scisearch.rerank.training.ranking_measures import measure_lists
from scisearch.rerank.training.residual_loss import ResidualLoss

_STATE_FILE = "trainer_state.json"
_WINDOW_BATCHES = 50  # batches are of like length within so many; across them the order is random


class LengthBuckets(DefaultBatchSampler):
    """Batches of examples of like length, in random order; the same for a seed and an epoch."""

    def __init__(self, dataset: Any, batch_size: int, drop_last: bool, **options: Any) -> None:
        """Measure the examples once, in characters of their longest text."""
        super().__init__(dataset, batch_size, drop_last, **options)
        columns = [name for name in dataset.column_names if name not in ("label", "labels")]
        self._lengths = np.array(
            [max(_characters(row[name]) for name in columns) for row in dataset], dtype=np.int64
        )

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return -(-len(self._lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of this epoch."""
        generator = np.random.default_rng([self.seed, getattr(self, "epoch", 0)])
        order = generator.permutation(len(self._lengths))
        batches: list[list[int]] = []
        for begin in range(0, len(order), self.batch_size * _WINDOW_BATCHES):
            window = order[begin : begin + self.batch_size * _WINDOW_BATCHES]
            alike = window[np.argsort(self._lengths[window], kind="stable")]
            batches += [
                alike[first : first + self.batch_size].tolist()
                for first in range(0, len(alike), self.batch_size)
            ]
        for place in generator.permutation(len(batches)):
            yield batches[place]


class ListEvaluator(BaseEvaluator):
    """Accuracy, F1, nDCG@10 and MAP of a model on lists; every pair is scored once."""

    def __init__(self, lists: Sequence[RerankingList], batch_size: int) -> None:
        """Take the validation lists."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.primary_metric = "ndcg@10"
        self._pairs = [(pair.query, pair.text) for pair in flatten(lists)]
        self._relevant = np.array([pair.label == 1 for pair in flatten(lists)])
        self._ends = np.cumsum([len(one) for one in lists])[:-1]
        self._batch_size = batch_size

    def __call__(
        self,
        model: BaseModel,
        output_path: str | None = None,  # noqa: ARG002
        epoch: int = -1,  # noqa: ARG002
        steps: int = -1,  # noqa: ARG002
    ) -> dict[str, float]:
        """The measures by name."""
        if not isinstance(model, CrossEncoder):
            raise TypeError(f"found {type(model).__name__}, expected a CrossEncoder")
        logits = score_pairs(model, self._pairs, self._batch_size)
        said = logits >= 0  # a probability of 0.5
        right = np.count_nonzero(said & self._relevant)
        split = np.split(logits, self._ends), np.split(self._relevant, self._ends)
        measures = measure_lists(*split)
        return {
            "accuracy": float(np.mean(said == self._relevant)),
            "f1": float(2 * right / max(1, np.count_nonzero(said) + self._relevant.sum())),
            "ndcg@10": measures.ndcg,
            "map": measures.average_precision,
        }


class EpochLosses(TrainerCallback, ExportableState):
    """The mean training loss of each epoch, also across a resumption within an epoch."""

    def __init__(self, total: float = 0.0, steps: int = 0, means: Sequence[float] = ()) -> None:
        """Start with no step, or where a checkpoint was."""
        self.total = total
        self.steps = steps
        self.means = list(means)

    def add(self, loss: float) -> None:
        """Count one step."""
        self.total += loss
        self.steps += 1

    def on_epoch_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,  # noqa: ARG002
        control: TrainerControl,  # noqa: ARG002
        **_options: Any,
    ) -> None:
        """Keep the mean and start again, before the epoch's checkpoint is written."""
        self.means.append(self.total / max(1, self.steps))
        self.total, self.steps = 0.0, 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        values = {"total": self.total, "steps": self.steps, "means": self.means}
        return {"args": values, "attributes": {}}


# what `evaluate` calls them, and what the table does
_MEASURES = {
    "eval_loss": "validation loss",
    "eval_accuracy": "accuracy",
    "eval_f1": "F1",
    "eval_ndcg@10": "nDCG@10",
    "eval_map": "MAP",
}


class StepReporter(TrainerCallback):
    """Tells of progress, and asks for checkpoints within an epoch."""

    def __init__(self, progress: Progress, checkpoint_steps: int) -> None:
        """`checkpoint_steps` 0: checkpoints at the ends of epochs only."""
        self._progress = progress
        self._every = checkpoint_steps

    def on_train_begin(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_options: Any,
    ) -> None:
        """Start the bar."""
        self._progress.start("train", state.max_steps, "steps", state.global_step)

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,
        **_options: Any,
    ) -> None:
        """Move the bar."""
        self._progress.advance(1)
        if self._every and state.global_step % self._every == 0:
            control.should_save = True

    def on_evaluate(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **options: Any,
    ) -> None:
        """Tell what is known of the base or of an epoch at its end, hours before the last one's."""
        found = options["metrics"]
        told = ", ".join(f"{label} {found[name]:.4f}" for name, label in _MEASURES.items())
        of = f"epoch {round(state.epoch)}" if state.epoch else "base"
        self._progress.tell(f"{of}: {told}")


class ScienceTrainer(CrossEncoderTrainer):
    """Stops at a loss that is no number, and at a checkpoint that cannot be written."""

    @property
    def losses(self) -> EpochLosses:
        """The means so far; a resumption puts another object in the place of the first."""
        return next(one for one in self.callback_handler.callbacks if isinstance(one, EpochLosses))

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave out the library's card: we write our own, and its asks the hub."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        """The loss of a batch.

        Raises:
            TrainingError: it is NaN or infinite.
        """
        if isinstance(self.loss, ResidualLoss):
            self.loss.at(self.state.global_step, self.state.max_steps)
        result = super().compute_loss(model, inputs, *args, **options)
        loss = result[0] if isinstance(result, tuple) else result
        value = float(loss.detach())
        if not np.isfinite(value):
            where = "training" if model.training else "validation"
            raise TrainingError(
                f"the {where} loss is {value} at step {self.state.global_step + 1}, expected a"
                f" finite number; {_kept(self.run_folder)}; use a lower --learning-rate"
            )
        if model.training:
            self.losses.add(value)
        return result

    @property
    def run_folder(self) -> Path:
        """Where the checkpoints are."""
        return Path(str(self.args.output_dir))

    def had_stopped(self, checkpoint: Path) -> bool:
        """Whether the training was over, for want of a better epoch, when this was written."""
        stopper = _kept_callback(checkpoint, "EarlyStoppingCallback")
        waited = stopper.get("attributes", {}).get("early_stopping_patience_counter", 0)
        patience = stopper.get("args", {}).get("early_stopping_patience")
        return patience is not None and bool(waited >= patience)

    def take_over(self, checkpoint: Path) -> None:
        """Be as after the training that wrote this last checkpoint: its table, its best weights."""
        self.state = TrainerState.load_from_json(str(checkpoint / _STATE_FILE))
        kept = _kept_callback(checkpoint, EpochLosses.__name__)
        self.losses.means = list(kept["args"]["means"])
        self._load_best_model()

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002
        """Write the model without the library's card."""
        folder = output_dir or str(self.args.output_dir)
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder, create_model_card=False)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint, or leave none that is half written.

        Raises:
            TrainingError: it cannot be written.
        """
        folder = self.run_folder / f"checkpoint-{self.state.global_step}"
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:  # OSError, and what safetensors and torch make of it
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise TrainingError(
                f"{folder}: cannot be written ({reason}); {_kept(self.run_folder)}; make room and"
                " give the same command again"
            ) from error


def score_pairs(
    model: CrossEncoder, pairs: Sequence[tuple[str, str]], batch_size: int
) -> NDArray[np.float32]:
    """The raw logits of the pairs, (n,) float32; the model's mode is left as it was."""
    was_training = model.training
    scores = model.predict(
        list(pairs),
        batch_size=batch_size,
        activation_fn=torch.nn.Identity(),
        show_progress_bar=False,
        convert_to_numpy=True,
    )
    model.train(was_training)
    return np.asarray(scores, dtype=np.float32).reshape(-1)


def whole_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints that were written to their end, oldest first."""
    found: dict[int, Path] = {}
    for path in folder.glob("checkpoint-*"):
        try:  # this file is written last
            json.loads((path / _STATE_FILE).read_bytes())
            found[int(path.name.rpartition("-")[2])] = path
        except (OSError, ValueError):
            continue
    return [found[step] for step in sorted(found)]


def _kept_callback(checkpoint: Path, name: str) -> dict[str, Any]:
    """What a checkpoint keeps of a callback."""
    state = json.loads((checkpoint / _STATE_FILE).read_bytes())
    found: dict[str, Any] = state.get("stateful_callbacks", {}).get(name, {})
    return found


def _kept(folder: Path) -> str:
    whole = whole_checkpoints(folder)
    return f"the last good checkpoint is {whole[-1]}" if whole else "there is no checkpoint yet"


def _characters(value: Any) -> int:
    return len(value) if isinstance(value, str) else max(map(len, value))
