"""Where the words of science begin and end: compounds, formulae, genes, numbers, identifiers.

Works on folded text (index/text_folding.py). A *chunk* is what stands between spaces and sentence
marks, a *piece* is one term's text with its place in the chunk. A chunk of several parts gives one
piece for the whole and one for each part: `grain-boundary` gives `grainboundary`, `grain` and
`boundary`, so that it meets `grainboundary` as well as `grain boundary`.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_WORD = r"[^\W_]"
# Possessive, and joiners are no word characters: one pass, nothing to backtrack into.
_CHUNK = (
    # Nearly every word ends here; the rest is for those that touch a sign, a digit or a letter
    # beyond ASCII.
    r"[a-z]++(?![-+/'*_&^#.0-9]|[^\x00-\x7f])|"
    r"\.net(?![^\W_])"
    r"|(?<![^\W_])(?:[a-z]\.){2,}+(?:[a-z](?![^\W_]))?"
    rf"|{_WORD}++(?:(?:\^?[-+]|[/'*_&^]|(?<=\d)[.,](?=\d)){_WORD}++)*+"
    r"(?:\+{1,2}+(?!\w)|\#)?"
)
_IDENTIFIER = (
    r"(?:https?|ftp)://[^\s<>\"]++"
    r"|www\.[^\s<>\"]++"
    r"|10\.\d{4,9}+/[^\s<>\"]++"
    r"|[\w.+%-]{1,64}+@[\w-]++(?:\.[\w-]++)++"
)
CHUNKS = re.compile(_CHUNK)
IDENTIFIERS_OR_CHUNKS = re.compile(f"(?:{_IDENTIFIER})|{_CHUNK}")
# A text with none of these has no identifier, and is scanned by the shorter pattern.
_IDENTIFIER_SIGNS = ("10.", "://", "@", "www.")

_PARTS = re.compile(rf"{_WORD}+")
_NAMES_AND_NUMBERS = re.compile(r"[a-z]{2,}|\d{2,}")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
_IDENTIFIER_START = re.compile(r"(?:https?|ftp)://(?:www\.)?|www\.")
_DOI = re.compile(r"10\.\d{4,9}/.")
_ARXIV_VERSION = re.compile(r"(\d{4}\.\d{4,5})v\d+")
_HYPHEN = re.compile(r"(?<!\d)-|-(?!\d)|'")
_CONTRACTION = re.compile(r"(?:(?<!ca)n't|'(?:s|re|ve|ll|d|m|t))$")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_LONGEST_COMPOUND = 64
_LONGEST_IDENTIFIER = 256
_LONGEST_CHARGED = 8  # characters: He+, SO4^2+, C++, C#; a longer word's plus is punctuation

# Isotopes as they are written with the mass first; the other spellings meet at symbol + mass.
_ISOTOPES = {
    f"{mass}{symbol}": f"{symbol}{mass}"
    for symbol, masses in {
        "h": "2 3", "he": "3 4", "li": "6 7", "be": "7 10", "b": "10 11", "c": "11 12 13 14",
        "n": "13 14 15", "o": "15 16 17 18", "f": "18 19", "na": "22 23 24", "mg": "24 25 26",
        "al": "26 27", "si": "28 29 30", "p": "31 32 33", "s": "32 34 35", "cl": "35 36 37",
        "ar": "36 39 40", "k": "39 40 42", "ca": "40 41 45", "cr": "51 53", "fe": "54 55 56 57 59",
        "co": "57 58 60", "ni": "63", "cu": "62 64 67", "zn": "65", "ga": "67 68", "se": "75 77",
        "kr": "85", "rb": "82 86 87", "sr": "86 87 88 89 90", "y": "90", "zr": "89 90",
        "mo": "99 100", "tc": "99 99m", "in": "111", "i": "123 124 125 127 129 131",
        "xe": "129 131 133 136", "cs": "134 137", "ba": "137", "nd": "143 144", "sm": "147 153",
        "lu": "176 177", "hf": "176 177", "re": "186 187 188", "os": "187 188", "hg": "198 202",
        "tl": "201", "pb": "204 206 207 208 210", "po": "210", "rn": "222", "ra": "223 226 228",
        "ac": "225 227", "th": "230 232 234", "u": "233 234 235 236 238", "np": "237",
        "pu": "238 239 240 241", "am": "241",
    }.items()
    for mass in masses.split()
}  # fmt: skip


class Piece(NamedTuple):
    """One term before stop words and stems: its place in the chunk, and whether it is a whole."""

    start: int
    end: int
    text: str
    whole: bool


def chunk_pattern(folded: str) -> re.Pattern[str]:
    """The pattern whose matches are the chunks of this text."""
    if any(sign in folded for sign in _IDENTIFIER_SIGNS):
        return IDENTIFIERS_OR_CHUNKS
    return CHUNKS


def pieces(chunk: str) -> list[Piece]:
    """What one chunk is made of: the whole first, then its parts from left to right."""
    if chunk.isalpha() and chunk.isascii():
        return [Piece(0, len(chunk), chunk, whole=False)]
    if "://" in chunk or "@" in chunk or chunk.startswith("www.") or _DOI.match(chunk):
        return list(_identifier(chunk))
    return list(_chunk(chunk))


def _identifier(chunk: str) -> Iterator[Piece]:
    """A link, DOI or mail address as a whole, then all that is in it."""
    opening = _IDENTIFIER_START.match(chunk)
    doi = _DOI.search(chunk)
    start = doi.start() if doi else opening.end() if opening else 0
    whole = chunk[start:].rstrip(".,;:!?'\"/").rstrip(")]}")
    if whole and len(whole) <= _LONGEST_IDENTIFIER:
        yield Piece(start, start + len(whole), whole, whole=True)
    yield from _parts(_PARTS.finditer(chunk, opening.end() if opening else 0))


def _chunk(chunk: str) -> Iterator[Piece]:
    if "'" in chunk:
        chunk = _CONTRACTION.sub("", chunk)
        if not chunk:  # n't on its own, as tokenised texts write it
            return
    if _NUMBER.fullmatch(chunk):
        yield Piece(0, len(chunk), chunk.replace(",", ""), whole=False)
        return
    if "." in chunk and chunk.replace(".", "").isalpha():  # u.s.a. and .net
        text = chunk if chunk[0] == "." else chunk.replace(".", "")
        yield Piece(0, len(chunk), text, whole=False)
        return
    parts = list(_PARTS.finditer(chunk))
    if len(chunk) <= _LONGEST_COMPOUND:
        yield from _wholes(chunk, n_parts=len(parts))
    yield from _parts(parts)


def _parts(parts: Iterable[re.Match[str]]) -> Iterator[Piece]:
    for part in parts:
        if part[0].isascii():
            yield from _letters_and_digits(part[0], at=part.start())
        else:
            yield from _foreign(part[0], at=part.start())


def _wholes(chunk: str, *, n_parts: int) -> Iterator[Piece]:
    """The chunk without its hyphens, and the other name it may be known by."""
    joined = _HYPHEN.sub("", chunk.replace("^", ""))
    if len(joined) > _LONGEST_CHARGED:
        joined = joined.rstrip("+#")
    if n_parts > 1 or joined[-1] in "+#":
        yield Piece(0, len(chunk), joined, whole=True)
    versioned = _ARXIV_VERSION.fullmatch(chunk)
    other = versioned[1] if versioned else _ISOTOPES.get(joined)
    if other:
        yield Piece(0, len(chunk), other, whole=True)


def _letters_and_digits(part: str, *, at: int) -> Iterator[Piece]:
    """A part as it is, and its names and numbers: brca1 and brca, 10mg and 10 and mg."""
    yield Piece(at, at + len(part), part, whole=False)
    if not part.isalpha() and not part.isdigit():
        for run in _NAMES_AND_NUMBERS.finditer(part[:_LONGEST_COMPOUND]):
            yield Piece(at + run.start(), at + run.end(), run[0], whole=False)


def _foreign(part: str, *, at: int) -> Iterator[Piece]:
    """A part with letters beyond ASCII: Chinese and Japanese as characters and pairs of them."""
    done = 0
    for run in _CJK.finditer(part):
        if run.start() > done:
            yield Piece(at + done, at + run.start(), part[done : run.start()], whole=False)
        for i in range(run.start(), run.end()):
            yield Piece(at + i, at + i + 1, part[i], whole=False)
            if i + 1 < run.end():
                yield Piece(at + i, at + i + 2, part[i : i + 2], whole=True)
        done = run.end()
    if done < len(part):
        yield Piece(at + done, at + len(part), part[done:], whole=False)
