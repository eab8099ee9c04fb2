"""How our own weights are made, from a corpora folder to a model, on a tiny one."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from scisearch.benchmarks.science_training.__main__ import main
from scisearch.benchmarks.science_training.fast_bert import load_fast_bert
from scisearch.benchmarks.science_training.packed import read_packed
from scisearch.benchmarks.science_training.settings import Settings
from scisearch.benchmarks.science_training.training import Job, train_weights
from scisearch.index.errors import ConfigError, TrainingError
from scisearch.index.weights import weights_digest
from scisearch.tests.toy_science_training import TINY

pytestmark = pytest.mark.slow


def test_the_packed_file_has_what_the_first_stage_said(packed_lists: Path) -> None:
    packed = read_packed(packed_lists)
    assert packed.facts["lists"] == len(packed)
    assert {"question", "citation", "scifact", "sentence"} <= set(packed.kinds)
    for row in range(len(packed)):
        positives, _ = packed.of_positives(row)
        negatives, scores = packed.of_negatives(row)
        assert not set(positives.tolist()) & set(negatives.tolist())
        assert ((scores >= 0) & (scores <= 1)).all()
        assert packed.n_top[row] <= min(20, len(negatives))
    assert json.loads((packed_lists.parent / "leaks.json").read_text())["leaking_texts"] >= 1
    assert len(json.loads((packed_lists.parent / "scifact-dev.json").read_text())) == 6
    assert (packed.cls_id, packed.sep_id) == (2, 3)
    # the abstract of a sentence's paper is there without it
    sentences = np.flatnonzero(packed.kind == packed.kinds.index("sentence"))
    for row in sentences.tolist():
        positive = packed.texts[int(packed.of_positives(row)[0][0])]
        assert 0 < len(packed.instead[row]) < len(positive)


def test_a_training_gives_a_model_and_goes_on(
    packed_lists: Path, tiny_cross_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import CrossEncoder

    looks = count()  # a machine's speed must not tell how many steps there are: time goes by looks
    ticking = SimpleNamespace(time=lambda: 0.02 * next(looks))
    monkeypatch.setattr("scisearch.benchmarks.science_training.settings.time", ticking)
    job = Job(packed_lists, tiny_cross_encoder, tmp_path / "out", TINY)
    folder = train_weights(job)
    told = json.loads((tmp_path / "out" / "training.json").read_text())
    assert told["steps"] > 0
    assert told["averaged"] == pytest.approx(told["steps"] * 0.04, abs=0.04 * told["steps"] + 1)
    assert (tmp_path / "out" / "train.log").read_text().count("pairs/s") == 1
    first = CrossEncoder(str(folder), device="cpu").predict([("mice", "cells of mice")])
    finished = train_weights(job)  # the time has passed: the same model again
    assert json.loads((tmp_path / "out" / "training.json").read_text())["steps"] == told["steps"]
    again = CrossEncoder(str(finished), device="cpu").predict([("mice", "cells of mice")])
    assert first.tolist() == again.tolist()

    train_weights(replace(job, settings=replace(TINY, seconds=4)))
    longer = json.loads((tmp_path / "out" / "training.json").read_text())
    assert longer["steps"] > told["steps"]
    assert longer["sha256"] != told["sha256"]
    with pytest.raises(TrainingError, match="is of other lists, another base or other frozen lay"):
        train_weights(replace(job, settings=replace(TINY, frozen=0)))
    with pytest.raises(ConfigError, match="freeze 2: the base has 2 layers; expected fewer, or -1"):
        train_weights(replace(job, settings=replace(TINY, frozen=2)))


def test_two_processes_share_the_weights(
    packed_lists: Path, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    settings = replace(TINY, workers=2, checkpoint_seconds=0.5)
    train_weights(Job(packed_lists, tiny_cross_encoder, tmp_path, settings, half=True))
    lines = (tmp_path / "train.log").read_text().splitlines()
    assert len(lines) == 2  # one of each
    told = json.loads((tmp_path / "training.json").read_text())
    assert told["steps"] >= 2
    from safetensors.numpy import load_file

    weights = load_file(tmp_path / "model" / "model.safetensors")
    assert weights["classifier.weight"].dtype == np.float16
    assert all(np.isfinite(value).all() for value in weights.values())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads which processes there are")
def test_workers_end_with_the_training_that_is_killed(
    packed_lists: Path, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    call = [
        sys.executable,
        "-m",
        "scisearch.benchmarks.science_training",
        "train",
        str(packed_lists),
    ]
    call += ["--base", str(tiny_cross_encoder), "-o", str(tmp_path), "--minutes", "5"]
    call += ["--workers", "2", "--lists", "2"]
    with subprocess.Popen(call) as training:
        children = Path(f"/proc/{training.pid}/task/{training.pid}/children")
        until(lambda: len(children.read_text().split()) >= 2)
        workers = [Path("/proc") / pid for pid in children.read_text().split()]
        training.kill()
    until(lambda: not any(worker.exists() for worker in workers))


def until(happened: Callable[[], bool]) -> None:
    """Wait for it, a minute at most."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_commands(packed_lists: Path, tiny_cross_encoder: Path, tmp_path: Path) -> None:
    call = [
        "train",
        str(packed_lists),
        "--base",
        str(tiny_cross_encoder),
        "-o",
        str(tmp_path / "out"),
    ]
    call += ["--minutes", "0.02", "--workers", "1", "--precision", "float32", "--lists", "2"]
    call += ["--contrasts", "2", "--share-of", "question", "0.5"]
    call += ["--relevant", "5"]
    done = CliRunner().invoke(main, call, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    model = tmp_path / "out" / "model"
    assert done.stdout.strip() == str(model)
    assert " contrasts " in (tmp_path / "out" / "train.log").read_text()
    small = [*call[:5], str(tmp_path / "small"), *call[6:], "--teacher", str(model)]
    small += ["--unrelated", "2", "--freeze", "0"]
    done = CliRunner().invoke(main, [*small, "--layers", "1"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert len(load_fast_bert(tmp_path / "small" / "model").layers) == 1
    told = json.loads((tmp_path / "small" / "training.json").read_text())
    assert told["layers"] == [1]
    assert told["teacher_sha256"] == weights_digest(model)
    wrong = CliRunner().invoke(main, [*small, "--layers", "2"])
    assert (wrong.exit_code, wrong.stderr.split(":")[1]) == (1, " layers [2]")
    wrong = CliRunner().invoke(main, [*small, "--layers", "lowest"])
    assert wrong.exit_code == 2
    assert "'lowest'; expected numbers of layers, such as 0,2,5" in wrong.stderr
    split = ["pack", str(model), "-o", str(tmp_path / "parts"), "--part-bytes", "50000"]
    done = CliRunner().invoke(main, split, catch_exceptions=False)
    assert len(done.stdout.splitlines()) > 3
    join = ["pack", str(tmp_path / "parts"), "--join", "-o", str(tmp_path / "there")]
    assert CliRunner().invoke(main, join, catch_exceptions=False).exit_code == 0
    name = "model.safetensors"
    assert (tmp_path / "there" / "model" / name).read_bytes() == (model / name).read_bytes()
    wrong = CliRunner().invoke(main, ["train", "nothing", *call[2:]])
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith("Error: nothing: is no file of packed lists")


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="lists 0; expected a number above 0"):
        replace(TINY, lists=0)
    with pytest.raises(ConfigError, match="contrasts -1; expected 0 or more lists of a step"):
        replace(TINY, contrasts=-1)
    with pytest.raises(ConfigError, match="relevant 7; expected 1 to 6 texts of a list"):
        replace(TINY, relevant=7)
    with pytest.raises(ConfigError, match=r"warmup 1\.0, averaged 0\.2; expected shares"):
        replace(TINY, warmup=1.0)


def test_the_learning_rate_rises_and_falls() -> None:
    settings = Settings(seconds=1, learning_rate=1.0 - 1e-9, warmup=0.25)
    rates = [settings.rate(done) for done in (0.0, 0.125, 0.25, 0.625, 1.0)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])
