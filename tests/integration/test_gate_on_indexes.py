"""The gate with configurations: it builds the indexes, searches them and compares."""

import json
from pathlib import Path

import pytest

from scisearch.benchmarks.collection_places import read_collections
from scisearch.benchmarks.gate import gate
from scisearch.rerank.search_config import SearchConfig

pytestmark = pytest.mark.slow

WORDS = ("gene", "protein", "folding", "attention", "query", "cells", "vectors", "mice")


@pytest.fixture
def collections(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        folder = tmp_path / "collections" / name
        folder.mkdir(parents=True)
        rows = [{"doc_id": f"d{i}", "text": f"{word} of {name}"} for i, word in enumerate(WORDS)]
        rows.append({"doc_id": "empty", "text": ""})
        (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "topics.tsv").write_text("".join(f"q{i}\t{w}\n" for i, w in enumerate(WORDS)))
        (folder / "qrels.tsv").write_text("".join(f"q{i} 0 d{i} 1\n" for i in range(len(WORDS))))
    return tmp_path / "collections"


def test_a_random_reranker_over_bm25_and_dense_loses(
    tmp_path: Path, collections: Path, tiny_encoder: Path, tiny_cross_encoder: Path
) -> None:
    shared = {"encoder": str(tiny_encoder), "offline": True, "device": "cpu"}
    before = SearchConfig(mode="bm25", **shared)  # type: ignore[arg-type]
    after = SearchConfig(
        mode="rerank",
        reranker=str(tiny_cross_encoder),
        rerank_weight=1.0,
        **shared,  # type: ignore[arg-type]
    )
    report = gate(before, after, read_collections(collections), indexes=tmp_path / "indexes")
    assert [one.collection for one in report.results] == ["one", "two"]
    assert [one.before for one in report.results] == [1.0, 1.0]
    assert report.lost == ("one", "two")

    built = sorted(path.name for path in (tmp_path / "indexes" / "one").glob("gen-*[0-9]"))
    again = gate(before, after, read_collections(collections), indexes=tmp_path / "indexes")
    assert again == report
    assert built == sorted(path.name for path in (tmp_path / "indexes" / "one").glob("gen-*[0-9]"))
