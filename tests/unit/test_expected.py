"""The figures our benchmarks must give, and the table of results that README shows."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scisearch.benchmarks import bench
from scisearch.benchmarks.expected import drifts, read_expected
from scisearch.benchmarks.kept_cards import FOLDER, read_kept_cards
from scisearch.cli import main as search
from scisearch.console import readme_table
from scisearch.console.readme_table import BEGIN, END, results_table, with_results
from scisearch.index.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = """
[[benchmark]]
name = "words"
command = "search benchmark COLLECTIONS/words --systems bm25 --no-cold-start --no-plots"
[benchmark.systems]
bm25 = { "RR@10" = %s, tolerance = 0.0001 }
"""


def card(**systems: float) -> dict[str, Any]:
    return {
        "systems": {
            name: {"quality": {"measures": {"nDCG@10": {"mean": mean}}}}
            for name, mean in systems.items()
        }
    }


def test_our_own_expectations_are_commands_that_parse() -> None:
    expected = read_expected()
    assert len({one.name for one in expected}) == len(expected) > 8
    for one in expected:
        _, *arguments = one.arguments(Path("collections"))
        search.commands["benchmark"].make_context("benchmark", arguments).close()
        assert (one.folder is None) == (one.name == "demo")


def test_a_drift_is_told_and_a_figure_within_its_tolerance_is_not(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    path.write_text(
        '[[benchmark]]\nname = "a"\ncommand = "search benchmark demo"\n[benchmark.systems]\n'
        'bm25 = { "nDCG@10" = 0.5, tolerance = 0.001 }\n'
        'dense = { "nDCG@10" = 0.6, tolerance = 0.01 }\n'
    )
    (expected,) = read_expected(path)
    assert not drifts(expected, card(bm25=0.5009, dense=0.5901))
    (drift,) = drifts(expected, card(bm25=0.4988, dense=0.6))
    assert str(drift) == "a: nDCG@10 of bm25 is 0.4988, expected 0.5000 within 0.001"
    (drift,) = drifts(expected, card(bm25=0.5))
    assert str(drift) == "a: nDCG@10 of dense is missing, expected 0.6000 within 0.01"
    assert not drifts(expected, card(bm25=0.5), systems=("bm25",))


def test_a_paper_that_asks_is_no_answer_to_itself(tmp_path: Path, collections: Path) -> None:
    (collections / "words" / "topics.tsv").write_text("d1_method\tgene words\n")
    (collections / "words" / "qrels.tsv").write_text("d1_method 0 d1 1\nd1_method 0 d0 1\n")
    entry = EXPECTED.replace("[benchmark.systems]", 'asking_paper = "(.+)_"\n[benchmark.systems]')
    (tmp_path / "expected.toml").write_text(entry % "1.0")
    options = ["--expected", tmp_path / "expected.toml", "--collections", collections]
    options += ["--out", tmp_path / "bench"]
    result = CliRunner().invoke(bench.main, list(map(str, options)))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "bench" / "words.ignore.tsv").read_text() == "d1_method\td1\n"


@pytest.mark.parametrize(
    "content",
    ["", "[[benchmark]]", '[[benchmark]]\nname = "a"\ncommand = "rm x"\n', "[[benchmark]"],
)
def test_what_is_no_expectation(tmp_path: Path, content: str) -> None:
    (tmp_path / "expected.toml").write_text(content)
    with pytest.raises(ConfigError, match=r"expected tables \[\[benchmark\]\] with name"):
        read_expected(tmp_path / "expected.toml")


@pytest.fixture
def collections(tmp_path: Path) -> Path:
    folder = tmp_path / "collections" / "words"
    folder.mkdir(parents=True)
    rows = [{"doc_id": f"d{i}", "text": "gene" + " words" * i} for i in range(2)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "topics.tsv").write_text("q1\tgene\n")
    (folder / "qrels.tsv").write_text("q1 0 d1 1\n")
    return folder.parent


def run_bench(tmp_path: Path, collections: Path, value: str, code: int, *more: str) -> str:
    (tmp_path / "expected.toml").write_text(EXPECTED % value)
    options = ["--expected", tmp_path / "expected.toml", "--collections", collections]
    options += ["--out", tmp_path / "bench", "--cards", tmp_path / "cards", *more]
    result = CliRunner().invoke(bench.main, list(map(str, options)))
    assert result.exit_code == code, result.output
    return result.output


def test_bench_runs_keeps_and_fails_on_a_drift(tmp_path: Path, collections: Path) -> None:
    shown = run_bench(tmp_path, collections, "0.5", 0, "--keep", "--no-times")
    assert shown == "words: as expected\n1 of 1 benchmarks run, 0 figures drifted\n"
    row = results_table(read_kept_cards(tmp_path / "cards")).splitlines()[2]
    assert [cell.strip() for cell in row.split("|")[1:5]] == ["words", "2", "1", "0.6309"]
    shown = run_bench(tmp_path, collections, "0.6", 1)
    assert "words: RR@10 of bm25 is 0.5000, expected 0.6000 within 0.0001" in shown


def test_bench_says_what_it_skips_and_what_is_no_name(tmp_path: Path, collections: Path) -> None:
    shown = run_bench(tmp_path, tmp_path / "none", "0.5", 0)
    assert f"words: skipped, {tmp_path / 'none' / 'words'} is not there" in shown
    assert "0 of 1 benchmarks run" in shown
    assert "found wrods, expected some of words" in run_bench(
        tmp_path, collections, "0.5", 1, "--only", "wrods"
    )


def test_the_readme_has_the_table_of_the_kept_cards() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_results(readme, results_table(read_kept_cards())) == readme


def test_docs_writes_between_the_marks(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    result = CliRunner().invoke(readme_table.main, ["--readme", str(readme)])
    assert result.exit_code == 0, result.output
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| collection ")
    assert text.endswith(f"|\n{END}\nafter\n")
    readme.write_text("no marks")
    result = CliRunner().invoke(readme_table.main, ["--readme", str(readme)])
    assert result.exit_code == 1
    assert "README: expected the lines <!-- results" in result.output


def test_kept_cards_hold_no_text_of_anybody() -> None:
    """Strings of a kept card are names, versions and digests: no long one but hexadecimal."""

    def strings(value: object) -> list[str]:
        if isinstance(value, dict):
            return [one for of in value.values() for one in strings(of)]
        if isinstance(value, list):
            return [one for of in value for one in strings(of)]
        return [value] if isinstance(value, str) else []

    cards = sorted(FOLDER.glob("*.json"))
    assert cards
    for path in cards:
        assert path.stat().st_size < 20_000
        for text in strings(json.loads(path.read_bytes())):
            assert len(text) == 64 or len(text) < 60, f"{path.name}: {text}"
            assert not text.startswith("/"), f"{path.name}: {text}"
