"""Texts to token ids, as a model's own tokenizer gives them for one part of a pair.

Knows the `tokenizers` library and the files of a model folder; not the special tokens that stand
around a text, nor how two texts make a pair (rerank/pairs.py).
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TokenIds = NDArray[np.unsignedinteger]  # (n,), uint16 where every id of the vocabulary fits

# Texts go to the tokenizer in groups of about so many characters: enough to keep its threads busy,
# and the memory of a group (some 100 bytes a token) stays bounded whatever the documents' lengths.
_GROUP_CHARACTERS = 1_000_000


class TextTokenizer:
    """A tokenizer without its truncation, padding, special-token template and decoder."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        """Take the tokenizer over; it is changed in place."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.post_processor = None
        tokenizer.decoder = None
        self._tokenizer = tokenizer
        highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
        self.dtype: np.dtype[np.unsignedinteger] = np.dtype(
            np.uint16 if highest < 65536 else np.uint32
        )

    @property
    def digest(self) -> str:
        """The sha256 of what decides the ids: vocabulary, normalizer, pre-tokenizer, added tokens.

        Models that differ only in the length they cut at, in padding or in special-token templates
        have the same digest. It is taken of the form in which the `tokenizers` library writes
        itself, so that the layout of the file does not matter; a release of that library that
        writes another form gives another digest.
        """
        return hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()

    @property
    def vocabulary(self) -> dict[str, int]:
        """The id of each token that is not a special or added one."""
        return self._tokenizer.get_vocab(with_added_tokens=False)

    def encode(self, texts: Sequence[str]) -> list[TokenIds]:
        """Each text's ids, whole, without special tokens around it.

        A special token spelled out in a text ("[SEP]") becomes that token, as the models' own
        tokenizers do it. Half surrogates, which have no UTF-8 form, are read as "?".
        """
        encoded: list[TokenIds] = []
        for group in _groups(texts):
            encodings = self._tokenizer.encode_batch_fast(group, add_special_tokens=False)
            encoded.extend(np.array(encoding.ids, dtype=self.dtype) for encoding in encodings)
        return encoded


def read_tokenizer(folder: Path) -> "Tokenizer":
    """The tokenizer of a model folder as its files say, with truncation, padding and template.

    Read from tokenizer.json; a folder with older files only (vocab.txt and the like) is converted
    by transformers, which takes seconds to import.

    Raises:
        ModelError: the folder has no tokenizer, or one that cannot be read.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        return _converted(folder)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception for everything
        raise ModelError(
            f"{path}: cannot be read as a tokenizer ({error}); fetch the model again"
        ) from error


def text_tokenizer(folder: Path) -> TextTokenizer:
    """The tokenizer of a model folder, for texts.

    Raises:
        ModelError: the folder has no tokenizer, or one that cannot be read.
    """
    return TextTokenizer(read_tokenizer(folder))


def tokenizer_digest(folder: Path) -> str:
    """`TextTokenizer.digest` of a model folder.

    Raises:
        ModelError: the folder has no tokenizer, or one that cannot be read.
    """
    return text_tokenizer(folder).digest


def _converted(folder: Path) -> "Tokenizer":
    from transformers import AutoTokenizer

    try:
        slow = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        tokenizer: Tokenizer = slow.backend_tokenizer
    except Exception as error:  # OSError, ValueError, KeyError, ImportError, AttributeError, ...
        raise ModelError(
            f"{folder}: no tokenizer.json and no vocabulary that can be converted to one"
            f" ({type(error).__name__}); expected the files of a tokenizer"
        ) from error
    return tokenizer


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, as encodable text, in groups of bounded size (one long text at least)."""
    group: list[str] = []
    characters = 0
    for text in texts:
        if group and characters + len(text) > _GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
        group.append(text.encode("utf-8", "replace").decode("utf-8"))
        characters += len(text)
    if group:
        yield group
