"""Which FAISS type for this many vectors, how is it filled, and how is it asked?

Knows FAISS's types and their search parameters; not files, not documents.
"""

from math import ceil, isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import BuildError
from scisearch.index.openmp import load_faiss
from scisearch.index.vector_file import faiss_reason

Index = Any  # a faiss index: SWIG classes, no useful static type
Parameters = Any  # a faiss.SearchParameters

EXACT = "Flat"
MOST_FOR_EXACT = 200_000  # vectors; one exact query takes 50 ms at 300,000 x 384 on two cores
MOST_FOR_FLOATS = 2_000_000  # vectors; above, one byte per component instead of four
_NEEDS_ONE_THREAD = ("HNSW", "NSG")  # FAISS links their graphs in the order its threads finish


def choose_factory(n_docs: int) -> str:
    """The type for a corpus of this size: exact, inverted lists, or inverted lists of bytes.

    Inverted lists rather than a graph, although a graph answers faster: their build is the same
    file on any number of threads, they are searched from the mapped file, and a filter stays exact
    about what it lets through at no cost.
    """
    return EXACT if n_docs <= MOST_FOR_EXACT else inverted_factory(n_docs)


def inverted_factory(n_docs: int) -> str:
    """The type of inverted lists for so many documents."""
    n_lists = 4 * isqrt(n_docs)
    return f"IVF{n_lists},Flat" if n_docs <= MOST_FOR_FLOATS else f"IVF{n_lists},SQ8"


def maps_directly(index: Index) -> bool:
    """Whether documents of inverted lists can be found by their number after `make_direct_map`.

    Of other inverted lists FAISS 1.15 reads what is not there (those of fast scans crash).
    """
    faiss = load_faiss()
    return isinstance(index, (faiss.IndexIVFFlat, faiss.IndexIVFScalarQuantizer))


def make_index(factory: str, dimension: int) -> Index:
    """An empty index of this type that ranks by inner product.

    Raises:
        BuildError: FAISS does not know the type, or it cannot rank by inner product.
    """
    faiss = load_faiss()
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise BuildError(_unusable(factory, error)) from error
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise BuildError(f"--vectors {factory}: does not rank by inner product; use another type")
    lists = inverted_lists(index)
    if lists is not None:
        if lists.nlist < 1:
            raise BuildError(f"--vectors {factory}: expected at least one list, as in IVF1000,Flat")
        # FAISS prints a warning below 39 vectors a list; the measured recall says what it cost.
        lists.cp.min_points_per_centroid = 1
    return index


def train(index: Index, factory: str, vectors: NDArray[np.float32]) -> None:
    """Fit the index to the vectors, with FAISS's fixed seeds.

    Raises:
        BuildError: too few vectors for this type, with FAISS's reason.
    """
    if index.is_trained:
        return
    try:
        index.train(vectors)
    except RuntimeError as error:
        raise BuildError(_unusable(factory, error, n_vectors=len(vectors))) from error


def add(index: Index, factory: str, vectors: NDArray[np.float32]) -> None:
    """Append the vectors; their ordinals follow the ones already there.

    Raises:
        BuildError: the type does not take vectors in parts or without ids.
    """
    try:
        index.add(vectors)
    except RuntimeError as error:
        raise BuildError(_unusable(factory, error)) from error


def most_threads(factory: str) -> int:
    """How many threads may build this type so that the file is the same every time."""
    return 1 if any(word in factory for word in _NEEDS_ONE_THREAD) else 1024


def filtered_parameters(index: Index, selector: Any, share: float) -> Parameters:
    """Search parameters that let only the selected ordinals through.

    The width of the search grows as the share of selected vectors (0 to 1) falls, so that as many
    candidates are compared as without a filter; with inverted lists that ends at all lists, which
    is exact.
    """
    faiss = load_faiss()
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        inner = filtered_parameters(index.index, selector, share)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexRefine):
        inner = filtered_parameters(index.base_index, selector, share)
        return faiss.IndexRefineSearchParameters(k_factor=index.k_factor, base_index_params=inner)
    if isinstance(index, faiss.IndexIVF):
        width = min(index.nlist, ceil(index.nprobe / share))
        return faiss.SearchParametersIVF(sel=selector, nprobe=width)
    if isinstance(index, faiss.IndexHNSW):
        width = ceil(index.hnsw.efSearch / share)
        return faiss.SearchParametersHNSW(sel=selector, efSearch=width)
    return faiss.SearchParameters(sel=selector)


def _unusable(factory: str, error: Exception, *, n_vectors: int | None = None) -> str:
    """One line with FAISS's own reason, without its C++ function names."""
    reason = faiss_reason(error)
    count = "" if n_vectors is None else f" with {n_vectors} vectors"
    return (
        f"--vectors {factory}: FAISS cannot build this{count} ({reason});"
        " leave --vectors out for a type chosen by size"
    )


def inverted_lists(index: Index) -> Index | None:
    """The inverted lists inside the index, or None when it has none."""
    try:
        return load_faiss().extract_index_ivf(index)
    except RuntimeError:
        return None
