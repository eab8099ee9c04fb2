"""What a user types on an index without vectors: no model, so the whole file takes moments."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from scisearch.cli import main

Search = Callable[..., Result]


@pytest.fixture(scope="module")
def search() -> Search:
    def invoke(*arguments: object, code: int = 0, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(main, [str(one) for one in arguments], input=stdin)
        assert result.exit_code == code, result.output + result.stderr + repr(result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return invoke


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, search: Search) -> Path:
    """The demo collection and its lexical index in one folder."""
    folder = tmp_path_factory.mktemp("demo")
    search("demo", folder)
    search("build-index", folder / "corpus.parquet", "--index", folder / "index", "--no-dense")
    return folder


PAPERS = [
    {"doc_id": "p1", "title": "Neural parsing", "text": "Parsing with attention.", "year": 2016},
    {"doc_id": "p2", "title": "Statistical parsing", "text": "Parsing by charts.", "year": 1999},
    {"doc_id": "p3", "title": "Gene editing", "text": "CRISPR-Cas9 cuts DNA.", "year": 2018},
]
VENUES = ["ACL", "CL", None]


@pytest.fixture
def papers(tmp_path: Path, search: Search) -> Path:
    corpus = tmp_path / "papers.parquet"
    rows = [{**row, "venue": venue} for row, venue in zip(PAPERS, VENUES, strict=True)]
    pq.write_table(pa.Table.from_pylist(rows), corpus)
    search("build-index", corpus, "--index", tmp_path / "index", "--no-dense")
    return tmp_path / "index"


def test_every_command_and_option_has_help() -> None:
    for name, command in main.commands.items():
        assert command.help, f"{name} has no help"


def test_the_answer_shows_title_origin_snippet_marks_and_times(
    papers: Path, search: Search
) -> None:
    lines = search("query", "neural parsing", "--index", papers).output.splitlines()
    assert lines[0] == " 1. Neural parsing (ACL, 2016)"
    assert lines[1].startswith("    p1  score ")
    assert lines[2] == "    *Parsing* with attention."
    assert lines[-1].startswith("bm25: load ")
    assert lines[-2] == (
        "note: BM25 only: the index was built with --no-dense; --mode rerank has the built-in"
        " cross-encoder reorder what it finds (better, slower)"
    )


def test_json_holds_every_stage_and_the_metadata(papers: Path, search: Search) -> None:
    output = search("query", "parsing", "--index", papers, "--json", "--explain").output
    answer = json.loads(output)
    assert answer["mode"] == "bm25"
    assert [hit["doc_id"] for hit in answer["hits"]] == ["p1", "p2"]
    first = answer["hits"][0]
    assert first["metadata"] == {"venue": "ACL", "year": 2016}
    assert first["stages"]["bm25"]["rank"] == 1
    assert first["score"] == first["stages"]["bm25"]["score"]


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        (["year>=2000"], ["p1"]),
        (["venue=CL"], ["p2"]),
        (["year>=1990", "venue=ACL"], ["p1"]),
        (["year>2020"], []),
    ],
)
def test_filters_apply_before_ranking(
    papers: Path, search: Search, expressions: list[str], expected: list[str]
) -> None:
    options = [part for one in expressions for part in ("--filter", one)]
    output = search("query", "parsing", "--index", papers, "--json", *options).output
    assert [hit["doc_id"] for hit in json.loads(output)["hits"]] == expected


def test_an_unknown_filter_column_is_named_with_those_there_are(
    papers: Path, search: Search
) -> None:
    error = search("query", "x", "--index", papers, "--filter", "jear=1", code=1).stderr
    assert error.startswith("Error: ")
    assert "jear" in error
    assert "year" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "the of and",
        "word " * 10_000,
        "🧬🔬 \U0001f9ec",
        r"$\alpha_{i}^{2}$ \frac{a}{b} {",
        "\"quoted' AND (open",
        "NUL \x00 inside",
        "\ud800 lone surrogate",
        "量子力学 プロテイン",
        "-- ; DROP TABLE /* ? * ~ [ ^",
    ],
)
def test_any_query_text_is_legal(papers: Path, search: Search, text: str) -> None:
    for engine in ("bm25s", "rank-bm25"):
        search("query", "--index", papers, "--json", "--bm25-engine", engine, "--", text)


def test_queries_come_line_by_line_from_stdin(papers: Path, search: Search) -> None:
    output = search("query", "--index", papers, "--json", stdin="parsing\ncrispr\n").output
    answers = [json.loads(line) for line in output.splitlines()]
    assert [answer["query"] for answer in answers] == ["parsing", "crispr"]
    assert answers[1]["hits"][0]["doc_id"] == "p3"


def test_a_run_is_byte_identical_when_repeated_and_evaluates(demo: Path, search: Search) -> None:
    topics, index = demo / "topics.tsv", demo / "index"
    for name in ("one.run", "two.run"):
        search("run", topics, "-o", demo / name, "--index", index, "--tag", "bm25")
    assert (demo / "one.run").read_bytes() == (demo / "two.run").read_bytes()
    output = search("evaluate", demo / "one.run", demo / "qrels.txt", "--json").output
    score = json.loads(output)["runs"]["one"]["measures"]["nDCG@10"]["mean"]
    assert 0.5 < score < 0.8  # what the collection promises: BM25 alone leaves room


def test_the_classic_engine_finds_the_same_with_the_okapi_variant(
    demo: Path, search: Search
) -> None:
    corpus, index = demo / "corpus.parquet", demo / "okapi"
    search("build-index", corpus, "--index", index, "--no-dense", "--bm25-variant", "okapi")
    answers = []
    for engine in ("bm25s", "rank-bm25"):
        options = ["--index", index, "--json", "--bm25-engine", engine]
        answers.append(json.loads(search("query", "gold from neutron stars", *options).output))
    ids = [[hit["doc_id"] for hit in answer["hits"]] for answer in answers]
    assert ids[0] == ids[1]
    for one, other in zip(answers[0]["hits"], answers[1]["hits"], strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def test_info_and_verify_tell_of_a_sound_index(demo: Path, search: Search) -> None:
    description = json.loads(search("info", "--index", demo / "index", "--json").output)
    assert description["documents"] == 317
    assert description["encoder"] is None
    output = search("verify", "--index", demo / "index").output
    assert output.splitlines()[-1].endswith(": sound")


def test_building_again_makes_a_new_generation_with_equal_files(demo: Path, search: Search) -> None:
    index = demo / "twice"
    descriptions = []
    for _ in range(2):
        search("build-index", demo / "corpus.parquet", "--index", index, "--no-dense")
        descriptions.append(json.loads(search("info", "--index", index, "--json").output))
    assert [one["generation"] for one in descriptions] == ["gen-000001", "gen-000002"]
    assert descriptions[0]["sha256"] == descriptions[1]["sha256"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(search: Search, shell: str) -> None:
    assert "_SEARCH_COMPLETE" in search("completion", shell).output
