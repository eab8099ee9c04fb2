import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from scisearch.benchmarks.evaluation import compare, evaluate, evaluate_files
from scisearch.benchmarks.measures import parse_measures
from scisearch.console.tables import render_comparison
from scisearch.index.errors import ConfigError, RankingError
from scisearch.retrieval.ranking import Qrels, RankedList, Run

QRELS = {"q1": {"d1": 2, "d2": 0}, "q2": {"d3": 1}}


def run_of(**scores: Mapping[str, float]) -> Run:
    return {query_id: RankedList.from_scores(query_id, of) for query_id, of in scores.items()}


RUN = run_of(q1={"d2": 2, "d1": 1}, q2={"d3": 1})


def messages(run: Run, qrels: Qrels = QRELS, **options: object) -> list[str]:
    ids = options.get("index_doc_ids")
    found = evaluate(run, qrels, ("nDCG@1",), index_doc_ids=ids)  # type: ignore[arg-type]
    return [f"{finding.severity}: {finding.message}" for finding in found.findings]


def test_a_clean_run_has_nothing_to_be_said_about_it() -> None:
    assert messages(RUN, index_doc_ids={"d1", "d2", "d3"}) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("foo", "measure 'foo': not a measure.*nDCG@10"),
        ("ndcg@10", "measure 'ndcg@10': not a measure"),
        ("nDCG@", "not a measure"),
        ("nDCG@0", "not a measure"),  # would end the process in trec_eval
        ("P@0", "not a measure"),
        ("nDCG@True", "not a measure"),
        ("P", "not a measure"),
        ("P(rel=0)@5", "not a measure"),
        ("R@-1", "not a measure"),
        ("", "not a measure"),
        ("(" * 5000, r"measure '\(+…': not a measure"),
        ("a\nb", r"measure 'a\\nb'"),
        ("alpha_nDCG@10", "no installed provider"),
        ("NumQ", "a count over all queries"),
    ],
)
def test_a_bad_measure_is_one_line_with_examples(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_measures([name])
    assert len(str(caught.value).splitlines()) == 1


def test_measures_are_taken_once_in_their_order() -> None:
    found = parse_measures(["P(rel=2)@5", " AP", "MAP", "Judged@10"])
    assert [str(measure) for measure in found] == ["P(rel=2)@5", "AP", "Judged@10"]
    with pytest.raises(ConfigError, match="found no measure"):
        parse_measures([])


def test_findings_on_queries() -> None:
    qrels = {**QRELS, "q3": {"d1": 1}, "q4": {"d1": 0}}
    run = {**RUN, "q8": RUN["q1"], "q3": RankedList("q3", ())}
    assert messages(run, qrels) == [
        "warning: 1 of 4 judged queries have no positive judgement and are left out of every mean"
        " (q4); trec_eval -c counts them as 0",
        "note: 1 of 4 queries of the run have no judgements and are left out (q8)",
        "warning: 1 judged queries have no hit in the run and count as 0 (q3)",
        "note: 1 of 3 queries have fewer than the 1 hits that nDCG@1 looks at",
    ]


def test_findings_on_the_index() -> None:
    assert messages(RUN, index_doc_ids=lambda doc_id: doc_id == "d1") == [
        "warning: 1 of 2 relevant documents are not in the index and can never be found (d3)",
        "warning: 2 of 3 documents of the run are not in the index (d2, d3); is it another version"
        " of the corpus?",
    ]


def test_ties_are_counted_with_what_they_could_change() -> None:
    (message,) = messages(run_of(q1={"d1": 1, "d2": 1}, q2={"d3": 1}))
    assert message.startswith("warning: 2 hits of 1 queries share their score with another")
    assert "between 0.8155 and 1.0000" in message
    (message,) = messages(run_of(q1={"d1": 2, "x": 1, "y": 1}, q2={"d3": 1}))
    assert message.startswith("note: 2 hits of 1 queries")


def test_a_run_that_was_cut_too_early_is_told() -> None:
    (finding,) = evaluate(RUN, {"q2": {"d3": 1}}, ("nDCG@10", "R@100")).findings[1:]
    assert finding.severity == "warning"
    assert finding.message == (
        "1 of 1 queries have fewer than the 100 hits that R@100 looks at: the run was cut at 1"
    )


def documents(*ids: str) -> Run:
    return run_of(q1={doc_id: -float(i) for i, doc_id in enumerate(ids)})


@pytest.mark.parametrize(
    ("found", "judged", "cause"),
    [
        (["1", "2"], ["01", "02"], "leading zeros"),
        (["1.0", "2.0"], ["1", "2"], "a '.0': a column of numbers was read as floats"),
        (["MED-1", "MED-2"], ["med-1"], "upper and lower case"),
        (["doc_1", "doc_2"], ["1", "2"], "the run have the prefix 'doc_'"),
        (["1", "2"], ["PMID:1", "PMID:2"], "the judgements have the prefix 'PMID:'"),
        (["d1#0", "d1#1", "d2#0"], ["d1", "d2"], "an ending from '#' on; are these passages"),
        (["clueweb09-en0000"], ["clueweb09-en0000-00-12345"], "look cropped at 16 characters"),
        (["12", "34"], ["31715812", "14717534"], "different collections or splits"),
    ],
)
def test_no_common_document_is_refused_with_the_likely_cause(
    found: list[str], judged: list[str], cause: str
) -> None:
    qrels = {"q1": dict.fromkeys(judged, 1)}
    with pytest.raises(RankingError, match=r"no document of the run is judged.*the run has") as e:
        evaluate(documents(*found), qrels)
    assert cause in str(e.value)


def test_zeros_may_pass_where_the_index_proves_the_ids() -> None:
    run = documents("a", "b")
    found = evaluate(run, {"q1": {"c": 1}}, ("AP",), index_doc_ids={"a", "b", "c"})
    assert found.mean == {"AP": 0.0}
    with pytest.raises(RankingError, match="no document of the run is judged"):
        evaluate(run, {"q1": {"c": 1}}, ("AP",), index_doc_ids={"c"})


def test_no_common_query_is_refused() -> None:
    with pytest.raises(RankingError, match=r"x.run: no query of the run .* has 01, .* zeros"):
        evaluate(run_of(**{"01": {"d": 1}}), {"1": {"d": 1}}, name="x.run")
    with pytest.raises(RankingError, match=r"found no positive gain in 1 queries"):
        evaluate(RUN, {"q1": {"d1": 0}})


def test_a_comparison_by_hand() -> None:
    better = run_of(q1={"d1": 2, "d2": 1}, q2={"d3": 1})
    found = compare({"base": RUN, "same": RUN, "new": better}, QRELS, ("P@1", "R@100"))
    assert found.baseline == "base"
    assert found.scores["base"]["P@1"].difference is None
    new = found.scores["new"]["P@1"].difference
    assert new is not None
    assert (new.mean, new.better, new.same, new.worse) == (0.5, 1, 1, 0)
    assert (new.p, new.p_holm) == (1.0, 1.0)  # one query that differs proves nothing
    same = found.scores["same"]["P@1"].difference
    assert same is not None
    assert (same.mean, same.low, same.high, same.better, same.same) == (0.0, 0.0, 0.0, 0, 2)
    assert compare({"a": RUN, "b": better}, QRELS, ("P@1",), baseline="b").baseline == "b"
    with pytest.raises(ConfigError, match="baseline c: no such run, expected one of a"):
        compare({"a": RUN}, QRELS, baseline="c")
    with pytest.raises(ConfigError, match="found no run to compare"):
        compare({}, QRELS)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_files_in_a_comparison_out(tmp_path: Path) -> None:
    qrels = write(tmp_path / "qrels.txt", "q1 0 d1 2\nq1 0 d2 0\nq2 0 d3 1\nq1 0 d9 1\n")
    first = write(tmp_path / "first.run", "q1 Q0 d9 1 3 t\nq1 Q0 d2 2 2 t\nq2 Q0 d3 1 1 t\n")
    second = write(tmp_path / "second.run", "q1 Q0 d1 1 1 t\nq1 Q0 d2 2 2 t\nq2 Q0 d3 1 1 t\n")
    ignore = write(tmp_path / "ignore.tsv", "q1 d9\n")
    found = evaluate_files([first, second], qrels, measures=("P@1", "R@1"), ignore=ignore)
    assert list(found.scores) == ["first", "second"]
    assert found.scores["first"]["R@1"].mean == 0.5
    said = [f"{name}: {finding.message}" for name, finding in found.findings]
    assert f"first: 1 hits and 1 judgements are left out as {ignore} says" in said
    assert any("second: scores rise with the rank in 1 of 2 queries (q1)" in line for line in said)
    decoded = json.loads(json.dumps(found.to_json(per_query=True)))
    assert decoded["runs"]["second"]["per_query"]["P@1"] == {"q1": 0.0, "q2": 1.0}
    assert "per_query" not in json.dumps(found.to_json())
    assert "second" in render_comparison(found, per_query=True)


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    qrels = write(tmp_path / "qrels.txt", "q1 0 d1 1\n")
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(write(tmp_path / folder / "x.run", "q1 Q0 d1 1 1 t\n"))
    found = evaluate_files(paths, qrels, measures=("P@1",))
    assert list(found.scores) == [str(path) for path in paths]
