"""What the cross-encoder could not read of its candidates, and whether its probabilities are right.

Both are of the pairs that it scored: the first `depth` documents of each list of the rerank run
(those that were not scored stand below them).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scisearch.pipeline import SearchPipeline
from scisearch.rerank.reliability import reliability
from scisearch.retrieval.ranking import Qrels, Query, Run


def scored_documents(run: Run, queries: Sequence[Query], depth: int) -> dict[str, list[str]]:
    """query_id -> the documents that the cross-encoder scored, best first."""
    return {
        query.query_id: [hit.doc_id for hit in run[query.query_id].hits[:depth]]
        for query in queries
        if query.query_id in run
    }


def truncation_loss(
    pipeline: SearchPipeline, queries: Sequence[Query], run: Run, qrels: Qrels
) -> dict[str, Any] | None:
    """How much of its pairs the cross-encoder never saw, as JSON values; None without a pair.

    `tokens` are those of query and document without special ones; documents are counted once,
    pairs for each query; `relevant_*` are pairs with a positive judgement.
    """
    asked = [query for query in queries if query.query_id in run]
    candidates = scored_documents(run, asked, pipeline.config.rerank_depth)
    ordinal = pipeline.index.documents.ordinal
    found = pipeline.rerank_stage.truncation(
        [query.text for query in asked],
        [np.array([ordinal(one) for one in candidates[q.query_id]], np.int64) for q in asked],
    )
    if not any(len(one.lengths) for one in found):
        return None
    cut_documents: set[str] = set()
    relevant: list[tuple[int, int]] = []  # length and what is dropped of it
    for query, one in zip(asked, found, strict=True):
        own, gains = candidates[query.query_id], qrels[query.query_id]
        cut_documents.update(own[place] for place in np.flatnonzero(one.cut))
        relevant += [
            (int(length), int(dropped))
            for doc_id, length, dropped in zip(own, one.lengths, one.dropped, strict=True)
            if gains.get(doc_id, 0) > 0
        ]
    return {
        "documents": len({doc_id for own in candidates.values() for doc_id in own}),
        "documents_cut": len(cut_documents),
        "pairs": sum(len(one.lengths) for one in found),
        "pairs_cut": sum(int(one.cut.sum()) for one in found),
        "tokens": sum(int(one.lengths.sum()) for one in found),
        "tokens_unseen": sum(int(one.dropped.sum()) for one in found),
        "relevant_pairs": len(relevant),
        "relevant_pairs_cut": sum(dropped > 0 for _, dropped in relevant),
        "relevant_tokens": sum(length for length, _ in relevant),
        "relevant_tokens_unseen": sum(dropped for _, dropped in relevant),
    }


def score_reliability(
    probabilities: Mapping[str, Mapping[str, float]], qrels: Qrels
) -> dict[str, Any] | None:
    """Brier score, ECE and reliability tables of the scored pairs, as JSON values; None without.

    A document without a judgement counts as not relevant, as it does in nDCG; `judged` tells what
    share of the pairs has one.
    """
    pairs = [
        (chance, qrels[query_id].get(doc_id))
        for query_id, of in probabilities.items()
        if query_id in qrels
        for doc_id, chance in of.items()
    ]
    if not pairs:
        return None
    chances = np.array([chance for chance, _ in pairs])
    labels = np.array([int((gain or 0) > 0) for _, gain in pairs])
    return {
        **reliability(chances, labels).to_json(),
        "equal_width": reliability(chances, labels, binning="equal-width").to_json(),
        "pairs": len(pairs),
        "judged": sum(gain is not None for _, gain in pairs) / len(pairs),
        "relevant": float(labels.mean()),
    }
