"""Hard negatives from the first stage: what it ranks high and nobody called relevant.

Four guards against false negatives: known positives are out, near-duplicates of them are out, the
very first ranks can be left out, and what scores too close to a positive is out (the margin of
NV-Retriever, https://arxiv.org/abs/2407.15831, on fused scores).

Each list carries what the first stage said: the fused scores of its texts, moved to [0, 1] over the
ranks that are mined, and the share of the candidates that was drawn.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from scisearch.index.errors import ConfigError, TrainingError
from scisearch.index.opened import OpenIndex
from scisearch.index.progress import NoProgress, Progress, stage_of
from scisearch.rerank.training.lists import FirstStage, RerankingList
from scisearch.rerank.training.relations import RelatedQuery, Relations
from scisearch.rerank.training.shingles import normalised
from scisearch.retrieval.bm25 import BM25Retriever
from scisearch.retrieval.convex import min_max
from scisearch.retrieval.encoder_fusion import fusion_of
from scisearch.retrieval.ranking import Retriever, Scored

_BATCH = 64  # queries retrieved together
_ALIKE = 0.8  # Jaccard of the words: two texts with more are the same work


@dataclass(frozen=True, slots=True)
class MiningOptions:
    """Which candidates may become negatives. Ranks count from 1, in the fused list."""

    negatives: int = 10  # a query, at most
    first_rank: int = 1
    last_rank: int = 100
    margin: float = 0.95  # a negative scores at most this share of the best retrieved positive
    seed: int = 42

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: one is out of its range.
        """
        if self.negatives < 1:
            raise ConfigError(f"negatives {self.negatives}; expected at least 1")
        if not 1 <= self.first_rank <= self.last_rank:
            raise ConfigError(
                f"ranks {self.first_rank} to {self.last_rank}; expected two numbers from 1, rising"
            )
        if not 0 < self.margin <= 1:
            raise ConfigError(f"margin {self.margin}; expected a number above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Mined:
    """The lists, and what was left out."""

    lists: list[RerankingList]
    notes: tuple[str, ...]


def mine_lists(
    index: OpenIndex,
    relations: Relations,
    retrievers: Mapping[str, Retriever],
    *,
    options: MiningOptions,
    progress: Progress | None = None,
) -> Mined:
    """One list per query that has a negative left; the same for the same index and seed.

    Raises:
        TrainingError: no query has a negative.
    """
    watcher = progress or NoProgress()
    lists: list[RerankingList] = []
    queries = relations.queries
    with stage_of(watcher, "mine", len(queries), unit="queries"):
        for begin in range(0, len(queries), _BATCH):
            part = queries[begin : begin + _BATCH]
            for query, fused in zip(part, _fused(index, retrievers, part, options), strict=True):
                found = _list_of(index, query, fused, options)
                if found is not None:
                    lists.append(found)
            watcher.advance(len(part))
    if not lists:
        raise TrainingError(
            f"none of {len(queries)} queries has a negative at ranks {options.first_rank} to"
            f" {options.last_rank}; widen the ranks or the margin, or index more documents"
        )
    return Mined(lists, _notes(relations, len(lists), options, tuple(retrievers)))


def open_retrievers(
    index: OpenIndex,
    *,
    encoder: str | None = None,
    device: str | None = None,
    offline: bool = False,
) -> dict[str, Retriever]:
    """The first stages of an index by name: BM25, and the dense one if it has vectors.

    Raises:
        ModelError: the index's bi-encoder cannot be found or loaded.
    """
    from scisearch.retrieval.dense import open_dense

    rank = index.documents.id_rank
    found: dict[str, Retriever] = {"bm25": BM25Retriever(index.lexical, index.analyzer, rank)}
    if index.has_vectors:
        found["dense"] = open_dense(index, encoder=encoder, device=device, offline=offline)
    return found


def _notes(
    relations: Relations, n_lists: int, options: MiningOptions, stages: tuple[str, ...]
) -> tuple[str, ...]:
    notes = [
        f"negatives: at most {options.negatives} of ranks {options.first_rank} to"
        f" {options.last_rank} of {' + '.join(stages)}, at most {options.margin:g} of the score of"
        f" the best retrieved positive, known positives and near-duplicates out, seed"
        f" {options.seed}"
    ]
    if relations.n_unknown:
        notes.append(f"{relations.n_unknown} relations named documents that are not indexed")
    without = len(relations.queries) - n_lists
    if without:
        notes.append(f"{without} queries were left without a negative and dropped")
    return tuple(notes)


def _fused(
    index: OpenIndex,
    retrievers: Mapping[str, Retriever],
    queries: Sequence[RelatedQuery],
    options: MiningOptions,
) -> Iterator[Scored]:
    """The fused list of each query."""
    texts = [query.text for query in queries]
    fusion = fusion_of(index)
    # one more, since the document that asks is found too
    found = {
        name: one.retrieve(texts, depth=options.last_rank + 1) for name, one in retrievers.items()
    }
    for place in range(len(texts)):
        legs = {name: lists[place] for name, lists in found.items()}
        if len(legs) == 1:
            yield legs["bm25"]
        else:
            yield fusion.fuse(legs, index.documents.id_rank)


def _list_of(
    index: OpenIndex, query: RelatedQuery, fused: Scored, options: MiningOptions
) -> RerankingList | None:
    """The query's list, or None where no candidate may be a negative."""
    others = fused.ordinals != (-1 if query.asking is None else query.asking)
    ordinals, scores = fused.ordinals[others], fused.scores[others]
    relevant = np.isin(ordinals, query.positives)
    limit = options.margin * scores[relevant].max() if relevant.any() else np.inf
    ranks = np.arange(1, len(ordinals) + 1)
    allowed = ~relevant & (scores <= limit)
    allowed &= (ranks >= options.first_rank) & (ranks <= options.last_rank)
    candidates = ordinals[allowed]
    digest = blake2b(query.text.encode(errors="surrogatepass"), digest_size=8).digest()
    # by the query's own words: what one query draws does not depend on the others
    generator = np.random.default_rng([options.seed, int.from_bytes(digest)])
    positives = index.documents.full_texts(query.positives)
    asking = [] if query.asking is None else index.documents.full_texts([query.asking])
    known = [*positives, *asking]
    drawn = _distinct(index, generator.permutation(candidates), known, options.negatives)
    if not drawn.texts:
        return None
    head = Scored(ordinals, scores).cut(options.last_rank)
    told = dict(zip(head.ordinals.tolist(), min_max(head.scores).tolist(), strict=True))
    by_text: dict[str, float | None] = {}
    for ordinal, text in zip(query.positives, positives, strict=True):
        by_text[text] = told.get(ordinal, by_text.get(text))
    stage = FirstStage(
        positives=tuple(by_text.values()),
        negatives=tuple(told[ordinal] for ordinal in drawn.ordinals),
        rates=(drawn.looked_at / len(candidates),) * len(drawn.texts),
    )
    return RerankingList(query.text, tuple(by_text), drawn.texts, query.licence, query.kind, stage)


class _Drawn(NamedTuple):
    """Negatives, and how many candidates were looked at to find them."""

    ordinals: tuple[int, ...]
    texts: tuple[str, ...]
    looked_at: int


def _distinct(index: OpenIndex, candidates: np.ndarray, known: Sequence[str], count: int) -> _Drawn:
    """The first `count` candidates whose texts repeat neither `known` nor each other."""
    seen = [frozenset(normalised(text).split()) for text in known]
    chosen: dict[int, str] = {}
    looked_at = 0
    for ordinal in candidates.tolist():
        looked_at += 1
        text = index.documents.full_texts([ordinal])[0]
        words = frozenset(normalised(text).split())
        if any(_jaccard(words, other) > _ALIKE for other in seen):
            continue
        seen.append(words)
        chosen[ordinal] = text
        if len(chosen) == count:
            break
    return _Drawn(tuple(chosen), tuple(chosen.values()), looked_at)


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(1, len(one | other))
