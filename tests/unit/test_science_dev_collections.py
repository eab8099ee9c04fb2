"""Collections to choose settings on: who asks, what answers, and that they can be made again."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from scisearch.benchmarks.collection import read_collection
from scisearch.benchmarks.science_training.__main__ import main
from scisearch.benchmarks.science_training.caps import Caps, large_caps
from scisearch.benchmarks.science_training.choice import Choice, ChosenList, choose, relation_rows
from scisearch.benchmarks.science_training.dev_collections import (
    UNSEEN,
    many_answers,
    narrow,
    unseen,
    wide,
    write_dev_collections,
)
from scisearch.index.errors import ConfigError

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"
CHOICE = Choice(
    [
        ChosenList("citation", "papers", "Tumours of mice", ("a", "b", "c"), "a"),
        ChosenList("heading", "papers", "Growth", ("b", "d")),
        ChosenList("heading", "papers", "Growth", ("d", "b")),  # turned: the same query
        ChosenList("heading", "papers", "Stars", ("d",)),
        ChosenList("question", "questions", "What is a tumour", ("q",)),
    ],
    {
        "papers": {
            "a": ("Cancer", ""),
            "b": ("Mice", "a TUMOUR grows"),
            "c": ("Mice", "nothing grows"),
            "d": ("Stars", "a star grows"),
            "e": ("Rest", "of no list"),
        },
        "questions": {"q": ("", "a tumour is")},
    },
)


def test_a_narrow_collection_has_what_is_about_its_subject() -> None:
    found = narrow("cancer", CHOICE, "papers", r"\b(cancer|tumour)")
    assert list(found.documents) == ["a", "b"]
    # a paper does not answer itself; who is answered by none of these does not ask
    assert found.topics == [("Tumours of mice", {"b": 1}), ("Growth", {"b": 1})]


def test_a_wide_collection_has_all_that_answers() -> None:
    found = wide("papers", CHOICE, "papers", seed=1)
    assert set(found.documents) == set("abcde")
    assert dict(found.topics) == {
        "Tumours of mice": {"b": 1, "c": 1},
        "Growth": {"b": 1, "d": 1},
        "Stars": {"d": 1},
    }


def test_two_keywords_grade_the_papers_that_have_both_or_one(tmp_path: Path) -> None:
    papers = [
        {"doc_id": f"p{n}", "title": f"t{n}", "text": None, "source": source}
        for n, source in enumerate(["own"] * 7 + ["other"])
    ]
    keywords = {
        "p0": ["Iron", "wheat"],
        "p1": ["iron", "wheat ", "iron oxide"],
        "p2": ["wheat", "iron", "iron oxide"],
        "p3": ["iron", "iron oxide"],
        "p4": ["soil", "wheat"],
        "p7": ["iron", "wheat"],  # of another source
    }
    rows = [
        {"query_text": word, "target_doc_id": doc_id}
        for doc_id, words in keywords.items()
        for word in words
    ]
    pq.write_table(pa.Table.from_pylist(papers), tmp_path / "papers.parquet")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "keywords.parquet")
    found = many_answers("plants", tmp_path, "own")
    assert set(found.documents) == {f"p{n}" for n in range(7)}
    assert found.documents["p0"] == ("t0", "")
    # "iron" is a part of "iron oxide"; of soil and wheat, of iron oxide and wheat there are too few
    assert found.topics == [("iron and wheat", {"p0": 2, "p1": 2, "p2": 2, "p3": 1, "p4": 1})]
    assert many_answers("plants", tmp_path, "own", most=4).topics == []


def test_a_source_that_no_training_had_asks_among_the_answers_of_several(tmp_path: Path) -> None:
    def row(
        source: str, query: str, positive: str, title: str, *negative: str
    ) -> dict[str, object]:
        told = {"source": source, "query": query, "positive": positive, "title": title or None}
        return {**told, "negative": list(negative) or None}

    rows = [
        row("terms", "osmosis", "water moves", ""),
        row("terms", "osmosis", "a membrane", "Cells"),
        row("sections", "Membranes", "water moves", "Transport", "a membrane", "ions"),
        row("web", "what is osmosis", "on the web", ""),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "questions.parquet")
    found = unseen("books", tmp_path, "terms", ("terms", "sections"))
    assert list(found.documents.values()) == [
        ("Transport", "water moves"),  # the title that stands with one of its rows
        ("Cells", "a membrane"),
        ("", "ions"),
    ]
    assert found.topics == [("osmosis", {"answer-0": 1, "answer-1": 1})]
    assert unseen("web", tmp_path, "web", ("web",)).documents == {"answer-0": ("", "on the web")}


@pytest.mark.skipif(not CORPORA.is_dir(), reason="needs ../shared/corpora")
def test_no_training_may_learn_from_the_sources_that_stand_for_unseen_ones() -> None:
    rows = relation_rows(CORPORA / "questions.parquet", ("source", "licence_class"))
    licences: dict[str, set[str]] = {}
    for row in rows:
        licences.setdefault(row["source"], set()).add(row["licence_class"])
    for source in {one for _, several in UNSEEN.values() for one in several}:
        for caps in (Caps(), large_caps()):
            assert licences[source].isdisjoint(caps.licences)


def test_what_is_written_is_held_out_and_can_be_made_again(
    tiny_corpora: Path, tmp_path: Path
) -> None:
    corpora = tiny_corpora / "corpora"
    write_dev_collections(corpora, tmp_path / "one", only=["papers"], fewest=1)
    told = write_dev_collections(corpora, tmp_path / "two", only=["papers"], fewest=1)
    for path in (tmp_path / "one" / "papers").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / "papers" / path.name).read_bytes()
    read = read_collection(tmp_path / "one" / "papers")
    assert told == {"papers": (40, len(read.queries))}
    learned = {one.query for one in choose(corpora, large_caps()).lists}
    assert not {query.text for query in read.queries} & learned
    few = write_dev_collections(corpora, tmp_path / "few", only=["papers"], fewest=1, queries=1)
    assert few["papers"][1] == 1
    assert not write_dev_collections(corpora, tmp_path / "none", only=["papers"], fewest=10**6)


def test_the_command_tells_what_it_wrote_or_why_not(tiny_corpora: Path, tmp_path: Path) -> None:
    call = ["dev-collections", str(tiny_corpora / "corpora"), "-o", str(tmp_path)]
    found = CliRunner().invoke(main, [*call, "--only", "questions"], catch_exceptions=False)
    assert (found.exit_code, found.stdout) == (0, "")  # too few queries are held out
    wrong = CliRunner().invoke(main, [*call, "--only", "medicine"])
    assert wrong.exit_code == 1
    assert "dev collection 'medicine'; expected one of questions, papers, cancer" in wrong.stderr
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/papers: cannot be written \(Not a directory\)"):
        write_dev_collections(
            tiny_corpora / "corpora", tmp_path / "file", only=["papers"], fewest=1
        )
