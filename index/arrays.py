"""The `.npy` files of an index: made with their space taken, opened as read-only memory maps."""

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import CorruptIndexError


def create_array(path: Path, dtype: type[np.generic], n: int) -> NDArray[Any]:
    """A new one-dimensional array of n elements on the writable memory map of its file.

    Its space on the disk is taken first: a map on a file with holes ends the process by a signal
    when the disk turns out to be full.

    Raises:
        OSError: the disk has no space for it, or the folder cannot be written.
    """
    if n == 0:
        np.save(path, np.empty(0, dtype))
        return np.empty(0, dtype)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (n,)}
        )
        file.flush()
        _take_space(file, n * np.dtype(dtype).itemsize)
    return np.lib.format.open_memmap(path, mode="r+")


def _take_space(file: BinaryIO, size: int) -> None:
    begin = file.tell()
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), begin, size)
        return
    zeros = bytes(min(size, 1 << 20))
    for start in range(0, size, len(zeros)):
        file.write(zeros[: size - start])


def open_array(path: Path, dtype: str) -> NDArray[Any]:
    """A one-dimensional array on the memory map of its file; nothing is read yet.

    Args:
        path: the `.npy` file.
        dtype: the names of the element types that may be found, one or more between spaces.

    Raises:
        CorruptIndexError: the file is missing, cut short, or holds something else.
    """
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise CorruptIndexError(
            f"{path}: no such file, expected an array of {dtype}; build the index again"
        ) from error
    except (ValueError, OSError, EOFError) as error:
        raise CorruptIndexError(
            f"{path}: cannot be read as an array ({error}); build the index again"
        ) from error
    array = np.asarray(mapped)
    if array.ndim != 1 or array.dtype.name not in dtype.split():
        raise CorruptIndexError(
            f"{path}: holds {array.dtype.name} of shape {array.shape}, expected one dimension"
            f" of {dtype}; build the index again"
        )
    return array
