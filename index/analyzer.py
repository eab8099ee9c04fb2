"""From text to terms: the one function that the index, the queries and the snippets share."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import chain
from typing import NamedTuple, Self

import Stemmer

from scisearch.index.errors import IndexFormatError
from scisearch.index.science_tokens import Piece, chunk_pattern, pieces
from scisearch.index.stop_words import STOP_WORDS
from scisearch.index.text_folding import fold, fold_aligned, keeps_places

_VERSION = 1
_LONGEST_TERM = 256  # characters; longer ones are cut, in documents and queries alike
_LONGEST_CACHED = 64  # characters of a chunk
_CACHED_CHUNKS = 1 << 18


@dataclass(frozen=True, slots=True)
class AnalyzerConfig:
    """What the manifest keeps of the analyzer; equal configs give equal terms.

    `version` rises whenever the same text would give other terms. `stemmer` is a Snowball
    algorithm or None. `wholes` adds the unsplit forms of compounds, formulae and identifiers.
    """

    version: int = _VERSION
    stemmer: str | None = "english"
    stop_words: bool = True
    wholes: bool = True

    def __post_init__(self) -> None:
        """Refuse what this version cannot do.

        Raises:
            IndexFormatError: another version, or a stemmer that there is not.
        """
        if self.version != _VERSION:
            raise IndexFormatError(
                f"analyzer: version {self.version!r}, expected {_VERSION}; build the index again"
            )
        if self.stemmer is not None and self.stemmer not in Stemmer.algorithms():
            raise IndexFormatError(
                f"analyzer: stemmer {self.stemmer!r}, expected a Snowball algorithm"
                f" ({', '.join(Stemmer.algorithms())}) or none"
            )

    def to_json(self) -> dict[str, object]:
        """The fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Self:
        """The config that `to_json` wrote.

        Raises:
            IndexFormatError: an unknown field, version or stemmer.
        """
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise IndexFormatError(
                f"analyzer: unknown setting {min(unknown)!r}, expected {', '.join(sorted(known))}"
            )
        return cls(**values)  # type: ignore[arg-type]


class TermSpan(NamedTuple):
    """Where the original text, from `start` to before `end`, gave `terms`."""

    start: int
    end: int
    terms: tuple[str, ...]


class _Terms(dict[str, tuple[str, ...]]):
    """Chunk -> its terms, remembered while there is room."""

    def __init__(self, config: AnalyzerConfig) -> None:
        self._wholes = config.wholes
        self._stop_words = STOP_WORDS if config.stop_words else frozenset[str]()
        self._stem = Stemmer.Stemmer(config.stemmer).stemWord if config.stemmer else str

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        terms = tuple(term for piece in pieces(chunk) for term in self.of_piece(piece))
        if len(chunk) <= _LONGEST_CACHED:
            if len(self) >= _CACHED_CHUNKS:
                self.clear()
            self[chunk] = terms
        return terms

    def of_piece(self, piece: Piece) -> tuple[str, ...]:
        """One term or none."""
        text = piece.text[:_LONGEST_TERM]
        if piece.whole and not self._wholes:
            return ()
        if text in self._stop_words or (len(text) == 1 and text.isascii()):
            return ()
        if not text.isascii():
            text = unicodedata.normalize("NFC", text)
        return (self._stem(text) if text.isalpha() else text,)


class Analyzer:
    """Splits text into terms. Deterministic, linear in the text, and raises for no `str`."""

    def __init__(self, config: AnalyzerConfig = AnalyzerConfig()) -> None:
        """Prepare the stemmer."""
        self.config = config
        self._terms = _Terms(config)

    def terms(self, text: str) -> list[str]:
        """The terms of a text, in its order, repeated as often as they occur."""
        folded = fold(text)
        chunks = chunk_pattern(folded).findall(folded)
        return list(chain.from_iterable(map(self._terms.__getitem__, chunks)))

    def spans(self, text: str, among: frozenset[str] | None = None) -> list[TermSpan]:
        """The same terms in the same order, with where they stand in the text as it was given.

        With `among`, only the spans that have one of these terms, which takes far less time.
        """
        starts: Sequence[int]
        ends: Sequence[int]
        if keeps_places(text):
            folded, starts, ends = text.lower(), range(len(text)), range(1, len(text) + 1)
        else:
            folded, starts, ends = fold_aligned(text)
        spans = []
        for match in chunk_pattern(folded).finditer(folded):
            # Remembered chunk by chunk, unlike the pieces.
            if among is not None and among.isdisjoint(self._terms[match[0]]):
                continue
            at = match.start()
            for piece in pieces(match[0]):
                terms = self._terms.of_piece(piece)
                if terms and (among is None or not among.isdisjoint(terms)):
                    begin, end = starts[at + piece.start], ends[at + piece.end - 1]
                    spans.append(TermSpan(begin, end, terms))
        return spans
