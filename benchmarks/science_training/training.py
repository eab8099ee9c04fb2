"""The whole training: one process on a GPU, or one a core on shared weights; then a model folder.

output/state.safetensors   the last checkpoint; the same command continues from it
output/train.log           losses by minute
output/model/              a Hugging Face folder, once the time has passed
output/training.json       what was done

Imports torch at the top: import it inside functions only.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import torch
from torch import multiprocessing
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from scisearch.benchmarks.science_training.draw import packed_sharpness
from scisearch.benchmarks.science_training.fast_bert import (
    FastBert,
    load_fast_bert,
    lower_layers,
    save_fast_bert,
)
from scisearch.benchmarks.science_training.learner import Learner, StepLosses, steps
from scisearch.benchmarks.science_training.micro_batches import Step
from scisearch.benchmarks.science_training.packed import read_packed
from scisearch.benchmarks.science_training.settings import Clock, Settings
from scisearch.benchmarks.science_training.state import State
from scisearch.index.durable import replace_file
from scisearch.index.errors import ConfigError, TrainingError
from scisearch.index.weights import weights_digest
from scisearch.rerank.training.sharpness import Sharpness

STATE_FILE = "state.safetensors"
_TOLD_SECONDS = 60.0
_BROKEN_STEPS = 50  # in a row, whose gradients are no numbers


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained, and where; every process reads it for itself."""

    packed: Path
    base: Path  # a Hugging Face folder of a BERT
    output: Path
    settings: Settings
    half: bool = False  # write the weights in fp16
    teacher: Path | None = None  # another such folder, whose logits are learned
    layers: Sequence[int] | None = None  # of the base, that the model has; None: all

    def fingerprint(self) -> str:
        """Differs where a checkpoint cannot be continued: lists, base, layers, what is frozen."""
        lists = sha256(self.packed.read_bytes()).hexdigest()
        kept = "" if self.layers is None else f" {[*self.layers]}"
        return f"{lists} {weights_digest(self.base)} {self.settings.frozen}{kept}"

    def model(self) -> FastBert:
        """The model before it has learned.

        Raises:
            ModelError: the base cannot be read.
            ConfigError: the base has no such layer.
        """
        whole = load_fast_bert(self.base, seed=self.settings.seed)
        if self.layers is None:
            return whole
        wrong = [one for one in self.layers if not 0 <= one < whole.shape.layers]
        if wrong or not self.layers:
            raise ConfigError(
                f"layers {[*self.layers]}: {self.base} has {whole.shape.layers}, of which 0 is the"
                " lowest"
            )
        return lower_layers(whole, self.layers)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the processes of a training share."""

    state: State
    clock: Clock
    stream: int  # the step that this run began at: other draws than the run before
    sharpness: Sharpness


def train_weights(job: Job) -> Path:
    """Train until the time has passed, from the last checkpoint if there is one.

    Returns the model's folder. The schedule follows the clock, so two runs differ.

    Raises:
        TrainingError: the lists or a checkpoint cannot be used, a worker died, or the gradients
            are no numbers.
        ModelError: the base or the teacher cannot be read.
        ConfigError: the base has not the layers, or none above the frozen ones.
    """
    packed = read_packed(job.packed)
    model = job.model()
    job = replace(job, settings=job.settings.within(model.shape.positions))
    frozen = job.settings.frozen
    if frozen is not None and frozen >= model.shape.layers:
        raise ConfigError(
            f"freeze {frozen}: the base has {model.shape.layers} layers; expected fewer, or -1"
        )
    state = State.of(model.learned(frozen), job.settings.device)
    job.output.mkdir(parents=True, exist_ok=True)
    kept, fingerprint = job.output / STATE_FILE, job.fingerprint()
    before = state.resume(kept, fingerprint=fingerprint) if kept.is_file() else 0.0
    clock = Clock.from_now(before, job.settings.seconds)
    sharpness = packed_sharpness(packed, seed=job.settings.seed)
    shared = _Shared(state, clock, int(state.counts[0]), sharpness)
    checkpoint = _Checkpoint(kept, fingerprint, shared, job.settings.checkpoint_seconds)
    if job.settings.device == "cpu" and job.settings.workers > 1:
        clock = _train_in_processes(job, shared, checkpoint)
    else:
        _learn(job, shared, checkpoint=checkpoint)
    checkpoint.write(clock)
    return _publish(job, shared, clock)


class _Checkpoint:
    """Written every so many seconds."""

    def __init__(self, path: Path, fingerprint: str, shared: _Shared, every: float) -> None:
        self._path, self._fingerprint, self._state = path, fingerprint, shared.state
        self._every, self._last = every, time.time()

    def when_due(self, clock: Clock) -> None:
        if time.time() - self._last >= self._every:
            self.write(clock)

    def write(self, clock: Clock) -> None:
        seconds = min(clock.total, clock.seconds())  # what comes after the last step is no training
        seconds = max(seconds, clock.before)
        self._state.save(self._path, seconds=seconds, fingerprint=self._fingerprint)
        self._last = time.time()


class _Log:
    """A line a minute in the log of the training."""

    def __init__(self, path: Path, clock: Clock, state: State) -> None:
        self._path, self._clock, self._state = path, clock, state
        self._found: list[StepLosses] = []
        self._pairs, self._since = 0, time.time()

    def add(self, losses: StepLosses, pairs: int) -> None:
        self._found.append(losses)
        self._pairs += pairs
        if time.time() - self._since >= _TOLD_SECONDS:
            self.write()

    def write(self) -> None:
        """The means since the last line; nothing where no step was made."""
        lists = max(1, sum(one.lists for one in self._found))
        first, both, alone = (
            sum(getattr(one, name) * one.lists for one in self._found) / lists
            for name in ("first", "both", "alone")
        )
        speed = self._pairs / max(1e-9, time.time() - self._since)
        right = [one.contrasts for one in self._found if one.contrasts is not None]
        contrasts = f" contrasts {sum(right) / len(right):.3f}" if right else ""
        if self._found:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(
                    f"{self._clock.done():.3f} step {int(self._state.counts[0])}"
                    f" first {first:.3f} both {both:.3f} alone {alone:.3f}{contrasts}"
                    f" {speed:.1f} pairs/s\n"
                )
        self._found, self._pairs, self._since = [], 0, time.time()


def _learn(
    job: Job,
    shared: _Shared,
    *,
    worker: int = 0,
    lock: Any = None,
    checkpoint: _Checkpoint | None = None,
) -> None:
    """One process' part of the training."""
    settings = job.settings
    teacher = None if job.teacher is None else load_fast_bert(job.teacher)
    learner = Learner(job.model(), shared.state, settings, teacher=teacher, lock=lock)
    log = _Log(job.output / "train.log", shared.clock, shared.state)
    broken = 0
    for step in _fed(job, shared, worker):
        done = shared.clock.done()
        if done >= 1 or _is_orphan():
            break
        losses = learner.step(step, done)
        if losses is None:
            broken += 1
            if broken >= _BROKEN_STEPS:
                raise TrainingError(
                    f"the gradients of {broken} steps are no numbers; {job.output / STATE_FILE} is"
                    " the last checkpoint: use a lower --learning-rate"
                )
            continue
        broken = 0
        log.add(losses, step.offsets.size)
        if checkpoint is not None:
            checkpoint.when_due(shared.clock)
    log.write()


class _Steps(IterableDataset[Step]):
    """The steps as a loader's workers make them."""

    def __init__(self, job: Job, shared: _Shared) -> None:
        self._job, self._clock = job, shared.clock
        self._sharpness, self._stream = shared.sharpness, shared.stream

    def __iter__(self) -> Iterator[Step]:
        info = get_worker_info()
        share = (0, 1) if info is None else (info.id, info.num_workers)
        packed = read_packed(self._job.packed)
        return steps(
            packed,
            self._sharpness,
            self._job.settings,
            self._clock,
            share=share,
            stream=self._stream,
        )


def _fed(job: Job, shared: _Shared, worker: int) -> Iterator[Step]:
    """The steps of a process: made by others beside a GPU, else by itself."""
    settings = job.settings
    if settings.device == "cpu":
        share = (worker, settings.workers)
        packed = read_packed(job.packed)
        return steps(
            packed, shared.sharpness, settings, shared.clock, share=share, stream=shared.stream
        )
    loader: DataLoader[Step] = DataLoader(
        _Steps(job, shared), batch_size=None, num_workers=settings.workers, prefetch_factor=4
    )
    return iter(loader)


def _train_in_processes(job: Job, shared: _Shared, checkpoint: _Checkpoint) -> Clock:
    """One worker a core; each takes the weights as they are and gives its gradient.

    Returns the clock that they followed, which begins when all have loaded their libraries.
    """
    context = multiprocessing.get_context("spawn")
    lock, ready, go = context.Lock(), context.Semaphore(0), context.Event()
    workers = [
        context.Process(target=_work, args=(job, shared, worker, (lock, ready, go)), daemon=True)
        for worker in range(job.settings.workers)
    ]
    for one in workers:
        one.start()
    n_ready = 0
    while n_ready < len(workers) and all(one.is_alive() for one in workers):
        n_ready += bool(ready.acquire(timeout=1))
    go.set()
    clock = shared.clock.restarted()
    while any(one.is_alive() for one in workers):
        time.sleep(0.5)
        with lock:
            checkpoint.when_due(clock)
    failed = [one.exitcode for one in workers if one.exitcode]
    if failed:
        checkpoint.write(clock)
        raise TrainingError(
            f"{len(failed)} of {len(workers)} workers ended with code {failed[0]}, see above; the"
            " same command continues"
        )
    return clock


def _work(job: Job, shared: _Shared, worker: int, signals: tuple[Any, Any, Any]) -> None:
    """A worker's whole life, on a core of its own where the system lets it choose."""
    lock, ready, go = signals
    ready.release()
    while not go.wait(1):
        if _is_orphan():
            return
    shared = replace(shared, clock=shared.clock.restarted())
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[worker % len(cores)]})
    _learn(job, shared, worker=worker, lock=lock)


def _is_orphan() -> bool:
    """Whether the process that would keep what is learned was killed."""
    parent = parent_process()
    return parent is not None and not parent.is_alive()


def _publish(job: Job, shared: _Shared, clock: Clock) -> Path:
    """Write the model of the averaged weights, then what was done."""
    model = job.model()
    shared.state.give(model.learned(job.settings.frozen), averaged=True)
    folder = job.output / "model"
    save_fast_bert(model, job.base, folder, half=job.half)
    told = {
        "sha256": weights_digest(folder),
        "base_sha256": weights_digest(job.base),
        "teacher_sha256": job.teacher and weights_digest(job.teacher),
        "layers": job.layers,
        "steps": int(shared.state.counts[0]),
        "averaged": int(shared.state.counts[1]),
        "seconds": clock.seconds(),
        "sharpness": {"overall": shared.sharpness.overall, **shared.sharpness.by_kind},
        "settings": job.settings.to_json(),
        "lists": dict(read_packed(job.packed).facts),
    }
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    replace_file(job.output / "training.json", text.encode())
    return folder
