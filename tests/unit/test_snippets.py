import pytest
from hypothesis import given
from hypothesis import strategies as st

from scisearch.index.analyzer import Analyzer
from scisearch.retrieval.snippets import snippet

ANALYZER = Analyzer()
CUT = "\u2026"


def marked(text: str, query: str, width: int = 240) -> list[str]:
    found = snippet(text, frozenset(ANALYZER.terms(query)), ANALYZER, width=width)
    return [found.text[start:end] for start, end in found.marks]


def test_a_short_text_is_shown_whole_with_its_words_marked() -> None:
    text = "Protein folding,\nwith attention to folds"
    found = snippet(text, frozenset(ANALYZER.terms("folding attention")), ANALYZER)
    assert found.text == "Protein folding, with attention to folds"
    assert found.marks == ((8, 15), (22, 31), (35, 40))


def test_the_window_has_the_most_different_terms() -> None:
    text = f"gene gene gene {'filler ' * 40}gene and cell meet here {'filler ' * 40}cell"
    found = snippet(text, frozenset({"gene", "cell"}), ANALYZER, width=60)
    assert "gene and cell meet" in found.text
    assert found.text.startswith(CUT + "filler")
    assert found.text.endswith("filler" + CUT)
    assert len(found.text) <= 62


def test_compounds_are_marked_by_what_matched() -> None:
    assert marked("at the grain-boundary", "boundary") == ["boundary"]
    assert marked("at the grain-boundary", "grain-boundary") == ["grain-boundary"]
    assert marked("about IL-6 there", "IL6") == ["IL-6"]
    assert marked("the TNF\u03b1 level in Schr\u00f6dinger's", "alpha schrodinger") == [
        "\u03b1",
        "Schr\u00f6dinger",
    ]


def test_without_a_match_the_beginning_is_shown() -> None:
    found = snippet("word " * 100, frozenset({"absent"}), ANALYZER, width=22)
    assert found.text == "word word word word" + CUT
    assert found.marks == ()


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_an_empty_text_gives_an_empty_snippet(text: str) -> None:
    assert snippet(text, frozenset({"gene"}), ANALYZER).text == ""


def test_a_match_longer_than_the_window_is_cut() -> None:
    found = snippet("https://a.org/" + "x" * 300, frozenset({"org"}), ANALYZER, width=20)
    assert len(found.text) <= 22
    assert found.marks


@given(st.text("aB c-\n量\u03b1.1"), st.text("aB c-量\u03b11"), st.integers(0, 40))
def test_marks_rise_inside_a_snippet_of_the_width(text: str, query: str, width: int) -> None:
    found = snippet(text, frozenset(ANALYZER.terms(query)), ANALYZER, width=width)
    assert len(found.text) <= max(1, width) + 2
    at = -1
    for start, end in found.marks:
        assert at < start < end <= len(found.text)
        at = end
