"""Collections to choose settings on, cut out of the corpora.

Each is a folder as `search benchmark`, `tune` and `fit-reranker` read it. Narrow ones have all the
documents about one subject, so that the first stages' candidates are alike, as in a collection of
one field; wide ones have some of everything. Their queries are never learned from. Which ones is
told by a hash of their text (`caps.py`), so these folders can be made again from the same corpora
to the byte. Topics of two keywords with many answers are not held out: a training list may ask for
one of their papers with the same keywords.

Where one document answers a query, a cross-encoder gains by every weight it is given, where many do
it hardly gains, and few of these sets are of the second kind (benchmarks/LOG.md, 2026-11-29), so
look at their means apart. Sets of textbooks and of questions to a web search are from sources whose
terms keep them out of every training: they alone are as foreign to the weights as a collection from
elsewhere.
"""

import json
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import combinations
from pathlib import Path

from scisearch.benchmarks.science_training.caps import Caps, large_caps
from scisearch.benchmarks.science_training.choice import (
    PAPERS,
    QUESTIONS,
    Choice,
    ChosenList,
    choose,
    relation_rows,
)
from scisearch.index.errors import ConfigError

Document = tuple[str, str]  # title and text
Topic = tuple[str, Mapping[str, int]]  # a query and the gains of the doc_ids that answer it

_ALL = 10**9
_DISTRACTORS = 12_000  # documents of a wide collection beside those that answer

# All held-out queries of a corpus.
WIDE: Mapping[str, str] = {"questions": QUESTIONS, "papers": PAPERS}
# A document is about a subject when this is found in its title or text.
SUBJECTS: Mapping[str, tuple[str, str]] = {
    "cancer": (QUESTIONS, r"\b(cancer|carcinoma|tumou?r|leuk(a)?emia|lymphoma)"),
    "diabetes": (QUESTIONS, r"\b(diabet|insulin|glyc(a)?emi)"),
    "heart": (QUESTIONS, r"\b(heart|cardiac|coronary|myocardial)"),
    "covid": (QUESTIONS, r"\b(covid|sars-cov|coronavirus)"),
    "visualization": (PAPERS, r"\bvisuali[sz]"),
    "linguistics": (PAPERS, r"\b(linguistic|treebank|parsing|machine translation|lexical)"),
    "reinforcement-learning": (PAPERS, r"\breinforcement learning"),
    "graph-networks": (PAPERS, r"\bgraph (neural|convolution|attention|network|representation)"),
}
# Fields whose papers have author keywords that many others have too: topics with many answers.
FIELDS: Mapping[str, str] = {
    "plants-and-food": "europepmc",
    "visualization-topics": "vispubdata",
    "linguistics-topics": "acl_anthology",
    "learning-topics": "openreview",
}
# Queries of a source whose terms keep it out of every training, among the documents of several.
_TEXTBOOKS = ("openstax_terms", "openstax_sections", "openstax_exercises")
UNSEEN: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "textbook-terms": ("openstax_terms", _TEXTBOOKS),
    "textbook-sections": ("openstax_sections", _TEXTBOOKS),
    "textbook-exercises": ("openstax_exercises", _TEXTBOOKS),
    "web-questions": ("msmarco_sample", ("msmarco_sample",)),
}


@dataclass(frozen=True, slots=True)
class DevCollection:
    """What is written to one folder."""

    name: str
    documents: Mapping[str, Document]
    topics: Sequence[Topic]


def write_dev_collections(
    corpora: Path,
    output: Path,
    *,
    queries: int = 150,
    fewest: int = 15,
    only: Sequence[str] = (),
    seed: int = 20261129,
) -> dict[str, tuple[int, int]]:
    """Write a folder for each collection into `output`; name -> documents, queries.

    Args:
        corpora: a folder of corpora with their relations.
        output: made where it is not there; folders in it with these names are overwritten.
        queries: of each collection at most, drawn at random.
        fewest: queries of a collection that is worth its index; one with fewer is left out.
        only: names; all by default.
        seed: of what is drawn.

    Raises:
        ConfigError: a name is unknown, or a folder cannot be written.
        TrainingError: a file of the corpora cannot be read.
    """
    makers = _makers(corpora, seed)
    for name in only:
        if name not in makers:
            raise ConfigError(f"dev collection {name!r}; expected one of {', '.join(makers)}")
    told: dict[str, tuple[int, int]] = {}
    for name in [name for name in makers if not only or name in only]:
        one = makers[name]()
        draw = random.Random(f"{seed} {one.name}")
        topics = draw.sample(one.topics, min(queries, len(one.topics)))
        if len(topics) >= fewest:
            _write(output / one.name, one.documents, topics)
            told[one.name] = (len(one.documents), len(topics))
    return told


def _makers(corpora: Path, seed: int) -> dict[str, Callable[[], DevCollection]]:
    """What makes each collection; the held-out lists are chosen once, when the first one asks."""

    @cache
    def held() -> Choice:
        return choose(corpora, _held_out())

    def make_wide(name: str, corpus: str) -> DevCollection:
        return wide(name, held(), corpus, seed=seed)

    def make_narrow(name: str, corpus: str, pattern: str) -> DevCollection:
        return narrow(name, held(), corpus, pattern)

    return {
        **{name: partial(make_wide, name, corpus) for name, corpus in WIDE.items()},
        **{name: partial(make_narrow, name, *of) for name, of in SUBJECTS.items()},
        **{name: partial(many_answers, name, corpora, source) for name, source in FIELDS.items()},
        **{name: partial(unseen, name, corpora, *of) for name, of in UNSEEN.items()},
    }


def _held_out() -> Caps:
    """All queries that are held out, among all documents."""
    asked = ("citation", "context", "tldr", "heading", "keywords", "cocitation")
    kinds = dict.fromkeys(asked, _ALL)
    return replace(
        large_caps(),
        kinds={**kinds, "sentence": 0, "title": 0},
        sources={},
        other_source=_ALL,
        more_passages=_ALL,
        papers=_ALL,
        held="only",
    )


def wide(name: str, choice: Choice, corpus: str, *, seed: int) -> DevCollection:
    """All held-out lists of a corpus, their documents and some of the others."""
    topics = _topics(choice.lists, corpus, choice.documents[corpus])
    answers = {doc_id for _, gains in topics for doc_id in gains}
    others = [doc_id for doc_id in choice.documents[corpus] if doc_id not in answers]
    draw = random.Random(seed)
    kept = answers | set(draw.sample(others, min(_DISTRACTORS, len(others))))
    documents = {i: pair for i, pair in choice.documents[corpus].items() if i in kept}
    return DevCollection(name, documents, topics)


def narrow(name: str, choice: Choice, corpus: str, pattern: str) -> DevCollection:
    """The documents in which the pattern is found, and the held-out lists that they answer."""
    found = re.compile(pattern, re.IGNORECASE)
    held = choice.documents[corpus]
    documents = {i: pair for i, pair in held.items() if found.search(" ".join(pair))}
    return DevCollection(name, documents, _topics(choice.lists, corpus, documents))


def many_answers(
    name: str, corpora: Path, source: str, *, fewest: int = 3, most: int = 60
) -> DevCollection:
    """Two author keywords that papers share: gain 2 for a paper that has both, 1 for one of them.

    The pair must stand on at least `fewest` papers, and at most `most` may have either; none of the
    two may be a part of the other. What a paper is about and its authors did not say counts as
    irrelevant, so these judgements are not complete.
    """
    documents = {
        row["doc_id"]: (row["title"] or "", row["text"] or "")
        for row in relation_rows(corpora / "papers.parquet", ("doc_id", "title", "text", "source"))
        if row["source"] == source
    }
    papers: dict[str, set[str]] = {}  # keyword -> doc_ids
    words: dict[str, set[str]] = {}  # doc_id -> keywords
    for row in relation_rows(corpora / "keywords.parquet", ("query_text", "target_doc_id")):
        word, doc_id = (row["query_text"] or "").strip().lower(), row["target_doc_id"]
        if doc_id in documents and len(word) > 2:
            papers.setdefault(word, set()).add(doc_id)
            words.setdefault(doc_id, set()).add(word)
    pairs = {
        pair for own in words.values() for pair in combinations(sorted(own), 2) if _apart(*pair)
    }
    topics: list[Topic] = []
    for first, second in sorted(pairs):
        both, either = papers[first] & papers[second], papers[first] | papers[second]
        if len(both) >= fewest and len(either) <= most:
            gains = {doc_id: 2 if doc_id in both else 1 for doc_id in sorted(either)}
            topics.append((f"{first} and {second}", gains))
    return DevCollection(name, documents, topics)


def unseen(name: str, corpora: Path, source: str, sources: Sequence[str]) -> DevCollection:
    """The queries of one source of questions.parquet, among the right and wrong answers of several.

    Nothing of these sources was ever learned from, neither their texts nor the way that they ask.
    """
    columns = ("query", "positive", "title", "source", "negative")
    rows = relation_rows(corpora / "questions.parquet", columns)
    asked = [row for row in rows if row["source"] in sources]
    titles: dict[str, str] = {}  # by text; wrong answers stand without them
    for row in asked:
        titles[row["positive"]] = titles.get(row["positive"]) or row["title"] or ""
        for text in row["negative"] or ():
            titles.setdefault(text, "")
    doc_ids = {text: f"answer-{n}" for n, text in enumerate(titles)}
    gains: dict[str, dict[str, int]] = {}
    for row in asked:
        if row["source"] == source:
            gains.setdefault(row["query"], {})[doc_ids[row["positive"]]] = 1
    documents = {doc_ids[text]: (title, text) for text, title in titles.items()}
    return DevCollection(name, documents, list(gains.items()))


def _apart(first: str, second: str) -> bool:
    """Whether neither keyword is a part of the other."""
    return first not in second and second not in first


def _topics(
    lists: Iterable[ChosenList], corpus: str, documents: Mapping[str, Document]
) -> list[Topic]:
    """The queries that a document of these answers, each once."""
    found: dict[str, dict[str, int]] = {}
    for one in lists:
        if one.corpus == corpus:
            own = {i: 1 for i in one.positives if i in documents and i != one.asking}
            found.setdefault(one.query, {}).update(own)
    return [(query, gains) for query, gains in found.items() if gains]


def _write(folder: Path, documents: Mapping[str, Document], topics: Sequence[Topic]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        folder.mkdir(parents=True, exist_ok=True)
        columns = {
            "doc_id": list(documents),
            "title": [title for title, _ in documents.values()],
            "text": [text for _, text in documents.values()],
        }
        pq.write_table(pa.table(columns), folder / "corpus.parquet")
        lines = [{"query_id": f"d{n}", "text": query} for n, (query, _) in enumerate(topics)]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / "queries.jsonl").write_text(text, encoding="utf-8")
        judged = "".join(
            f"d{n} 0 {doc_id} {gain}\n"
            for n, (_, gains) in enumerate(topics)
            for doc_id, gain in gains.items()
        )
        (folder / "qrels.tsv").write_text(judged, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written ({error.strerror}), expected a folder of your own"
        ) from error
