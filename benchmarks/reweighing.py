"""nDCG@10 of many settings from lists and logits that were computed once.

A setting of the fusion or of the interpolation is only another weighing of the same arrays. What
made them, and which setting is chosen, is not known here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.ties import dcg
from scisearch.rerank.interpolation import NORMALISATIONS, Interpolation
from scisearch.retrieval.fusion import Fusion, VectorsOf
from scisearch.retrieval.ranking import IdRank, Ordinals, Scored

CUTOFF = 10
WEIGHTS = tuple(round(0.05 * step, 2) for step in range(21))
INTERPOLATIONS = tuple(Interpolation(weight, name) for name in NORMALISATIONS for weight in WEIGHTS)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One query's judgements by ordinal."""

    gains: Mapping[int, int]
    ideal: float  # DCG@10 of the best list; counts also what no index has
    ignored: frozenset[int]  # left out of every list before it is cut

    def ndcg(self, ordinals: Ordinals) -> float:
        """NDCG@10 with linear gains of a list, best first; 0 where nothing is relevant."""
        head = ordinals[: CUTOFF + len(self.ignored)].tolist()
        kept = [ordinal for ordinal in head if ordinal not in self.ignored][:CUTOFF]
        return dcg(self.gains.get(o, 0) for o in kept) / self.ideal if self.ideal else 0.0


def judged_query(
    gains: Mapping[str, int],
    ordinal: Callable[[str], int | None],
    ignored: Collection[str] = (),
) -> Judged:
    """The judgements of one query; `ordinal` tells where a document is, None if nowhere."""
    found = {o: gain for doc_id, gain in gains.items() if (o := ordinal(doc_id)) is not None}
    out = frozenset(o for o in map(ordinal, ignored) if o is not None)
    return Judged(found, dcg(sorted(gains.values(), reverse=True)[:CUTOFF]), out)


def fused_row(
    legs: Mapping[str, Scored],
    settings: Sequence[tuple[Fusion, int]],
    id_rank: IdRank,
    judged: Judged,
    vectors_of: VectorsOf | None = None,
) -> NDArray[np.float64]:
    """NDCG@10 of one query with each fusion of its first lists at a depth, (n_settings,)."""
    fused = [fused_list(legs, *setting, id_rank, vectors_of) for setting in settings]
    return np.array([judged.ndcg(one.ordinals) for one in fused])


def interpolated_row(
    head: Scored,
    logits: NDArray[np.float32],
    settings: Sequence[Interpolation],
    id_rank: IdRank,
    judged: Judged,
) -> NDArray[np.float64]:
    """NDCG@10 of one query's candidates, reranked with each setting: (n_settings,).

    `logits` is (n,), in the order of `head`.
    """
    return np.array(
        [judged.ndcg(one.interpolate(head, logits, id_rank).ordinals) for one in settings]
    )


def fused_list(
    legs: Mapping[str, Scored],
    fusion: Fusion,
    depth: int,
    id_rank: IdRank,
    vectors_of: VectorsOf | None = None,
) -> Scored:
    """What a search fuses: the best `depth` of each list; a list that is alone stays as it is."""
    cut = {name: one.cut(depth) for name, one in legs.items()}
    return fusion.fuse(cut, id_rank, vectors_of) if len(cut) > 1 else next(iter(cut.values()))
