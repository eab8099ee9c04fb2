"""Where a cross-encoder gets the documents' token ids: from the index, or from their texts."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from scisearch.index.tokenizer import TextTokenizer
from scisearch.index.tokens import MAX_IDS, TokenRows, TokenStore
from scisearch.retrieval.ranking import Ordinals

Texts = Callable[[Ordinals], Sequence[str]]  # the full texts of documents, in the order asked for


class DocumentTokens(Protocol):
    """The token ids of documents, without special tokens."""

    def gather(self, ordinals: Ordinals) -> TokenRows:
        """At most MAX_IDS ids of each document, and the lengths of the whole documents."""
        ...


class TextTokens:
    """Tokenises the documents' texts when they are asked for: the same ids, more slowly."""

    def __init__(self, tokenizer: TextTokenizer, texts: Texts) -> None:
        """Take the tokenizer of the cross-encoder and where the texts come from."""
        self._tokenizer = tokenizer
        self._texts = texts

    def gather(self, ordinals: Ordinals) -> TokenRows:
        """At most MAX_IDS ids of each document, and the lengths of the whole documents."""
        whole = self._tokenizer.encode(self._texts(ordinals))
        lengths = np.array([len(ids) for ids in whole], dtype=np.int64)
        return TokenRows([ids[:MAX_IDS] for ids in whole], lengths)


def document_tokens(
    tokenizer: TextTokenizer, store: TokenStore | None, texts: Texts
) -> DocumentTokens:
    """The store where its ids are this tokenizer's, else the texts."""
    if store is not None and store.tokenizer_digest == tokenizer.digest:
        return store
    return TextTokens(tokenizer, texts)
