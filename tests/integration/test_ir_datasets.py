"""Collections by ir_datasets id: one registered there, read from local files by its loader."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from scisearch.benchmarks.benchmark_request import (
    BenchmarkRequest,
    benchmark_collection,
    named_collection,
)
from scisearch.benchmarks.ir_datasets_folder import may_be_dataset_id
from scisearch.cli import main
from scisearch.index.errors import ConfigError

ir_datasets = pytest.importorskip("ir_datasets", reason="needs the extra ir-datasets")

WORDS = ("gene", "protein", "folding", "attention")


@pytest.fixture
def registered(tmp_path: Path) -> Iterator[str]:
    """The id of a dataset with two documents a word, and of its half without judgements."""
    from ir_datasets.datasets.base import Dataset
    from ir_datasets.formats import TrecQrels, TsvDocs, TsvQueries
    from ir_datasets.util import LocalDownload

    files = {
        "docs": "".join(f"{w}-{i}\t{w} and more{' words' * i}\n" for w in WORDS for i in (0, 1)),
        "queries": "".join(f"q{i}\t{w}\n" for i, w in enumerate(WORDS)),
        "qrels": "".join(f"q{i} 0 {w}-{i % 2} 1\n" for i, w in enumerate(WORDS)),
    }
    for name, content in files.items():
        (tmp_path / f"{name}.txt").write_text(content)
    where = {name: LocalDownload(tmp_path / f"{name}.txt") for name in files}
    documents = TsvDocs(where["docs"], namespace="scisearch-test")
    queries = TsvQueries(where["queries"])
    whole = Dataset(documents, queries, TrecQrels(where["qrels"], {1: "relevant"}))
    ir_datasets.registry.register("scisearch-test", Dataset(documents, queries))
    ir_datasets.registry.register("scisearch-test/words", whole)
    yield "scisearch-test/words"
    for name in ("scisearch-test", "scisearch-test/words"):
        ir_datasets.registry._registered.pop(name)


def benchmark(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["benchmark", *map(str, arguments)])
    assert result.exit_code == code, result.output + result.stderr + repr(result.exception)
    return result.output + result.stderr


def test_a_dataset_is_benchmarked_and_its_card_verified(registered: str, tmp_path: Path) -> None:
    out = tmp_path / "report"
    options = ("--systems", "bm25", "--no-cold-start", "--no-plots", "--out", out)
    benchmark(registered, *options)
    card = json.loads((out / "card.json").read_text())
    assert card["collection"]["name"] == registered
    assert card["collection"]["n_documents"] == 8
    # the shorter document first: half of the queries find theirs at rank 1, the others at rank 2
    assert card["systems"]["bm25"]["quality"]["measures"]["RR@10"]["mean"] == 0.75
    found = benchmark("--verify", out / "card.json")
    assert "reproduced: 10 values" in found


def test_an_interrupted_copy_is_made_anew_and_a_whole_one_is_kept(
    registered: str, tmp_path: Path
) -> None:
    request = BenchmarkRequest(tmp_path / "out", registered)
    corpus = benchmark_collection(request).corpus
    content, made = corpus.read_bytes(), corpus.stat().st_mtime_ns
    assert benchmark_collection(request).corpus.stat().st_mtime_ns == made
    (corpus.parent / "ir_datasets.json").unlink()
    corpus.write_bytes(content[:10])
    assert benchmark_collection(request).corpus.read_bytes() == content


def test_titles_are_told_apart_from_texts(registered: str, tmp_path: Path) -> None:
    from ir_datasets.datasets.beir import BeirTitleDoc

    from scisearch.benchmarks.ir_datasets_folder import _document

    assert json.loads(_document(BeirTitleDoc("d", "the text", "the title"))) == {
        "doc_id": "d",
        "title": "the title",
        "text": "the text",
    }
    corpus = benchmark_collection(BenchmarkRequest(tmp_path / "out", registered)).corpus
    first = json.loads(corpus.read_text().splitlines()[0])
    assert first == {"doc_id": "gene-0", "title": "", "text": "gene and more"}


def test_what_cannot_be_had_is_told_in_a_line(registered: str, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def message(name: str, split: str | None = None) -> str:
        with pytest.raises(ConfigError) as error:
            benchmark_collection(BenchmarkRequest(out, name, split))
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "neither a folder nor an id that ir_datasets" in message("beir/no-such-set")
    assert "has no qrels for it" in message("scisearch-test")
    assert "may have them: scisearch-test/words" in message("scisearch-test")
    assert "expected the split in the id, such as" in message(registered, "test")
    (tmp_path / "docs.txt").unlink()
    assert "cannot give it (FileNotFoundError" in message(registered)


@pytest.mark.parametrize(
    ("name", "may"),
    [("beir/scifact/test", True), ("/a/b", False), ("./a", False), ("../a", False), ("a b", False)],
)
def test_what_may_be_an_id(name: str, may: bool) -> None:
    assert may_be_dataset_id(name) is may


def test_a_dataset_is_judged_by_rules(registered: str, tmp_path: Path) -> None:
    ignore = tmp_path / "ignore.tsv"
    ignore.write_text("q0 gene-0\n")
    found = named_collection(registered, tmp_path / "work", ignore=ignore)
    assert found.name == registered
    assert [query.query_id for query in found.queries] == ["q1", "q2", "q3"]
    with pytest.raises(ConfigError, match="every judged document is relevant"):
        named_collection(registered, tmp_path / "work", judged_pool=True)
