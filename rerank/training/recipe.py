"""What a training does, as one value; presets are recipes with a name."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Literal, get_args

from scisearch.index.errors import ConfigError
from scisearch.rerank.training.precision import PRECISIONS, Precision

Loss = Literal["bce", "listwise", "lambda", "margin-mse", "residual", "soft"]
LOSSES: tuple[Loss, ...] = get_args(Loss)
FIRST_STAGE_LOSSES: tuple[Loss, ...] = ("residual", "soft")  # learn from what it said
Metric = Literal["ndcg@10", "map", "f1", "accuracy", "loss"]
METRICS: tuple[Metric, ...] = get_args(Metric)
AUTO: Literal["auto"] = "auto"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The defaults are those of the preset `scidocs`."""

    base: str = "cross-encoder/ms-marco-MiniLM-L6-v2"  # hub id, folder or built-in name
    new_head: bool = False  # an untrained output instead of the base's
    layers: tuple[int, ...] | None = None  # the base's layers that are kept, in this order
    trim_vocabulary: bool = False  # keep only the tokens that the lists have
    freeze: int | None = None  # leave the embeddings and so many lowest layers as they are
    loss: Loss = "bce"
    pos_weight: float | Literal["auto"] = 5.0  # of a relevant pair in `bce`
    label_share: float = 0.6  # of the target in `soft`; the rest is the first stage's
    list_size: int = 8  # texts of a query in one example of the other losses
    teacher: str | None = None  # the cross-encoder whose margins `margin-mse` learns
    learning_rate: float = 3e-5  # AdamW, linear schedule
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.0
    batch_size: int = 16  # pairs (bce) or queries (other losses) in a step
    epochs: int = 10
    patience: int = 3  # epochs without a better `metric` before it stops; 0: never
    metric: Metric = "ndcg@10"  # of the validation lists; the best epoch is kept
    max_length: int = 512  # tokens of a pair
    seed: int = 42
    checkpoint_steps: int = 0  # checkpoints within an epoch too, every so many steps; 0: none
    half: bool = False  # save the weights in fp16
    precision: Precision = "auto"  # of the arithmetic: mixed where the device has it, or float32

    def __post_init__(self) -> None:
        """Check what needs neither lists nor a model.

        Raises:
            ConfigError: a value is out of its range, or options do not go together.
        """
        for name in ("batch_size", "epochs"):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("patience", "checkpoint_steps", "weight_decay"):
            _check(name, getattr(self, name), getattr(self, name) >= 0, "at least 0")
        _check("list_size", self.list_size, self.list_size >= 2, "at least 2")
        _check("max_length", self.max_length, self.max_length >= 8, "at least 8 tokens")
        _check("seed", self.seed, 0 <= self.seed < 2**32, "0 to 4294967295")
        _check("learning_rate", self.learning_rate, 0 < self.learning_rate < 1, "0 to 1")
        _check("warmup", self.warmup, 0 <= self.warmup < 1, "a share from 0 to below 1")
        _check("loss", self.loss, self.loss in LOSSES, f"one of {', '.join(LOSSES)}")
        _check("metric", self.metric, self.metric in METRICS, f"one of {', '.join(METRICS)}")
        known = self.precision in PRECISIONS
        _check("precision", self.precision, known, f"one of {', '.join(PRECISIONS)}")
        _check("freeze", self.freeze, self.freeze is None or self.freeze >= 0, "at least 0")
        weight = self.pos_weight
        _check("pos_weight", weight, weight == AUTO or 0 < float(weight) < 1e6, "above 0 or auto")
        share = self.label_share
        _check("label_share", share, 0 <= share <= 1, "a share from 0 to 1")
        if self.layers is not None:
            _check("layers", self.layers, _distinct(self.layers), "different numbers from 0")
        if (self.teacher is not None) != (self.loss == "margin-mse"):
            raise ConfigError(
                f"loss {self.loss} with teacher {self.teacher}; margin-mse learns from a teacher"
                " and the other losses from none: give both or neither"
            )

    def to_json(self) -> dict[str, object]:
        """Every setting by name."""
        return asdict(self)

    def digest(self, *parts: str) -> str:
        """A sha256 over the settings and `parts`; trainings with the same one are the same."""
        text = json.dumps([self.to_json(), *parts], sort_keys=True)
        return sha256(text.encode()).hexdigest()


def _check(name: str, value: object, holds: bool, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{name.replace('_', ' ')} {value}; expected {expected}")


def _distinct(layers: tuple[int, ...]) -> bool:
    return bool(layers) and len(set(layers)) == len(layers) and min(layers) >= 0


PRESETS: Mapping[str, Recipe] = {"scidocs": Recipe()}
