"""`search train` on tiny models: from lists to a folder that reranks, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from scisearch.cli import main
from scisearch.index.errors import ConfigError, ModelError, TrainingError
from scisearch.rerank.pair_model import read_pair_model
from scisearch.rerank.training.lists import RerankingList
from scisearch.rerank.training.precision import has_native_bf16
from scisearch.rerank.training.train import train
from scisearch.tests.toy_training import (
    ON_CPU,
    tiny,
    toy_data,
    toy_lists,
    weights,
    write_lists,
)

pytestmark = pytest.mark.slow


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


def test_a_limit_beyond_the_base_is_the_base_s(tiny_cross_encoder: Path, tmp_path: Path) -> None:
    recipe = tiny(tiny_cross_encoder, max_length=512, epochs=1)
    data = toy_data()
    long = RerankingList("mice", ("mice " * 200,), ("cells " * 200,))
    report = train(replace(data, train=[*data.train, long]), tmp_path / "m", recipe, ON_CPU)
    assert report.recipe.max_length == 64


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


def test_a_folder_with_other_files_is_left_alone(tiny_cross_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(TrainingError, match="holds other files, expected a new or an empty folder"):
        train(toy_data(), tmp_path, tiny(tiny_cross_encoder), replace(ON_CPU, restart=True))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
