"""A corpus of any size from smaller ones: repeated with perturbed texts, and named so.

What comes out has the length and the mixture of words of the real texts, but is not real: good for
measuring time and memory, and for nothing else.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from scisearch.index.corpus import open_corpus
from scisearch.index.errors import ConfigError

_POOL_DOCUMENTS = 2_000  # whose words replace others, as often as they occur there
_REPLACED = 0.2  # of the words of a repeated text
_MISSPELT = 0.004  # of its words, so that the vocabulary grows with the corpus as a real one does
_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """One document of the corpus."""

    doc_id: str
    title: str
    text: str


def read_rows(sources: Sequence[Path]) -> list[Row]:
    """The documents of several corpora, one after the other; their ids say which one.

    Raises:
        CorpusError: one cannot be read.
    """
    rows = []
    for number, source in enumerate(sources):
        for batch in open_corpus(source).batches():
            columns = (batch.rows.column(name).to_pylist() for name in ("doc_id", "title", "text"))
            for doc_id, title, text in zip(*columns, strict=True):
                if title or text:
                    rows.append(Row(f"{number}:{doc_id}", title or "", text or ""))
    return rows


def grown(rows: Sequence[Row], count: int, *, seed: int = 0) -> Iterator[Row]:
    """`count` documents: a sample spread over the rows, or all of them and perturbed repetitions.

    In a repetition a fifth of the words, in random places, are words of other documents, and one
    in 250 has two letters swapped. Its id ends in "~" and the number of the repetition. The same
    rows, count and seed give the same documents.

    Raises:
        ConfigError: there are no rows.
    """
    if not rows:
        raise ConfigError("the corpora hold no document with a title or a text; name others")
    places = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)).tolist()
    yield from (rows[place] for place in places)
    chance = random.Random(seed)
    pool = _pool(rows, chance)
    for number in range(len(places), count):
        repetition, place = divmod(number, len(rows))
        row = rows[place]
        title, text = (_perturbed(part, pool, chance) for part in (row.title, row.text))
        yield Row(f"{row.doc_id}~{repetition}", title, text)


def write_grown(rows: Sequence[Row], count: int, path: Path) -> None:
    """Write `count` documents as Parquet, in bounded memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in ("doc_id", "title", "text")])
    documents = grown(rows, count)
    part = path.with_name(path.name + ".part")
    with pq.ParquetWriter(part, schema) as writer:
        while batch := list(islice(documents, _ROWS)):
            columns = [[getattr(row, name) for row in batch] for name in schema.names]
            writer.write_table(pa.table(columns, schema=schema))
    part.replace(path)


def _pool(rows: Sequence[Row], chance: random.Random) -> list[str]:
    chosen = chance.sample(range(len(rows)), min(_POOL_DOCUMENTS, len(rows)))
    return [word for place in chosen for word in rows[place].text.split()] or ["word"]


def _perturbed(text: str, pool: Sequence[str], chance: random.Random) -> str:
    words = text.split(" ")
    for _ in range(int(len(words) * _REPLACED)):
        words[int(chance.random() * len(words))] = pool[int(chance.random() * len(pool))]
    for place in range(len(words)):
        if chance.random() < _MISSPELT and len(words[place]) > 3:
            word = words[place]
            at = 1 + int(chance.random() * (len(word) - 2))
            words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)
