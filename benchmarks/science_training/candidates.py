"""What the first stage says of every list: candidates with fused scores, by the engine itself."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.science_training.choice import Choice, ChosenList
from scisearch.benchmarks.science_training.ranks import (
    COMPLETE_ENOUGH,
    DEPTH,
    INCOMPLETE,
    MARGIN,
    TOP,
)
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.documents import Documents
from scisearch.index.opened import OpenIndex, open_index
from scisearch.index.progress import NoProgress, Progress, stage_of
from scisearch.rerank.training.mining import open_retrievers
from scisearch.retrieval.convex import min_max
from scisearch.retrieval.fusion import Fusion
from scisearch.retrieval.ranking import Scored

_BATCH = 256  # queries retrieved together


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """A list with what the first stage said; documents are ordinals of the list's index.

    `negatives` (n,) int64, the `n_top` first of them all those at the ranks up to TOP, the others
    drawn from those below: `rate` is the share that was. Scores are fused, in [0, 1], float32, NaN
    for a positive that is no candidate.
    """

    chosen: ChosenList
    positives: NDArray[np.int64]
    positive_scores: NDArray[np.float32]
    negatives: NDArray[np.int64]
    negative_scores: NDArray[np.float32]
    n_top: int
    rate: float
    asking: int | None


@dataclass(frozen=True, slots=True)
class FirstStage:
    """How the candidates are found."""

    encoder: str | None = None  # None: BM25 alone
    offline: bool = False
    negatives: int = 40  # kept of a list, at most
    best_only: bool = False  # the best are kept, and none left out: a dense list is yet to come
    seed: int = 20261127


def index_corpora(
    choice: Choice, work: Path, options: FirstStage, *, progress: Progress | None = None
) -> dict[str, OpenIndex]:
    """An index of each corpus in `work`; a killed build is continued by the next call.

    Raises:
        BuildError: an index cannot be built.
        ModelError: the bi-encoder cannot be found.
    """
    found: dict[str, OpenIndex] = {}
    config = BuildConfig(encoder=options.encoder, skip_bad_rows=True, offline=options.offline)
    for name, documents in choice.documents.items():
        corpus = work / f"{name}.jsonl"
        with corpus.open("w", encoding="utf-8") as stream:
            for doc_id, (title, text) in documents.items():
                row = {"doc_id": doc_id, "title": title, "text": text}
                stream.write(json.dumps(row) + "\n")
        build_index(corpus, work / name, config, progress=progress)
        found[name] = open_index(work / name)
    return found


def candidates(
    lists: Sequence[ChosenList],
    index: OpenIndex,
    options: FirstStage,
    *,
    progress: Progress | None = None,
) -> Iterator[Told]:
    """Every list of one corpus that has a positive and a negative, in the order of `lists`."""
    retrievers = open_retrievers(index, encoder=options.encoder, offline=options.offline)
    generator = np.random.default_rng(options.seed)
    with stage_of(progress or NoProgress(), "candidates", len(lists), unit="queries"):
        for begin in range(0, len(lists), _BATCH):
            part = lists[begin : begin + _BATCH]
            texts = [one.query for one in part]
            # one more, since a document that asks is found too
            legs = {name: one.retrieve(texts, depth=DEPTH + 1) for name, one in retrievers.items()}
            for place, one in enumerate(part):
                mine = {name: found[place] for name, found in legs.items()}
                # as the shipped weights were made: not with what is known of the encoder by now
                fused = (
                    next(iter(mine.values()))
                    if len(mine) == 1
                    else Fusion().fuse(mine, index.documents.id_rank)
                )
                told = _told(one, fused, index.documents, generator=generator, options=options)
                if told is not None:
                    yield told
            (progress or NoProgress()).advance(len(part))


def _told(
    one: ChosenList,
    found: Scored,
    documents: Documents,
    *,
    generator: np.random.Generator,
    options: FirstStage,
) -> Told | None:
    """The list with its candidates, or None where a class is empty."""
    asking = None if one.asking is None else documents.ordinal(one.asking)
    others = np.flatnonzero(found.ordinals != (-1 if asking is None else asking))[:DEPTH]
    ordinals, fused = found.ordinals[others], min_max(found.scores[others]).astype(np.float32)
    known = [documents.ordinal(doc_id) for doc_id in one.positives]
    positives = np.array([o for o in known if o is not None and o != asking], np.int64)
    by_ordinal = dict(zip(ordinals.tolist(), fused.tolist(), strict=True))
    positive_scores = np.array([by_ordinal.get(o, np.nan) for o in positives.tolist()], np.float32)
    allowed = ~np.isin(ordinals, positives)
    if one.kind in INCOMPLETE and not options.best_only:
        best = 1.0 if np.isnan(positive_scores).all() else float(np.nanmax(positive_scores))
        allowed &= fused <= max(MARGIN * best, COMPLETE_ENOUGH)
    top, rest = np.flatnonzero(allowed[:TOP]), np.flatnonzero(allowed[TOP:]) + TOP
    n_rest = min(len(rest), max(0, options.negatives - len(top)))
    below = rest[:n_rest] if options.best_only else generator.choice(rest, n_rest, replace=False)
    chosen = np.concatenate([top, np.sort(below)])
    if not len(positives) or not len(chosen):
        return None
    return Told(
        chosen=one,
        positives=positives,
        positive_scores=positive_scores,
        negatives=ordinals[chosen],
        negative_scores=fused[chosen],
        n_top=len(top),
        rate=n_rest / max(1, len(rest)),
        asking=asking,
    )
