"""Which lists our weights learn from, and what goes out because the model is judged on it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from scisearch.benchmarks.science_training.caps import KIND_CAPS, Caps, large_caps
from scisearch.benchmarks.science_training.choice import ChosenList, choose
from scisearch.benchmarks.science_training.cleaning import scifact_claims, without_leaks
from scisearch.benchmarks.science_training.mixtures import MIXTURE
from scisearch.index.errors import TrainingError


def test_every_kind_is_chosen_within_its_cap(tiny_corpora: Path) -> None:
    caps = Caps(kinds={**KIND_CAPS, "sentence": 5, "title": 3, "context": 2}, held_out={})
    choice = choose(tiny_corpora / "corpora", caps)
    kinds = Counter(one.kind for one in choice.lists)
    assert kinds == {
        "citation": 8,
        "context": 2,
        "tldr": 4,
        "heading": 3,  # seven answers: one list for every three
        "keywords": 6,
        "cocitation": 4,
        "sentence": 5,
        "question": 12,
    } | ({"title": kinds["title"]} if kinds["title"] else {})
    assert set(kinds) <= set(MIXTURE)
    for one in choice.lists:
        assert set(one.positives) <= set(choice.documents[one.corpus])


def test_only_the_terms_that_we_may_use(tiny_corpora: Path) -> None:
    questions = [one for one in choose(tiny_corpora / "corpora", Caps()).lists if one.licence]
    assert {one.licence for one in questions if one.corpus == "questions"} == {"open"}
    more = Caps(licences=("open", "research"), held_out={})
    found = choose(tiny_corpora / "corpora", more).lists
    assert sum(one.corpus == "questions" for one in found) == 17


def test_a_document_that_asks_is_named_and_lists_are_turned(tiny_corpora: Path) -> None:
    lists = choose(tiny_corpora / "corpora", Caps(held_out={})).lists
    cited = [one for one in lists if one.kind == "citation"]
    assert {one.asking for one in cited} == {f"p{i}" for i in range(8)}
    assert all(len(one.positives) == 2 for one in cited)
    headings = [one for one in lists if one.kind == "heading"]
    assert {one.query for one in headings} == {"Folding proteins"}
    assert [one.positives[0] for one in headings] == ["p0", "p3", "p6"]


def test_the_choice_repeats_and_the_papers_are_bounded(tiny_corpora: Path) -> None:
    corpora = tiny_corpora / "corpora"
    assert choose(corpora, Caps()) == choose(corpora, Caps())
    assert choose(corpora, Caps()).lists != choose(corpora, Caps(seed=5)).lists
    assert len(choose(corpora, Caps()).documents["papers"]) == 40
    few = choose(corpora, Caps(papers=10)).documents["papers"]
    assert 10 <= len(few) < 40  # those that answer, and no more


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"papers\.parquet: cannot be read as Parquet with the"):
        choose(tmp_path, Caps())


def test_claims_of_the_train_split_without_those_kept_back(tiny_corpora: Path) -> None:
    claims = scifact_claims(tiny_corpora / "collections", seed=3)
    assert len(claims.dev_ids) == 6
    learned = Counter(one.query for one in claims.choice.lists)
    assert set(learned.values()) == {2}
    assert len(learned) == 6
    judged = {text.text_id for text in claims.judged if text.role == "query"}
    assert judged == {*claims.dev_ids, *(f"c{i}" for i in range(12, 20)), "n1"}
    # both splits have the same documents, which are looked at once
    documents = [text.text_id for text in claims.judged if text.role == "document"]
    assert len(documents) == len(set(documents)) == 21
    assert scifact_claims(tiny_corpora / "collections", seed=3) == claims
    alone = scifact_claims(tiny_corpora / "collections", seed=3, left_out=["near"])
    assert len(alone.judged) == len(claims.judged) - 2


def test_what_a_collection_has_goes_out(tiny_corpora: Path) -> None:
    choice = choose(tiny_corpora / "corpora", Caps())
    claims = scifact_claims(tiny_corpora / "collections", seed=3)
    both = replace(
        choice,
        lists=[*choice.lists, *claims.choice.lists],
        documents={**choice.documents, **claims.choice.documents},
    )
    test_claim = next(text.text for text in claims.judged if text.text_id == "c15")
    both.lists.append(ChosenList("claim", "papers", test_claim, ("p5",)))
    clean, report = without_leaks(both, claims.judged)
    assert "p3" not in clean.documents["papers"]
    assert len(clean.documents["papers"]) == 39
    assert not any("p3" in one.positives for one in clean.lists if one.corpus == "papers")
    assert test_claim not in {one.query for one in clean.lists}
    assert sum(one.kind == "scifact" for one in clean.lists) == 12
    assert len(clean.documents["scifact"]) == 20
    assert {kind.collection for kind in report.counts} == {"near", "scifact test"}


def test_a_held_out_query_is_in_no_training_list(tiny_corpora: Path) -> None:
    corpora = tiny_corpora / "corpora"
    learned = {one.query for one in choose(corpora, large_caps()).lists}
    kept = choose(corpora, replace(large_caps(), held="only")).lists
    held = {one.query for one in kept if one.kind not in ("sentence", "title", "keywords")}
    assert held
    assert not held & learned
    caps = Caps()
    assert all(
        caps.takes("heading", f"  {text.upper()} ") == caps.takes("heading", text) for text in held
    )
    share = sum(caps.takes("heading", str(number)) for number in range(2000)) / 2000
    assert 0.56 < share < 0.64
    assert all(caps.takes("sentence", str(number)) for number in range(100))
