"""Both encoders on ONNX Runtime, held to PyTorch on the same texts."""

import logging
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scisearch.index.encoder import SentenceTransformerEncoder
from scisearch.index.errors import ConfigError, ModelError
from scisearch.index.models import ResolvedModel, resolve_model
from scisearch.index.onnx_encoder import OnnxEncoder, sentence_trial
from scisearch.index.onnx_prepare import Trial, prepared
from scisearch.index.onnx_session import OnnxModel
from scisearch.index.onnx_store import find, store_folder
from scisearch.index.runtimes import choose_for_encoder, open_encoder, told
from scisearch.rerank.cross_encoder import LocalCrossEncoder, TorchCrossEncoder
from scisearch.rerank.onnx_runtime import pair_trial
from scisearch.rerank.pair_model import read_pair_model

pytestmark = pytest.mark.slow

TEXTS = [
    "Protein folding with attention predicts residue contacts from sequence alone.",
    "",
    "Zebrafish embryos and β-catenin signalling. " * 60,
    "BM25",
    "Half a \ud800 pair and naïve T cells",
]
# -- the bi-encoder ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built_in() -> ResolvedModel:
    return resolve_model("all-MiniLM-L6-v2", offline=True, kind="bi-encoder")


def test_the_built_in_bi_encoder_in_eight_bits(built_in: ResolvedModel) -> None:
    encoder = open_encoder(built_in, device="cpu")
    assert isinstance(encoder, OnnxEncoder)
    assert (encoder.runtime_name, encoder.dimension, encoder.max_tokens) == ("onnx int8", 384, 256)
    found = encoder.encode_documents(TEXTS)
    expected = SentenceTransformerEncoder(built_in, device="cpu").encode_documents(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert (found * expected).sum(axis=1).min() > 0.99
    assert encoder.encode_documents([]).shape == (0, 384)


@pytest.fixture(scope="module")
def traced(built_in: ResolvedModel, tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    """The built-in bi-encoder as a RoBERTa, whose positions begin two rows later: same vectors."""
    import torch
    from transformers import BertModel, RobertaConfig, RobertaModel

    bert = BertModel.from_pretrained(str(built_in.folder), dtype=torch.float32)
    known = bert.config.to_dict()
    names = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"]
    names += ["intermediate_size", "hidden_act", "layer_norm_eps"]
    sizes = {name: known[name] for name in names}
    config = RobertaConfig(**sizes, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1)
    roberta = RobertaModel(config, add_pooling_layer=False)
    weights = {name: bert.state_dict()[name] for name in roberta.state_dict()}
    positions, types = (
        f"embeddings.{name}_embeddings.weight" for name in ("position", "token_type")
    )
    weights[positions] = torch.cat([torch.zeros(2, config.hidden_size), weights[positions]])
    weights[types] = weights[types][:1]
    roberta.load_state_dict(weights)
    folder = tmp_path_factory.mktemp("roberta") / "model"
    shutil.copytree(built_in.folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    roberta.save_pretrained(folder)
    return resolve_model(str(folder), offline=True, kind="bi-encoder")


def test_real_weights_that_are_traced_get_eight_bits(
    built_in: ResolvedModel, traced: ResolvedModel, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    decision = prepared(traced, "bi-encoder", lambda: sentence_trial(traced)).decision
    assert decision.form == "int8", decision.reason
    assert decision.drift["least_cosine"] > 0.998
    assert not capfd.readouterr().out
    written, others = open_encoder(built_in, device="cpu"), open_encoder(traced, device="cpu")
    texts = ["Zebrafish embryos and signalling.", "BM25"]
    cosines = (written.encode_documents(texts) * others.encode_documents(texts)).sum(axis=1)
    assert cosines.min() > 0.998


def test_a_vector_depends_on_no_other_text_and_no_thread(built_in: ResolvedModel) -> None:
    encoder = open_encoder(built_in, device="cpu")
    together = encoder.encode_documents(TEXTS)
    alone = np.concatenate([encoder.encode_queries([text]) for text in reversed(TEXTS)])[::-1]
    np.testing.assert_array_equal(together, alone)
    stored = find(built_in, "bi-encoder")
    assert stored is not None
    inputs = sentence_trial(built_in).rows[:4]
    one, two = (OnnxModel(stored.content, "m", threads=n).run(inputs) for n in (1, 2))
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)


def test_prepared_once_and_said_aloud(
    tiny_encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("SCISEARCH_CACHE", str(tmp_path))
    model = resolve_model(str(tiny_encoder), kind="bi-encoder")
    assert told(model, "bi-encoder").startswith("not decided yet")
    with caplog.at_level(logging.WARNING, "scisearch"):
        first = choose_for_encoder(model, device="cpu")
        second = choose_for_encoder(model, device="cpu")
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "preparing it for this processor, once (some 10 to 30 seconds)"
    ]
    assert first.name == second.name == "onnx int8"
    assert "cosine 0.99" in first.reason or "cosine 1.0" in first.reason
    assert told(model, "bi-encoder") == f"onnx {first.reason}"
    (graph,) = store_folder().glob("*.onnx")
    graph.write_bytes(graph.read_bytes()[:-5])
    assert choose_for_encoder(model, device="cpu").stored == first.stored


def test_what_is_not_supported_stays_with_pytorch(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "max"
    shutil.copytree(tiny_encoder, folder)
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace('"mean"', '"max"'))
    model = resolve_model(str(folder), kind="bi-encoder")
    choice = choose_for_encoder(model, device="cpu")
    assert (choice.name, choice.reason) == ("torch cpu", "its pooling is max")
    assert isinstance(open_encoder(model, device="cpu"), SentenceTransformerEncoder)
    with pytest.raises(ModelError, match=r"cannot be computed by ONNX Runtime \(its pooling is"):
        open_encoder(model, runtime="onnx")


def test_runtime_and_device_must_go_together(tiny_encoder: Path) -> None:
    model = resolve_model(str(tiny_encoder), kind="bi-encoder")
    with pytest.raises(ConfigError, match="runtime onnx with device cuda; expected device cpu"):
        choose_for_encoder(model, device="cuda", runtime="onnx")
    assert choose_for_encoder(model, device="cpu", runtime="torch").name == "torch cpu"


def test_a_cache_that_cannot_be_written_leaves_pytorch(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCISEARCH_CACHE", str(tmp_path / "file"))
    model = resolve_model(str(tiny_encoder), kind="bi-encoder")
    choice = choose_for_encoder(model, device="cpu")
    assert choice.name == "torch cpu"
    assert "cannot be written" in choice.reason


def test_a_form_that_drifts_too_far_is_refused(tiny_encoder: Path) -> None:
    model = resolve_model(str(tiny_encoder), kind="bi-encoder")
    real = sentence_trial(model)
    other = Trial(  # the reference is of the texts in another order: no form can be near it
        real.output,
        real.has_segments,
        real.rows,
        real.finish,
        lambda: real.reference()[::-1],
        real.drift,
    )
    unknown = ResolvedModel(model.name, model.folder, "f" * 64, "folder")
    found = prepared(unknown, "bi-encoder", lambda: other)
    assert found.decision.form == "none"
    assert found.decision.reason.startswith("not int8: cosine ")
    assert "; not float32: cosine " in found.decision.reason
    assert find(unknown, "bi-encoder") == found


# -- the cross-encoder ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cross_encoder(built_in: ResolvedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in bi-encoder's layers under a head that reads them: real weights, a made score."""
    import torch
    from transformers import BertForSequenceClassification

    folder = tmp_path_factory.mktemp("cross-encoder")
    torch.manual_seed(2)
    model = BertForSequenceClassification.from_pretrained(str(built_in.folder), num_labels=1)
    with torch.no_grad():
        model.classifier.weight.normal_()
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(built_in.folder / name, folder)
    return folder


def test_a_cross_encoder_whatever_its_form(cross_encoder: Path) -> None:
    documents = TEXTS * 3
    queries = ["folding of proteins", "embryos"]
    candidates = [np.arange(len(documents)), np.array([2, 0])]

    def texts(ordinals: NDArray[np.int64]) -> Sequence[str]:
        return [documents[int(i)] for i in ordinals]

    ours = LocalCrossEncoder(cross_encoder, texts=texts, device="cpu")
    form = ours.runtime_name
    assert form in ("onnx int8", "onnx float32")
    scores = ours.score(queries, candidates)
    expected = TorchCrossEncoder(cross_encoder, texts=texts, device="cpu").score(
        queries, candidates
    )
    found, exact = np.concatenate(scores.logits), np.concatenate(expected.logits)
    if form == "onnx float32":
        np.testing.assert_allclose(found, exact, atol=1e-3)
    assert np.corrcoef(found, exact)[0, 1] > 0.95
    for dropped, cut in zip(scores.dropped, expected.dropped, strict=True):
        np.testing.assert_array_equal(dropped, cut)
    (alone,) = ours.score(queries[:1], [np.array([7])]).logits
    assert alone[0] == scores.logits[0][7]


def test_a_trial_reads_pairs_as_the_model_does(tiny_cross_encoder: Path) -> None:
    trial = pair_trial(read_pair_model(tiny_cross_encoder))
    assert len(trial.rows) == 120
    assert all(len(row.ids) <= 64 and row.type_ids[-1] == 1 for row in trial.rows)
    assert trial.reference().shape == (6, 20)


# -- the command ---------------------------------------------------------------------------------

_COMMAND = """
import sys
from scisearch.cli import main
try:
    main(sys.argv[1:])
finally:
    print("loaded", sorted({name.partition(".")[0] for name in sys.modules}))
"""


def command(*arguments: str) -> tuple[str, set[str]]:
    """The output of a command in a process of its own, and the libraries it imported."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _COMMAND, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    output, _, names = done.stdout.rpartition("loaded ")
    return output, {name.strip("'") for name in names.strip("[]\n").split(", ")}


def test_a_query_imports_no_pytorch(cross_encoder: Path, tmp_path: Path) -> None:
    demo, index = str(tmp_path / "demo"), str(tmp_path / "index")
    command("demo", demo)
    command("build-index", f"{demo}/corpus.parquet", "--index", index, "--offline")
    heavy = {"torch", "transformers", "sentence_transformers", "onnx"}
    where = ["--index", index, "--offline", "--json"]
    output, loaded = command("query", "exploding stars", "--mode", "hybrid", *where)
    assert '"doc_id"' in output
    assert "onnxruntime" in loaded
    assert not heavy & loaded
    rerank = ["--mode", "rerank", "--reranker", str(cross_encoder), "--rerank-depth", "5"]
    first, loaded = command("query", "exploding stars", *rerank, *where)
    again, loaded = command("query", "exploding stars", *rerank, *where)
    assert not heavy & loaded
    assert '"doc_id"' in first
    assert _without_times(first) == _without_times(again)
    _, loaded = command("query", "exploding stars", "--mode", "bm25", *where)
    assert not (heavy | {"onnxruntime", "faiss"}) & loaded
    _, loaded = command("--help")
    assert not (heavy | {"onnxruntime", "faiss", "numpy"}) & loaded
    told_of, _ = command("info", "--index", index)
    assert "bi-encoder: onnx int8: cosine 0.99" in told_of
    assert "runtime: onnx int8" in told_of


def _without_times(output: str) -> dict[str, Any]:
    import json

    known: dict[str, Any] = json.loads(output)
    return {name: value for name, value in known.items() if name != "milliseconds"}
