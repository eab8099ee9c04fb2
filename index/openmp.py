"""FAISS and torch in one process: one place that loads them side by side safely.

Both bring their own OpenMP runtime. On macOS the two are the same library under two names and the
second one aborts the process unless it is told not to; FAISS then has to keep to one thread.
Elsewhere nothing is changed.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def prepare_openmp() -> None:
    """Allow two OpenMP runtimes on macOS. To be called before torch or FAISS is imported."""
    if sys.platform == "darwin":
        os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")


def load_faiss() -> ModuleType:
    """The faiss module, safe beside torch."""
    prepare_openmp()
    import faiss

    if sys.platform == "darwin":
        faiss.omp_set_num_threads(1)
    return faiss


@contextmanager
def faiss_threads(most: int) -> Iterator[None]:
    """At most this many FAISS threads in the body."""
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(max(1, min(before, most)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
