"""Phrases of a query in documents: what is counted, how much it is worth, and the order."""

from collections.abc import Sequence
from math import log
from pathlib import Path

import numpy as np
import pytest

from scisearch.index.bm25_formula import BM25Parameters
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.opened import OpenIndex, open_index
from scisearch.rerank.phrases import PhraseMatcher
from scisearch.retrieval.ranking import Scored

ROWS = [
    ("a", "", "heart failure in mice"),
    ("b", "", "the failure of a heart"),
    ("c", "heart failure", "of mice and men"),
    ("d", "", "failure of the heart of mice; heart failure and heart, failure"),
    ("e", "heart", "failure"),
    ("f", "", "something else"),
]
EVERY = np.arange(len(ROWS))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> OpenIndex:
    return built(tmp_path_factory.mktemp("phrases"), BM25Parameters())


def built(
    folder: Path, bm25: BM25Parameters, rows: Sequence[tuple[str, str, str]] = ROWS
) -> OpenIndex:
    corpus = folder / "corpus.tsv"
    lines = ["\t".join(("doc_id", "title", "text")), *map("\t".join, rows)]
    corpus.write_text("\n".join(lines) + "\n")
    build_index(corpus, folder / "index", BuildConfig(encoder=None, bm25=bm25))
    return open_index(folder / "index")


def idf(df: int) -> float:
    return log(1 + (len(ROWS) - df + 0.5) / (df + 0.5))


def test_terms_that_follow_each_other_in_both_are_counted(index: OpenIndex) -> None:
    found = PhraseMatcher(index).matches("heart failure", EVERY)
    weight = (idf(5) + idf(5)) / 2 / (idf(5) + idf(5))  # both words stand in a to e
    by_tf = {0: 0.0, 1: weight / 2.2, 2: weight * 2 / 3.2, 3: weight * 3 / 4.2}
    # Not the other way round, not from the title into the text; a title counts three times.
    expected = [by_tf[1], by_tf[0], by_tf[3], by_tf[2], by_tf[0], by_tf[0]]
    assert found == pytest.approx(expected)


def test_stop_words_do_not_stand_between(index: OpenIndex) -> None:
    found = PhraseMatcher(index).matches("failure of hearts", EVERY)
    assert (found > 0).tolist() == [False, True, False, True, False, False]


def test_a_phrase_is_worth_its_share_of_the_query(index: OpenIndex) -> None:
    of = np.array([0, 3])
    alone = PhraseMatcher(index).matches("heart failure", of)
    among = PhraseMatcher(index).matches("heart failure quasar", of)
    assert among == pytest.approx(alone * 2 * idf(5) / (2 * idf(5) + idf(0)))
    # Said twice it is the same phrase, and a word beside itself is none.
    assert PhraseMatcher(index).matches("heart heart failure heart failure", of)[0] == (
        pytest.approx(alone[0])
    )


@pytest.mark.parametrize("query", ["", "heart", "heart heart", "the of", "quasar spectrum"])
def test_without_a_phrase_the_list_stays_as_it_is(index: OpenIndex, query: str) -> None:
    fused = Scored(np.array([4, 0, 2]), np.array([3, 2, 1], np.float32))
    assert not PhraseMatcher(index).matches(query, EVERY).any()
    assert PhraseMatcher(index).reordered(query, fused, depth=3, weight=1) is fused


def test_a_title_counts_as_often_as_in_the_index(tmp_path: Path) -> None:
    index = built(tmp_path, BM25Parameters(title_weight=1))
    found = PhraseMatcher(index).matches("heart failure", EVERY)
    assert found[0] == found[2]


def test_the_best_are_ordered_anew_and_the_rest_stays_below(index: OpenIndex) -> None:
    fused = Scored(np.array([4, 1, 0, 5, 2]), np.array([5, 4, 3, 2, 1], np.float32))
    found = PhraseMatcher(index).reordered("heart failure", fused, depth=3, weight=10)
    assert found.ordinals.tolist() == [0, 4, 1, 5, 2]
    phrase = PhraseMatcher(index).matches("heart failure", np.array([0]))[0]
    assert found.scores[:3] == pytest.approx([10 * phrase, 1.0, 0.5])
    assert (np.diff(found.scores) <= 0).all()
    whole = PhraseMatcher(index).reordered("heart failure", fused, depth=100, weight=10)
    assert whole.ordinals[0] == 2
    assert PhraseMatcher(index).reordered("heart failure", fused, depth=3, weight=0) is fused


def test_terms_that_are_remembered_are_the_same(index: OpenIndex) -> None:
    matcher = PhraseMatcher(index, kept=2)
    for query in ("heart failure", "failure of mice", "heart failure"):
        np.testing.assert_array_equal(
            matcher.matches(query, EVERY), PhraseMatcher(index).matches(query, EVERY)
        )


def test_of_allowed_documents_the_idf_is_that_of_their_own_index(
    index: OpenIndex, tmp_path: Path
) -> None:
    allowed = np.array([True, True, False, False, False, True])
    part = built(
        tmp_path, BM25Parameters(), [row for row, in_it in zip(ROWS, allowed, strict=True) if in_it]
    )
    query = "heart failure in something"
    filtered = PhraseMatcher(index).matches(query, np.array([0, 1, 5]), allowed)
    np.testing.assert_array_equal(filtered, PhraseMatcher(part).matches(query, np.arange(3)))
    assert filtered[0] != PhraseMatcher(index).matches(query, EVERY)[0]


def test_no_candidates_have_no_phrases(index: OpenIndex) -> None:
    nothing = Scored(np.empty(0, np.int64), np.empty(0, np.float32))
    assert PhraseMatcher(index).reordered("heart failure", nothing, depth=9, weight=1) is nothing
