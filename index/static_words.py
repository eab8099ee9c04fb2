"""The words of a text, as a static encoder counts and adds them up.

The same splitting twice: by Python, fast, and as a `tokenizers` tokenizer, which is what
sentence-transformers reads. Knows nothing of vectors.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Normalizer

UNKNOWN = "[UNK]"  # id 0, whose vector is zero

# Letters and digits; ranges rather than \w, which Python and the tokenizers library read
# differently beyond ASCII.
_WORD = "[a-z0-9\u00c0-\u1fff\u2c00-\u2dff\u3040-\ud7ff\uf900-\ufaff]+"
_WORDS = re.compile(_WORD)


class WordSplitter:
    """Text to words: compatibility forms, accents and case folded; letters and digits joined."""

    def words(self, text: str) -> list[str]:
        """The words of a text, in order, repeated as often as they occur."""
        if text.isascii():
            return _WORDS.findall(text.lower())
        # Half a surrogate pair has no UTF-8 form; the normalizer, written in Rust, refuses it.
        legal = text.encode(errors="replace").decode()
        return _WORDS.findall(self._normalizer.normalize_str(legal))

    @cached_property
    def _normalizer(self) -> "Normalizer":
        return _make_normalizer()


class WordIds:
    """Words to ids: the places of words in a vocabulary whose first one is `UNKNOWN`."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """Number the vocabulary."""
        self._splitter = WordSplitter()
        self._ids = _Ids((word, number) for number, word in enumerate(vocabulary))

    def ids(self, text: str) -> NDArray[np.int64]:
        """(n_words,) the id of each word of a text; 0 for a word that is not in the vocabulary."""
        return np.array([self._ids[word] for word in self._splitter.words(text)], np.int64)


class _Ids(dict[str, int]):
    def __missing__(self, word: str) -> int:
        return 0


def count_words(texts: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """How often each word occurs, and in how many of the texts."""
    splitter = WordSplitter()
    occurrences, documents = Counter[str](), Counter[str]()
    for text in texts:
        words = splitter.words(text)
        occurrences.update(words)
        documents.update(set(words))
    return occurrences, documents


def word_tokenizer(vocabulary: Sequence[str]) -> "Tokenizer":
    """The same splitting and numbering as a tokenizer; its file is what is kept of it."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    numbers = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer = _make_normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), "removed", invert=True)
    return tokenizer


def _make_normalizer() -> "Normalizer":
    from tokenizers import normalizers

    return normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
