"""`search train` on tiny models: from lists to a folder that reranks, killed and continued."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from scisearch.cli import main
from scisearch.index.errors import ConfigError, ModelError, TrainingError
from scisearch.index.progress import NoProgress
from scisearch.rerank.pair_model import read_pair_model
from scisearch.rerank.training.data import DataOptions, TrainingData, split_data
from scisearch.rerank.training.lists import FirstStage, RerankingList
from scisearch.rerank.training.precision import has_native_bf16
from scisearch.rerank.training.recipe import Recipe
from scisearch.rerank.training.sharpness import ScoredRow, fit_sharpness
from scisearch.rerank.training.train import TrainOptions, train

pytestmark = pytest.mark.slow

WORDS = ["protein", "folding", "attention", "retrieval", "scientific", "abstracts", "dense"]
WORDS += ["vectors", "candidates", "zebrafish", "embryos", "mice", "cells", "query", "layers"]
ON_CPU = TrainOptions(device="cpu", offline=True)


def toy_lists(n: int = 24) -> list[RerankingList]:
    """A text is relevant if it has the query's words."""
    draw = random.Random(3)
    lists = []
    for one, two in draw.sample(list(combinations(WORDS, 2)), n):
        three, four = draw.sample(WORDS, 2)
        others = tuple(" ".join(draw.sample(WORDS, 2)) for _ in range(3))
        lists.append(RerankingList(f"{one} {two}", (f"{one} {two} {three} {four}",), others))
    return lists


def toy_data() -> TrainingData:
    return split_data(toy_lists(), DataOptions(validation_share=0.25), sources=("toy",))


def scored_data() -> TrainingData:
    """Lists whose first stage is wrong about the last negative only."""
    stage = FirstStage((0.75,), (0.0, 0.5, 1.0), (0.5, 0.5, 0.5))
    lists = [replace(one, kind="claim", first_stage=stage) for one in toy_lists()]
    return split_data(lists, DataOptions(validation_share=0.25), sources=("toy",))


def tiny(base: Path, **changes: Any) -> Recipe:
    recipe = Recipe(base=str(base), epochs=2, batch_size=8, max_length=32, learning_rate=1e-3)
    return replace(recipe, **changes)


def write_lists(path: Path) -> Path:
    rows = [
        {"query": one.query, "positive": one.positives, "negative": one.negatives}
        for one in toy_lists()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def test_the_command_trains_writes_the_card_and_reranks(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    lists = write_lists(tmp_path / "lists.jsonl")
    call = ["train", str(lists), "-o", str(tmp_path / "mine"), "--base", str(tiny_cross_encoder)]
    call += ["--epochs", "2", "--max-length", "32", "--device", "cpu", "--licence", "CC0", "--half"]
    done = CliRunner().invoke(main, call, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "Validation Loss" in done.stdout
    assert "relevant" in done.stderr
    folder = tmp_path / "mine"
    card = (folder / "README.md").read_text()
    assert "CC0 (24 lists)" in card
    assert (folder / "curves.svg").stat().st_size > 1000
    assert not (folder / "work").exists()
    report = json.loads((folder / "training.json").read_text())
    assert [row["epoch"] for row in report["epochs"]] == [0, 1, 2]
    assert report["sha256"] in card
    assert "## Contrast suite: keyword bias" in card
    assert ("## Calibration" in card) == (folder / "reliability.png").exists()
    assert weights(folder)["classifier.weight"].dtype == np.float16
    assert read_pair_model(folder).max_length == 32
    assert json.loads((folder / "scisearch.json").read_text())["interpolation"]["weight"] == 0.5

    again = CliRunner().invoke(main, call)
    assert again.exit_code == 1
    assert "holds a trained model" in again.stderr


def test_a_judged_training_leaves_out_what_leaks_and_tells_the_verdict(
    tiny_encoder: Path, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    lists = write_lists(tmp_path / "lists.jsonl")
    leaking = toy_lists()[0]
    folder = tmp_path / "collections" / "near"
    folder.mkdir(parents=True)
    texts = [leaking.positives[0], "vectors of mice", "layers of cells"]
    rows = [{"doc_id": f"d{i}", "text": text} for i, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "topics.tsv").write_text("q1\tvectors\nq2\tlayers\nq3\tcells\n")
    (folder / "qrels.tsv").write_text("q1 0 d1 1\nq2 0 d2 1\nq3 0 d0 1\n")
    (tmp_path / "own.tsv").write_text("q3 d0\n")  # the only answer of q3
    call = ["train", str(lists), "-o", str(tmp_path / "m"), "--base", str(tiny_cross_encoder)]
    call += ["--epochs", "1", "--max-length", "32", "--device", "cpu", "--json"]
    call += ["--judge", str(folder.parent), "--encoder", str(tiny_encoder)]
    call += ["--dev", str(folder), "--ignore", f"near={tmp_path / 'own.tsv'}"]
    done = CliRunner().invoke(main, call, catch_exceptions=False)
    judgement = json.loads(done.stdout)
    assert done.exit_code == (0 if judgement["passed"] else 1)
    assert judgement["leaks"]["leaking_texts"] == 1
    assert (
        judgement["training"]["train"]["lists"] + judgement["training"]["validation"]["lists"] == 23
    )
    assert list(judgement["gates"]) == ["hybrid, not reranked", "base"]
    kept = json.loads((tmp_path / "m" / "scisearch.json").read_text())["interpolation"]
    assert judgement["interpolation"]["chosen"] == kept
    assert judgement["interpolation"]["collections"] == {"near": 2}
    card = (tmp_path / "m" / "README.md").read_text()
    assert "overlap with near: 1 texts; 1 lists and 0 texts of others removed" in card
    assert "## On collections that it did not learn from, against: base" in card
    assert json.loads((tmp_path / "m" / "judgement.json").read_text()) == judgement


def test_sentence_transformers_loads_it_and_scores_as_we_do(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    from scisearch.index.stopwatch import Stopwatch
    from scisearch.rerank.cross_encoder import TorchCrossEncoder

    train(toy_data(), tmp_path / "m", tiny(tiny_cross_encoder), ON_CPU)
    texts = ["protein folding in mice", "dense vectors"]
    theirs = CrossEncoder(str(tmp_path / "m"), device="cpu").predict(
        [("protein folding", text) for text in texts]
    )
    ours = TorchCrossEncoder(
        tmp_path / "m", texts=lambda ordinals: [texts[i] for i in ordinals], device="cpu"
    ).score(["protein folding"], [np.arange(2)], watch=Stopwatch())
    np.testing.assert_allclose(ours.logits[0], theirs, atol=1e-5)


@pytest.mark.parametrize("loss", ["listwise", "lambda", "margin-mse"])
def test_the_other_losses(loss: Any, tiny_cross_encoder: Path, tmp_path: Path) -> None:
    teacher = str(tiny_cross_encoder) if loss == "margin-mse" else None
    recipe = tiny(tiny_cross_encoder, loss=loss, teacher=teacher, list_size=4, epochs=1)
    report = train(toy_data(), tmp_path / "m", recipe, ON_CPU)
    assert len(report.epochs) == 2
    if teacher is not None:  # the base is its own teacher
        assert report.epochs[0].validation_loss == pytest.approx(0, abs=1e-6)


def test_the_residual_loss_is_the_formula_on_all_validation_lists(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    recipe = tiny(tiny_cross_encoder, loss="residual", list_size=4, epochs=1, precision="float32")
    data = scored_data()
    report = train(data, tmp_path / "m", recipe, ON_CPU)
    pairs = [(one.query, text) for one in data.validation for text in one.texts]
    logits = CrossEncoder(str(tmp_path / "m"), device="cpu").predict(pairs).reshape(-1, 4)
    scores, corrections = np.array([0.75, 0.0, 0.5, 1.0]), np.log([1, 2, 2, 2])
    sharpness = fit_sharpness([ScoredRow(scores, corrections)])
    assert (
        f"sharpness of the first stage, by maximum likelihood: {sharpness:.1f}" in report.notes[0]
    )
    assert 0.1 < sharpness < 5
    exponents = logits.astype(np.float64) + 0.7 * sharpness * scores + corrections
    by_hand = np.log(np.exp(exponents).sum(axis=1)) - exponents[:, 0]
    assert report.epochs[1].validation_loss == pytest.approx(by_hand.mean(), abs=1e-4)
    assert "the fused score left out on 40% of the lists" in (tmp_path / "m/README.md").read_text()
    with pytest.raises(TrainingError, match="has no first-stage scores, which loss residual lear"):
        train(toy_data(), tmp_path / "n", recipe, ON_CPU)


def test_the_soft_loss_is_the_formula_on_all_validation_lists(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    recipe = tiny(tiny_cross_encoder, loss="soft", label_share=0.75, list_size=4, epochs=1)
    recipe = replace(recipe, precision="float32")
    data = scored_data()
    report = train(data, tmp_path / "m", recipe, ON_CPU)
    pairs = [(one.query, text) for one in data.validation for text in one.texts]
    logits = CrossEncoder(str(tmp_path / "m"), device="cpu").predict(pairs).reshape(-1, 4)
    scores, corrections = np.array([0.75, 0.0, 0.5, 1.0]), np.log([1, 2, 2, 2])
    first = np.exp(fit_sharpness([ScoredRow(scores, corrections)]) * scores + corrections)
    targets = 0.25 * first / first.sum() + [0.75, 0, 0, 0]
    exponents = logits.astype(np.float64) + corrections
    by_hand = np.log(np.exp(exponents).sum(axis=1)) - exponents @ targets
    assert report.epochs[1].validation_loss == pytest.approx(by_hand.mean(), abs=1e-4)
    assert "a target that is 75% the judgements" in (tmp_path / "m/README.md").read_text()


def test_frozen_layers_stay_as_they_were(tiny_cross_encoder: Path, tmp_path: Path) -> None:
    recipe = tiny(tiny_cross_encoder, epochs=1, freeze=1)
    train(toy_data(), tmp_path / "m", recipe, ON_CPU)
    before, after = weights(tiny_cross_encoder), weights(tmp_path / "m")
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert not any("embeddings" in name or "layer.0." in name for name in changed)
    assert any("layer.1." in name for name in changed)
    assert "classifier.weight" in changed
    with pytest.raises(ConfigError, match="freeze 2: the model has 2 layers; expected 0 to 1"):
        train(toy_data(), tmp_path / "n", replace(recipe, freeze=2), ON_CPU)


def test_the_arithmetic_is_told_in_the_card(tiny_cross_encoder: Path, tmp_path: Path) -> None:
    recipe = tiny(tiny_cross_encoder, epochs=1)
    plain = train(toy_data(), tmp_path / "m", replace(recipe, precision="float32"), ON_CPU)
    assert plain.precision == "float32"
    report = train(toy_data(), tmp_path / "n", recipe, ON_CPU)
    assert report.precision in (tmp_path / "n" / "README.md").read_text()
    assert (report.precision == "float32") == (not has_native_bf16())
    assert weights(tmp_path / "n")["classifier.weight"].dtype == np.float32
    assert report.epochs[1].validation_loss == pytest.approx(
        plain.epochs[1].validation_loss, rel=0.05
    )


def test_bce_is_the_weighed_cross_entropy_of_all_validation_pairs(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    data = toy_data()
    recipe = tiny(tiny_cross_encoder, epochs=1, precision="float32")
    train(data, tmp_path / "m", recipe, ON_CPU)
    pairs = [(one.query, text) for one in data.validation for text in one.texts]
    labels = np.concatenate([[1, 0, 0, 0] for _ in data.validation])
    logits = CrossEncoder(str(tmp_path / "m"), device="cpu").predict(pairs).astype(np.float64)
    losses = np.logaddexp(0, -logits) * labels * 5 + np.logaddexp(0, logits) * (1 - labels)
    report = json.loads((tmp_path / "m" / "training.json").read_text())
    assert report["epochs"][1]["validation_loss"] == pytest.approx(losses.mean(), abs=1e-4)


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_training as here
from scisearch.index.progress import NoProgress

class Killer(NoProgress):
    steps = 0

    def advance(self, count):
        self.steps += count
        if self.steps == {steps}:
            os.kill(os.getpid(), signal.SIGKILL)

here.train(here.{data}(), Path({output!r}), here.resumable(Path({base!r}), {loss!r}),
           here.replace(here.ON_CPU, progress=Killer()))
"""


def resumable(base: Path, loss: Any) -> Recipe:
    # eighteen lists: as many steps an epoch with pairs as with lists
    size = {"batch_size": 8} if loss == "bce" else {"batch_size": 2, "list_size": 3}
    return tiny(base, epochs=3, checkpoint_steps=4, loss=loss, **size)


@pytest.mark.parametrize(
    ("loss", "data"), [("bce", toy_data), ("residual", scored_data), ("soft", scored_data)]
)
def test_a_killed_training_continues_to_the_same_weights_and_table(
    loss: str, data: Callable[[], TrainingData], tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    recipe = resumable(tiny_cross_encoder, loss)
    whole = train(data(), tmp_path / "whole", recipe, ON_CPU)
    # 9 steps an epoch: killed within the second one, after the checkpoint at step 12
    script = KILLED.format(
        tests=str(Path(__file__).parent),
        steps=14,
        output=str(tmp_path / "killed"),
        base=str(tiny_cross_encoder),
        data=data.__name__,
        loss=loss,
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    assert (tmp_path / "killed" / "work" / "checkpoints" / "checkpoint-12").is_dir()

    with pytest.raises(TrainingError, match="holds an unfinished training of other data or set"):
        train(data(), tmp_path / "killed", replace(recipe, seed=1), ON_CPU)
    steps: list[int] = []
    watched = replace(ON_CPU, progress=Counting(steps))
    continued = train(data(), tmp_path / "killed", recipe, watched)
    assert sum(steps) == 27 - 12
    assert continued.sha256 == whole.sha256
    assert continued.epochs == whole.epochs


def test_one_that_had_stopped_early_is_not_trained_on(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    recipe = tiny(tiny_cross_encoder, epochs=9, patience=1, learning_rate=1e-7)
    whole = train(toy_data(), tmp_path / "whole", recipe, ON_CPU)
    assert whole.stopped_early

    class Full(NoProgress):
        def finish(self) -> None:
            raise OSError(28, "No space left on device")  # after the run, before the model

    with pytest.raises(TrainingError, match=r"No space left on device.*again to continue"):
        train(toy_data(), tmp_path / "again", recipe, replace(ON_CPU, progress=Full()))
    steps: list[int] = []
    watched = replace(ON_CPU, progress=Counting(steps))
    again = train(toy_data(), tmp_path / "again", recipe, watched)
    assert not steps
    assert (again.sha256, again.epochs) == (whole.sha256, whole.epochs)


def test_a_limit_beyond_the_base_is_the_base_s(tiny_cross_encoder: Path, tmp_path: Path) -> None:
    recipe = tiny(tiny_cross_encoder, max_length=512, epochs=1)
    data = toy_data()
    long = RerankingList("mice", ("mice " * 200,), ("cells " * 200,))
    report = train(replace(data, train=[*data.train, long]), tmp_path / "m", recipe, ON_CPU)
    assert report.recipe.max_length == 64


class Counting(NoProgress):
    def __init__(self, steps: list[int]) -> None:
        self._steps = steps

    def advance(self, count: int) -> None:
        self._steps.append(count)


def test_an_encoder_needs_a_new_head(tiny_encoder: Path, tmp_path: Path) -> None:
    recipe = tiny(tiny_encoder, epochs=1, layers=(1,))
    with pytest.raises(ModelError, match=r"an encoder without an output.*--new-head"):
        train(toy_data(), tmp_path / "m", recipe, ON_CPU)
    train(toy_data(), tmp_path / "m", replace(recipe, new_head=True), ON_CPU)
    assert not any(".layer.1." in name for name in weights(tmp_path / "m"))
    assert any(".layer.0." in name for name in weights(tmp_path / "m"))
    with pytest.raises(ConfigError, match="layers 2: the base has 2; expected numbers from 0 to 1"):
        train(toy_data(), tmp_path / "n", replace(recipe, new_head=True, layers=(2,)), ON_CPU)


def test_a_trimmed_vocabulary_changes_no_score_of_a_text_of_the_lists(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder
    from tokenizers import Tokenizer

    from scisearch.rerank.training.base_model import find_base, prepare_base

    data = toy_data()
    for trim in (False, True):
        recipe = tiny(tiny_cross_encoder, trim_vocabulary=trim)
        prepare_base(find_base(recipe), recipe, tmp_path / str(trim), data.texts())
    pairs = [(one.query, text) for one in data.train for text in one.texts]
    whole, trimmed = (
        CrossEncoder(str(tmp_path / str(trim)), device="cpu", max_length=24)
        for trim in (False, True)
    )
    np.testing.assert_allclose(whole.predict(pairs), trimmed.predict(pairs), atol=1e-6)
    rows = weights(tmp_path / "True")["bert.embeddings.word_embeddings.weight"]
    tokenizer = Tokenizer.from_file(str(tmp_path / "True" / "tokenizer.json"))
    assert len(rows) == tokenizer.get_vocab_size() < 150
    # a word of other texts is spelled from what is left
    assert "[UNK]" not in tokenizer.encode("signalling residue contacts").tokens
    read_pair_model(tmp_path / "True")


def test_a_base_with_two_labels_is_refused(tiny_cross_encoder: Path, tmp_path: Path) -> None:
    two = shutil.copytree(tiny_cross_encoder, tmp_path / "two")
    config = json.loads((two / "config.json").read_text())
    labels = {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}
    (two / "config.json").write_text(json.dumps({**config, **labels}))
    with pytest.raises(ModelError, match="has num_labels 2, expected a cross-encoder with num_lab"):
        train(toy_data(), tmp_path / "m", tiny(two), ON_CPU)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    # each step multiplies the weights by about 1 - learning rate x weight decay
    recipe = tiny(tiny_cross_encoder, learning_rate=0.5, weight_decay=1e6, checkpoint_steps=1)
    message = r"the (training|validation) loss is (nan|inf) at step .*good checkpoint is .*point-\d"
    with pytest.raises(TrainingError, match=message) as caught:
        train(toy_data(), tmp_path / "m", recipe, ON_CPU)
    assert "use a lower --learning-rate" in str(caught.value)
    assert list((tmp_path / "m" / "work" / "checkpoints").glob("checkpoint-*/model.safetensors"))


@pytest.mark.parametrize(
    ("room", "message"),
    [
        (100_000, r"m: cannot be written \(.*File too large.*\); make room and give the same"),
        (150_000, r"checkpoint-9: cannot be written .*there is no checkpoint yet; make room"),
    ],
)
def test_a_full_disk_is_one_line_and_the_training_goes_on_when_there_is_room(
    room: int, message: str, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")  # not on Windows
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    recipe = tiny(tiny_cross_encoder, epochs=1)
    # the weights have 105 kB, the optimizer's state twice that
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(TrainingError, match=message):
            train(toy_data(), tmp_path / "m", recipe, ON_CPU)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "m" / "work").glob("checkpoints/checkpoint-*"))
    train(toy_data(), tmp_path / "m", recipe, ON_CPU)


def test_a_checkpoint_that_cannot_be_written_keeps_the_one_before(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    class Blocking(NoProgress):
        steps = 0

        def advance(self, count: int) -> None:
            self.steps += count
            if self.steps == 10:  # the second epoch's checkpoint, at step 18, finds its name taken
                (tmp_path / "m" / "work" / "checkpoints" / "checkpoint-18").write_text("")

    recipe = tiny(tiny_cross_encoder)
    options = replace(ON_CPU, progress=Blocking())
    with pytest.raises(TrainingError, match=r"checkpoint-18: cannot .*checkpoint is .*point-9; "):
        train(toy_data(), tmp_path / "m", recipe, options)
    (tmp_path / "m" / "work" / "checkpoints" / "checkpoint-18").unlink()
    report = train(toy_data(), tmp_path / "m", recipe, ON_CPU)
    assert report.sha256 == train(toy_data(), tmp_path / "n", recipe, ON_CPU).sha256


def test_a_folder_with_other_files_is_left_alone(tiny_cross_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(TrainingError, match="holds other files, expected a new or an empty folder"):
        train(toy_data(), tmp_path, tiny(tiny_cross_encoder), replace(ON_CPU, restart=True))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
