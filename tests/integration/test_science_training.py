"""How our own weights are made, from a corpora folder to a model, on a tiny one."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from scisearch.benchmarks.science_training.__main__ import main
from scisearch.benchmarks.science_training.contrast_loss import contrast_losses
from scisearch.benchmarks.science_training.distilling import student_losses
from scisearch.benchmarks.science_training.draw import packed_sharpness
from scisearch.benchmarks.science_training.fast_bert import load_fast_bert, lower_layers
from scisearch.benchmarks.science_training.learner import Learner, steps, with_twisted
from scisearch.benchmarks.science_training.micro_batches import Step
from scisearch.benchmarks.science_training.packed import read_packed
from scisearch.benchmarks.science_training.settings import (
    Clock,
    Numbers,
    Settings,
)
from scisearch.benchmarks.science_training.state import State
from scisearch.benchmarks.science_training.training import Job, train_weights
from scisearch.index.errors import ConfigError, TrainingError
from scisearch.index.weights import weights_digest
from scisearch.rerank.training.list_logits import ABSENT
from scisearch.rerank.training.soft_loss import soft_targets

pytestmark = pytest.mark.slow

TINY = Settings(
    seconds=2,
    numbers="float32",
    lists=4,
    micro_batch=16,
    learning_rate=2e-3,
    longest=((40, 1.0),),
)


@pytest.fixture(scope="module")
def prepared(
    tiny_corpora: Path, bert_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The packed file of the tiny corpora, by the command."""
    output = tmp_path_factory.mktemp("prepared")
    call = ["prepare", str(tiny_corpora / "corpora"), "-o", str(output), "--no-dense"]
    call += ["--collections", str(tiny_corpora / "collections"), "--tokenizer", str(bert_folder)]
    done = CliRunner().invoke(main, call, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "near: 1 equal, document and document" in done.stdout
    return output / "packed.npz"


def test_the_packed_file_has_what_the_first_stage_said(prepared: Path) -> None:
    packed = read_packed(prepared)
    assert packed.facts["lists"] == len(packed)
    assert {"question", "citation", "scifact", "sentence"} <= set(packed.kinds)
    for row in range(len(packed)):
        positives, _ = packed.of_positives(row)
        negatives, scores = packed.of_negatives(row)
        assert not set(positives.tolist()) & set(negatives.tolist())
        assert ((scores >= 0) & (scores <= 1)).all()
        assert packed.n_top[row] <= min(20, len(negatives))
    assert json.loads((prepared.parent / "leaks.json").read_text())["leaking_texts"] >= 1
    assert len(json.loads((prepared.parent / "scifact-dev.json").read_text())) == 6
    assert (packed.cls_id, packed.sep_id) == (2, 3)
    # the abstract of a sentence's paper is there without it
    sentences = np.flatnonzero(packed.kind == packed.kinds.index("sentence"))
    for row in sentences.tolist():
        positive = packed.texts[int(packed.of_positives(row)[0][0])]
        assert 0 < len(packed.instead[row]) < len(positive)


def test_a_step_is_the_formula_on_transformers_logits(
    prepared: Path, tiny_cross_encoder: Path
) -> None:
    from transformers import BertForSequenceClassification

    packed = read_packed(prepared)
    clock = Clock(0.0, 0.0, 1.0)
    settings = replace(TINY, learning_rate=1e-9)
    step = next(steps(packed, packed_sharpness(packed), settings, clock))
    model = load_fast_bert(tiny_cross_encoder)
    state = State.of(model.learned(None))
    learner = Learner(model, state, replace(settings, frozen=None))
    found = learner.logits(step)
    theirs = BertForSequenceClassification.from_pretrained(tiny_cross_encoder)
    theirs.eval()  # type: ignore[no-untyped-call]
    expected = torch.zeros(step.offsets.size)
    for batch in step.batches:
        mask = np.arange(batch.ids.shape[1])[None] < batch.lengths[:, None]
        tensors = [torch.from_numpy(x.astype(np.int64)) for x in (batch.ids, batch.segments, mask)]
        names = ("input_ids", "token_type_ids", "attention_mask")
        logits = theirs(**dict(zip(names, tensors, strict=True))).logits[:, 0]
        expected[torch.from_numpy(batch.places)] = logits
    expected = expected.view(found.shape)
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=3e-6)
    told = learner.step(step, 0.05)
    assert told is not None
    loss = objective(expected, step)
    loss.backward()  # type: ignore[no-untyped-call]
    exponents = expected + torch.from_numpy(step.corrections)
    chances = (exponents.softmax(dim=1) * torch.from_numpy(step.relevant)).sum(dim=1)
    offset = torch.from_numpy(step.has_offset)
    alone = (-(chances.log() * offset).sum() / offset.sum()).detach()
    assert told.alone == pytest.approx(float(alone), abs=1e-5)
    ours, others = dict(model.named_parameters()), dict(theirs.named_parameters())
    for own, other in (
        ("output.weight", "classifier.weight"),
        ("words.weight", "bert.embeddings.word_embeddings.weight"),
        ("layers.0.wide.weight", "bert.encoder.layer.0.intermediate.dense.weight"),
    ):
        mine, wanted = ours[own].grad, others[other].grad
        assert mine is not None
        assert wanted is not None
        largest = float(wanted.abs().max())
        assert largest > 1e-7
        np.testing.assert_allclose(mine.numpy(), wanted.numpy(), atol=0.01 * largest)


def objective(logits: torch.Tensor, step: Step) -> torch.Tensor:
    """What a step makes smaller: the cross-entropy of soft targets and corrected logits."""
    targets = soft_targets(
        torch.from_numpy(step.offsets),
        torch.from_numpy(step.corrections),
        torch.from_numpy(step.relevant),
        has_offset=torch.from_numpy(step.has_offset),
        label_share=torch.from_numpy(step.label_shares),
    )
    targets = with_twisted(targets, torch.from_numpy(step.twisted))
    return torch.nn.functional.cross_entropy(logits + torch.from_numpy(step.corrections), targets)


def test_a_twisted_text_has_its_share_and_the_others_keep_theirs_among_themselves() -> None:
    targets = torch.tensor([[0.6, 0.2, 0.2], [0.5, 0.3, 0.2]])
    found = with_twisted(targets, torch.tensor([1.0, 0.0]))
    assert found[0].tolist() == pytest.approx([0.78 * 0.75, 0.78 * 0.25, 0.22])
    assert found[1].tolist() == pytest.approx([0.5, 0.3, 0.2])


def test_it_learns_and_bf16_learns_the_same(prepared: Path, tiny_cross_encoder: Path) -> None:
    packed = read_packed(prepared)
    fixed = steps(packed, packed_sharpness(packed), TINY, Clock(0.0, 0.0, 1.0))
    first = next(fixed)
    found, learnt = {}, {}
    counts: dict[Numbers, int] = {"float32": 60, "bf16": 3}
    for numbers, count in counts.items():
        model = load_fast_bert(tiny_cross_encoder)
        state = State.of(model.learned(None))
        settings = replace(TINY, numbers=numbers, frozen=None)
        learner = Learner(model, state, settings)
        before = float(objective(learner.logits(first).detach(), first))
        losses = [learner.step(first, 0.5) for _ in range(count)]
        state.give(model.learned(None))
        learnt[numbers] = before - float(objective(learner.logits(first).detach(), first))
        assert all(losses)
        found[numbers] = [one.alone for one in losses if one is not None]
        assert state.weights.dtype == torch.float32
    assert learnt["float32"] > 0.5
    assert found["bf16"] == pytest.approx(found["float32"][:3], abs=0.1)


def test_unrelated_texts_fall_and_the_candidates_keep_their_order(
    prepared: Path, tiny_cross_encoder: Path
) -> None:
    packed = read_packed(prepared)
    settings = replace(TINY, frozen=None, unrelated=2, learning_rate=3e-3)
    drawn = steps(packed, packed_sharpness(packed), settings, Clock(0.0, 0.0, 1.0))
    first = next(drawn)
    model = load_fast_bert(tiny_cross_encoder)
    state = State.of(model.learned(None))
    learner = Learner(model, state, settings)
    before = learner.logits(first).detach()
    for _ in range(60):
        assert learner.step(first, 0.5) is not None
    state.give(model.learned(None))
    after = learner.logits(first).detach()

    def lead(logits: torch.Tensor) -> float:
        return float((logits[:, :-2].mean(dim=1) - logits[:, -2:].mean(dim=1)).mean())

    def among_candidates(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, :-2] - logits[:, :-2].mean(dim=1, keepdim=True)

    assert lead(after) > lead(before) + 1
    change = (among_candidates(after) - among_candidates(before)).abs().mean()
    assert float(change) < 0.3 * (lead(after) - lead(before))


def test_contrast_lists_are_learned_beside_the_others(
    prepared: Path, tiny_cross_encoder: Path
) -> None:
    packed = read_packed(prepared)
    settings = replace(TINY, frozen=None, contrasts=4, learning_rate=3e-3)
    first = next(steps(packed, packed_sharpness(packed), settings, Clock(0.0, 0.0, 1.0)))
    assert first.contrasts is not None
    assert len(first.contrasts.right) == 4
    model = load_fast_bert(tiny_cross_encoder)
    state = State.of(model.learned(None))
    learner = Learner(model, state, settings)
    before = learner.contrast_logits(first.contrasts).detach()
    for _ in range(40):
        told = learner.step(first, 0.5)
        assert told is not None
        assert told.contrasts is not None
        assert 0 <= told.contrasts <= 1
    state.give(model.learned(None))
    after = learner.contrast_logits(first.contrasts).detach()
    right = torch.from_numpy(first.contrasts.right)
    short_before, short_after = (
        float(contrast_losses(logits, right, torch.ones(4)).mean()) for logits in (before, after)
    )
    assert short_after < 0.6 * short_before
    without = steps(packed, packed_sharpness(packed), TINY, Clock(0.0, 0.0, 1.0))
    assert next(without).contrasts is None


def test_a_student_learns_what_its_teacher_says(prepared: Path, tiny_cross_encoder: Path) -> None:
    packed = read_packed(prepared)
    settings = replace(TINY, frozen=0, unrelated=2, learning_rate=3e-3)
    first = next(steps(packed, packed_sharpness(packed), settings, Clock(0.0, 0.0, 1.0)))
    teacher = load_fast_bert(tiny_cross_encoder)
    with torch.no_grad():
        teacher.output.weight.mul_(30)  # an untrained one tells next to nothing apart
    student = lower_layers(load_fast_bert(tiny_cross_encoder), [1])
    state = State.of(student.learned(0))
    wanted = Learner(teacher, state, settings).logits(first).detach()
    learner = Learner(student, state, settings, teacher=teacher)
    apart = (learner.logits(first).detach() - wanted).square().mean()
    for _ in range(60):
        assert learner.step(first, 0.5) is not None
    state.give(student.learned(0))
    found = learner.logits(first).detach()
    assert float((found - wanted).square().mean()) < 0.3 * float(apart)
    assert float(torch.corrcoef(torch.stack([found.flatten(), wanted.flatten()]))[0, 1]) > 0.9


def test_what_a_student_lacks_of_its_teacher_is_order_scale_and_level() -> None:
    wanted = torch.tensor([[2.0, 0.0, -1.0], [1.0, -1.0, 7.0]])
    corrections = torch.tensor([[0.0, 0.5, 0.0], [0.0, 0.0, ABSENT]])

    def least(row: int, count: int) -> torch.Tensor:
        chances = (wanted + corrections)[row, :count].softmax(dim=0)
        return -(chances * chances.log()).sum()

    same = student_losses(wanted, wanted, corrections)
    torch.testing.assert_close(same, torch.stack([least(0, 3), least(1, 2)]))
    higher = student_losses(wanted + 3, wanted, corrections)
    torch.testing.assert_close(higher - same, torch.full((2,), 0.1 * 0.5 * 9))
    moved = wanted.clone()
    moved[1, 2] = -4  # where no text is, nothing is asked
    torch.testing.assert_close(student_losses(moved, wanted, corrections), same)
    wider = student_losses(2 * wanted, wanted, corrections) - same
    assert float(wider.min()) > 0.1 * 0.5 * 1  # the variance of the second list's logits, at least


def test_a_gradient_that_is_no_number_changes_nothing(
    prepared: Path, tiny_cross_encoder: Path
) -> None:
    packed = read_packed(prepared)
    step = next(steps(packed, packed_sharpness(packed), TINY, Clock(0.0, 0.0, 1.0)))
    step.corrections[0, 0] = np.nan
    model = load_fast_bert(tiny_cross_encoder)
    state = State.of(model.learned(1))
    before = state.weights.clone()
    assert Learner(model, state, TINY).step(step, 0.5) is None
    assert torch.equal(state.weights, before)
    assert state.counts.tolist() == [0, 0]


def test_a_training_gives_a_model_and_goes_on(
    prepared: Path, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    job = Job(prepared, tiny_cross_encoder, tmp_path / "out", TINY)
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
    prepared: Path, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    settings = replace(TINY, workers=2, checkpoint_seconds=0.5)
    train_weights(Job(prepared, tiny_cross_encoder, tmp_path, settings, half=True))
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
    prepared: Path, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    call = [sys.executable, "-m", "scisearch.benchmarks.science_training", "train", str(prepared)]
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


def test_the_commands(prepared: Path, tiny_cross_encoder: Path, tmp_path: Path) -> None:
    call = ["train", str(prepared), "--base", str(tiny_cross_encoder), "-o", str(tmp_path / "out")]
    call += ["--minutes", "0.02", "--workers", "1", "--precision", "float32", "--lists", "2"]
    call += ["--contrasts", "2"]
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
    with pytest.raises(ConfigError, match=r"warmup 1\.0, averaged 0\.2; expected shares"):
        replace(TINY, warmup=1.0)


def test_the_learning_rate_rises_and_falls() -> None:
    settings = Settings(seconds=1, learning_rate=1.0 - 1e-9, warmup=0.25)
    rates = [settings.rate(done) for done in (0.0, 0.125, 0.25, 0.625, 1.0)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])
