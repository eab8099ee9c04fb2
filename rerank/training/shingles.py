"""Which texts share runs of words with a given set of texts: an exact index of word shingles."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

SHINGLE_WORDS = 8
# A run of words in more texts than this is boilerplate (publishers' notices), not a copy.
_MOST_TEXTS = 50
_MOST_WORDS = 1 << 20  # of the cache of word codes, some 100 MB
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no power of it is 0 modulo 2^64
_WORD = re.compile(r"\w+")


def normalised(text: str) -> str:
    """The words of a text (NFKC, case folded, letters and digits only) between single blanks."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def text_key(normal: str) -> int:
    """64 bits for a normalised text; two of a million texts share them with chance 3 in 10^8."""
    return int.from_bytes(blake2b(normal.encode(errors="replace"), digest_size=8).digest())


@dataclass(frozen=True, slots=True)
class Overlap:
    """A text and one of the index with which it shares at least half of the shorter one's runs."""

    text: int  # its position in the batch that was asked
    indexed: int  # position of the other among the indexed texts
    share: float  # shared shingles per shingle of the shorter text


class ShingleIndex:
    """The shingles (runs of 8 words) of a set of texts, exact but for 64-bit hash collisions.

    Texts of fewer than 8 words have no shingle. Memory: 12 bytes per shingle, three times that
    while it is built.
    """

    def __init__(self, normal_texts: Sequence[str], *, batch: int = 4096) -> None:
        """Index normalised texts."""
        self._codes = _WordCodes()
        hashes: list[NDArray[np.uint64]] = []
        owners: list[NDArray[np.uint32]] = []
        self._sizes = np.zeros(len(normal_texts), dtype=np.int64)
        for start in range(0, len(normal_texts), batch):
            found, owner = self._shingles(normal_texts[start : start + batch])
            self._sizes[start : start + batch] = np.bincount(
                owner, minlength=len(normal_texts[start : start + batch])
            )
            hashes.append(found)
            owners.append((owner + start).astype(np.uint32))
        self._hashes, self._owners = _without_boilerplate(_joined(hashes), _joined(owners))

    def overlaps(self, normal_texts: Sequence[str], *, least_share: float) -> Iterator[Overlap]:
        """The indexed texts that share at least `least_share` of the shorter text's shingles.

        At most one for each text: that with the largest share, the first of equal ones.
        """
        hashes, owners = self._shingles(normal_texts)
        sizes = np.bincount(owners, minlength=len(normal_texts))
        first = np.searchsorted(self._hashes, hashes, side="left")
        counts = np.searchsorted(self._hashes, hashes, side="right") - first
        hit = np.flatnonzero(counts)
        if not len(hit):
            return
        counts, first = counts[hit], first[hit]
        starts = np.repeat(first - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        indexed = self._owners[starts + np.arange(int(counts.sum()))].astype(np.int64)
        pairs = np.repeat(owners[hit], counts) * len(self._sizes) + indexed
        pairs, shared = np.unique(pairs, return_counts=True)
        text, indexed = np.divmod(pairs, len(self._sizes))
        share = shared / np.minimum(sizes[text], self._sizes[indexed])
        order = np.lexsort((indexed, -share, text))
        last = -1
        for i in order[share[order] >= least_share].tolist():
            if text[i] != last:
                last = int(text[i])
                yield Overlap(last, int(indexed[i]), float(share[i]))

    def _shingles(
        self, normal_texts: Sequence[str]
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The distinct shingles of each text, rising by hash within the batch, and their texts."""
        words = [text.split(" ") for text in normal_texts]
        lengths = np.array([len(of) for of in words], dtype=np.int64)
        codes = np.fromiter(
            (self._codes[word] for of in words for word in of), np.uint64, int(lengths.sum())
        )
        self._codes.shrink()
        if len(codes) < SHINGLE_WORDS:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        hashes = np.zeros(len(codes) - SHINGLE_WORDS + 1, dtype=np.uint64)
        for place in range(SHINGLE_WORDS):
            hashes = hashes * _MULTIPLIER + codes[place : place + len(hashes)]
        hashes = (hashes ^ (hashes >> np.uint64(29))) * _MULTIPLIER
        owners = np.repeat(np.arange(len(words)), lengths)
        whole = owners[: len(hashes)] == owners[SHINGLE_WORDS - 1 :]
        hashes, owners = hashes[whole], owners[: len(whole)][whole]
        order = np.lexsort((owners, hashes))
        hashes, owners = hashes[order], owners[order]
        new = np.ones(len(hashes), dtype=np.bool_)
        new[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
        return hashes[new], owners[new]


class _WordCodes(dict[str, int]):
    """A fixed random number of 64 bits for each word, so that shingles are sums of products."""

    def __missing__(self, word: str) -> int:
        self[word] = code = text_key(word)
        return code

    def shrink(self) -> None:
        """Forget all words when they are many; their codes come out the same again."""
        if len(self) > _MOST_WORDS:
            self.clear()


def _joined(
    parts: list[NDArray[np.uint64]] | list[NDArray[np.uint32]],
) -> NDArray[np.unsignedinteger]:
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _without_boilerplate(
    hashes: NDArray[np.unsignedinteger], owners: NDArray[np.unsignedinteger]
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger]]:
    """Sorted by hash, without the shingles of too many texts."""
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    counts = np.searchsorted(hashes, hashes, side="right") - np.searchsorted(hashes, hashes)
    kept = counts <= _MOST_TEXTS
    return hashes[kept], owners[kept]
