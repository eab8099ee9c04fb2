import pytest

from scisearch.index.errors import ConfigError
from scisearch.rerank.training.leakage import (
    Kind,
    SeenText,
    find_leaks,
    remove_leaks,
    render_leaks,
    training_texts,
)
from scisearch.rerank.training.lists import RerankingList

ABSTRACT = (
    "We measure how the wings of small insects bend in flight, and find that the bending adds a"
    " third to their lift at low speed, as a model of thin plates in slow air predicts."
)
OTHER = (
    "A register of patients with asthma was followed for ten years; those who moved to the coast"
    " needed fewer hospital days, although the same drugs were given in both groups."
)


def judged(text: str, text_id: str | None = None) -> SeenText:
    return SeenText(text, "document", "cran", text_id)


def test_equal_words_leak_whatever_their_case_and_punctuation() -> None:
    report = find_leaks([SeenText("\uff2cift of WINGS", "query")], [judged("lift of -- wings.")])
    assert report.counts == {Kind("cran", "text", "query", "document"): 1}
    assert report.holds("lift of wings")
    assert not report.holds("lift of wing")


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("Insects. " + ABSTRACT, 1.0),
        (ABSTRACT.replace("a third", "one third"), 20 / 28),
        (ABSTRACT.split(", and")[0].replace("We", "They") + OTHER, None),
        (OTHER, None),
        ("the wings of small insects", None),
    ],
)
def test_half_of_the_runs_of_the_shorter_text_make_a_near_duplicate(
    text: str, share: float | None
) -> None:
    report = find_leaks([SeenText(text, "document")], [judged(OTHER[:30]), judged(ABSTRACT)])
    if share is None:
        assert not report.counts
        return
    assert report.counts == {Kind("cran", "near", "document", "document"): 1}
    assert report.examples[0].share == pytest.approx(share)


def test_ids_are_compared_unless_they_are_bare_small_numbers() -> None:
    training = [
        SeenText("one", "document", text_id="10.1000/ABC"),
        SeenText("two", "document", text_id="184"),
        SeenText("three", "document", text_id="13734012"),
    ]
    known = [
        judged("x", "https://doi.org/10.1000/abc"),
        judged("y", "184"),
        judged("z", "13734012"),
    ]
    report = find_leaks(training, known)
    assert report.counts == {Kind("cran", "id", "document", "document"): 2}
    assert [report.holds(text) for text in ("one", "two", "three")] == [True, False, True]


def test_a_notice_in_many_judged_texts_is_no_copy() -> None:
    notice = "published by some house under a licence all rights reserved"
    known = [judged(f"{word} {notice}") for word in map(str, range(60))]
    assert not find_leaks([SeenText(f"something else {notice}", "document")], known).counts


def test_leaking_queries_take_their_list_and_documents_only_themselves() -> None:
    lists = [
        RerankingList("what bends in flight", ("p",), ("n",)),
        RerankingList("asthma at the coast", (OTHER, "another"), ("n", ABSTRACT)),
        RerankingList("lift", (ABSTRACT,), ("n",)),
        RerankingList("untouched", ("p",), ("n",)),
    ]
    known = [judged(ABSTRACT), SeenText("What bends in flight?", "query", "cran")]
    removal = remove_leaks(lists, find_leaks(training_texts(lists), known))
    assert [one.query for one in removal.lists] == ["asthma at the coast", "untouched"]
    assert removal.lists[0] == RerankingList("asthma at the coast", (OTHER, "another"), ("n",))
    assert (removal.lists_removed, removal.documents_removed) == (2, 1)


def test_each_text_is_asked_once_for_each_role() -> None:
    lists = [RerankingList("a", ("b", "a"), ("c",)), RerankingList("a", ("b",), ("c", "d"))]
    assert [(one.text, one.role) for one in training_texts(lists)] == [
        ("a", "query"),
        ("b", "document"),
        ("a", "document"),
        ("c", "document"),
        ("d", "document"),
    ]


def test_the_report_tells_counts_with_an_example() -> None:
    report = find_leaks([SeenText("lift of wings", "query")], [judged("Lift of wings")])
    assert render_leaks(report).splitlines() == [
        "1 of 1 training texts overlap with the 1 that the model is judged on",
        "  cran: 1 equal, query and document, such as 'lift of wings'",
    ]
    content = report.to_json()
    assert content["counts"] == [
        {"collection": "cran", "how": "text", "training": "query", "judged": "document", "texts": 1}
    ]


def test_nothing_judged_or_no_words_is_no_leak() -> None:
    assert not find_leaks([SeenText(ABSTRACT, "document")], []).counts
    assert not find_leaks([SeenText("?!", "query"), SeenText("", "query")], [judged("...")]).counts
    assert find_leaks([], [judged(ABSTRACT)]).n_training == 0


@pytest.mark.parametrize("share", [0.0, 1.01, float("nan")])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"least share .*; expected above 0 and at most 1"):
        find_leaks([], [], least_share=share)
