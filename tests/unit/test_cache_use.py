"""What nobody used for long leaves the cache folder, and nothing else does."""

import os
import time
from pathlib import Path

from scisearch.index.cache_use import UNUSED_DAYS, forget_unused, mark_used

DAY = 24 * 60 * 60


def aged(path: Path, days: float) -> Path:
    """The path, as if it had been changed so many days ago."""
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def test_only_what_was_not_used_for_long_goes(tmp_path: Path) -> None:
    old, new = tmp_path / "old.onnx", tmp_path / "new.onnx"
    folder = tmp_path / "old-model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    for path in (old, new):
        path.write_bytes(b"graph")
    aged(old, UNUSED_DAYS + 1)
    aged(new, UNUSED_DAYS - 1)
    aged(folder, UNUSED_DAYS + 1)
    forget_unused(tmp_path)
    assert list(tmp_path.iterdir()) == [new]


def test_a_link_goes_and_what_it_points_to_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    cache = tmp_path / "cache"
    elsewhere.mkdir()
    cache.mkdir()
    (elsewhere / "papers").write_text("mine")
    link = cache / "link"
    link.symlink_to(elsewhere)
    then = time.time() - (UNUSED_DAYS + 1) * DAY
    os.utime(link, (then, then), follow_symlinks=False)
    forget_unused(cache)
    assert not link.is_symlink()
    assert (elsewhere / "papers").read_text() == "mine"


def test_what_is_used_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "form.onnx"
    path.write_bytes(b"graph")
    aged(path, UNUSED_DAYS + 1)
    mark_used(path)
    forget_unused(tmp_path)
    assert path.exists()


def test_a_mark_a_day_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "form.onnx"
    path.write_bytes(b"graph")
    before = aged(path, 0.5).stat().st_mtime
    mark_used(path)
    assert path.stat().st_mtime == before


def test_nothing_there_is_no_error(tmp_path: Path) -> None:
    mark_used(tmp_path / "nothing")
    forget_unused(tmp_path / "nothing")
