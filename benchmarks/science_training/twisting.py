"""A relevant text with what its query turns on turned round: "higher" for "lower", 9 for 12, "not".

It stands in its list below the text it was made of and above all others: what it is about is still
right. The contrast suite is of such pairs (benchmarks/contrast_pairs).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.science_training.words import Words

# Kinds whose queries say something, rather than name a subject.
TWISTED = frozenset({"claim", "scifact", "tldr", "sentence", "question", "context"})
TWISTED_CHANCE = 0.35  # of their lists; in a third of those there is something to turn round
TWISTED_SHARE = 0.22  # of the target, at the twisted text
_NEGATED = 0.35  # where the query says neither a number nor anything with an opposite

Tokens = NDArray[Any]
Draw = np.random.Generator


class Twisting:
    """Turns texts round."""

    def __init__(self, words: Words) -> None:
        """Take the opposites, the numbers and the words of negation."""
        pairs = words.opposites
        self._opposites = {**dict(pairs), **{other: one for one, other in pairs}}
        self._numbers = {one: group for group in words.numbers for one in group}
        self._auxiliaries = frozenset(words.auxiliaries)
        self._negation = words.negation

    def of(self, query: Tokens, text: Tokens, draw: Draw) -> Tokens | None:
        """The text turned round where the query's words are; None where nothing of it is.

        Words with an opposite and numbers change where the query has them (or has the opposite).
        "not" goes where the query has it; where it has none of all these, the text may be negated.
        """
        asked = set(query.tolist())
        opposites = {one: other for one, other in self._opposites.items() if asked & {one, other}}
        numbers = self._others(asked, draw)
        negation = self._negation
        bare = not opposites and not any(one in self._numbers for one in asked)
        negate = bare and negation is not None and draw.random() < _NEGATED
        tokens: list[int] = text.tolist()
        twisted: list[int] = []
        for token in tokens:
            if token == negation and (negate or token in asked):
                continue
            twisted.append(opposites.get(token, numbers.get(token, token)))
            if negate and negation is not None and token in self._auxiliaries:
                twisted.append(negation)
        return None if twisted == tokens else np.array(twisted, text.dtype)

    def _others(self, asked: set[int], draw: Draw) -> dict[int, int]:
        """For each number of the query another one with as many digits."""
        found = sorted(one for one in asked if one in self._numbers)
        return {one: int(draw.choice(self._numbers[one])) for one in found}
