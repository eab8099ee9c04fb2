"""The vectors of all documents in one FAISS file: built once, opened mapped, searched.

Knows ordinals and inner products; not texts, models or doc_ids.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from scisearch.index import vector_types
from scisearch.index.errors import BuildError, FilterError, ModelError
from scisearch.index.openmp import faiss_threads, load_faiss
from scisearch.index.vector_file import faiss_reason, map_index, write_index
from scisearch.index.vector_recall import draw_sample, spread, tune
from scisearch.index.vector_types import EXACT

Vectors = NDArray[np.float32]  # (n, dimension)
Found = tuple[NDArray[np.int64], NDArray[np.float32]]  # ordinals, scores; best first

_TRAIN_PER_LIST = 100  # vectors per inverted list that FAISS learns from
_MOST_TO_TRAIN = 1_000_000
_ROWS = 16_384  # vectors handled at once
# Twice what two float32 sums of the same products can differ by in another order.
_ROUNDING = np.float32(4e-6)
_FEW_ALLOWED = 20_000  # documents; up to here all of them are compared


@dataclass(frozen=True, slots=True)
class VectorReport:
    """What was built and how good it is."""

    factory: str  # the faiss.index_factory string
    search_parameters: dict[str, int]  # tuned, and stored in the file
    recall_at_100: float | None  # against exact search; None: the type is exact
    sample: int  # document vectors the recall was measured with, themselves left out
    seconds: float


def build_vectors(
    shards: Iterable[Vectors], *, n_docs: int, dimension: int, factory: str | None, path: Path
) -> VectorReport:
    """Write the index of all vectors to `path`; row i of the shards together is ordinal i.

    The same vectors give the same file. Memory: the index itself, so n_docs x dimension x 4 bytes
    for Flat and IVF,Flat; every type but Flat needs that much once more in a temporary file beside
    `path`, for training and for measuring.

    Args:
        shards: (n, dimension) float32 unit rows; together n_docs rows.
        n_docs: how many rows will come.
        dimension: the length of a row.
        factory: a faiss.index_factory string, None for a type chosen by n_docs.
        path: the file to write.

    Raises:
        BuildError: rows missing or too many, of another length, not finite, or a type that FAISS
            cannot build.
    """
    begin = perf_counter()
    chosen = vector_types.choose_factory(n_docs) if factory is None else factory
    index = vector_types.make_index(chosen, dimension)
    checked = _checked(shards, n_docs, dimension)
    recall, parameters, sample = None, dict[str, int](), 0
    if chosen == EXACT:
        for rows in checked:
            vector_types.add(index, chosen, rows)
    else:
        with TemporaryFile(dir=path.parent) as spool:
            for rows in checked:
                spool.write(rows.tobytes())
            spool.flush()
            vectors = _map_spool(spool, n_docs, dimension)
            recall, parameters, sample = _fill(index, chosen, vectors)
    write_index(index, path)
    return VectorReport(chosen, parameters, recall, sample, perf_counter() - begin)


class VectorIndex:
    """The vectors of one generation, mapped from its file."""

    def __init__(self, index: Any) -> None:
        """Wrap a faiss index; use `VectorIndex.open`."""
        self._index = index
        self._is_exact = isinstance(index, load_faiss().IndexFlat)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The index of this file, mapped rather than read: its pages come in as they are used.

        Raises:
            CorruptIndexError: no file, or not the one that was written.
        """
        return cls(map_index(path))

    @property
    def n_docs(self) -> int:
        """How many vectors there are; their ordinals are 0 to n_docs - 1."""
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return int(self._index.d)

    @property
    def is_exact(self) -> bool:
        """Whether a search compares all vectors, uncompressed."""
        return self._is_exact

    @cached_property
    def gives_rows(self) -> bool:
        """Whether the type of index can give a document's vector back.

        Inverted lists need to be told where each document is, which reads all their ids once.
        """
        if vector_types.maps_directly(self._index):
            self._index.make_direct_map()
        return self._can_reconstruct()

    def rows(self, ordinals: NDArray[np.int64]) -> Vectors:
        """The vectors of these documents as the index holds them, (n, dimension) float32.

        Only of an index that `gives_rows`.
        """
        return np.asarray(self._index.reconstruct_batch(ordinals), np.float32)

    def search(
        self, queries: Vectors, depth: int, allowed: NDArray[np.bool_] | None = None
    ) -> list[Found]:
        """For each query the `depth` documents of the highest inner product.

        An exact index also returns every document that ties with the last one: the caller, who
        knows doc_ids, cuts. Its scores depend on the two vectors alone, not on the batch, the
        filter or the document's place, so equal vectors tie.

        Args:
            queries: (n_queries, dimension) float32.
            depth: how many documents per query; fewer come back where fewer are there.
            allowed: (n_docs,) true where a document may be returned.

        Raises:
            ModelError: vectors of another length than the index's, or not finite.
            FilterError: a mask of another length, or an index type that cannot filter.
        """
        self._check(queries, allowed)
        n_allowed = self.n_docs if allowed is None else int(np.count_nonzero(allowed))
        depth = min(depth, n_allowed)
        if depth <= 0:
            return [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if self._is_exact:
            return self._search_exact(queries, depth, allowed)
        if allowed is not None and n_allowed <= _FEW_ALLOWED and self._can_reconstruct():
            return [self._best_of(q, np.flatnonzero(allowed), depth) for q in queries]
        return self._search_approximate(queries, depth, allowed)

    def _check(self, queries: Vectors, allowed: NDArray[np.bool_] | None) -> None:
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise ModelError(
                f"query vectors of shape {queries.shape}, expected (n, {self.dimension}) as in the"
                " index; use the model that built it, or rebuild"
            )
        if not np.isfinite(queries).all():
            raise ModelError("a query vector is not finite; use another device or model")
        if allowed is not None and allowed.shape != (self.n_docs,):
            raise FilterError(f"mask of shape {allowed.shape}, expected ({self.n_docs},)")

    def _search_exact(
        self, queries: Vectors, depth: int, allowed: NDArray[np.bool_] | None
    ) -> list[Found]:
        count = self.n_docs if allowed is None else int(np.count_nonzero(allowed))
        fetched = min(depth + 16, count)
        # FAISS gives each query to one thread; more threads than queries only wait for each other,
        # which on a busy machine took four times as long as the search itself.
        with self._parameters(allowed) as parameters, faiss_threads(len(queries)):
            scores, ordinals = self._index.search(queries, fetched, params=parameters)
            out = []
            for query, row, ids in zip(queries, scores, ordinals, strict=True):
                chosen = ids
                # FAISS sums in another order for other batches and places, so a document this
                # close to the cut may belong on the other side of it.
                lowest = row[depth - 1] - _ROUNDING
                if fetched < count and row[-1] >= lowest:
                    _, _, chosen = self._index.range_search(
                        query[None], float(lowest), params=parameters
                    )
                out.append(self._best_of(query, chosen, depth))
        return out

    def _search_approximate(
        self, queries: Vectors, depth: int, allowed: NDArray[np.bool_] | None
    ) -> list[Found]:
        with self._parameters(allowed) as parameters:
            try:
                scores, ordinals = self._index.search(queries, depth, params=parameters)
            except RuntimeError as error:
                if allowed is None or not self._can_reconstruct():
                    raise FilterError(
                        f"this type of vector index cannot filter ({faiss_reason(error)});"
                        " rebuild without --vectors"
                    ) from error
                return [self._best_of(q, np.flatnonzero(allowed), depth) for q in queries]
        # FAISS fills a list that it cannot complete with -1.
        return [(ids[ids >= 0], row[ids >= 0]) for ids, row in zip(ordinals, scores, strict=True)]

    def _best_of(self, query: Vectors, ordinals: NDArray[np.int64], depth: int) -> Found:
        """The best `depth` of these and all that tie with the last of them."""
        scores = np.empty(len(ordinals), np.float32)
        for start in range(0, len(ordinals), _ROWS):
            rows = self._index.reconstruct_batch(ordinals[start : start + _ROWS])
            # float64 rows, each summed alone: no matrix product, whose order depends on the shape.
            products = rows.astype(np.float64) * query
            scores[start : start + _ROWS] = products.sum(axis=1)
        if depth < len(scores):
            worst = np.partition(scores, len(scores) - depth)[len(scores) - depth]
            kept = scores >= worst
            ordinals, scores = ordinals[kept], scores[kept]
        order = np.lexsort((ordinals, -scores))
        return ordinals[order], scores[order]

    def _can_reconstruct(self) -> bool:
        try:
            self._index.reconstruct(0)
        except RuntimeError:
            return False
        return True

    @contextmanager
    def _parameters(self, allowed: NDArray[np.bool_] | None) -> Iterator[Any]:
        """Search parameters for this mask; the bits live as long as the context does."""
        if allowed is None:
            yield None
            return
        bits = np.packbits(allowed, bitorder="little")
        selector = load_faiss().IDSelectorBitmap(bits)
        share = np.count_nonzero(allowed) / self.n_docs
        yield vector_types.filtered_parameters(self._index, selector, share)


def _checked(shards: Iterable[Vectors], n_docs: int, dimension: int) -> Iterator[Vectors]:
    """The shards as contiguous float32, refused where they are not what was promised."""
    done = 0
    for shard in shards:
        if shard.ndim != 2 or shard.shape[1] != dimension:
            raise BuildError(f"vectors of shape {shard.shape}, expected (n, {dimension})")
        finite = np.isfinite(shard).all(axis=1)
        if not finite.all():
            ordinal = done + int(np.argmin(finite))
            raise BuildError(
                f"the vector of document {ordinal} (counted from 0) is not finite;"
                " encode again with another device or model"
            )
        done += len(shard)
        if done > n_docs:
            break
        yield np.ascontiguousarray(shard, dtype=np.float32)
    if done != n_docs:
        found = f"{done} vectors" if done < n_docs else "more vectors"
        raise BuildError(f"{found} for {n_docs} documents, expected one each")


def _map_spool(spool: Any, n_docs: int, dimension: int) -> Vectors:
    if n_docs == 0:
        return np.empty((0, dimension), np.float32)
    return np.memmap(spool, dtype=np.float32, mode="r", shape=(n_docs, dimension))


def _fill(index: Any, factory: str, vectors: Vectors) -> tuple[float, dict[str, int], int]:
    """Train, add, tune. Recall@100, the tuned parameters, and how many vectors measured it."""
    with faiss_threads(vector_types.most_threads(factory)):
        lists = getattr(index, "nlist", 0)
        wanted = max(_TRAIN_PER_LIST * lists, 1 << 16)
        rows = spread(len(vectors), min(wanted, _MOST_TO_TRAIN))
        vector_types.train(index, factory, np.ascontiguousarray(vectors[rows]))
        for start in range(0, len(vectors), _ROWS):
            part = np.ascontiguousarray(vectors[start : start + _ROWS])
            vector_types.add(index, factory, part)
    sample = draw_sample(vectors)
    recall, parameters = tune(index, sample)
    return recall, parameters, len(sample.ordinals)
