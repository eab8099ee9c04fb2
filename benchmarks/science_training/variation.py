"""Lists in other words and other lengths, so that a model does not rely on one kind of either.

A training with whole abstracts alone helped on whole abstracts and did harm on titles, on short
old abstracts and on verbose requests. One with such lists lost less there, and gained less on whole
abstracts; the shipped weights are not of it (benchmarks/LOG.md, 2026-11-27).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.science_training.words import Words

# Kinds whose queries name a subject; a phrase around a claim or a question would not be English.
_SUBJECTS = frozenset(
    ["keywords", "qkeywords", "citation", "heading", "title", "tldr", "cocitation", "definition"]
)
# These quote a text: without its little words it is no quotation.
_QUOTED = frozenset({"context", "sentence"})
_IN_A_PHRASE, _WITHOUT_FUNCTION_WORDS = 0.3, 0.1
_LONGEST_SUBJECT = 70  # tokens in a phrase

Tokens = NDArray[Any]
Draw = np.random.Generator


class Rewording:
    """Puts queries in other words."""

    def __init__(self, words: Words) -> None:
        """Take the phrases, and the words that a query can do without."""
        self._phrases = [(np.array(a, int), np.array(b, int)) for a, b in words.phrases]
        self._function_words = np.array(words.function_words, int)

    def of(self, query: Tokens, kind: str, draw: Draw) -> Tokens:
        """The query as it is (mostly), within a phrase, or without its function words."""
        chance = draw.random()
        if chance < _IN_A_PHRASE:
            return self._in_a_phrase(query, draw) if kind in _SUBJECTS else query
        if chance < _IN_A_PHRASE + _WITHOUT_FUNCTION_WORDS and kind not in _QUOTED:
            kept = query[~np.isin(query, self._function_words)]
            return kept if len(kept) > 1 else query
        return query

    def _in_a_phrase(self, query: Tokens, draw: Draw) -> Tokens:
        before, after = self._phrases[int(draw.integers(len(self._phrases)))]
        return np.concatenate([before, query[:_LONGEST_SUBJECT], after]).astype(query.dtype)


def shortened(texts: Sequence[Tokens], kind: str, draw: Draw) -> list[Tokens]:
    """The texts of a list: all as long as a title, all short, each of its own length, or whole.

    A question's answer is seldom in its title alone, so its texts are never cut to that.
    """
    chance = draw.random()
    if kind == "question":
        chance = 0.2 + 0.8 * chance
    if chance < 0.2:
        return _all_to(texts, int(draw.integers(10, 26)))
    if chance < 0.5:
        return _all_to(texts, int(draw.integers(30, 90)))
    if chance < 0.65:
        return [text[: int(draw.integers(20, 250))] for text in texts]
    if chance < 0.72:
        return [_part(text, draw) for text in texts]
    return list(texts)


def _all_to(texts: Sequence[Tokens], length: int) -> list[Tokens]:
    return [text[:length] for text in texts]


def _part(text: Tokens, draw: Draw) -> Tokens:
    """40 to 120 tokens from somewhere in the first half; of a short text its beginning."""
    begin = 0 if len(text) < 60 else int(draw.integers(0, len(text) // 2))
    return text[begin:][: int(draw.integers(40, 120))]
