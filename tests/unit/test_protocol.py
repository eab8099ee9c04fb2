"""Judged by rules: pairs that are left out, and pools of judged documents."""

import json
from pathlib import Path

import pytest

from scisearch.benchmarks.collection import read_collection
from scisearch.benchmarks.gate import CollectionIndexes
from scisearch.benchmarks.scoring import evaluate
from scisearch.index.errors import ConfigError
from scisearch.index.progress import NoProgress
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.ranking import Query

BM25 = SearchConfig(mode="bm25", cutoff=3)
TEXTS = {
    "p1": "gene gene gene",
    "a": "gene and protein",
    "b": "gene with many other words in a long text",
    "c": "protein",
    "d": "gene gene",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two queries of one text with pools of their own, and the document they were made from."""
    rows = [{"doc_id": doc_id, "text": text} for doc_id, text in TEXTS.items()]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "topics.tsv").write_text("p1_x\tgene\np1_y\tgene\n")
    (tmp_path / "qrels.tsv").write_text(
        "p1_x 0 p1 3\np1_x 0 a 1\np1_x 0 b 0\np1_y 0 d 0\np1_y 0 b 1\np1_y 0 c 1\n"
    )
    (tmp_path / "ignore.tsv").write_text("p1_x p1\np1_y p1\n")
    return tmp_path


def ranked(folder: Path, **rules: object) -> dict[str, list[str]]:
    collection = read_collection(folder, **rules)  # type: ignore[arg-type]
    run = CollectionIndexes(folder / "indexes", NoProgress()).system(BM25)(collection)
    return {q: [hit.doc_id for hit in of.hits] for q, of in run.items()}


def test_a_run_without_rules(folder: Path) -> None:
    assert ranked(folder)["p1_x"] == ["p1", "d", "a"]


def test_ignored_pairs_are_in_neither_runs_nor_judgements(folder: Path) -> None:
    found = read_collection(folder, ignore=folder / "ignore.tsv")
    assert found.qrels["p1_x"] == {"a": 1, "b": 0}
    facts = found.protocol.to_json()
    assert (facts["ignored_pairs"], facts["judgements_left_out"]) == (2, 1)
    # searched deeper, so that three hits are left
    assert ranked(folder, ignore=folder / "ignore.tsv")["p1_x"] == ["d", "a", "b"]


def test_each_query_ranks_its_own_pool_with_the_scores_of_the_whole_index(folder: Path) -> None:
    rules = {"ignore": folder / "ignore.tsv", "judged_pool": True}
    found = ranked(folder, **rules)
    assert found == {"p1_x": ["a", "b"], "p1_y": ["d", "b"]}  # c has no word of the query
    pipeline = SearchPipeline.open(folder / "indexes" / folder.name, BM25)
    (whole,) = pipeline.run([Query("q", "gene")])
    (pooled,) = pipeline.run([Query("q", "gene")], pools={"q": frozenset({"d", "a"})})
    assert set(pooled.hits) == {hit for hit in whole.hits if hit.doc_id in ("d", "a")}
    (none,) = pipeline.run([Query("other", "gene")], pools={"q": frozenset({"d"})})
    assert none.hits == ()
    collection = read_collection(folder, **rules)  # type: ignore[arg-type]
    run = CollectionIndexes(folder / "indexes", NoProgress()).system(BM25)(collection)
    assert evaluate(run, collection.qrels, ("RR@10",)).mean["RR@10"] == 0.75


def test_a_query_whose_only_answer_is_ignored_is_not_asked(folder: Path) -> None:
    (folder / "ignore.tsv").write_text("p1_x p1\np1_x a\n")
    found = read_collection(folder, ignore=folder / "ignore.tsv")
    assert [query.query_id for query in found.queries] == ["p1_y"]


def test_rules_that_do_not_fit_are_told(folder: Path) -> None:
    (folder / "other.tsv").write_text("q9 d1\n")
    with pytest.raises(ConfigError, match=r"other.tsv: none of its queries is judged: found q9, "):
        read_collection(folder, ignore=folder / "other.tsv")
    (folder / "qrels.tsv").write_text("p1_x 0 a 1\n")
    with pytest.raises(ConfigError, match=r"judged pool: every judged document is relevant"):
        read_collection(folder, judged_pool=True)
