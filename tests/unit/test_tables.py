from scisearch.benchmarks.evaluation import compare
from scisearch.console.tables import Table, display_width, p_text, render_comparison
from scisearch.retrieval.ranking import RankedList


def run(*doc_ids: str) -> dict[str, RankedList]:
    scores = {doc_id: -float(i) for i, doc_id in enumerate(doc_ids)}
    return {"q1": RankedList.from_scores("q1", scores)}


def test_names_stand_left_and_numbers_right() -> None:
    table = Table(["run", "P@10"], [["a", "0.1"], ["longer", "12.5"]])
    assert table.plain() == "run     P@10\na        0.1\nlonger  12.5"


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert [display_width(text) for text in ("中文", "e\u0301", "a\u200db", "é")] == [4, 1, 2, 1]
    table = Table(["名", "n"], [["e\u0301", "1"], ["ab", "2"]])
    assert table.plain() == "名  n\ne\u0301   1\nab  2"


def test_no_cell_can_break_its_row() -> None:
    assert Table(["a"], [["x\ny\u2028z\x1b"]]).plain() == "a\nx y z"
    markdown = Table(["a|b"], [["x\\|"]]).markdown()
    assert markdown == "| a\\|b  |\n| ----- |\n| x\\\\\\| |"


def test_markdown_says_which_columns_stand_right() -> None:
    assert Table(["run", "P"], [["a", "0.1"]]).markdown() == (
        "| run |   P |\n| --- | --: |\n| a   | 0.1 |"
    )


def test_small_p_values_are_bounds() -> None:
    assert [p_text(p) for p in (1.0, 0.04999, 0.0001, 0.00001)] == [
        "1.0000",
        "0.0500",
        "0.0001",
        "<0.0001",
    ]


def test_one_run_whole() -> None:
    shown = render_comparison(compare({"bm25": run("d2", "d1")}, {"q1": {"d1": 1}}, ("RR@2",)))
    assert shown == (
        "bm25    mean      95% interval\n"
        "RR@2  0.5000  0.5000 to 0.5000\n"
        "\n"
        "means over 1 query with a positive judgement; intervals: bootstrap over queries"
    )


def test_two_runs_whole_with_every_query() -> None:
    runs = {"bm25": run("d2", "d1"), "new": run("d1", "d2")}
    shown = render_comparison(compare(runs, {"q1": {"d1": 1}}, ("RR@2",)), per_query=True)
    assert shown.splitlines() == [
        "run     RR@2",
        "bm25  0.5000",
        "new   1.0000",
        "",
        "RR@2 against bm25",
        "run     mean      95% interval  difference        95% interval       p  p (Holm)  better"
        "  same  worse",
        "bm25  0.5000  0.5000 to 0.5000",
        "new   1.0000  1.0000 to 1.0000     +0.5000  +0.5000 to +0.5000  1.0000    1.0000       1"
        "     0      0",
        "",
        "by query",
        "query_id  run     RR@2",
        "q1        bm25  0.5000",
        "q1        new   1.0000",
        "",
        "means over 1 query with a positive judgement; intervals: bootstrap over queries",
        "p: two-sided paired randomisation test; p (Holm): corrected for the runs compared on a"
        " measure",
    ]
