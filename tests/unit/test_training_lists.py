"""Reranking lists: read, checked, counted, split."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scisearch.index.errors import ConfigError, RankingError, TrainingError
from scisearch.rerank.training.data import DataOptions, read_training_data
from scisearch.rerank.training.list_files import read_lists
from scisearch.rerank.training.lists import (
    FirstStage,
    Pair,
    RerankingList,
    counts,
    flatten,
    split_lists,
)

GOOD = {"query": "q", "positive": ["a", "b"], "negative": ["c"]}


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def many(n: int) -> list[RerankingList]:
    return [RerankingList(f"query {i}", (f"yes {i}",), (f"no {i}", "shared")) for i in range(n)]


def test_a_list_a_row(tmp_path: Path) -> None:
    read = read_lists(jsonl(tmp_path / "a.jsonl", GOOD, {**GOOD, "licence": "CC-BY-4.0"}))
    assert read.lists[0] == RerankingList("q", ("a", "b"), ("c",))
    assert read.lists[1].licence == "CC-BY-4.0"


def test_gzipped_and_parquet_give_the_same(tmp_path: Path) -> None:
    plain = read_lists(jsonl(tmp_path / "a.jsonl", GOOD)).lists
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(json.dumps(GOOD).encode()))
    table = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([GOOD]), table)
    assert read_lists(packed).lists == plain == read_lists(table).lists


def test_pairs_are_grouped_by_query(tmp_path: Path) -> None:
    rows = [
        {"query": "q", "text": text, "label": label}
        for text, label in (("a", 1), ("c", 0.0), ("b", True))
    ]
    assert read_lists(jsonl(tmp_path / "a.jsonl", *rows)).lists == [
        RerankingList("q", ("a", "b"), ("c",))
    ]


def test_flattened_and_counted() -> None:
    lists = [RerankingList("q", ("a",), ("b", "c")), RerankingList("Q ", ("d",), ("e",))]
    assert list(flatten(lists))[:2] == [Pair("q", "a", 1), Pair("q", "b", 0)]
    found = counts(lists)
    assert (found.lists, found.queries, found.pairs, found.positives) == (2, 1, 5, 2)
    assert found.positive_share == 0.4
    assert found.negatives_per_positive == 1.5


SCORED = {**GOOD, "positive_scores": [1.0, None], "negative_scores": [0.25], "kind": "claim"}


def test_scores_of_the_first_stage_are_kept(tmp_path: Path) -> None:
    twice = {"positive": ["a", "b", "a"], "positive_scores": [0.5, None, 0.75]}
    rated = {**SCORED, "negative_rates": [0.1]}
    lists = read_lists(jsonl(tmp_path / "a.jsonl", SCORED, {**rated, **twice}, GOOD)).lists
    assert lists[0].kind == "claim"
    assert lists[0].first_stage == FirstStage((1.0, None), (0.25,), (1.0,))
    assert lists[1].first_stage == FirstStage((0.5, None), (0.25,), (0.1,))
    assert lists[2].first_stage is None
    table = tmp_path / "a.parquet"
    unrated = {**SCORED, "negative_rates": None}  # the first row names the columns
    pq.write_table(pa.Table.from_pylist([unrated, {**rated, **twice}, GOOD]), table)
    assert read_lists(table).lists == lists


def test_scores_go_with_their_texts() -> None:
    stage = FirstStage((1.0, None), (0.5, 0.25), (0.1, 0.2))
    one = RerankingList("q", ("a", "b"), ("c", "d"), None, "claim", stage)
    left = one.without(lambda text: text in "bc")
    assert (left.positives, left.negatives, left.kind) == (("a",), ("d",), "claim")
    assert left.first_stage == FirstStage((1.0,), (0.25,), (0.2,))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**SCORED, "negative_scores": None}, "found positive_scores alone, expected positive_sc"),
        ({**GOOD, "negative_rates": [1]}, "found negative_rates alone, expected positive_scores"),
        ({**SCORED, "positive_scores": [1]}, "positive_scores has 1 numbers, expected one for e"),
        ({**SCORED, "positive_scores": 1}, "positive_scores has a number, expected one for each"),
        ({**SCORED, "negative_scores": [12.5]}, r"number 1 is '12\.5', expected a score from 0 to"),
        ({**SCORED, "negative_scores": [float("nan")]}, "number 1 is 'nan', expected a score from"),
        ({**SCORED, "negative_scores": [True]}, "number 1 is 'True', expected a score from 0 to 1"),
        ({**SCORED, "negative_rates": [0]}, "number 1 is '0', expected a share above 0 and at mo"),
        ({**SCORED, "negative_rates": [None]}, "number 1 is 'None', expected a share above 0"),
        ({**SCORED, "kind": 3}, "kind is a number, expected a text"),
    ],
)
def test_bad_scores_are_named(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=r"a\.jsonl:1: .*" + message):
        read_lists(jsonl(tmp_path / "a.jsonl", row))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**GOOD, "positive": []}, r"a\.jsonl:2: the list of 'q' has no positive"),
        ({**GOOD, "negative": []}, r"a\.jsonl:2: the list of 'q' has no negative, only 2 posit"),
        ({"query": "q", "positive": ["a"]}, r"a\.jsonl:2: the list of 'q' has no negative"),
        ({**GOOD, "negative": ["A "]}, r"a\.jsonl:2: 'a' is both positive and negative for 'q'"),
        ({**GOOD, "positive": "a"}, r"a\.jsonl:2: positive is a text, expected an array of texts"),
        ({**GOOD, "positive": ["a", 3]}, r"a\.jsonl:2: positive number 2 is a number, expected"),
        ({**GOOD, "negative": [""]}, r"a\.jsonl:2: negative number 1 is empty, expected a text"),
        ({**GOOD, "query": None}, r"a\.jsonl:2: query is missing, expected a text"),
        ({**GOOD, "query": " "}, r"a\.jsonl:2: query is empty, expected a text"),
        ({"query": "q", "text": "t", "label": 2}, r"a\.jsonl:2: found the label '2', expected 0"),
        ({"query": "q", "text": "t", "label": "1"}, r"a\.jsonl:2: found the label '1', expected"),
        ({"query": "q", "text": 1, "label": 1}, r"a\.jsonl:2: text is a number, expected a text"),
        ({"query": "q", "doc": "t"}, r"a\.jsonl:2: found the keys query, doc, expected a list"),
        ([1], r"a\.jsonl:2: found an array, expected an object"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: Any, message: str) -> None:
    path = jsonl(tmp_path / "a.jsonl", GOOD, row)
    with pytest.raises(TrainingError, match=message):
        read_lists(path)


def test_pairs_of_one_class_are_named(tmp_path: Path) -> None:
    rows = [{"query": "q", "text": text, "label": 1} for text in "ab"]
    with pytest.raises(TrainingError, match=r"a\.jsonl:1: the list of 'q' has no negative"):
        read_lists(jsonl(tmp_path / "a.jsonl", *rows))


def test_bad_lists_can_be_left_out_and_are_told(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {**GOOD, "positive": []}, GOOD)
    read = read_lists(path, skip_bad=True)
    assert len(read.lists) == 1
    assert read.rejects[0].startswith(f"{path}:1: the list of 'q' has no positive")


def test_only_bad_lists_are_an_error(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {**GOOD, "positive": []})
    with pytest.raises(TrainingError, match=r"found no usable list \(1 were left out"):
        read_lists(path, skip_bad=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found no usable list, expected"),
        (b"{", r"a\.jsonl:1: not JSON"),
        (b'\n{"query": "\xff"}\n', r"a\.jsonl:2: found byte 0xff, expected UTF-8"),
        (b"PAR1 and no more", r"cannot be read as Parquet after row 0"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises((TrainingError, RankingError), match=message):
        read_lists(tmp_path / "a.jsonl")


def test_a_parquet_row_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{**GOOD, "negative": []}]), tmp_path / "a.parquet")
    with pytest.raises(TrainingError, match=r"a\.parquet: row 1: the list of 'q' has no negative"):
        read_lists(tmp_path / "a.parquet")


def test_the_split_keeps_queries_apart_and_repeats() -> None:
    lists = many(20) + many(20)
    split = split_lists(lists, validation_share=0.2, seed=5)
    held = {one.query for one in split.validation}
    assert len(held) == 4
    assert held.isdisjoint(one.query for one in split.train)
    assert len(split.train) + len(split.validation) == len(lists)
    assert split_lists(lists, validation_share=0.2, seed=5) == split
    assert split_lists(lists, validation_share=0.2, seed=6) != split


def test_the_split_can_keep_texts_apart() -> None:
    split = split_lists(many(10), validation_share=0.2, disjoint_texts=True)
    seen = {text for one in split.validation for text in one.texts}
    assert seen.isdisjoint(text for one in split.train for text in one.texts)
    assert split.n_dropped_texts == 8
    assert split.n_dropped_lists == 0


def test_an_empty_side_is_an_error() -> None:
    with pytest.raises(TrainingError, match="found lists of 1 query, expected at least two"):
        split_lists(many(1))
    same = [RerankingList(f"q{i}", ("yes",), ("no",)) for i in range(5)]
    with pytest.raises(TrainingError, match="none of 4 training lists is left"):
        split_lists(same, disjoint_texts=True)
    with pytest.raises(ConfigError, match="validation share 1; expected a number between"):
        split_lists(many(3), validation_share=1)


def test_validation_files_are_used_as_they_are(tmp_path: Path) -> None:
    train = jsonl(tmp_path / "train.jsonl", GOOD)
    held = jsonl(tmp_path / "held.jsonl", {"query": "r", "positive": ["b"], "negative": ["d"]})
    data = read_training_data(
        [train], DataOptions(validation=(held,), disjoint_texts=True, licence="CC0")
    )
    assert data.train == [RerankingList("q", ("a",), ("c",), "CC0")]
    assert data.validation == [RerankingList("r", ("b",), ("d",), "CC0")]
    assert data.sources == ("train.jsonl", "held.jsonl")
    assert data.notes[0].startswith("1 texts of validation lists were taken out")
    assert data.licences() == {"CC0": 2}


def test_the_digest_differs_where_a_label_does() -> None:
    one = read_digest(RerankingList("q", ("a",), ("b", "c")))
    assert one != read_digest(RerankingList("q", ("a", "b"), ("c",)))
    assert one != read_digest(RerankingList("q", ("a",), ("bc",)))
    scored = RerankingList("q", ("a",), ("b", "c"), first_stage=FirstStage((1.0,), (0, 0), (1, 1)))
    assert one != read_digest(scored)


def read_digest(one: RerankingList) -> str:
    from scisearch.rerank.training.data import TrainingData

    return TrainingData([one], [one]).digest()
