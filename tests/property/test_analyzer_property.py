from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from scisearch.index.analyzer import Analyzer
from scisearch.index.text_folding import fold, fold_aligned, keeps_places

ANALYZER = Analyzer()
SCIENCE = st.text("aBz019-+/'.,@:*^_&#\\{}$ \u03b1μΩéßﬁ²₂量コ한\u0301\u3099\u1100\u2013\ud800\0")
TEXT = st.one_of(st.text(), SCIENCE, st.text(st.characters(codec=None)))


@given(TEXT)
def test_spans_hold_the_terms_in_order_inside_the_text(text: str) -> None:
    spans = ANALYZER.spans(text)
    assert list(chain.from_iterable(span.terms for span in spans)) == ANALYZER.terms(text)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)


@given(TEXT, st.lists(st.integers(0, 40)))
def test_spans_among_some_terms_are_those_of_all(text: str, places: list[int]) -> None:
    terms = ANALYZER.terms(text)
    among = frozenset(terms[place] for place in places if place < len(terms))
    expected = [span for span in ANALYZER.spans(text) if not among.isdisjoint(span.terms)]
    assert ANALYZER.spans(text, among) == expected


@given(TEXT)
def test_places_are_kept_where_it_is_said(text: str) -> None:
    aligned = fold_aligned(text)
    if keeps_places(text):
        assert aligned == (text.lower(), [*range(len(text))], [*range(1, len(text) + 1)])


@given(TEXT)
def test_aligned_folding_is_folding(text: str) -> None:
    aligned = fold_aligned(text)
    assert aligned.text == fold(text)
    assert aligned.starts == sorted(aligned.starts)


@given(st.text(st.characters(exclude_characters="\\${}_^")))
def test_folding_a_folded_text_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(TEXT, TEXT)
def test_terms_do_not_depend_on_what_was_analysed_before(first: str, text: str) -> None:
    fresh = Analyzer()
    fresh.terms(first)
    assert fresh.terms(text) == ANALYZER.terms(text)


@given(st.lists(st.text("aBz019-+/'.,@: \u03b1μé²量\u0301"), max_size=3))
def test_a_line_break_separates(texts: list[str]) -> None:
    apart = list(chain.from_iterable(map(ANALYZER.terms, texts)))
    assert ANALYZER.terms("\n".join(texts)) == apart


@given(TEXT)
def test_every_term_can_be_stored(text: str) -> None:
    for term in ANALYZER.terms(text):
        assert 0 < len(term.encode()) <= 1200
