"""Tokens in, sorted postings out: memory holds one block of tokens, the rest waits on disk."""

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import BuildError

_BLOCK_TOKENS = 1 << 20
_MOST_DOCUMENTS = np.iinfo(np.int32).max


class _TermIds(dict[str, int]):
    """Term -> its number in the order of first sight."""

    def __missing__(self, term: str) -> int:
        number = self[term] = len(self)
        return number


class Block(NamedTuple):
    """Postings by rising term number, then rising document; three int32 arrays of one length."""

    terms: NDArray[np.int32]
    ordinals: NDArray[np.int32]
    tf: NDArray[np.int32]


class PostingSpool:
    """Collects the terms of document after document, and gives back all their postings."""

    def __init__(self, path: Path) -> None:
        """Spill to this file, which is replaced."""
        self.term_ids = _TermIds()
        self.lengths = array("i")
        self.largest_tf = 0
        self._path = path
        self._sizes: list[int] = []
        self._df = np.zeros(0, np.int64)
        self._tokens = array("i")
        self._block_begin = 0
        path.write_bytes(b"")

    def add(self, terms: Iterable[str]) -> None:
        """Take the next document.

        Raises:
            BuildError: more documents than an ordinal of 32 bits can count.
        """
        if len(self.lengths) >= _MOST_DOCUMENTS:
            raise BuildError(f"{self._path.parent}: more than {_MOST_DOCUMENTS} documents")
        before = len(self._tokens)
        self._tokens.extend(map(self.term_ids.__getitem__, terms))
        self.lengths.append(len(self._tokens) - before)
        if len(self._tokens) >= _BLOCK_TOKENS:
            self.spill()

    def spill(self) -> None:
        """Sort and count the tokens in memory, and write them out as one block."""
        lengths = np.array(self.lengths[self._block_begin :], np.int32)
        ordinals = np.arange(self._block_begin, len(self.lengths), dtype=np.int64)
        tokens = np.array(self._tokens, np.int64)
        keys, counts = np.unique(tokens << 32 | np.repeat(ordinals, lengths), return_counts=True)
        terms = (keys >> 32).astype(np.int32)
        with self._path.open("ab") as file:
            for column in (terms, keys.astype(np.int32), counts.astype(np.int32)):
                file.write(column.tobytes())
        self._df = np.bincount(terms, minlength=len(self.term_ids))[: len(self.term_ids)] + np.pad(
            self._df, (0, len(self.term_ids) - len(self._df))
        )
        self.largest_tf = max(self.largest_tf, int(counts.max(initial=0)))
        self._sizes.append(len(keys))
        self._tokens = array("i")
        self._block_begin = len(self.lengths)

    def document_frequencies(self) -> NDArray[np.int64]:
        """(n_terms,) how many documents each term stands in, by term number; after `spill`."""
        return self._df

    def blocks(self) -> Iterator[Block]:
        """All postings, block by block, documents rising from block to block; after `spill`."""
        with self._path.open("rb") as file:
            for size in filter(None, self._sizes):
                columns = np.frombuffer(file.read(12 * size), np.int32).reshape(3, size)
                yield Block(columns[0], columns[1], columns[2])

    def remove(self) -> None:
        """Delete the spill file."""
        self._path.unlink()
