import json
from pathlib import Path

import pytest

from scisearch.benchmarks.collection import judged_texts, read_collection
from scisearch.benchmarks.collection_places import read_collections, read_places
from scisearch.index.errors import ConfigError


def write(folder: Path, *qrels: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"doc_id": "d1", "title": "One", "text": "first"}, {"doc_id": "d2", "text": "second"}]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "topics.tsv").write_text("q1\twhat\nq2\twhy\nq3\twho\n")
    for name in qrels:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("q2 0 d1 1\nq1 0 d2 0\n")
    return folder


def test_parts_are_found_by_name_and_queries_without_an_answer_left_out(tmp_path: Path) -> None:
    found = read_collection(write(tmp_path / "small", "qrels.tsv", "qrels.binary.tsv"))
    assert found.name == "small"
    assert [query.query_id for query in found.queries] == ["q2"]
    assert list(found.documents()) == [("d1", "One first"), ("d2", "second")]
    assert [(one.role, one.text_id, one.text) for one in judged_texts(found)] == [
        ("query", "q2", "why"),
        ("document", "d1", "One first"),
        ("document", "d2", "second"),
    ]


@pytest.mark.parametrize("name", ["qrels.txt", "qrels.test.tsv", "qrels/test.tsv"])
def test_the_only_judgements_need_no_name(tmp_path: Path, name: str) -> None:
    assert read_collection(write(tmp_path, name)).qrels["q2"] == {"d1": 1}


def test_a_split_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a", "qrels.train.tsv", "qrels.test.tsv")
    assert read_collection(tmp_path / "a", split="test").name == "a test"
    with pytest.raises(ConfigError, match=r"found qrels.test.tsv, qrels.train.tsv, expected qrels"):
        read_collection(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"expected qrels.dev.tsv"):
        read_collection(tmp_path / "a", split="dev")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found none of corpus.parquet, "):
        read_collection(tmp_path)
    with pytest.raises(ConfigError, match=r"found no judgements, expected qrels.tsv"):
        read_collection(write(tmp_path))
    (tmp_path / "qrels.tsv").write_text("q9 0 d1 1\n")
    with pytest.raises(ConfigError, match=r"no query of topics.tsv with a positive judgement"):
        read_collection(tmp_path)


def test_collections_are_found_by_folder_and_split(tmp_path: Path) -> None:
    write(tmp_path / "a", "qrels.train.tsv", "qrels.test.tsv")
    write(tmp_path / "b", "qrels.tsv")
    assert [one.name for one in read_collections(tmp_path)] == ["a test", "a train", "b"]
    assert [one.name for one in read_collections(tmp_path / "b")] == ["b"]
    first, second = read_places([f"{tmp_path / 'a'}:train"], [tmp_path / "b", tmp_path / "a"])
    assert [one.name for one in first] == ["a train"]
    assert [one.name for one in second] == ["b", "a test", "a train"]
    with pytest.raises(ConfigError, match=r"expected qrels.dev.tsv"):
        read_places([f"{tmp_path / 'a'}:dev"])
    with pytest.raises(ConfigError, match=r"c: found no collection, expected corpus.parquet"):
        read_places([tmp_path / "c"])


def test_pairs_are_left_out_of_the_collection_they_are_named_for(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, "qrels.tsv")
        (tmp_path / name / "qrels.tsv").write_text("q2 0 d1 1\nq2 0 d2 1\n")
    pairs = tmp_path / "own.tsv"
    pairs.write_text("q2 d1\n")
    [[a], [b]] = read_places([tmp_path / "a"], [tmp_path / "b"], ignore={"b": pairs})
    assert a.qrels["q2"] == {"d1": 1, "d2": 1}
    assert not a.protocol.ignored
    assert b.qrels["q2"] == {"d2": 1}
    assert b.protocol.ignored == {"q2": {"d1"}}
    with pytest.raises(ConfigError, match=r"called 'c', expected one of a, b$"):
        read_places([tmp_path], ignore={"c": pairs})
    with pytest.raises(ConfigError, match=r"called 'c', expected one of none, as no collection"):
        read_places([], ignore={"c": pairs})
