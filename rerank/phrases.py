"""Phrases of a query in the texts of its candidates: terms that stand next to each other in both.

The first stages count words wherever they are. What is reranked has its text at hand, so that a
document with "heart failure" can stand above one with a heart and a failure. That pays for queries
that were written with the document sought at hand, and not for others: benchmarks/LOG.md,
2026-11-29.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scisearch.index.bm25_formula import Collection, inverse_document_frequencies
from scisearch.rerank.interpolation import with_rest
from scisearch.retrieval.convex import min_max
from scisearch.retrieval.ranking import Mask, Ordinals, Scored, rank

if TYPE_CHECKING:
    from scisearch.index.opened import OpenIndex

_K1 = 1.2  # BM25's usual saturation

_Pair = tuple[str, str]


class PhraseMatcher:
    """Counts the phrases of queries in the documents of an index, from their texts."""

    def __init__(self, index: "OpenIndex", *, kept: int = 0) -> None:
        """Take an open index; its parts are opened when first used.

        `kept` documents' terms are remembered, for repeated work on the same ones.
        """
        self._index = index
        self._fields = lru_cache(kept)(self._read) if kept else self._read

    def reordered(
        self,
        query: str,
        fused: Scored,
        *,
        depth: int,
        weight: float,
        allowed: Mask | None = None,
    ) -> Scored:
        """The list with its best `depth` documents ordered by fused score and phrases.

        Of these the score is min-max(fused) + weight * `matches`; the others stand below in their
        order. With weight 0, or where no document has a phrase, the list is as it was.
        """
        head = fused.cut(depth)
        matches = self.matches(query, head.ordinals, allowed) if weight else np.zeros(0)
        if not matches.any():
            return fused
        scores = min_max(head.scores) + weight * matches
        found = rank(head.ordinals, scores, self._index.documents.id_rank)
        return with_rest(found, fused, len(head))

    def matches(
        self, query: str, ordinals: Ordinals, allowed: Mask | None = None
    ) -> NDArray[np.float64]:
        """How much of a query's phrases each document has, (n,) float64, from 0.

        A phrase is two different terms that follow each other, stop words and punctuation between
        them left out of account. It is the ordered window of a sequential dependence model
        (Metzler and Croft, "A Markov Random Field Model for Term Dependencies", SIGIR 2005,
        doi:10.1145/1076034.1076115), scored as BM25 scores a term: the mean of the two idf times
        tf / (tf + 1.2), where tf counts the title as often as the index does. The sum over phrases
        is divided by that of the idf of the query's terms, so that a query that stands in a text
        as it is, once, has somewhat less than 1 / 2.2, however long it is. With `allowed` the idf
        are those of an index of these documents, as BM25's are.
        """
        terms = self._index.analyzer.terms(query)
        pairs = [pair for pair in dict.fromkeys(pairwise(terms)) if pair[0] != pair[1]]
        if not pairs or not len(ordinals):
            return np.zeros(len(ordinals))
        idf = self._idf(terms, allowed)
        weights = np.array([(idf[first] + idf[second]) / 2 for first, second in pairs])
        counts = self._counts({pair: place for place, pair in enumerate(pairs)}, ordinals)
        found: NDArray[np.float64] = (counts / (counts + _K1)) @ weights / sum(idf.values())
        return found

    def _idf(self, terms: Sequence[str], allowed: Mask | None) -> dict[str, float]:
        """Term -> its idf by BM25's default formula, above 0; also of terms of no document."""
        lexical = self._index.lexical
        distinct = list(dict.fromkeys(terms))
        df = np.array([lexical.document_frequency(term, allowed) for term in distinct], np.int64)
        n_docs = lexical.n_docs if allowed is None else int(np.count_nonzero(allowed))
        of = Collection(n_docs, average_length=0.0, idf_floor=None)
        idf = inverse_document_frequencies(df, of)
        return dict(zip(distinct, idf.tolist(), strict=True))

    def _counts(self, places: Mapping[_Pair, int], ordinals: Ordinals) -> NDArray[np.float64]:
        """How often each document has each pair, (n_documents, n_pairs)."""
        title_weight = self._index.lexical.parameters.title_weight
        counts = np.zeros((len(ordinals), len(places)))
        possible = np.flatnonzero(self._may_have(places, ordinals))
        for row, ordinal in zip(possible.tolist(), ordinals[possible].tolist(), strict=True):
            for terms, times in zip(self._fields(ordinal), (title_weight, 1), strict=True):
                for pair in pairwise(terms):
                    place = places.get(pair)
                    if place is not None:
                        counts[row, place] += times
        return counts

    def _may_have(self, pairs: Mapping[_Pair, int], ordinals: Ordinals) -> NDArray[np.bool_]:
        """Which documents have both terms of some pair, (n_documents,), by their postings.

        The texts of the others need not be read.
        """
        lexical = self._index.lexical
        having = {
            term: lexical.having(term, ordinals)
            for term in dict.fromkeys(chain.from_iterable(pairs))
        }
        found = np.zeros(len(ordinals), np.bool_)
        for first, second in pairs:
            found |= having[first] & having[second]
        return found

    def _read(self, ordinal: int) -> tuple[list[str], list[str]]:
        """The terms of a document's title and of its text, in their order."""
        [(title, text)] = self._index.documents.titles_and_texts([ordinal])
        return self._index.analyzer.terms(title), self._index.analyzer.terms(text)
