import gzip
from pathlib import Path

import pytest

from scisearch.index.errors import RankingError
from scisearch.retrieval.qrels import read_pairs, read_qrels
from scisearch.retrieval.ranking import Hit, RankedList
from scisearch.retrieval.trec import format_run, read_run, read_run_file, write_run


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_scores_decide_and_ranks_do_not(tmp_path: Path) -> None:
    run = read_run(written(tmp_path, "q Q0 b 1 1.0 t\nq Q0 a 2 1.0 t\nq\t0\tc\t3\t2e0\tt\r\n"))
    assert [hit.doc_id for hit in run["q"].hits] == ["c", "a", "b"]


def test_ranks_against_scores_are_told(tmp_path: Path) -> None:
    lines = "up Q0 a 1 1 t\nup Q0 b 2 2 t\nmix Q0 a 1 3 t\nmix Q0 b 3 1 t\nmix Q0 c 4 2 t\n"
    lines += "good Q0 b 2 1 t\ngood Q0 a 1 2 t\ntied Q0 b 1 1 t\ntied Q0 a 2 1 t\n"
    file = read_run_file(written(tmp_path, lines + "none Q0 a - 1 t\nnone Q0 b - 2 t\n"))
    assert file.reversed_queries == ("up",)
    assert file.disagreeing_queries == ("mix",)


def test_a_gzipped_run_reads_the_same(tmp_path: Path) -> None:
    assert read_run(written(tmp_path, gzip.compress(b"q Q0 a 1 1.5 t\n")))["q"].hits == (
        Hit("a", 1.5),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "q Q0 a 1 1.0 t\nq1 d1 2.5\n",
            r"file:2: found 3 columns in 'q1 d1 2.5', expected 'query_id",
        ),
        ("q Q0 a 1 nan t\n", r"file:1: found score 'nan', expected a finite number"),
        ("q Q0 a 1 -inf t\n", r"file:1: found score '-inf'"),
        ("q Q0 a 1 1_0 t\n", r"file:1: found score '1_0'"),
        ("q Q0 a 1 high t\n", r"file:1: found score 'high'"),
        ("q Q0 a 1 2 t\n\nq Q0 a 2 1 t\n", r"file:3: found document a again for query q"),
        ("\n", r"file: found no line, expected a run"),
        (b"q Q0 a 1 1 t\n\xff\n", r"file:2: found byte 0xff, expected UTF-8"),
    ],
)
def test_a_bad_run_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(RankingError, match=message):
        read_run(written(tmp_path, content))


def test_scores_are_the_shortest_that_read_back_as_the_same_float32() -> None:
    hits = [Hit("a", 1 / 3), Hit("b", 1e-10), Hit("c", -16777216.0)]
    assert format_run("q", hits, tag="t") == (
        "q Q0 a 1 0.33333334 t\nq Q0 b 2 1e-10 t\nq Q0 c 3 -1.6777216e+07 t\n"
    )
    assert format_run("q", [], tag="t") == ""


@pytest.mark.parametrize(
    ("hits", "message"),
    [
        ([Hit("a", 1.0), Hit("b", 1.0)], r"query q: document b has score 1.0, expected less than"),
        ([Hit("a", 1.0 + 1e-9), Hit("b", 1.0)], r"document b has score 1.0"),
        ([Hit("a", 1.0), Hit("b", 2.0)], r"document b has score 2.0"),
        ([Hit("a", float("nan"))], r"document a has score nan, expected a finite float32"),
        ([Hit("a", 1e300)], r"document a has score 1e\+300, expected a finite float32"),
        ([Hit("a", 2.0), Hit("a", 1.0)], r"a document occurs twice"),
        ([Hit("a b", 2.0)], r"white space in the document id 'a b'"),
        ([Hit("", 2.0)], r"an empty document id"),
    ],
)
def test_a_run_that_tools_could_read_differently_is_not_written(
    hits: list[Hit], message: str
) -> None:
    with pytest.raises(RankingError, match=message):
        format_run("q", hits, tag="t")


def test_ids_and_tags_fit_the_columns() -> None:
    with pytest.raises(RankingError, match="white space in the tag 'my run'"):
        format_run("q", [], tag="my run")
    with pytest.raises(RankingError, match="white space in the query id 'q 1'"):
        format_run("q 1", [], tag="t")


def test_a_written_run_reads_back(tmp_path: Path) -> None:
    ranked = RankedList.from_scores("q", {"a": 0.1, "b": -2.0})
    write_run(tmp_path / "x.run", [ranked], tag="t")
    assert read_run(tmp_path / "x.run") == {"q": ranked}
    assert [path.name for path in tmp_path.iterdir()] == ["x.run"]


def test_a_run_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = written(tmp_path, "old")
    tied = RankedList.from_scores("q", {"a": 1.0, "b": 1.0})
    with pytest.raises(RankingError, match="document b has score"):
        write_run(path, [tied], tag="t")
    assert path.read_text() == "old"
    with pytest.raises(RankingError, match="cannot be written: No such file"):
        write_run(tmp_path / "absent" / "x.run", [], tag="t")


@pytest.mark.parametrize(
    "content",
    [
        "1 0 d1 2\n1 0 d2 -1\n2\t0\td1\t0\n",
        "query-id\tcorpus-id\tscore\n1\td1\t2\n1\td2\t-1\n2\td1\t0\n",
        "1 d1 2.0\n1 d2 -1\n2 d1 +0.\n1 d1 2\n",
    ],
)
def test_judgements_in_all_their_forms(tmp_path: Path, content: str) -> None:
    assert read_qrels(written(tmp_path, content)) == {"1": {"d1": 2, "d2": -1}, "2": {"d1": 0}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"file: found no judgement"),
        ("query-id\tcorpus-id\tscore\n", r"file: found no judgement"),
        ("1 0 d1 1\n1 d1 1\n", r"file:2: found 3 columns .* expected 'query_id 0 doc_id gain'"),
        ("1 d1 1\n1 0 d1 1\n", r"file:2: found 4 columns .* 'query_id doc_id gain' on every line"),
        ("1 d1\n", r"file:1: found 2 columns"),
        ("1 0 d1 1.5\n", r"file:1: found gain '1.5', expected a whole number"),
        ("q 0 d1 x\n", r"file:1: found gain 'x'"),
        ("1 0 d1 \u0661\n", r"file:1: found gain '\u0661'"),
        ("1 0 1 31715818\n", r"found gain 31715818, .* in each other's column"),
        ("1 0 d 1\n1 0 d 2\n", r"file:2: found gain 2 for query 1 and document d, expected 1"),
    ],
)
def test_bad_judgements_are_refused_with_their_line(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(RankingError, match=message):
        read_qrels(written(tmp_path, content))


def test_pairs_to_leave_out(tmp_path: Path) -> None:
    path = written(tmp_path, "query_id\tdoc_id\n1 486\n1 2\n2 486\n")
    assert read_pairs(path) == {"1": {"486", "2"}, "2": {"486"}}
    with pytest.raises(
        RankingError, match=r"file:1: found 4 columns .* expected 'query_id doc_id'"
    ):
        read_pairs(written(tmp_path, "1 0 486 1\n"))
    with pytest.raises(RankingError, match="found no pair"):
        read_pairs(written(tmp_path, "\n"))
