"""Remembered logits: the same bits, for the same model only, in a file of bounded size."""

import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scisearch.rerank import score_cache
from scisearch.rerank.batches import PairParts
from scisearch.rerank.score_cache import ScoreCache


def rows(count: int, *, start: int = 0) -> list[PairParts]:
    return [
        PairParts(np.array([7, 8]), np.array([n, n >> 8, 5])) for n in range(start, start + count)
    ]


def logits(count: int, *, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 3, count).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "scores.sqlite"


def test_a_hit_is_the_miss_to_the_bit(path: Path) -> None:
    of, found = rows(1300), logits(1300)
    cache = ScoreCache(path, "model")
    assert np.isnan(cache.find(of)).all()
    cache.keep(of[:1200], found[:1200])
    again = ScoreCache(path, "model").find(of)
    assert again.dtype == np.float32
    assert again[:1200].tobytes() == found[:1200].tobytes()
    assert np.isnan(again[1200:]).all()


def test_another_model_misses(path: Path) -> None:
    ScoreCache(path, "model").keep(rows(3), logits(3))
    assert np.isnan(ScoreCache(path, "model 2").find(rows(3))).all()
    assert not np.isnan(ScoreCache(path, "model").find(rows(3))).any()


def test_the_ids_count_and_not_their_type_nor_their_concatenation(path: Path) -> None:
    cache = ScoreCache(path, "model")
    one = PairParts(np.array([1, 2], np.uint16), np.array([3], np.int64))
    cache.keep([one], np.array([2.5], np.float32))
    same = PairParts(np.array([1, 2], np.int64), np.array([3], np.uint16))
    other = PairParts(np.array([1], np.uint16), np.array([2, 3], np.uint16))
    part_of_a_larger_array = PairParts(np.arange(10)[1:3], np.arange(12)[3:12:9])
    found = cache.find([same, other, part_of_a_larger_array])
    assert found[[0, 2]].tolist() == [2.5, 2.5]
    assert np.isnan(found[1])


def test_what_is_no_number_is_not_kept(path: Path) -> None:
    cache = ScoreCache(path, "model")
    cache.keep(rows(3), np.array([np.nan, np.inf, 1], np.float32))
    assert np.isnan(cache.find(rows(3))).tolist() == [True, True, False]


def test_no_rows_are_no_work(path: Path) -> None:
    cache = ScoreCache(path, "model")
    cache.keep([], logits(0))
    assert cache.find([]).tolist() == []


@pytest.mark.parametrize("damage", ["text", "cut", "row"])
def test_a_damaged_file_is_removed_with_a_line(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = ScoreCache(path, "model")
    cache.keep(rows(2000), logits(2000))
    if damage == "text":
        path.write_bytes(b"something else" * 1000)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[: 3 * 4096])
    else:
        with sqlite3.connect(path) as database:
            database.execute("UPDATE scores_1 SET logit = zeroblob(8)")
        database.close()
    with caplog.at_level(logging.WARNING):
        assert np.isnan(cache.find(rows(2000))).all()
    (line,) = caplog.messages
    assert line.startswith(f"{path}: damaged (")
    assert not path.exists()
    cache.keep(rows(5), logits(5))
    assert cache.find(rows(5)).tobytes() == logits(5).tobytes()


def test_a_file_that_cannot_be_used_is_told_once_and_does_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    cache = ScoreCache(tmp_path / "file" / "scores.sqlite", "model")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert np.isnan(cache.find(rows(2))).all()
            cache.keep(rows(2), logits(2))
    (line,) = caplog.messages
    assert line.endswith("scores are computed without the cache")


def test_the_bound_holds_and_the_oldest_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 256 * 1024
    cache = ScoreCache(path, "model", max_bytes=most)
    for day in range(12):
        monkeypatch.setattr(score_cache, "time", lambda day=day: day * 86_400.0)
        cache.keep(rows(1000, start=1000 * day), logits(1000, seed=day))
        assert not np.isnan(cache.find(rows(10))).any()  # used every day
        assert path.stat().st_size <= most
        newest = cache.find(rows(1000, start=1000 * day))
        assert newest.tobytes() == logits(1000, seed=day).tobytes()
    assert np.isnan(cache.find(rows(900, start=1010))).all()


def test_more_than_there_is_room_for_is_left_out(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = ScoreCache(path, "model", max_bytes=64 * 1024)
    with caplog.at_level(logging.WARNING):
        cache.keep(rows(5000), logits(5000))
        assert np.isnan(cache.find(rows(5000))).all()
        cache.keep(rows(100), logits(100))
        assert not np.isnan(cache.find(rows(100))).any()
    assert path.stat().st_size <= 64 * 1024
    assert caplog.messages == []


WRITER = """
import sys
from pathlib import Path
import numpy as np
from scisearch.rerank.batches import PairParts
from scisearch.rerank.score_cache import ScoreCache

cache, start = ScoreCache(Path(sys.argv[1]), "model"), int(sys.argv[2])
for number in range(start, start + 300):
    row = [PairParts(np.array([7, 8]), np.array([number, number >> 8, 5]))]
    cache.keep(row, np.array([number], np.float32))
    assert cache.find(row).tolist() == [number], number
"""


def test_processes_at_once_lose_nothing(path: Path) -> None:
    """Two write at the same time, into a file that neither finds."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(start)], stderr=subprocess.PIPE, text=True
        )
        for start in (0, 300)
    ]
    for one in writers:
        _, told = one.communicate(timeout=300)
        assert (one.returncode, told) == (0, "")
    found = ScoreCache(path, "model").find(rows(600))
    assert found.tolist() == list(range(600))
