"""First stages over the lexical index: BM25 on its memory maps, and the classic rank_bm25.

Both count a repeated query term as often as it is repeated, and return only documents that score
above zero: those with a query term. Scores do not depend on the order of the query's words.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scisearch.index.bm25_formula import inverse_document_frequencies, posting_scores
from scisearch.retrieval.columns import Columns, add_columns, prepare
from scisearch.retrieval.ranking import IdRank, Mask, Scored, Scores, top

if TYPE_CHECKING:
    from scisearch.index.analyzer import Analyzer
    from scisearch.index.bm25_formula import Collection
    from scisearch.index.lexical import LexicalIndex
    from scisearch.index.stopwatch import Stopwatch


class TermScore(NamedTuple):
    """What one query term gave one document, and why: its counts in the document and the corpus."""

    term: str
    score: float
    tf: int
    df: int


_QUERIES_A_THREAD = 4  # fewer take less time than the threads' start


def query_terms(lexical: "LexicalIndex", terms: Sequence[str]) -> dict[int, int]:
    """Term id -> how often the query has it, by rising id; terms of no document are left out."""
    found = ((lexical.vocabulary.find(term), n) for term, n in Counter(terms).items())
    return dict(sorted((term_id, n) for term_id, n in found if term_id is not None))


def _on_all_cores(
    work: Callable[[dict[int, int]], Scored], items: Sequence[dict[int, int]]
) -> list[Scored]:
    """The work done on each item, in order, by a thread for each core where that may pay."""
    if len(items) < 2 * _QUERIES_A_THREAD:
        return [work(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor

    from scisearch.index.onnx_session import core_count

    threads = min(core_count(), len(items) // _QUERIES_A_THREAD)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


class BM25Retriever:
    """BM25 from the scores that the index holds; the formula is the index's."""

    def __init__(self, lexical: "LexicalIndex", analyzer: "Analyzer", id_rank: IdRank) -> None:
        """Score on the memory maps of `lexical`; nothing is read yet."""
        self._lexical = lexical
        self._analyzer = analyzer
        self._id_rank = id_rank
        self._columns = Columns(lexical.data, lexical.indices, lexical.indptr)
        prepare()
        self._restricted: tuple[bytes, Collection] | None = None

    def retrieve(
        self,
        queries: Sequence[str],
        *,
        depth: int,
        allowed: Mask | None = None,
        watch: "Stopwatch | None" = None,
    ) -> list[Scored]:
        """One list per query; with `allowed`, to the bit that of an index of those documents.

        Several queries are shared among the cores.
        """
        if allowed is not None and allowed.all():
            allowed = None
        with watch.stage("analyse") if watch else nullcontext():
            counts = [query_terms(self._lexical, self._analyzer.terms(query)) for query in queries]
        with watch.stage("bm25") if watch else nullcontext():
            if allowed is not None:
                self._collection(allowed)  # once, and not in each thread
            return _on_all_cores(lambda one: self.best(one, depth=depth, allowed=allowed), counts)

    def best(self, counts: dict[int, int], *, depth: int, allowed: Mask | None = None) -> Scored:
        """The list of a query that is analysed already: term id -> count, as `query_terms` has it.

        Only documents that score above zero.
        """
        scores = self._scores(counts, allowed)
        return top(scores, depth=depth, id_rank=self._id_rank, above=0.0)

    def explain(self, query: str, ordinal: int) -> list[TermScore]:
        """What each term of the query gave the document, best first; their sum is its score."""
        lexical = self._lexical
        explained = []
        for term_id, n in query_terms(lexical, self._analyzer.terms(query)).items():
            column = lexical.column(term_id)
            ordinals = lexical.indices[column]
            place = int(np.searchsorted(ordinals, ordinal))
            if place < len(ordinals) and ordinals[place] == ordinal:
                score = n * float(lexical.data[column][place])
                tf = int(lexical.tf[column][place])
                term = lexical.vocabulary.term(term_id)
                explained.append(TermScore(term, score, tf, len(ordinals)))
        return sorted(explained, key=lambda term: (-term.score, term.term))

    def _scores(self, counts: dict[int, int], allowed: Mask | None) -> Scores:
        n_docs = self._lexical.n_docs
        if allowed is None:
            return add_columns(self._columns, counts, n_docs)
        columns = self._restricted_columns(list(counts), allowed)
        return add_columns(columns, dict(enumerate(counts.values())), n_docs)

    def _restricted_columns(self, term_ids: list[int], allowed: Mask) -> Columns:
        """The columns these terms would have in an index of the allowed documents."""
        lexical = self._lexical
        of = self._collection(allowed)
        data, indices = [np.empty(0, np.float32)], [np.empty(0, np.int32)]
        for term_id in term_ids:
            column = lexical.column(term_id)
            kept = np.flatnonzero(allowed[lexical.indices[column]])
            ordinals = lexical.indices[column][kept]
            indices.append(ordinals)
            if len(kept):
                idf = inverse_document_frequencies(np.array([len(kept)], np.int64), of)
                tf, lengths = lexical.tf[column][kept], lexical.lengths[ordinals]
                data.append(posting_scores(tf, lengths, idf, of, lexical.parameters))
        sizes = np.array([len(column) for column in indices], np.int64)
        return Columns(np.concatenate(data), np.concatenate(indices), np.cumsum(sizes))

    def _collection(self, allowed: Mask) -> "Collection":
        """The statistics of the allowed documents; the last ones are remembered."""
        key = np.packbits(allowed).tobytes()
        if self._restricted is None or self._restricted[0] != key:
            self._restricted = (key, self._lexical.restricted(allowed))
        return self._restricted[1]


_LEAST_K1 = 1e-9


class RankBM25Retriever:
    """The classic `rank_bm25.BM25Okapi`, over the terms and counts that the index holds.

    Uses the index's k1 and b, and always rank_bm25's own formula, whatever the variant. It keeps
    a dict per document in memory and scores in Python: slow by nature, and meant for comparison.
    """

    def __init__(self, lexical: "LexicalIndex", analyzer: "Analyzer", id_rank: IdRank) -> None:
        """Read all postings and build BM25Okapi from them."""
        self._lexical = lexical
        self._analyzer = analyzer
        self._id_rank = id_rank
        self._all = np.ones(lexical.n_docs, np.bool_)
        self._postings = _document_major(lexical)
        self._built = (self._all.tobytes(), self._build(self._all))

    def retrieve(
        self,
        queries: Sequence[str],
        *,
        depth: int,
        allowed: Mask | None = None,
        watch: "Stopwatch | None" = None,
    ) -> list[Scored]:
        """One list per query; with `allowed`, of a BM25Okapi of only those documents."""
        mask = self._all if allowed is None else allowed
        engine = self.engine(mask)
        lists = []
        for query in queries:
            with watch.stage("analyse") if watch else nullcontext():
                counts = query_terms(self._lexical, self._analyzer.terms(query))
                ids = [term_id for term_id, n in counts.items() for _ in range(n)]
            with watch.stage("bm25") if watch else nullcontext():
                scores = np.zeros(self._lexical.n_docs, np.float32)
                if engine is not None:
                    # A document that is empty is 0 / 0 in its formula.
                    with np.errstate(invalid="ignore"):
                        scores[mask] = np.nan_to_num(engine.get_scores(ids))
                lists.append(top(scores, depth=depth, id_rank=self._id_rank, above=0.0))
        return lists

    def engine(self, mask: Mask) -> Any:
        """BM25Okapi of the documents in the mask; the last one is remembered."""
        key = mask.tobytes()
        if self._built[0] != key:
            self._built = (key, self._build(mask))
        return self._built[1]

    def _build(self, mask: Mask) -> Any:
        """BM25Okapi of these documents; None where it cannot be built, for want of any term."""
        from rank_bm25 import BM25Okapi

        if not self._lexical.lengths[mask].any():
            return None
        parameters = self._lexical.parameters
        # At k1 = 0 its formula is 0 / 0 for every document that lacks one term of the query.
        k1 = max(parameters.k1, _LEAST_K1)
        return BM25Okapi(self._tokens(mask), k1=k1, b=parameters.b)

    def _tokens(self, mask: Mask) -> Iterator[list[int]]:
        """The term ids of each document in the mask, each as often as the document has it."""
        order, bounds = self._postings.order, self._postings.bounds
        for ordinal in np.flatnonzero(mask):
            postings = order[bounds[ordinal] : bounds[ordinal + 1]]
            terms = np.searchsorted(self._lexical.indptr, postings, side="right") - 1
            yield np.repeat(terms, self._lexical.tf[postings]).tolist()


class _DocumentMajor(NamedTuple):
    """The places of all postings by document: `order[bounds[d] : bounds[d + 1]]`."""

    order: NDArray[np.int64]
    bounds: NDArray[np.int64]


def _document_major(lexical: "LexicalIndex") -> _DocumentMajor:
    order = np.argsort(lexical.indices, kind="stable")
    sizes = np.bincount(lexical.indices, minlength=lexical.n_docs)
    return _DocumentMajor(order, np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]))
