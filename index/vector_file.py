"""A FAISS index as a file that is known to be whole before FAISS touches it.

FAISS maps a file that was cut short and crashes the process when it reaches the missing pages, or
answers with what it finds there. So the file ends in a trailer of ours (FAISS does not read that
far, and opens the file all the same):

    8 bytes  b"scisFAI1"
    8 bytes  length of the FAISS part, little-endian
    32 bytes sha256 of its first 64 KiB, where the sizes stand that FAISS believes
"""

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from scisearch.index.errors import BuildError, CorruptIndexError
from scisearch.index.openmp import load_faiss

_MAGIC = b"scisFAI1"
_HEAD = 1 << 16
_TRAILER = len(_MAGIC) + 8 + 32


def write_index(index: Any, path: Path) -> None:
    """Write a faiss index and the trailer.

    Raises:
        BuildError: the file cannot be written.
    """
    try:
        load_faiss().write_index(index, str(path))
        with path.open("r+b") as file:
            head = file.read(_HEAD)
            length = file.seek(0, os.SEEK_END)
            file.write(_MAGIC + length.to_bytes(8, "little") + sha256(head).digest())
    except (RuntimeError, OSError) as error:
        raise BuildError(f"{path}: cannot be written ({faiss_reason(error)})") from error


def map_index(path: Path) -> Any:
    """The faiss index of the file, mapped: its pages come in as they are used.

    Changed bytes inside the vectors are not noticed here; the manifest's checksum is for those.

    Raises:
        CorruptIndexError: no file, or not the one that was written.
    """
    faiss = load_faiss()
    _check_whole(path)
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except (RuntimeError, MemoryError) as error:
        raise CorruptIndexError(
            f"{path}: FAISS cannot read it ({faiss_reason(error)}); build the index again"
        ) from error


def faiss_reason(error: Exception) -> str:
    """FAISS's reason in one line, without the C++ function names it stands behind."""
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first_line.rpartition(" at /")[2].partition(": ")[2].strip() or first_line


def _check_whole(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TRAILER, 0))
            trailer = file.read()
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise CorruptIndexError(f"{path}: {reason}; build the index again") from error
    length = size - _TRAILER
    head = head[: max(length, 0)]
    expected = _MAGIC + max(length, 0).to_bytes(8, "little") + sha256(head).digest()
    if trailer != expected:
        raise CorruptIndexError(
            f"{path}: is damaged or cut short ({size} bytes); build the index again"
        )
