import hashlib
import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from scisearch.index.models import ResolvedModel
from scisearch.index.onnx_store import Decision, Stored, can_keep, find, keep, store_folder

CONTENT = b"graph" * 1000


def stored(content: bytes = CONTENT) -> Stored:
    digest = hashlib.sha256(content).hexdigest()
    return Stored(Decision("int8", "close enough", {"kendall_tau": 0.97}, digest), content)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResolvedModel:
    monkeypatch.setenv("SCISEARCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert can_keep()
    return ResolvedModel("model", folder, "00" * 32, "folder")


def test_what_is_kept_is_found(model: ResolvedModel) -> None:
    assert find(model, "cross-encoder") is None
    keep(model, "cross-encoder", stored())
    assert find(model, "cross-encoder") == stored()
    assert find(model, "bi-encoder") is None
    assert sorted(path.suffix for path in store_folder().iterdir()) == [".json", ".onnx"]


def test_a_form_long_unused_goes_when_another_is_kept(model: ResolvedModel) -> None:
    keep(model, "bi-encoder", stored(b"of an older version"))
    keep(model, "cross-encoder", stored())
    then = time.time() - 100 * 24 * 60 * 60
    for path in store_folder().iterdir():
        os.utime(path, (then, then))
    assert find(model, "cross-encoder") == stored(), "which is a use"
    keep(model, "cross-encoder", stored(b"another"))
    assert find(model, "bi-encoder") is None
    assert len(list(store_folder().glob("*.onnx"))) == 2


def test_a_refusal_is_kept_without_a_graph(model: ResolvedModel) -> None:
    refusal = Stored(Decision("none", "too far", {}), b"")
    keep(model, "cross-encoder", refusal)
    assert find(model, "cross-encoder") == refusal
    assert [path.suffix for path in store_folder().iterdir()] == [".json"]


@pytest.mark.parametrize("damage", ["changed", "cut", "gone", "no json", "other json", "no digest"])
def test_damage_counts_as_nothing_kept(model: ResolvedModel, damage: str) -> None:
    keep(model, "cross-encoder", stored())
    (graph,) = store_folder().glob("*.onnx")
    (decision,) = store_folder().glob("*.json")
    match damage:
        case "changed":
            graph.write_bytes(b"G" + CONTENT[1:])
        case "cut":
            graph.write_bytes(CONTENT[:-1])
        case "gone":
            graph.unlink()
        case "no json":
            decision.write_bytes(b"\x00")
        case "other json":
            decision.write_text("[1, 2]")
        case _:
            known = json.loads(decision.read_bytes())
            decision.write_text(json.dumps({**known, "sha256": None}))
    assert find(model, "cross-encoder") is None
    keep(model, "cross-encoder", stored())
    assert find(model, "cross-encoder") == stored()


def test_other_weights_and_another_configuration_are_other_models(model: ResolvedModel) -> None:
    keep(model, "cross-encoder", stored())
    other = ResolvedModel("model", model.folder, "11" * 32, "folder")
    assert find(other, "cross-encoder") is None
    (model.folder / "config.json").write_text('{"num_hidden_layers": 3}')
    assert find(model, "cross-encoder") is None


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCISEARCH_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store_folder() == tmp_path / "own" / "onnx"
    monkeypatch.delenv("SCISEARCH_CACHE")
    assert store_folder() == tmp_path / "xdg" / "scisearch" / "onnx"


def test_a_folder_that_cannot_be_written_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCISEARCH_CACHE", str(tmp_path / "file"))
    assert not can_keep()


def _write_often(model: ResolvedModel, letter: bytes) -> None:
    for _ in range(20):
        keep(model, "cross-encoder", stored(letter * 5000))


def test_writers_at_the_same_time_leave_a_whole_form(model: ResolvedModel) -> None:
    context = multiprocessing.get_context("spawn")
    letters = (b"a", b"b", b"c")
    writers = [context.Process(target=_write_often, args=(model, one)) for one in letters]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        found = find(model, "cross-encoder")
        if found is not None:
            seen.add(found.content)
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    last = find(model, "cross-encoder")
    assert last is not None
    assert seen | {last.content} <= {letter * 5000 for letter in letters}
    assert not list(store_folder().glob("part-*"))
