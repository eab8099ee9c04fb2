"""A test collection in a folder: documents, queries and judgements, found by their usual names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scisearch.benchmarks.protocol import Protocol, judged_by
from scisearch.index.corpus import open_corpus
from scisearch.index.documents import full_text
from scisearch.index.errors import ConfigError
from scisearch.rerank.training.leakage import SeenText
from scisearch.retrieval.pools import Pools
from scisearch.retrieval.qrels import read_qrels
from scisearch.retrieval.ranking import Qrels, Query
from scisearch.retrieval.topics import read_topics

_CORPORA = ("corpus.parquet", "corpus.jsonl", "corpus.jsonl.gz", "corpus.csv", "corpus.tsv")
_TOPICS = ("queries.jsonl", "topics.tsv", "queries.tsv", "topics.jsonl", "topics.xml", "topics.txt")
_QRELS = ("qrels*.tsv", "qrels*.txt", "qrels/*.tsv", "qrels/*.txt")


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents in a file, and the judged queries with their judgements."""

    name: str  # the folder's, with the split where it has several
    corpus: Path
    queries: tuple[Query, ...]  # those with a positive judgement, in the order of their file
    qrels: Qrels  # without what the protocol leaves out
    protocol: Protocol = field(default_factory=Protocol)

    @property
    def pools(self) -> Pools | None:
        """The documents that each query ranks; None: all of them."""
        return self.protocol.pools(self.qrels)

    def documents(self) -> Iterator[tuple[str, str]]:
        """doc_id and full text of every document, in the order of the file.

        Raises:
            CorpusError: the file cannot be read.
        """
        for batch in open_corpus(self.corpus).batches():
            columns = (batch.rows.column(name).to_pylist() for name in ("doc_id", "title", "text"))
            for doc_id, title, text in zip(*columns, strict=True):
                yield doc_id, full_text(title or "", text or "")


def read_collection(
    folder: Path,
    *,
    split: str | None = None,
    ignore: Path | None = None,
    judged_pool: bool = False,
) -> Collection:
    """The collection in a folder.

    Args:
        folder: has corpus.parquet (or .jsonl, .csv, .tsv), queries.jsonl (or topics.tsv) and
            qrels.tsv or qrels.SPLIT.tsv (also .txt, or BEIR's qrels/SPLIT.tsv).
        split: whose judgements; None: qrels.tsv, or the only ones there are.
        ignore: a file of 'query_id doc_id' lines, left out of the judgements and of every run.
        judged_pool: each query ranks only the documents that are judged for it.

    Raises:
        ConfigError: a part is missing, several judgements fit, or the protocol does not fit them.
        RankingError: a file is malformed.
    """
    corpus, topics = _part(folder, _CORPORA), _part(folder, _TOPICS)
    judgements = _judgements(folder)
    path = _chosen(folder, judgements, split)
    protocol, qrels = judged_by(read_qrels(path), ignore=ignore, judged_pool=judged_pool)
    answered = {query_id for query_id, gains in qrels.items() if max(gains.values(), default=0) > 0}
    queries = tuple(query for query in read_topics(topics) if query.query_id in answered)
    if not queries:
        raise ConfigError(
            f"{folder}: found no query of {topics.name} with a positive judgement in {path.name};"
            " are they of one collection?"
        )
    name = folder.resolve().name
    return Collection(f"{name} {split}" if split else name, corpus, queries, qrels, protocol)


def collection_splits(folder: Path) -> list[str | None] | None:
    """Whose judgements a folder's collection has: None is qrels.tsv, or the only ones there are.

    None instead of a list: there is no corpus in the folder.
    """
    if not any((folder / name).is_file() for name in _CORPORA):
        return None
    judgements = _judgements(folder)
    return [None] if "" in judgements or len(judgements) < 2 else list(judgements)


def judged_texts(collection: Collection) -> Iterator[SeenText]:
    """Every document and judged query, as `find_leaks` takes them."""
    for query in collection.queries:
        yield SeenText(query.text, "query", collection.name, query.query_id)
    for doc_id, text in collection.documents():
        yield SeenText(text, "document", collection.name, doc_id)


def _part(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"{folder}: found none of {', '.join(names)}, expected one of them")


def _judgements(folder: Path) -> dict[str, Path]:
    """Split -> file; the split of a plain qrels.tsv is ''."""
    found: dict[str, Path] = {}
    for pattern in _QRELS:
        for path in sorted(folder.glob(pattern)):
            found.setdefault(path.stem.removeprefix("qrels").strip("._-"), path)
    return found


def _chosen(folder: Path, judgements: Mapping[str, Path], split: str | None) -> Path:
    wanted = split or ""
    if split is None and len(judgements) == 1:
        return next(iter(judgements.values()))
    if wanted not in judgements:
        there = ", ".join(path.name for path in judgements.values()) or "no judgements"
        asked = f"qrels.{split}.tsv" if split else "qrels.tsv, or a split's name with several"
        raise ConfigError(f"{folder}: found {there}, expected {asked}")
    return judgements[wanted]
