from pathlib import Path

import pytest

from scisearch.benchmarks.collection_places import read_collections, read_places
from scisearch.index.errors import ConfigError
from tests.unit.test_collection import write


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
