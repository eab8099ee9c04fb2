"""The weights in training: flat float32 on memory that processes share, AdamW, and checkpoints.

Imports torch at the top: import it inside functions only.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from scisearch.index.errors import TrainingError

_FIRST_DECAY, _SECOND_DECAY, _EPSILON = 0.9, 0.999, 1e-8
_AVERAGED_EVERY = 5  # steps between two weights that are averaged


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """n learned weights with AdamW's moments and the average of the last ones.

    Each is (n,) float32; `counts` (2,) int64: steps, and weights that were averaged.
    """

    weights: Tensor
    first: Tensor
    second: Tensor
    average: Tensor
    counts: Tensor

    @classmethod
    def of(cls, parameters: Sequence[nn.Parameter], device: str = "cpu") -> "State":
        """Before the first step; on a CPU in memory that processes share."""
        flat = torch.cat([one.detach().float().reshape(-1) for one in parameters]).to(device)
        first, second, average = (torch.zeros_like(flat) for _ in range(3))
        found = (flat, first, second, average, torch.zeros(2, dtype=torch.int64))
        if device == "cpu":
            for tensor in found:
                tensor.share_memory_()  # type: ignore[no-untyped-call]
        return cls(*found)

    def give(self, parameters: Sequence[nn.Parameter], *, averaged: bool = False) -> None:
        """Put the weights, or their average, into the parameters."""
        source = self.average if averaged and int(self.counts[1]) else self.weights
        begin = 0
        with torch.no_grad():
            for one in parameters:
                one.copy_(source[begin : begin + one.numel()].view_as(one))
                begin += one.numel()

    def update(self, gradient: Tensor, *, rate: float, decay: float, average: bool) -> None:
        """One step of AdamW (Loshchilov and Hutter, arXiv:1711.05101), in place."""
        self.counts[0] += 1
        step = int(self.counts[0])
        self.first.mul_(_FIRST_DECAY).add_(gradient, alpha=1 - _FIRST_DECAY)
        self.second.mul_(_SECOND_DECAY).addcmul_(gradient, gradient, value=1 - _SECOND_DECAY)
        spread = (self.second / (1 - _SECOND_DECAY**step)).sqrt_().add_(_EPSILON)
        self.weights.mul_(1 - rate * decay)
        self.weights.addcdiv_(self.first, spread, value=-rate / (1 - _FIRST_DECAY**step))
        if average and step % _AVERAGED_EVERY == 0:
            self.counts[1] += 1
            self.average.add_((self.weights - self.average) / int(self.counts[1]))

    def save(self, path: Path, *, seconds: float, fingerprint: str) -> None:
        """Write a checkpoint; the one before stays until this one is whole.

        Raises:
            TrainingError: it cannot be written.
        """
        names = ("weights", "first", "second", "average", "counts")
        tensors = {name: getattr(self, name).detach().cpu().clone() for name in names}
        told = {"seconds": repr(seconds), "fingerprint": fingerprint}
        part = path.with_name(path.name + ".part")
        try:
            save_file(tensors, part, told)
            part.replace(path)
        except (OSError, SafetensorError) as error:
            part.unlink(missing_ok=True)
            raise TrainingError(
                f"{path}: cannot be written ({error}); the checkpoint before is kept: make room and"
                " give the same command again"
            ) from error

    def resume(self, path: Path, *, fingerprint: str) -> float:
        """Take a checkpoint over; returns the seconds that were trained.

        Raises:
            TrainingError: it is broken, or of another training.
        """
        try:
            with safe_open(path, "pt") as stored:
                told = stored.metadata() or {}
                if told.get("fingerprint") != fingerprint:
                    raise TrainingError(
                        f"{path}: is of other lists, another base or other frozen layers; give the"
                        " command it was started with, or another folder"
                    )
                for name in stored.keys():  # noqa: SIM118
                    getattr(self, name).copy_(stored.get_tensor(name))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise TrainingError(f"{path}: cannot be read ({error}); remove it to begin") from error
        return float(json.loads(told["seconds"]))
