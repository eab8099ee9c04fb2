"""The `.npy` files of an index: opened as read-only memory maps, checked for what they hold."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import CorruptIndexError


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
