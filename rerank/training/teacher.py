"""A teacher cross-encoder's scores, computed once and kept, for distillation."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scisearch.index.models import resolve_model
from scisearch.index.progress import Progress, stage_of
from scisearch.rerank.cross_encoder import LocalCrossEncoder
from scisearch.rerank.training.examples import TeacherScores
from scisearch.rerank.training.lists import RerankingList, flatten


def teacher_scores(
    name: str,
    lists: Sequence[RerankingList],
    kept: Path,
    *,
    progress: Progress,
    device: str,
    offline: bool = False,
) -> TeacherScores:
    """The teacher's raw logit of every pair; read from the file `kept` if it was written before.

    The teacher is computed as in a search: on a CPU by ONNX Runtime where its drift is small.

    Raises:
        ModelError: the teacher is not found, or does not load.
    """
    pairs = sorted({(pair.query, pair.text) for pair in flatten(lists)})
    if kept.is_file():
        return dict(zip(pairs, np.load(kept).tolist(), strict=True))
    texts = [text for _, text in pairs]
    teacher = LocalCrossEncoder(
        resolve_model(name, offline=offline, kind="cross-encoder"),
        texts=lambda ordinals: [texts[place] for place in ordinals],
        device=device,
    )
    asked, places = _by_query([query for query, _ in pairs])
    with stage_of(progress, "teacher", len(pairs), unit="pairs"):
        found = teacher.score(asked, places, on_progress=progress.advance)
    scores = np.concatenate(found.logits) if asked else np.empty(0, np.float32)
    part = kept.with_name("part.npy")
    np.save(part, scores)
    part.replace(kept)
    return dict(zip(pairs, scores.tolist(), strict=True))


def _by_query(queries: Sequence[str]) -> tuple[list[str], list[NDArray[np.int64]]]:
    """Each query of runs of equal ones, and the places of its run."""
    asked, places = [], []
    for query, run in groupby(enumerate(queries), key=lambda one: one[1]):
        asked.append(query)
        places.append(np.array([place for place, _ in run], np.int64))
    return asked, places
