from pathlib import Path

import pytest

from scisearch.benchmarks.probability_log import ProbabilityLog, read_probabilities
from scisearch.index.errors import RankingError

WORK = {"index": "a", "batch": 32}


def test_a_log_goes_on_after_a_kill_and_the_last_of_a_query_counts(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    ProbabilityLog(path, fingerprint=WORK).write({"q1": {"d1": 0.5}, "q2": {}})
    with path.open("a") as stream:
        stream.write('["q3", {"d1": 0.')  # torn by the kill
    log = ProbabilityLog(path, fingerprint=WORK)
    log.write({"q1": {"d1": 0.25}, "q3": {"d2": 1.0}})
    assert read_probabilities(path) == {"q1": {"d1": 0.25}, "q2": {}, "q3": {"d2": 1.0}}


def test_other_work_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    ProbabilityLog(path, fingerprint=WORK).write({"q1": {"d1": 0.5}})
    ProbabilityLog(path, fingerprint={**WORK, "index": "b"})
    assert read_probabilities(path) == {}
    assert read_probabilities(tmp_path / "absent") == {}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(RankingError, match=r"absent.log\.jsonl: cannot be written"):
        ProbabilityLog(tmp_path / "absent" / "log.jsonl", fingerprint=WORK)
