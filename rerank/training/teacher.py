"""A teacher cross-encoder's scores, computed once and kept, for distillation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scisearch.index.models import resolve_model
from scisearch.index.progress import Progress, stage_of
from scisearch.rerank.pair_model import read_pair_model
from scisearch.rerank.training.examples import TeacherScores
from scisearch.rerank.training.lists import RerankingList, flatten

_CHUNK = 2048  # pairs between two steps of the progress bar


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

    Raises:
        ModelError: the teacher is not found, or does not load.
    """
    from sentence_transformers import CrossEncoder

    from scisearch.rerank.training.hf_trainer import score_pairs
    from scisearch.rerank.training.quiet import quiet

    pairs = sorted({(pair.query, pair.text) for pair in flatten(lists)})
    if kept.is_file():
        return dict(zip(pairs, np.load(kept).tolist(), strict=True))
    model = resolve_model(name, offline=offline, kind="cross-encoder")
    with quiet():
        teacher = CrossEncoder(
            str(model.folder),
            device=device,
            max_length=read_pair_model(model).max_length,
            local_files_only=True,
        )
    scores: list[float] = []
    with stage_of(progress, "teacher", len(pairs), unit="pairs"):
        for begin in range(0, len(pairs), _CHUNK):
            chunk = pairs[begin : begin + _CHUNK]
            scores += score_pairs(teacher, chunk, 64).tolist()
            progress.advance(len(chunk))
    part = kept.with_name("part.npy")
    np.save(part, np.array(scores, np.float32))
    part.replace(kept)
    return dict(zip(pairs, scores, strict=True))
