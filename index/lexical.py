"""The lexical index: postings of every term with their BM25 scores, memory-mapped.

Its folder, all little-endian `.npy` but for the JSON:

* lexical.json: format, counts, parameters
* data.npy float32, indices.npy int32, indptr.npy int64: the scores in bm25s's column layout, one
  column per term, document ordinals rising within it
* tf.npy uint16 (uint32 where a count needs it): beside indices.npy, how often the term stands there
* lengths.npy int32: terms of each document, repeats counted
* terms.npy uint8, term_offsets.npy int64: see index/vocabulary.py
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scisearch.index.analyzer import Analyzer
from scisearch.index.arrays import create_array, open_array
from scisearch.index.bm25_formula import (
    BM25Parameters,
    Collection,
    collection,
    inverse_document_frequencies,
    posting_scores,
)
from scisearch.index.errors import ConfigError, CorruptIndexError, IndexFormatError
from scisearch.index.postings import PostingSpool
from scisearch.index.vocabulary import Vocabulary, write_vocabulary

_FORMAT = 1
_CHUNK_POSTINGS = 1 << 20

__all__ = ["BM25Parameters", "LexicalIndex", "LexicalWriter"]


class LexicalWriter:
    """Builds the folder of a LexicalIndex from texts in ordinal order.

    Memory holds the vocabulary, the lengths and about a million tokens; the rest goes to disk.
    """

    def __init__(self, folder: Path, analyzer: Analyzer, parameters: BM25Parameters) -> None:
        """Write into this folder, which is made if it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._analyzer = analyzer
        self._parameters = parameters
        self._spool = PostingSpool(folder / "postings.spill")

    def add(self, texts: Sequence[str]) -> None:
        """Take the next documents."""
        for text in texts:
            self._spool.add(self._analyzer.terms(text))

    def finish(self) -> None:
        """Write the index. Equal texts give equal bytes, however they were split over `add`."""
        spool = self._spool
        spool.spill()
        encoded = [term.encode() for term in spool.term_ids]
        order = np.array(sorted(range(len(encoded)), key=encoded.__getitem__), np.int64)
        write_vocabulary(self._folder, (encoded[i] for i in order))
        df = spool.document_frequencies()[order]
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(df, dtype=np.int64)])
        lengths = np.array(spool.lengths, np.int32)
        np.save(self._folder / "indptr.npy", indptr)
        np.save(self._folder / "lengths.npy", lengths)
        begins = np.empty(len(order), np.int64)
        begins[order] = indptr[:-1]
        self._place(begins, n_postings=int(indptr[-1]))
        self._score(indptr, lengths, df)
        spool.remove()
        header = {
            "format": _FORMAT,
            "n_docs": len(lengths),
            "n_terms": len(order),
            "n_postings": int(indptr[-1]),
            "bm25": self._parameters.to_json(),
        }
        (self._folder / "lexical.json").write_text(json.dumps(header, indent=1) + "\n")

    def _place(self, begins: NDArray[np.int64], *, n_postings: int) -> None:
        """Write every posting into its term's column; `begins` is where each term's next goes."""
        wide = self._spool.largest_tf > np.iinfo(np.uint16).max
        indices = create_array(self._folder / "indices.npy", np.int32, n_postings)
        tf = create_array(self._folder / "tf.npy", np.uint32 if wide else np.uint16, n_postings)
        for block in self._spool.blocks():
            terms, first, counts = np.unique(block.terms, return_index=True, return_counts=True)
            places = np.repeat(begins[terms] - first, counts) + np.arange(len(block.terms))
            indices[places] = block.ordinals
            tf[places] = block.tf
            begins[terms] += counts

    def _score(
        self, indptr: NDArray[np.int64], lengths: NDArray[np.int32], df: NDArray[np.int64]
    ) -> None:
        """Write the score of every posting."""
        of = collection(lengths, df, self._parameters)
        idf = inverse_document_frequencies(df, of)
        indices = open_array(self._folder / "indices.npy", "int32")
        tf = open_array(self._folder / "tf.npy", "uint16 uint32")
        data = create_array(self._folder / "data.npy", np.float32, len(indices))
        for first, last in _ranges(indptr):
            postings = slice(int(indptr[first]), int(indptr[last]))
            data[postings] = posting_scores(
                tf[postings],
                lengths[indices[postings]],
                np.repeat(idf[first:last], df[first:last]),
                of,
                self._parameters,
            )


def _ranges(indptr: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of terms that together hold about as many postings as fit in memory well."""
    first, n_terms = 0, len(indptr) - 1
    while first < n_terms:
        last = int(np.searchsorted(indptr, indptr[first] + _CHUNK_POSTINGS, side="right")) - 1
        last = min(n_terms, max(first + 1, last))
        yield first, last
        first = last


class LexicalIndex:
    """An open lexical index. The arrays are read-only memory maps; see the module docstring."""

    def __init__(self, folder: Path, parameters: BM25Parameters) -> None:
        """Map the arrays of the folder; `open` reads the parameters and checks the counts."""
        self.parameters = parameters
        self.vocabulary = Vocabulary(folder)
        self.data: NDArray[np.float32] = open_array(folder / "data.npy", "float32")
        self.indices: NDArray[np.int32] = open_array(folder / "indices.npy", "int32")
        self.indptr: NDArray[np.int64] = open_array(folder / "indptr.npy", "int64")
        self.tf: NDArray[Any] = open_array(folder / "tf.npy", "uint16 uint32")
        self.lengths: NDArray[np.int32] = open_array(folder / "lengths.npy", "int32")

    @classmethod
    def open(cls, folder: Path) -> "LexicalIndex":
        """The index in this folder, without reading its arrays.

        Raises:
            IndexFormatError: written by another version.
            CorruptIndexError: a file is missing or does not fit the others.
        """
        header = _read_header(folder)
        try:
            index = cls(folder, BM25Parameters.from_json(header["bm25"]))
            expected = [header[name] for name in ("n_docs", "n_terms", "n_postings")]
        except (KeyError, TypeError, ConfigError) as error:
            raise CorruptIndexError(
                f"{folder / 'lexical.json'}: not what was written ({error}); build the index again"
            ) from error
        found = [index.n_docs, index.n_terms, int(index.indptr[-1])]
        columns = {len(index.data), len(index.indices), len(index.tf), found[2]}
        if found != expected or len(columns) > 1 or len(index.indptr) != index.n_terms + 1:
            raise CorruptIndexError(
                f"{folder}: found {found} documents, terms and postings in the arrays, expected"
                f" {expected}; build the index again"
            )
        return index

    @property
    def n_docs(self) -> int:
        """How many documents, those without a term included."""
        return len(self.lengths)

    @property
    def n_terms(self) -> int:
        """How many different terms."""
        return len(self.vocabulary)

    def column(self, term_id: int) -> slice:
        """Where a term's postings stand in `data`, `indices` and `tf`."""
        return slice(int(self.indptr[term_id]), int(self.indptr[term_id + 1]))

    def document_frequency(self, term: str, allowed: NDArray[np.bool_] | None = None) -> int:
        """In how many documents a term stands, of those `allowed`, (n_docs,), where it is given."""
        term_id = self.vocabulary.find(term)
        if term_id is None:
            return 0
        column = self.column(term_id)
        if allowed is None:
            return int(column.stop - column.start)
        return int(np.count_nonzero(allowed[self.indices[column]]))

    def having(self, term: str, ordinals: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of these documents have a term, (n,)."""
        term_id = self.vocabulary.find(term)
        postings = self.indices[:0] if term_id is None else self.indices[self.column(term_id)]
        if not len(postings):
            return np.zeros(len(ordinals), np.bool_)
        places = np.minimum(np.searchsorted(postings, ordinals), len(postings) - 1)
        found: NDArray[np.bool_] = postings[places] == ordinals
        return found

    def restricted(self, allowed: NDArray[np.bool_]) -> Collection:
        """The statistics of an index of only the allowed documents; (n_docs,) bool."""
        df = None
        if self.parameters.variant == "okapi" and self.n_terms:
            df = np.add.reduceat(allowed[self.indices], self.indptr[:-1], dtype=np.int64)
        return collection(self.lengths[allowed], df, self.parameters)


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / "lexical.json"
    try:
        header = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CorruptIndexError(f"{path}: no such file; build the index again") from error
    except ValueError as error:
        raise CorruptIndexError(f"{path}: not JSON ({error}); build the index again") from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise IndexFormatError(
            f"{path}: not lexical format {_FORMAT}, which this version reads; build the index again"
        )
    return header
