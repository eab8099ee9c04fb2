"""From lists with candidates to the packed file: only documents that a list names, as token ids."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.science_training.candidates import Told
from scisearch.benchmarks.science_training.packed import PackedLists, Ragged, token_row
from scisearch.benchmarks.science_training.words import find_words
from scisearch.index.documents import Documents
from scisearch.index.errors import ModelError, TrainingError
from scisearch.index.tokenizer import TextTokenizer, read_tokenizer

_CHUNK = 4096  # texts tokenised together
_ASKED_BY_PAPERS = ("cocitation", "citation")


@dataclass(frozen=True, slots=True)
class Lengths:
    """How many tokens are kept."""

    query: int = 110
    title: int = 48
    text: int = 250


class _Numbers:
    """Documents of several corpora, numbered in the order in which they are named."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], int] = {}

    def of(self, corpus: str, ordinals: NDArray[np.int64]) -> NDArray[np.int32]:
        found = [self.rows.setdefault((corpus, o), len(self.rows)) for o in ordinals.tolist()]
        return np.array(found, np.int32)


def pack_lists(
    told: Sequence[Told],
    documents: Mapping[str, Documents],
    tokenizer: Path,
    *,
    lengths: Lengths | None = None,
) -> PackedLists:
    """The lists with the token ids of everything they name; `tokenizer` is a model's folder.

    Raises:
        TrainingError: there is no list.
        ModelError: the tokenizer cannot be read, or has no [CLS] and [SEP].
    """
    if not told:
        raise TrainingError("found no list with a positive and a negative; choose more")
    lengths = lengths or Lengths()
    tokens, cls_id, sep_id = _tokenizer(tokenizer)
    numbers = _Numbers()
    positives = [numbers.of(one.chosen.corpus, one.positives) for one in told]
    negatives = [numbers.of(one.chosen.corpus, one.negatives) for one in told]
    asking = [_asking(numbers, one) for one in told]
    kinds = tuple(sorted({one.chosen.kind for one in told}))
    held = [documents[corpus].get(ordinal) for corpus, ordinal in numbers.rows]
    return PackedLists(
        kinds=kinds,
        kind=np.array([kinds.index(one.chosen.kind) for one in told], np.uint8),
        queries=_ids(tokens, [one.chosen.query for one in told], lengths.query),
        positives=Ragged.of(positives, np.int32),
        positive_scores=_flat([one.positive_scores for one in told]),
        negatives=Ragged.of(negatives, np.int32),
        negative_scores=_flat([one.negative_scores for one in told]),
        n_top=np.array([one.n_top for one in told], np.uint8),
        rate=np.array([one.rate for one in told], np.float32),
        asking=np.array(asking, np.int32),
        instead=_ids(tokens, [_instead(one, documents) for one in told], lengths.text),
        titles=_ids(tokens, [one.title for one in held], lengths.title),
        texts=_ids(tokens, [one.text for one in held], lengths.text),
        words=find_words(tokens),
        cls_id=cls_id,
        sep_id=sep_id,
        facts=_facts(told, len(held)),
    )


def _tokenizer(folder: Path) -> tuple[TextTokenizer, int, int]:
    """The tokenizer, and the ids that stand before and after the texts of a pair."""
    raw = read_tokenizer(folder)
    cls_id, sep_id = raw.token_to_id("[CLS]"), raw.token_to_id("[SEP]")
    if cls_id is None or sep_id is None:
        raise ModelError(f"{folder}: its tokenizer has no [CLS] and [SEP]; expected BERT's")
    return TextTokenizer(raw), cls_id, sep_id


def _asking(numbers: _Numbers, one: Told) -> int:
    """The paper whose beginning may stand for the query, or -1."""
    if one.asking is None or one.chosen.kind not in _ASKED_BY_PAPERS:
        return -1
    return int(numbers.of(one.chosen.corpus, np.array([one.asking]))[0])


def _instead(one: Told, documents: Mapping[str, Documents]) -> str:
    """The abstract without the sentence that asks for it."""
    if one.chosen.kind != "sentence":
        return ""
    text = documents[one.chosen.corpus].get(int(one.positives[0])).text
    return text.replace(one.chosen.query, " ")


def _ids(tokens: TextTokenizer, texts: Sequence[str], longest: int) -> Ragged:
    rows: list[NDArray[np.uint16]] = []
    for begin in range(0, len(texts), _CHUNK):
        rows += [token_row(ids, longest) for ids in tokens.encode(texts[begin : begin + _CHUNK])]
    return Ragged.of(rows, np.uint16)


def _flat(rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float16]:
    return np.concatenate(rows).astype(np.float16)


def _facts(told: Sequence[Told], n_documents: int) -> Mapping[str, object]:
    """Counts for the card, by source and by terms."""
    sources = Counter(f"{one.chosen.source} ({one.chosen.licence})" for one in told)
    kinds = Counter(one.chosen.kind for one in told)
    return {
        "lists": len(told),
        "documents": n_documents,
        "kinds": dict(kinds.most_common()),
        "sources": dict(sources.most_common()),
    }
