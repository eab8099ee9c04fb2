"""The training loops on a GPU: a cross-encoder from lists, and its small sibling from its logits.

Imports torch at the top: import it inside functions only.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from scisearch.benchmarks.science_training.distilling import student_losses
from scisearch.benchmarks.science_training.fast_bert import FastBert
from scisearch.benchmarks.science_training.gpu.drawing import Asked, Asking, Drawing, Drawn
from scisearch.benchmarks.science_training.gpu.token_store import (
    TokenStore,
    batches_of,
    pair_arrays,
)
from scisearch.benchmarks.science_training.learner import LONGEST_GRADIENT
from scisearch.benchmarks.science_training.mixtures import GPU_MIXTURE, with_shares
from scisearch.benchmarks.science_training.packed import PackedLists
from scisearch.benchmarks.science_training.settings import Clock, Settings
from scisearch.benchmarks.science_training.state import State
from scisearch.rerank.training.list_logits import ABSENT
from scisearch.rerank.training.soft_loss import soft_losses, soft_targets

# Tokens that the pairs of a step are cut to, and how often. A model is run at a length that it has
# seen often: beyond that it is lost.
GPU_LONGEST: tuple[tuple[int, float], ...] = ((192, 0.2), (288, 0.5), (384, 0.3))
_TOLD_SECONDS = 15.0
_RESERVED = 0.85  # of the free memory


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What is learned from, and how."""

    packed: PackedLists
    store: TokenStore
    drawing: Drawing
    settings: Settings
    log: Path

    def asked(self, clock: Clock) -> Iterator[Asked]:
        """The queries of step after step."""
        settings = self.settings
        mixture = with_shares(GPU_MIXTURE, settings.shares)
        asking = Asking(
            self.packed, clock, lists=settings.lists, seed=settings.seed, mixture=mixture
        )
        if settings.device == "cpu":
            return iter(asking)
        loader: DataLoader[Asked] = DataLoader(
            asking, batch_size=None, num_workers=settings.workers, prefetch_factor=4
        )
        return iter(loader)


Losses = Callable[[Tensor, Drawn], Tensor]


def learn(model: FastBert, course: Course, losses: Losses) -> State:
    """Train `model` until the time has passed; returns its state, with the averaged weights.

    `losses` gives each list's loss, (lists,), from the logits and what was drawn.
    """
    settings = course.settings
    device = settings.device
    learned = model.learned(settings.frozen)
    state = State.of(learned, device)
    model.to(device, settings.dtype)
    for one in model.parameters():
        one.requires_grad_(False)
    for one in learned:
        one.requires_grad_(True)
    clock = Clock.from_now(0.0, settings.seconds)
    draw = np.random.default_rng([settings.seed, 7])
    longest, shares = zip(*settings.longest, strict=True)
    log = _Log(course.log, clock)
    prepare_device(device)
    for asked in course.asked(clock):
        done = clock.done()
        if done >= 1:
            break
        drawn = course.drawing.draw(asked)
        cut = int(draw.choice(longest, p=np.array(shares) / sum(shares)))
        drawn = replace(drawn, pairs=drawn.pairs.cut(cut))
        logits, pairs = scored(model, course, drawn)
        losses(logits, drawn).mean().backward()  # type: ignore[no-untyped-call]
        _update(state, learned, settings, done)
        log.add(logits.detach(), drawn, pairs)
    log.write()
    return state


def prepare_device(device: str) -> None:
    """Make a GPU ready for steps that have other shapes each.

    cuDNN's attention makes a plan for every new shape, which took three quarters of a step on an
    H100; and most of the memory is taken in one piece and left to PyTorch's allocator, which would
    ask the driver for more again and again.
    """
    if device != "cpu":
        torch.backends.cuda.enable_cudnn_sdp(False)
        free, _ = torch.cuda.mem_get_info()
        torch.empty(int(_RESERVED * free), dtype=torch.uint8, device=device)


def scored(model: FastBert, course: Course, drawn: Drawn) -> tuple[Tensor, int]:
    """The logits of all places, (lists, texts) float32, 0 where no text is; and how many pairs."""
    totals = torch.where(drawn.there.reshape(-1), drawn.pairs.totals(), 0)
    places: list[Tensor] = []
    found: list[Tensor] = []
    for some, longest in batches_of(totals, course.settings.micro_batch):
        arrays = pair_arrays(course.store, drawn.pairs.rows(some), longest)
        mask = arrays[2].to(model.output.weight.dtype)
        found.append(model(arrays[0], arrays[1], mask, frozen=course.settings.frozen))
        places.append(some)
    flat = torch.zeros(len(totals), device=totals.device)
    logits = flat.index_put((torch.cat(places),), torch.cat(found))
    return logits.view(drawn.there.shape), sum(map(len, places))


def soft_list_losses(logits: Tensor, drawn: Drawn) -> Tensor:
    """The loss of rerank/training/soft_loss.py."""
    targets = soft_targets(
        drawn.offsets,
        drawn.corrections,
        drawn.relevant,
        has_offset=drawn.has_offset,
        label_share=drawn.label_share,
    )
    return soft_losses(logits, drawn.corrections, targets)


def sibling_losses(teacher: FastBert, course: Course) -> Losses:
    """How far a student is from what the teacher says of the same texts (distilling.py)."""

    def losses(logits: Tensor, drawn: Drawn) -> Tensor:
        with torch.no_grad():
            wanted, _ = scored(teacher, course, drawn)
        return student_losses(logits, wanted, drawn.corrections)

    return losses


def _update(state: State, learned: list[Any], settings: Settings, done: float) -> None:
    """Clip the gradient and follow it; a gradient that is no number is not followed."""
    gradient = torch.cat([one.grad.float().reshape(-1) for one in learned])
    norm = gradient.norm()
    gradient = gradient.mul_((LONGEST_GRADIENT / (norm + 1e-6)).clamp(max=1.0))
    gradient = torch.where(norm.isfinite(), gradient, torch.zeros_like(gradient))
    state.update(
        gradient,
        rate=settings.rate(done),
        decay=settings.weight_decay,
        average=done > 1 - settings.averaged,
    )
    state.give(learned)
    for one in learned:
        one.grad = None


class _Log:
    """Losses of the lists with an offset: -ln of the chance of their relevant texts."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._sums: list[Tensor] = []
        self._pairs, self._steps, self._since = 0, 0, time.time()

    def add(self, logits: Tensor, drawn: Drawn, pairs: int) -> None:
        def chances(scores: Tensor) -> Tensor:
            exponents = torch.where(drawn.corrections > ABSENT, scores + drawn.corrections, ABSENT)
            found = (exponents.softmax(dim=1) * drawn.relevant).sum(dim=1)
            return (-found.clamp(min=1e-9).log() * drawn.has_offset).sum()

        offsets = drawn.offsets
        self._sums.append(
            torch.stack(
                [
                    chances(offsets),
                    chances((offsets + logits) / 2),
                    chances(logits),
                    drawn.has_offset.sum(),
                ]
            )
        )
        self._pairs, self._steps = self._pairs + pairs, self._steps + 1
        if time.time() - self._since > _TOLD_SECONDS:
            self.write()

    def write(self) -> None:
        if not self._sums:
            return
        sums = torch.stack(self._sums).sum(dim=0).tolist()
        first, both, alone = (one / max(1.0, sums[3]) for one in sums[:3])
        speed = self._pairs / max(1e-9, time.time() - self._since)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(
                f"{self._clock.done():.3f} steps {self._steps} first {first:.4f} both {both:.4f}"
                f" alone {alone:.4f} {speed:.0f} pairs/s\n"
            )
        self._sums, self._pairs, self._steps, self._since = [], 0, 0, time.time()
