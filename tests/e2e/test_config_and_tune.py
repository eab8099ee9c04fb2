"""`--config` and `search tune` as typed, with BM25 alone, and what a person can do wrong."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scisearch.cli import main


def search(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == code, result.output + result.stderr + repr(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Twelve queries of one word; the document with the number of the query is relevant."""
    folder = tmp_path / "small"
    folder.mkdir()
    rows = [{"doc_id": f"d{i}", "text": f"gene {'x' * i}y and" + " more" * i} for i in range(12)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "topics.tsv").write_text("".join(f"q{i}\tgene\n" for i in range(12)))
    (folder / "qrels.tsv").write_text(
        "".join(f"q{i} 0 d{i} 1\nq{i} 0 d0 0\n" for i in range(1, 12))
    )
    return folder


@pytest.fixture
def index(collection: Path) -> Path:
    path = collection.parent / "index"
    search("build-index", collection / "corpus.jsonl", "--index", path, "--no-dense")
    return path


def test_a_config_sets_what_is_not_typed(tmp_path: Path, collection: Path, index: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[search]\nmode = "bm25"\ncutoff = 3\n[models]\nruntime = "torch"\n')
    shown = json.loads(
        search("query", "gene", "--index", index, "--config", config, "--json").stdout
    )
    assert (shown["mode"], len(shown["hits"])) == ("bm25", 3)
    typed = search("query", "gene", "--index", index, "--config", config, "--cutoff", 5, "--json")
    assert len(json.loads(typed.stdout)["hits"]) == 5
    # also where the typed value is the default one
    typed = search("query", "gene", "--index", index, "--config", config, "--cutoff", 10, "--json")
    assert len(json.loads(typed.stdout)["hits"]) == 10
    run = tmp_path / "bm25.run"
    search("run", collection / "topics.tsv", "-o", run, "--index", index, "--config", config)
    assert len(run.read_text().splitlines()) == 36
    config.write_text("[rerank]\ndepth = 7\n[first_stage]\ndepth = 20\n")
    out = tmp_path / "report"
    options = ("--systems", "bm25", "--no-cold-start", "--no-plots", "--depth", 30, "--out", out)
    search("benchmark", collection, "--index", index, "--config", config, *options)
    asked = json.loads((out / "card.json").read_text())["request"]["search"]
    assert (asked["depth"], asked["rerank_depth"]) == (30, 7)
    config.write_text("[rerank]\nbudget_ms = 20\n")
    error = search("benchmark", collection, "--config", config, *options, code=1).stderr
    assert "benchmark: found a budget of time, expected none" in error


def test_mistakes_in_a_config_are_a_line(tmp_path: Path, index: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[first_stage]\ndetph = 20\n")
    error = search("query", "gene", "--index", index, "--config", config, code=1).stderr
    assert "c.toml:first_stage.detph: unknown key, expected one of depth, bm25_engine" in error
    assert error.count("\n") == 1


def test_a_card_by_rules_says_so_and_is_verified(tmp_path: Path, collection: Path) -> None:
    ignore, out = tmp_path / "ignore.tsv", tmp_path / "report"
    ignore.write_text("q1 d2\nq1 d3\n")
    options = ("--systems", "bm25", "--no-cold-start", "--no-plots", "--latency-queries", 2)
    search("benchmark", collection, *options, "--out", out, "--ignore", ignore)
    card = json.loads((out / "card.json").read_text())
    assert card["collection"]["protocol"]["hits_left_out"] == {"bm25": 2}
    assert "2 pairs of a query and a document are left out" in (out / "report.md").read_text()
    search("benchmark", collection, *options, "--out", out, "--judged-pool")
    card = json.loads((out / "card.json").read_text())
    assert card["collection"]["protocol"]["judged_pool"] is True
    # two documents a query: the relevant one is first or second
    assert set(card["systems"]["bm25"]["quality"]["per_query"].values()) <= {
        1.0,
        0.6309297535714575,
    }
    shown = search("benchmark", "--verify", out / "card.json").stdout
    assert "reproduced" in shown
    assert len((out / "runs" / "bm25.run").read_text().splitlines()) == 22


def tune(collection: Path, *more: object) -> str:
    error = search(
        *("tune", collection, "--work", collection.parent / "work", *more),
        *("-o", collection.parent / "tuned.toml"),
        code=1,
    ).stderr
    assert error.count("\n") == 1
    assert not (collection.parent / "tuned.toml").exists()
    return error


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("qrels.tsv", "", "found no judgement, expected lines"),
        ("qrels.tsv", "other 0 d1 1\n", "found no query of topics.tsv with a positive"),
        ("qrels.tsv", "q1 0 d1 1\n", "small: found 1 query with a positive judgement, expected"),
        ("topics.tsv", "", "found no topic"),
    ],
    ids=["empty split", "other queries", "one query", "no queries"],
)
def test_what_cannot_be_tuned_on(collection: Path, name: str, content: str, words: str) -> None:
    (collection / name).write_text(content)
    assert words in tune(collection)


def test_other_mistakes_of_tuning(tmp_path: Path, collection: Path, index: Path) -> None:
    assert "no such folder, expected one with" in tune(tmp_path / "absent")
    alone = tune(collection, "--index", index, "--no-reranking")
    assert "BM25 alone has nothing to tune; leave out one of them" in alone
    beyond = tune(collection, "--index", index, "--depths", "5,10,500")
    assert (
        "depths: found 5, 500, expected numbers from 10 (nDCG@10 looks at so many) to 12" in beyond
    )
    beyond = tune(collection, "--index", index, "--rerank-depths", 100)
    assert "rerank depths: found 100, expected numbers from 10" in beyond
    assert "found qrels.tsv, expected qrels.dev.tsv" in tune(collection, "--split", "dev")
    assert "expected at least 20 for 10 folds" in tune(collection, "--folds", 10)
    qrels = (collection / "qrels.tsv").read_text()
    (collection / "qrels.tsv").write_text(qrels.replace(" d", " doc:d"))
    assert "have the prefix 'doc:' that" in tune(collection, "--index", index)


def test_numbers_are_checked_as_they_are_typed(collection: Path) -> None:
    error = search("tune", collection, "--depths", "10,x", code=2).stderr
    assert "'10,x'; expected whole numbers such as 20,50,100" in error
