"""The first step of a cascade: what a small cross-encoder puts first, the large one then reads.

`--rerank cascade`. As multi-stage ranking does with ever larger models (Nogueira et al., 2019,
"Multi-Stage Document Ranking with BERT").
"""

from dataclasses import dataclass

import numpy as np

from scisearch.retrieval.ranking import Scored

KEPT = 30  # candidates of a query that the large cross-encoder reads


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """One query's candidates, those to be scored first; the others as they will stand below them.

    `head` has fused scores, `whole` begins with the same documents and may have more; its scores
    are those of a list from place `count` on, where they fall.
    """

    head: Scored
    whole: Scored
    count: int  # of `head` are to be scored


def all_of(head: Scored, whole: Scored) -> Candidates:
    """Every candidate of the fused list's `head`, in fused order."""
    return Candidates(head, whole, len(head))


def best_of(head: Scored, reranked: Scored, kept: int = KEPT) -> Candidates:
    """The `kept` candidates that stand first in a reranked list, in fused order.

    Args:
        head: the fused list's candidates.
        reranked: the whole list as the small cross-encoder leaves it: first the documents of
            `head`, then those that are no candidates.
        kept: at most so many are to be scored.
    """
    if len(head) <= kept:
        return all_of(head, reranked)
    chosen = np.isin(head.ordinals, reranked.ordinals[:kept])
    place_of = {ordinal: place for place, ordinal in enumerate(head.ordinals.tolist())}
    later = [place_of[ordinal] for ordinal in reranked.ordinals[kept : len(head)].tolist()]
    order = np.concatenate([np.flatnonzero(chosen), np.array(later, np.int64)])
    ordered = Scored(head.ordinals[order], head.scores[order])
    ordinals = np.concatenate([ordered.ordinals[:kept], reranked.ordinals[kept:]])
    return Candidates(ordered, Scored(ordinals, reranked.scores), kept)
