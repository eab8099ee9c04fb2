"""Which lists we learn from: kinds of query, how many of each, and the documents around them.

Reads the relation files of a corpora folder (its README says what they hold). Knows nothing of
indexes, tokens or models.
"""

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from scisearch.benchmarks.science_training.caps import Caps
from scisearch.index.errors import TrainingError

T = TypeVar("T")
PAPERS, QUESTIONS = "papers", "questions"

_KIND_OF_QUESTION = {"duplicate": "question", "keywords": "qkeywords"}
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")


class ChosenList(NamedTuple):
    """A query and the doc_ids in `corpus` that answer it."""

    kind: str
    corpus: str
    query: str
    positives: tuple[str, ...]
    asking: str | None = None  # the document that is the query, which must not answer itself
    source: str = ""  # the file, or the source of a question
    licence: str = "not stated"


@dataclass(frozen=True, slots=True)
class Choice:
    """Lists, and by corpus the documents that their candidates come from: title and text."""

    lists: list[ChosenList]
    documents: Mapping[str, dict[str, tuple[str, str]]]


def choose(corpora: Path, caps: Caps) -> Choice:
    """Lists of every kind from the files of the folder; the same for the same files and caps.

    Raises:
        TrainingError: a file cannot be read.
    """
    papers = _papers(corpora, caps)
    questions = _questions(corpora, caps)
    return Choice([*papers.lists, *questions.lists], {**papers.documents, **questions.documents})


def _papers(corpora: Path, caps: Caps) -> Choice:
    draw = random.Random(caps.seed)
    rows = relation_rows(corpora / "papers.parquet", ("doc_id", "title", "text"))
    known = {row["doc_id"]: (row["title"] or "", row["text"] or "") for row in rows}
    lists = [*_cited(corpora, known, caps, draw), *_described(corpora, known, caps, draw)]
    targets = {doc_id for one in lists for doc_id in one.positives}
    rest = sorted(known.keys() - targets)
    chosen = targets | set(_some(draw, rest, max(0, caps.papers - len(targets))))
    # in one order whatever the sets' order was
    documents = {doc_id: known[doc_id] for doc_id in sorted(chosen)}
    lists += _own_words(documents, caps, draw)
    return Choice(lists, {PAPERS: documents})


def _cited(
    corpora: Path, known: Mapping[str, Any], caps: Caps, draw: random.Random
) -> Iterator[ChosenList]:
    """Title of a paper, sentence around a citation, or a paper cited beside → cited papers."""
    for kind, name, shortest, longest, most in (
        ("citation", "citations", 15, 250, 12),
        ("context", "citation_contexts", 40, 350, 6),
    ):
        groups = _grouped(corpora / f"{name}.parquet", known)
        fit = [query for query in groups if shortest <= len(query) <= longest]
        fit = _kept(caps, kind, fit)
        for query in _some(draw, fit, caps.kinds[kind]):
            found = list(groups[query])
            asking = next((one for one in groups[query].values() if one is not None), None)
            yield ChosenList(kind, PAPERS, query, _few(draw, found, most), asking, name)
    beside: dict[str, list[str]] = {}
    for row in relation_rows(corpora / "cocitations.parquet", ("a_doc_id", "b_doc_id")):
        if row["a_doc_id"] in known and row["b_doc_id"] in known:
            beside.setdefault(row["a_doc_id"], []).append(row["b_doc_id"])
    # by the title, so that a paper that asks in vain for what it cites is not asked with either
    fit = [one for one in beside if caps.takes("cocitation", known[one][0])]
    for asking in _some(draw, fit, caps.kinds["cocitation"]):
        answers = tuple(dict.fromkeys(beside[asking]))[:8]
        yield ChosenList("cocitation", PAPERS, known[asking][0], answers, asking, "cocitations")


def _described(
    corpora: Path, known: Mapping[str, Any], caps: Caps, draw: random.Random
) -> Iterator[ChosenList]:
    """Summary, heading of a reading list, or some of the author's keywords → papers."""
    summaries = _grouped(corpora / "tldr.parquet", known)
    for query in _some(draw, _kept(caps, "tldr", summaries), caps.kinds["tldr"]):
        yield ChosenList("tldr", PAPERS, query, tuple(summaries[query]), None, "tldr")
    headings = _grouped(corpora / "reading_lists.parquet", known)
    for query in _some(draw, _kept(caps, "heading", headings), caps.kinds["heading"]):
        answers = tuple(headings[query])
        # a long list asks more than once, with other answers first
        for begin in range(0, min(len(answers), 9), 3):
            turned = answers[begin:] + answers[:begin]
            yield ChosenList(
                "heading", PAPERS, query.replace(":", ""), turned, None, "reading_lists"
            )
    words: dict[str, list[str]] = {}
    for row in relation_rows(corpora / "keywords.parquet", ("query_text", "target_doc_id")):
        if row["query_text"] and row["target_doc_id"] in known:
            words.setdefault(row["target_doc_id"], []).append(row["query_text"])
    enough = [doc_id for doc_id, found in words.items() if len(found) > 1]
    enough = _kept(caps, "keywords", enough)
    for doc_id in _some(draw, enough, caps.kinds["keywords"]):
        some = draw.sample(words[doc_id], min(draw.choice((2, 3)), len(words[doc_id])))
        yield ChosenList("keywords", PAPERS, " ".join(some), (doc_id,), None, "keywords")


def _own_words(
    documents: Mapping[str, tuple[str, str]], caps: Caps, draw: random.Random
) -> Iterator[ChosenList]:
    """A sentence → the rest of its abstract; a title → its abstract."""
    n_sentences = n_titles = 0
    for doc_id in _some(draw, list(documents), len(documents)):
        title, text = documents[doc_id]
        sentences = [one for one in _SENTENCE_END.split(text) if 50 <= len(one) <= 300]
        if n_sentences < caps.kinds["sentence"] and len(sentences) > 3:
            n_sentences += 1
            query = draw.choice(sentences[1:])
            yield ChosenList("sentence", PAPERS, query, (doc_id,), None, "papers")
        elif n_titles < caps.kinds["title"] and len(title) > 20:
            n_titles += 1
            yield ChosenList("title", PAPERS, title, (doc_id,), None, "papers")


def _questions(corpora: Path, caps: Caps) -> Choice:
    """Questions, claims, definitions and keywords → passages, with the terms that we may use."""
    draw = random.Random(caps.seed + 1)
    columns = ("query", "positive", "negative", "source", "kind", "licence_class")
    by_source: dict[str, list[dict[str, Any]]] = {}
    for row in relation_rows(corpora / "questions.parquet", columns):
        if row["licence_class"] in caps.licences and row["query"] and row["positive"]:
            by_source.setdefault(row["source"], []).append(row)
    passages: dict[str, str] = {}  # text -> doc_id
    lists: list[ChosenList] = []
    for source, rows in sorted(by_source.items()):
        by_query: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_query.setdefault(row["query"], []).append(row)
        cap = caps.sources.get(source, caps.other_source)
        asked = _some(draw, _kept(caps, source, by_query), cap)
        lists += [_question(by_query[one], passages) for one in asked]
        for row in _some(draw, rows, caps.more_passages):
            _passage(passages, row["positive"])
    return Choice(lists, {QUESTIONS: {doc_id: ("", text) for text, doc_id in passages.items()}})


def _question(rows: Sequence[Mapping[str, Any]], passages: dict[str, str]) -> ChosenList:
    """The list of one query; its hard negatives become passages that it may be wrong with."""
    first = rows[0]
    answers = dict.fromkeys(_passage(passages, row["positive"]) for row in rows)
    for row in rows:
        for negative in (row["negative"] or [])[:4]:
            if negative and len(negative) > 20:
                _passage(passages, negative)
    kind: str = first["kind"]
    some, licence = tuple(answers)[:6], first["licence_class"]
    kind = _KIND_OF_QUESTION.get(kind, kind)
    return ChosenList(kind, QUESTIONS, first["query"], some, None, first["source"], licence)


def _passage(passages: dict[str, str], text: str) -> str:
    return passages.setdefault(text.strip(), f"q{len(passages)}")


def _grouped(path: Path, known: Mapping[str, Any]) -> dict[str, dict[str, str | None]]:
    """Query -> target doc_id -> the doc_id that asks, where it is known; in the file's order."""
    found: dict[str, dict[str, str | None]] = {}
    for row in relation_rows(path, ("query_text", "query_doc_id", "target_doc_id")):
        # some citing papers are known by their id alone
        if row["query_text"] and row["target_doc_id"] in known:
            found.setdefault(row["query_text"], {})[row["target_doc_id"]] = row["query_doc_id"]
    return found


def _kept(caps: Caps, kind: str, texts: Iterable[str]) -> list[str]:
    """The queries of a kind that are not held out, or only those that are."""
    return [text for text in texts if caps.takes(kind, text)]


def _some(draw: random.Random, values: Sequence[T], count: int) -> list[T]:
    """At most `count` of the values, shuffled."""
    return draw.sample(values, min(count, len(values)))


def _few(draw: random.Random, values: Sequence[str], count: int) -> tuple[str, ...]:
    return tuple(_some(draw, values, count))


def relation_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file of the corpora, with these columns alone.

    Raises:
        TrainingError: it cannot be read, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(8192, columns=list(columns)):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"{path}: cannot be read as Parquet with the columns {', '.join(columns)} ({reason})"
        ) from error
