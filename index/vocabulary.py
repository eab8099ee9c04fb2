"""The terms of an index in sorted order, looked up on the map of the file without reading it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from scisearch.index.arrays import open_array
from scisearch.index.errors import CorruptIndexError


class Vocabulary:
    """Terms in rising order of their UTF-8 bytes; a term's id is its position.

    Two files: `terms.npy` is every term's bytes end to end, `term_offsets.npy` (n_terms + 1,)
    int64 is where each one begins.
    """

    def __init__(self, folder: Path) -> None:
        """Open what `write_vocabulary` left in the folder.

        Raises:
            CorruptIndexError: a file is missing or the two do not fit together.
        """
        terms = open_array(folder / "terms.npy", "uint8")
        offsets = open_array(folder / "term_offsets.npy", "int64")
        if len(offsets) == 0 or int(offsets[-1]) != len(terms):
            raise CorruptIndexError(
                f"{folder}: terms.npy and term_offsets.npy do not fit; build the index again"
            )
        # Memory views of the maps: an element of one comes at a third of the cost of numpy's.
        self._terms, self._offsets = terms.data, offsets.data

    def __len__(self) -> int:
        """How many terms there are."""
        return len(self._offsets) - 1

    def _bytes(self, term_id: int) -> bytes:
        return bytes(self._terms[self._offsets[term_id] : self._offsets[term_id + 1]])

    def term(self, term_id: int) -> str:
        """The term with this id."""
        return self._bytes(term_id).decode()

    def find(self, term: str) -> int | None:
        """The id of a term, or None if no document has it."""
        wanted = term.encode("utf-8", "surrogatepass")
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._bytes(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self) and self._bytes(low) == wanted else None


def write_vocabulary(folder: Path, terms: Iterable[bytes]) -> None:
    """Write terms that are already in rising order."""
    blob = bytearray()
    offsets = [0]
    for term in terms:
        blob += term
        offsets.append(len(blob))
    np.save(folder / "terms.npy", np.frombuffer(bytes(blob), np.uint8))
    np.save(folder / "term_offsets.npy", np.array(offsets, np.int64))
