"""One process that learns: takes the shared weights, computes a step, gives the gradient back.

Imports torch at the top: import it inside functions only.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from scisearch.benchmarks.science_training.broadening import broadened_losses
from scisearch.benchmarks.science_training.contrast_loss import (
    CONTRAST_WEIGHT,
    contrast_losses,
    right_first,
)
from scisearch.benchmarks.science_training.contrasts import ContrastSource
from scisearch.benchmarks.science_training.distilling import student_losses
from scisearch.benchmarks.science_training.draw import DrawOptions, ListSource
from scisearch.benchmarks.science_training.fast_bert import FastBert
from scisearch.benchmarks.science_training.micro_batches import (
    Contrasts,
    MicroBatch,
    Step,
    make_contrasts,
    make_step,
)
from scisearch.benchmarks.science_training.mixtures import MIXTURE, with_shares
from scisearch.benchmarks.science_training.packed import PackedLists
from scisearch.benchmarks.science_training.settings import Clock, Settings
from scisearch.benchmarks.science_training.state import State
from scisearch.benchmarks.science_training.twisting import TWISTED_SHARE
from scisearch.rerank.training.sharpness import Sharpness
from scisearch.rerank.training.soft_loss import soft_losses, soft_targets

LONGEST_GRADIENT = 1.0
_PADDED = -1e4  # added to the exponents of padding


@dataclass(frozen=True, slots=True)
class StepLosses:
    """How unlikely the relevant texts are, -ln, mean of the lists with an offset.

    By the first stage, by half of it and half of the model's logits, and by the model alone.
    """

    first: float
    both: float
    alone: float
    lists: int
    contrasts: float | None = None  # share of the contrast lists whose right text was first


class Learner:
    """A model in `numbers` on a device, and the shared float32 weights that it learns for."""

    def __init__(
        self,
        model: FastBert,
        state: State,
        settings: Settings,
        *,
        teacher: FastBert | None = None,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        """Take the models over; `lock` is held while the weights change.

        With a teacher its logits are learned instead of the judgements.
        """
        self._model = model.to(settings.device, settings.dtype)
        self._teacher = teacher and teacher.to(settings.device, settings.dtype)
        self._state, self._settings = state, settings
        self._lock = lock or nullcontext()
        # the model as it is now, whose order of the candidates is kept
        self._before = deepcopy(self._model) if settings.unrelated and not teacher else None
        self._learned = model.learned(settings.frozen)
        for one in model.parameters():
            one.requires_grad_(False)
        for one in self._learned:
            one.requires_grad_(True)

    def step(self, step: Step, done: float) -> StepLosses | None:
        """Learn from the lists when a share `done` of the time has passed.

        None, and nothing is learned, where the gradient is no number.
        """
        self._state.give(self._learned)
        for one in self._learned:
            one.grad = None
        logits = self.logits(step)
        loss = self._list_losses(logits, step).mean()
        contrasts = None
        if step.contrasts is not None:
            short = self.contrast_logits(step.contrasts)
            right = torch.from_numpy(step.contrasts.right).to(short.device)
            margins = _to(step.contrasts.margins, short)
            loss = loss + CONTRAST_WEIGHT * contrast_losses(short, right, margins).mean()
            contrasts = right_first(short.detach(), right)
        loss.backward()  # type: ignore[no-untyped-call]
        if not self._update(done):
            return None
        return replace(_losses(logits.detach(), step), contrasts=contrasts)

    def _list_losses(self, logits: Tensor, step: Step) -> Tensor:
        """What is made smaller, (lists,)."""
        if self._teacher is not None:
            with torch.no_grad():
                wanted = self._logits(self._teacher, step.batches).view(logits.shape)
            return student_losses(logits, wanted, _to(step.corrections, logits))
        if self._before is not None:
            texts = logits.shape[1]
            count = texts - self._settings.unrelated
            candidates = [batch.of_first(count, texts) for batch in step.batches]
            with torch.no_grad():
                before = self._logits(self._before, candidates).view(-1, count)
            return broadened_losses(logits, before, _to(step.relevant, logits)[:, :count])
        corrections = _to(step.corrections, logits)
        targets = soft_targets(
            _to(step.offsets, logits),
            corrections,
            _to(step.relevant, logits),
            has_offset=_to(step.has_offset, logits),
            label_share=_to(step.label_shares, logits),
        )
        targets = with_twisted(targets, _to(step.twisted, logits))
        return soft_losses(logits, corrections, targets)

    def logits(self, step: Step) -> Tensor:
        """The logits of the step's pairs, (lists, texts) float32."""
        return self._logits(self._model, step.batches).view(step.offsets.shape)

    def contrast_logits(self, contrasts: Contrasts) -> Tensor:
        """The logits of the contrast lists' texts, one list after another, (texts,) float32."""
        return self._logits(self._model, contrasts.batches)

    def _logits(self, model: FastBert, batches: Sequence[MicroBatch]) -> Tensor:
        """The logits of all pairs in the order of their places."""
        some = [batch for batch in batches if len(batch.places)]
        places = np.concatenate([batch.places for batch in some])
        flat = torch.cat([self._of_batch(model, batch) for batch in some])
        return flat[torch.from_numpy(np.argsort(places)).to(flat.device)]

    def _of_batch(self, model: FastBert, batch: MicroBatch) -> Tensor:
        device = self._settings.device
        ids, segments = (torch.from_numpy(x).to(device) for x in (batch.ids, batch.segments))
        mask = None
        tokens = batch.ids.shape[1]
        if batch.lengths[0] < tokens:
            padded = np.arange(tokens)[None] >= batch.lengths[:, None]
            mask = torch.from_numpy(padded).to(device) * _PADDED
            mask = mask.to(model.output.weight.dtype)
        logits: Tensor = model(ids, segments, mask, frozen=self._settings.frozen)
        return logits

    def _update(self, done: float) -> bool:
        """Clip the gradient and let the shared weights follow it; false where it is no number."""
        gradient = torch.cat(
            [
                (torch.zeros_like(one) if one.grad is None else one.grad).float().reshape(-1)
                for one in self._learned
            ]
        )
        norm = float(gradient.norm())
        if not np.isfinite(norm):
            return False
        gradient.mul_(min(1.0, LONGEST_GRADIENT / (norm + 1e-6)))
        with self._lock:
            self._state.update(
                gradient,
                rate=self._settings.rate(done),
                decay=self._settings.weight_decay,
                average=done > 1 - self._settings.averaged,
            )
        return True


def steps(
    packed: PackedLists,
    sharpness: Sharpness,
    settings: Settings,
    clock: Clock,
    *,
    share: tuple[int, int] = (0, 1),
    stream: int = 0,
) -> Iterator[Step]:
    """The lists of step after step, for ever; `share` is this worker of so many."""
    worker, workers = share
    options = DrawOptions(
        seed=settings.seed,
        relevant=settings.relevant,
        unrelated=settings.unrelated,
        mixture=with_shares(MIXTURE, settings.shares),
    )
    source = ListSource(packed, sharpness, options, worker=worker, workers=workers, stream=stream)
    draw = np.random.default_rng([settings.seed, 5, worker, stream])
    contrasts = None
    if settings.contrasts:
        contrasts = ContrastSource(
            packed, np.random.default_rng([settings.seed, 7, worker, stream])
        )
    longest, shares = zip(*settings.longest, strict=True)
    ends = {"cls_id": packed.cls_id, "sep_id": packed.sep_id}
    while True:
        done = clock.done()
        tokens = int(draw.choice(longest, p=np.array(shares) / sum(shares)))
        lists = [source.draw(done) for _ in range(settings.lists)]
        step = make_step(lists, longest=tokens, size=settings.micro_batch, **ends)
        if contrasts is not None:
            short = [contrasts.draw() for _ in range(settings.contrasts)]
            beside = make_contrasts(short, longest=tokens, size=settings.micro_batch, **ends)
            step = replace(step, contrasts=beside)
        yield step


def with_twisted(targets: Tensor, twisted: Tensor) -> Tensor:
    """The targets, (lists, texts), with a fixed share for the last text where it is twisted.

    The others share the rest as they did among themselves. `twisted` is (lists,), 0 or 1.
    """
    others = targets.clone()
    others[:, -1] = 0
    others *= (1 - TWISTED_SHARE) / others.sum(dim=1, keepdim=True)
    others[:, -1] = TWISTED_SHARE
    return torch.where(twisted[:, None] > 0, others, targets)


def _losses(logits: Tensor, step: Step) -> StepLosses:
    offsets, corrections = _to(step.offsets, logits), _to(step.corrections, logits)
    relevant, has_offset = _to(step.relevant, logits), _to(step.has_offset, logits)
    count = float(has_offset.sum())

    def mean(scores: Tensor) -> float:
        chances = (torch.softmax(scores + corrections, dim=1) * relevant).sum(dim=1)
        return float((-torch.log(chances) * has_offset).sum()) / max(1.0, count)

    return StepLosses(
        first=mean(offsets), both=mean((offsets + logits) / 2), alone=mean(logits), lists=int(count)
    )


def _to(numbers: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(numbers, np.float32)).to(like.device)
