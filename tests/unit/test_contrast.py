import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from scisearch.benchmarks.contrast import (
    ContrastPair,
    contrast,
    contrast_pairs,
    wilson_interval,
)
from scisearch.console.contrast import render_contrast
from scisearch.index.errors import ModelError

PAIRS = [
    ContrastPair("a1", "a", "q", "good", "bad"),
    ContrastPair("a2", "a", "q", "fine", "worse"),
    ContrastPair("b1", "b", "q", "ok", "poor"),
]


def shared_words(queries: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    """The share of the query's words that the text has: what the suite is to catch."""

    def words(text: str) -> set[str]:
        return set(re.findall(r"\w+", text.lower()))

    return np.array(
        [len(words(q) & words(t)) / len(words(q)) for q, t in zip(queries, texts, strict=True)]
    )


def test_accuracy_and_margin_by_kind_by_hand() -> None:
    scores = {"good": 2.0, "bad": 1.0, "fine": 0.5, "worse": 0.5, "ok": -1.0, "poor": -4.0}
    report = contrast(lambda _, texts: np.array([scores[text] for text in texts]), PAIRS)
    a, b, overall = report.kinds
    assert (a.kind, a.n, a.accuracy, a.margin) == ("a", 2, 0.5, 0.5)
    assert (b.kind, b.n, b.accuracy, b.margin) == ("b", 1, 1.0, 3.0)
    assert (overall.kind, overall.n) == ("all", 3)
    assert overall.margin == pytest.approx(4 / 3)
    assert report.overall is overall
    assert report.lost == ("a2",)  # a tie is lost
    lines = render_contrast({"x": report}).splitlines()
    assert lines[0].split() == ["kind", "pairs", "x", "95%", "interval", "margin"]
    assert lines[1].split() == ["a", "2", "0.500", "0.095", "to", "0.905", "+0.500"]


def test_wilson_intervals_as_published() -> None:
    """Newcombe 1998, table I: 81 of 263, and 0 of 20."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(20, 20)[1] == pytest.approx(1.0)


def test_the_pairs_are_whole_and_enough_of_each_kind() -> None:
    pairs = contrast_pairs()
    kinds = Counter(pair.kind for pair in pairs)
    assert len(pairs) >= 60
    assert set(kinds) == {
        "same-word-other-field",
        "negation",
        "swapped-roles",
        "changed-number",
        "direction",
        "unit",
    }
    assert min(kinds.values()) >= 8
    assert len({pair.pair_id for pair in pairs}) == len(pairs)
    assert len({pair.query for pair in pairs}) == len(pairs)
    for pair in pairs:
        assert pair.better != pair.worse
        assert min(map(len, (pair.query, pair.better, pair.worse))) > 10


def test_the_suite_defeats_a_scorer_that_counts_shared_words() -> None:
    assert contrast(shared_words).overall.accuracy < 0.35


@pytest.mark.parametrize("scores", [[1.0], [1.0, 2, 3, 4, 5, float("nan")], [[1.0] * 6]])
def test_wrong_scores_are_refused(scores: list[float]) -> None:
    with pytest.raises(
        ModelError, match=r"contrast pairs: found scores of shape .* expected 6 fin"
    ):
        contrast(lambda _, __: np.array(scores), PAIRS)
