"""All of it on one machine: vectors, candidates, the training, the student, both models.

Imports torch at the top: import it inside functions only.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from scisearch.benchmarks.science_training.fast_bert import (
    FastBert,
    load_fast_bert,
    lower_layers,
    save_fast_bert,
)
from scisearch.benchmarks.science_training.gpu.drawing import Drawing
from scisearch.benchmarks.science_training.gpu.learning import (
    Course,
    learn,
    sibling_losses,
    soft_list_losses,
)
from scisearch.benchmarks.science_training.gpu.mining import SAME_WORK, mine, mined_sharpness
from scisearch.benchmarks.science_training.gpu.token_store import TokenStore
from scisearch.benchmarks.science_training.gpu.vectors import document_vectors, query_vectors
from scisearch.benchmarks.science_training.packed import read_packed
from scisearch.benchmarks.science_training.settings import Settings
from scisearch.benchmarks.science_training.state import State
from scisearch.index.durable import replace_file
from scisearch.index.weights import weights_digest

SIBLING_LAYERS = (0, 2, 5)


@dataclass(frozen=True, slots=True)
class GpuJob:
    """What is trained, from what, and for how long."""

    packed: Path
    base: Path  # all-MiniLM-L6-v2: it finds the candidates, and the training begins with it
    output: Path
    settings: Settings  # `seconds` of the cross-encoder's training
    sibling_seconds: float = 0.0  # of its student's; 0: there is none
    sibling_layers: Sequence[int] = SIBLING_LAYERS
    same_work: float = SAME_WORK  # cosine above which two texts are one


def run_course(job: GpuJob) -> Path:
    """Train, and write `model/` and `sibling/` (Hugging Face folders in fp16) and `course.json`.

    Raises:
        TrainingError: the lists cannot be read, or the first stages found no positive.
        ModelError: the base cannot be read.
    """
    job.output.mkdir(parents=True, exist_ok=True)
    log = job.output / "train.log"
    began = time.time()

    def say(what: str) -> None:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{time.time() - began:.1f} s: {what}\n")

    packed = read_packed(job.packed)
    device = job.settings.device
    store = TokenStore.of(packed, device)
    say(f"{len(packed)} lists, {len(packed.titles)} documents")
    encoder = load_fast_bert(job.base).to(device)
    encoder = encoder.to(job.settings.dtype)
    documents = document_vectors(encoder, store, len(packed.titles))
    flat = torch.from_numpy(packed.queries.values.astype(np.int32)).to(device)
    starts = torch.from_numpy(packed.queries.starts).to(device)
    queries = query_vectors(encoder, store, flat, starts)
    say("vectors")
    mined = mine(packed, documents, queries, same_work=job.same_work)
    sharpness = mined_sharpness(packed, mined, seed=job.settings.seed)
    del documents, queries, encoder
    found = (~mined.positive_scores.isnan()).any(dim=1).float().mean()
    n_negatives = (mined.negatives >= 0).sum(dim=1).float().mean()
    say(f"candidates: {n_negatives:.1f} a list, a relevant one in {found:.3f}; {sharpness}")
    drawing = Drawing(packed, store, mined, sharpness, relevant=job.settings.relevant)
    course = Course(packed, store, drawing, job.settings, log)
    model = load_fast_bert(job.base, seed=job.settings.seed)
    course = replace(course, settings=job.settings.within(model.shape.positions))
    state = learn(model, course, soft_list_losses)
    frozen = job.settings.frozen
    state.give(model.learned(frozen), averaged=True)
    _published(load_fast_bert(job.base, seed=job.settings.seed), state, job, frozen, "model")
    say(f"trained in {int(state.counts[0])} steps")
    told = {
        "steps": int(state.counts[0]),
        "averaged": int(state.counts[1]),
        "sharpness": {"overall": sharpness.overall, **sharpness.by_kind},
        "settings": job.settings.to_json(),
        "lists": dict(packed.facts),
        "sha256": {"model": weights_digest(job.output / "model")},
    }
    if job.sibling_seconds:
        settings = replace(course.settings, seconds=job.sibling_seconds, frozen=0)
        sibling = lower_layers(load_fast_bert(job.output / "model"), job.sibling_layers)
        own = replace(course, settings=settings)
        state = learn(sibling, own, sibling_losses(model, own))
        whole = lower_layers(load_fast_bert(job.output / "model"), job.sibling_layers)
        _published(whole, state, job, 0, "sibling")
        told["sha256"] |= {"sibling": weights_digest(job.output / "sibling")}  # type: ignore[operator]
        say(f"sibling trained in {int(state.counts[0])} steps")
    replace_file(job.output / "course.json", json.dumps(told, indent=2).encode())
    return job.output / "model"


def _published(whole: FastBert, state: State, job: GpuJob, frozen: int | None, name: str) -> None:
    """Give a model in float32 its averaged weights and write it in fp16; frozen ones stay."""
    state.give(whole.learned(frozen), averaged=True)
    save_fast_bert(whole, job.base, job.output / name, half=True)
