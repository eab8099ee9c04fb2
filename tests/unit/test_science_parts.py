"""Weights in parts for a machine that gives files back in parts only."""

import json
from pathlib import Path

import pytest

from scisearch.benchmarks.science_training.parts import join_parts, split_into_parts
from scisearch.index.errors import TrainingError


def a_model(folder: Path) -> Path:
    model = folder / "model"
    (model / "deeper").mkdir(parents=True)
    (model / "weights").write_bytes(bytes(range(256)) * 100)
    (model / "deeper" / "config.json").write_text("{}")
    return model


def test_parts_are_small_and_give_the_folder_back(tmp_path: Path) -> None:
    model = a_model(tmp_path)
    paths = split_into_parts(model, tmp_path / "parts", part_bytes=10_000)
    assert [path.name for path in paths] == [
        *(f"part-{number:03d}" for number in range(4)),
        "parts.json",
    ]
    assert max(path.stat().st_size for path in paths) == 10_000
    joined = join_parts(tmp_path / "parts", tmp_path / "there")
    assert joined == tmp_path / "there" / "model"
    assert (joined / "weights").read_bytes() == (model / "weights").read_bytes()
    assert (joined / "deeper" / "config.json").read_text() == "{}"


def test_the_same_content_gives_the_same_parts(tmp_path: Path) -> None:
    one = split_into_parts(a_model(tmp_path / "a"), tmp_path / "one")
    two = split_into_parts(a_model(tmp_path / "b"), tmp_path / "two")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_a_file_comes_back_too(tmp_path: Path) -> None:
    (tmp_path / "packed.npz").write_bytes(b"x" * 100)
    split_into_parts(tmp_path / "packed.npz", tmp_path / "parts", part_bytes=4096)
    assert join_parts(tmp_path / "parts", tmp_path / "there").read_bytes() == b"x" * 100


def test_what_is_missing_or_changed_is_named(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    with pytest.raises(TrainingError, match="nothing: is not there; expected a file or a folder"):
        split_into_parts(tmp_path / "nothing", parts)
    model = a_model(tmp_path)
    split_into_parts(model, parts, part_bytes=10_000)
    with pytest.raises(TrainingError, match="parts: already holds parts"):
        split_into_parts(model, parts)
    with pytest.raises(TrainingError, match="model: is there already; give another folder"):
        join_parts(parts, tmp_path)
    (parts / "part-001").write_bytes(b"y" * 10_000)
    with pytest.raises(TrainingError, match=r"its 4 parts have sha256 .* copy them again"):
        join_parts(parts, tmp_path / "there")
    (parts / "part-001").unlink()
    with pytest.raises(TrainingError, match="part-001: is missing; copy all the parts"):
        join_parts(parts, tmp_path / "there")
    assert json.loads((parts / "parts.json").read_text())["parts"] == 4
