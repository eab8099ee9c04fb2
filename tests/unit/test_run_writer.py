from pathlib import Path

import pytest

from scisearch.index.errors import RankingError
from scisearch.retrieval.ranking import Hit
from scisearch.retrieval.run_writer import RunWriter

HITS = [Hit("d1", 2.0), Hit("d2", 1.0)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_finished_run_stands_alone(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "a.run", tag="t", fingerprint={}) as writer:
        assert writer.completed == ()
        writer.write("q1", HITS)
        assert names(tmp_path) == ["a.run.partial", "a.run.partial.json"]
        writer.write("q2", [])
    assert (tmp_path / "a.run").read_text() == "q1 Q0 d1 1 2.0 t\nq1 Q0 d2 2 1.0 t\n"
    assert names(tmp_path) == ["a.run"]


def interrupted(path: Path, tag: str = "t", fingerprint: object = 1) -> None:
    with pytest.raises(KeyboardInterrupt, match="stop"):
        begin_and_stop(path, tag, fingerprint)


def begin_and_stop(path: Path, tag: str, fingerprint: object) -> None:
    with RunWriter(path, tag=tag, fingerprint={"work": fingerprint}) as writer:
        writer.write("q1", [])
        writer.write("q2", HITS)
        raise KeyboardInterrupt("stop")


def test_an_interrupted_run_goes_on_with_topics_without_hits_in_mind(tmp_path: Path) -> None:
    path = tmp_path / "a.run"
    path.write_text("the run of last week\n")
    interrupted(path)
    assert path.read_text() == "the run of last week\n"
    with RunWriter(path, tag="t", fingerprint={"work": 1}) as writer:
        assert writer.completed == ("q1", "q2")
        writer.write("q3", HITS)
    assert path.read_text().split()[0::6] == ["q2", "q2", "q3", "q3"]


def test_other_work_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.run"
    for tag, fingerprint in [("t", 2), ("other", 1)]:
        interrupted(path)
        with RunWriter(path, tag=tag, fingerprint={"work": fingerprint}) as writer:
            assert writer.completed == ()
        assert path.read_text() == ""


def test_a_partial_run_without_its_note_starts_anew(tmp_path: Path) -> None:
    interrupted(tmp_path / "a.run")
    (tmp_path / "a.run.partial.json").unlink()
    with RunWriter(tmp_path / "a.run", tag="t", fingerprint={"work": 1}) as writer:
        assert writer.completed == ()


def test_damage_inside_costs_the_topics_from_there_on(tmp_path: Path) -> None:
    interrupted(tmp_path / "a.run")
    partial = tmp_path / "a.run.partial"
    partial.write_bytes(partial.read_bytes().replace(b"d2", b"\0\0"))
    with RunWriter(tmp_path / "a.run", tag="t", fingerprint={"work": 1}) as writer:
        assert writer.completed == ("q1",)


def test_a_topic_is_written_once(tmp_path: Path) -> None:
    interrupted(tmp_path / "a.run")
    with (
        pytest.raises(RankingError, match=r"a.run: query q1 is written already"),
        RunWriter(tmp_path / "a.run", tag="t", fingerprint={"work": 1}) as writer,
    ):
        writer.write("q1", HITS)


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "a.run", tag="t", fingerprint={}) as first:
        first.write("q1", HITS)
        with pytest.raises(RankingError, match=r"a.run: another process is writing this run"):
            RunWriter(tmp_path / "a.run", tag="t", fingerprint={"other": 1})
        first.write("q2", HITS)
    assert len((tmp_path / "a.run").read_text().splitlines()) == 4


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RankingError, match=r"a.run: cannot be written: No such file"):
        RunWriter(tmp_path / "absent" / "a.run", tag="t", fingerprint={})
