"""The sentences of a text of token ids."""

from collections.abc import Container
from typing import Any

import numpy as np
from numpy.typing import NDArray

SENTENCE_TOKENS = (8, 50)  # others are fragments, or lists

Tokens = NDArray[Any]


def sentences(text: Tokens, ends: Container[int], numbers: Container[int]) -> list[Tokens]:
    """Those of SENTENCE_TOKENS, each with its end; views. A point before a number ends none."""
    tokens: list[int] = text.tolist()
    begin, found = 0, []
    for place, token in enumerate(tokens):
        if token not in ends or (place + 1 < len(tokens) and tokens[place + 1] in numbers):
            continue
        if SENTENCE_TOKENS[0] <= place + 1 - begin <= SENTENCE_TOKENS[1]:
            found.append(text[begin : place + 1])
        begin = place + 1
    return found


def in_common(one: Tokens, other: Tokens) -> int:
    """How many different tokens both have."""
    return len(np.intersect1d(one, other))
