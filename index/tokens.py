"""The pre-tokenised store: each document's token ids, so that a query tokenises only itself.

Three memory-mapped arrays and a small description:

* ids.npy: all documents' ids in one row, uint16 (uint32 for vocabularies of 65536 ids and more)
* offsets.npy: (n_docs + 1,) int64, where each document's ids begin in it
* lengths.npy: (n_docs,) int64, how many ids each whole document has
* tokens.json: format, tokenizer digest, the most ids kept of one document

The ids are those of the document's full text without special tokens. At most MAX_IDS of a document
are kept; its whole length is known all the same, so that what was cut can be counted.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import BuildError, CorruptIndexError, IndexFormatError
from scisearch.index.tokenizer import TokenIds, text_tokenizer, tokenizer_digest

__all__ = ["MAX_IDS", "TokenRows", "TokenStore", "TokenStoreWriter", "tokenizer_digest"]

MAX_IDS = 4096  # eight times what a 512-token model reads: passages of a long text have their ids
FORMAT = 1
DESCRIPTION_NAME = "tokens.json"
_ARRAYS = ("ids", "offsets", "lengths")


class TokenRows(NamedTuple):
    """The tokens of some documents: at most MAX_IDS ids each, and the lengths of the whole."""

    ids: list[TokenIds]
    lengths: NDArray[np.int64]  # (n,), of the whole documents


class TokenStoreWriter:
    """Writes a token store in bounded memory: documents are added in ordinal order."""

    def __init__(self, folder: Path, tokenizer_folder: Path) -> None:
        """Start an empty store in `folder` (made if it is not there).

        Raises:
            ModelError: `tokenizer_folder` has no tokenizer, or one that cannot be read.
        """
        self._tokenizer = text_tokenizer(tokenizer_folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ids = _GrowingArray(folder / "ids.npy", self._tokenizer.dtype)
        self._offsets = _GrowingArray(folder / "offsets.npy", np.dtype(np.int64))
        self._lengths = _GrowingArray(folder / "lengths.npy", np.dtype(np.int64))
        self._offsets.append(np.zeros(1, np.int64))

    def add(self, texts: Sequence[str]) -> None:
        """Append the documents that have these full texts."""
        whole = self._tokenizer.encode(texts)
        lengths = np.array([len(ids) for ids in whole], dtype=np.int64)
        self._append(TokenRows([ids[:MAX_IDS] for ids in whole], lengths))

    def copy(self, store: "TokenStore", ordinals: NDArray[np.int64]) -> None:
        """Append documents of another store as they are.

        Raises:
            BuildError: the other store was written with another tokenizer.
        """
        if store.tokenizer_digest != self._tokenizer.digest:
            raise BuildError(
                f"{store.folder}: token ids of tokenizer {store.tokenizer_digest[:12]} cannot go"
                f" into a store of {self._tokenizer.digest[:12]}; tokenise the texts instead"
            )
        self._append(store.gather(ordinals))

    def finish(self) -> str:
        """Complete the files; the tokenizer digest comes back."""
        for array in (self._ids, self._offsets, self._lengths):
            array.close()
        digest = self._tokenizer.digest
        description = {"format": FORMAT, "tokenizer_digest": digest, "max_ids": MAX_IDS}
        (self._folder / DESCRIPTION_NAME).write_text(json.dumps(description), encoding="utf-8")
        return digest

    def _append(self, rows: TokenRows) -> None:
        if not rows.ids:
            return
        kept = np.array([len(ids) for ids in rows.ids], dtype=np.int64)
        self._offsets.append(self._ids.length + np.cumsum(kept))
        self._ids.append(np.concatenate(rows.ids))
        self._lengths.append(rows.lengths)


class TokenStore:
    """The token ids of an index's documents, memory-mapped."""

    def __init__(
        self,
        folder: Path,
        digest: str,
        *,
        ids: TokenIds,
        offsets: NDArray[np.int64],
        lengths: NDArray[np.int64],
    ) -> None:
        """Hold the arrays of one store; use `open`."""
        self.folder = folder
        self.tokenizer_digest = digest
        self._ids = ids
        self._offsets = offsets
        self._lengths = lengths

    @classmethod
    def open(cls, folder: Path) -> "TokenStore":
        """Open a store without reading its ids.

        Raises:
            IndexFormatError: the store has a format that this version does not read.
            CorruptIndexError: a file is missing, or the files do not belong together.
        """
        digest = _read_digest(folder / DESCRIPTION_NAME)
        ids, offsets, lengths = (_map(folder / f"{name}.npy") for name in _ARRAYS)
        if len(offsets) != len(lengths) + 1 or int(offsets[-1]) != len(ids):
            raise CorruptIndexError(
                f"{folder}: {len(lengths)} documents, {len(offsets)} offsets and {len(ids)} ids do"
                " not belong together; build the index again with search build-index"
            )
        return cls(folder, digest, ids=ids, offsets=offsets, lengths=lengths)

    def __len__(self) -> int:
        """How many documents the store holds."""
        return len(self._lengths)

    def ids(self, ordinal: int) -> TokenIds:
        """The first MAX_IDS token ids of a document, a view of the file."""
        return self._ids[self._offsets[ordinal] : self._offsets[ordinal + 1]]

    def lengths(self, ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many ids the whole documents have, also beyond MAX_IDS. Shape (n,)."""
        return np.asarray(self._lengths[ordinals])

    def gather(self, ordinals: NDArray[np.int64]) -> TokenRows:
        """The ids and lengths of several documents, in the order asked for."""
        begins, ends = self._offsets[ordinals], self._offsets[ordinals + 1]
        ids = [self._ids[begin:end] for begin, end in zip(begins, ends, strict=True)]
        return TokenRows(ids, self.lengths(ordinals))


def _read_digest(path: Path) -> str:
    try:
        description = json.loads(path.read_bytes())
        found, digest = description["format"], str(description["tokenizer_digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptIndexError(
            f"{path}: {type(error).__name__}, expected the description of a token store;"
            " build the index again with search build-index"
        ) from error
    if found != FORMAT:
        raise IndexFormatError(
            f"{path}: token store of format {found}, this version reads format {FORMAT};"
            " build the index again with search build-index"
        )
    return digest


def _map(path: Path) -> NDArray[Any]:
    try:
        try:
            array = np.load(path, mmap_mode="r")
        except ValueError:  # an array without elements cannot be mapped
            array = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise CorruptIndexError(
            f"{path}: {error}; expected an array; build the index again with search build-index"
        ) from error
    # A memmap slices at ten times the cost of a plain array on the same memory.
    return np.asarray(array)


class _GrowingArray:
    """A .npy file that grows at its end. numpy leaves room in a header for any first dimension."""

    def __init__(self, path: Path, dtype: np.dtype[np.generic]) -> None:
        self._stream = path.open("wb")
        self._dtype = dtype
        self.length = 0
        self._write_header()

    def append(self, values: NDArray[np.generic]) -> None:
        self._stream.write(np.ascontiguousarray(values, dtype=self._dtype).data)
        self.length += len(values)

    def close(self) -> None:
        self._stream.seek(0)
        self._write_header()
        self._stream.close()

    def _write_header(self) -> None:
        description = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": description, "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self._stream, header)
