"""Models on ONNX Runtime, held to PyTorch on the same inputs."""

import logging
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scisearch.index.encoder import SentenceTransformerEncoder
from scisearch.index.errors import ConfigError, ModelError
from scisearch.index.models import ResolvedModel, resolve_model
from scisearch.index.onnx_bert import bert_graph
from scisearch.index.onnx_calibration import calibrated
from scisearch.index.onnx_encoder import OnnxEncoder, sentence_trial
from scisearch.index.onnx_export import float_graph
from scisearch.index.onnx_prepare import Trial, prepared
from scisearch.index.onnx_quantise import quantised
from scisearch.index.onnx_session import OnnxModel, TokenRow
from scisearch.index.onnx_store import find, store_folder
from scisearch.index.runtimes import choose_for_encoder, open_encoder, told
from scisearch.rerank.cross_encoder import LocalCrossEncoder, TorchCrossEncoder
from scisearch.rerank.onnx_runtime import pair_trial
from scisearch.rerank.pair_model import read_pair_model

if TYPE_CHECKING:
    from onnx import ModelProto

pytestmark = pytest.mark.slow

TEXTS = [
    "Protein folding with attention predicts residue contacts from sequence alone.",
    "",
    "Zebrafish embryos and β-catenin signalling. " * 60,
    "BM25",
    "Half a \ud800 pair and naïve T cells",
]
SIZES: dict[str, Any] = {
    "vocab_size": 150,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
    "num_labels": 1,
}


def save(kind: str, folder: Path, **changes: Any) -> Any:
    """A random model of three layers whose logits differ; in PyTorch, ready."""
    import torch
    import transformers

    torch.manual_seed(11)
    config = getattr(transformers, f"{kind}Config")(**{**SIZES, **changes})
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config)
    with torch.no_grad():
        for parameter in model.parameters():  # layer norms and biases too are not as they began
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return model.train(mode=False)


def rows(lengths: Sequence[int], *, segments: bool) -> list[TokenRow]:
    random = np.random.default_rng(5)
    return [
        TokenRow(
            random.integers(5, 150, length),
            (np.arange(length) > length // 3).astype(np.int64) * segments,
        )
        for length in lengths
    ]


def torch_output(model: Any, row: TokenRow, *, segments: bool) -> NDArray[np.float32]:
    import torch

    inputs = {"input_ids": torch.from_numpy(row.ids[None])}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if segments:
        inputs["token_type_ids"] = torch.from_numpy(row.type_ids[None])
    with torch.inference_mode():
        output: NDArray[np.float32] = model(**inputs)[0][0].numpy()
    return output


KINDS = ["Bert", "Roberta", "Electra", "MPNet", "DistilBert"]


def written(kind: str, folder: Path, **changes: Any) -> tuple[Any, "ModelProto", bool]:
    """A saved model in PyTorch, its graph in float32, and whether it tells segments apart."""
    own_names = {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64}
    model = save(kind, folder, **changes, **(own_names if kind == "DistilBert" else {}))
    segments = kind in ("Bert", "Electra")
    return model, float_graph(folder, "logit", has_segments=segments), segments


@pytest.mark.parametrize("kind", KINDS)
def test_float32_is_what_pytorch_computes(kind: str, tmp_path: Path) -> None:
    model, graph, segments = written(kind, tmp_path)
    assert (bert_graph(tmp_path, "logit") is not None) == (kind == "Bert")
    opened = OnnxModel(graph.SerializeToString(), kind)
    inputs = rows([3, 40, 17, 60], segments=segments)
    for row, found in zip(inputs, opened.run(inputs), strict=True):
        assert found == pytest.approx(torch_output(model, row, segments=segments), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_eight_bits_stay_near_whoever_wrote_the_graph(kind: str, tmp_path: Path) -> None:
    smooth = 0.05  # of larger weights a random model is a lottery, in which all errors grow
    model, graph, segments = written(kind, tmp_path, initializer_range=smooth)
    inputs = rows([3, 40, 17, 60, 9, 33, 51, 24], segments=segments)
    small = quantised(graph, calibrated(graph, inputs))
    assert "MatMulIntegerToFloat" in [node.op_type for node in small.graph.node]
    near = np.array(OnnxModel(small.SerializeToString(), kind).run(inputs)).ravel()
    exact = np.array([torch_output(model, row, segments=segments) for row in inputs]).ravel()
    assert 0 < np.abs(near - exact).max() < 0.2 * np.std(exact)


@pytest.mark.parametrize("act", ["gelu", "gelu_new"])
def test_tokens_of_bert_are_what_pytorch_computes(act: str, tmp_path: Path) -> None:
    model = save("Bert", tmp_path, hidden_act=act)
    graph = bert_graph(tmp_path, "tokens")
    assert graph is not None
    (row,) = rows([33], segments=True)
    (found,) = OnnxModel(graph.SerializeToString(), "bert").run([row])
    expected = torch_output(model.bert, row, segments=True)
    assert found.shape == (33, 32)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_activation_that_the_builder_lacks_is_traced(tmp_path: Path) -> None:
    model = save("Bert", tmp_path, hidden_act="relu")
    assert bert_graph(tmp_path, "logit") is None
    graph = float_graph(tmp_path, "logit", has_segments=True)
    (row,) = rows([21], segments=True)
    (found,) = OnnxModel(graph.SerializeToString(), "relu").run([row])
    assert found == pytest.approx(torch_output(model, row, segments=True), abs=1e-4)


def test_eight_bits_leave_the_head_and_stay_near(tmp_path: Path) -> None:
    save("Bert", tmp_path)
    graph = bert_graph(tmp_path, "logit")
    assert graph is not None
    inputs = rows([20, 30, 40], segments=True)
    small = quantised(graph, calibrated(graph, inputs))
    operators = [node.op_type for node in small.graph.node]
    last_layer, head = 4, 2  # one token: all but key and value; pooler and classifier
    assert operators.count("MatMul") == last_layer + head
    assert operators.count("Gemm") == 2, "the widest channels of two contractions"
    two_layers, last = 2 * (4 + 2 + 1), 2  # a widening is two products
    assert operators.count("MatMulIntegerToFloat") == two_layers + last
    whole = bert_graph(tmp_path, "tokens")
    assert whole is not None
    exact = np.concatenate(OnnxModel(whole.SerializeToString(), "f").run(inputs))
    content = quantised(whole, calibrated(whole, inputs)).SerializeToString()
    near = np.concatenate(OnnxModel(content, "q").run(inputs))
    assert 0.97 < np.corrcoef(exact.ravel(), near.ravel())[0, 1] < 1


def test_bytes_that_are_no_graph_are_one_line() -> None:
    with pytest.raises(ModelError, match="tiny: ONNX Runtime does not open it"):
        OnnxModel(b"nothing", "tiny")


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


def test_a_vector_depends_on_no_other_text_and_no_thread(built_in: ResolvedModel) -> None:
    encoder = open_encoder(built_in, device="cpu")
    together = encoder.encode_documents(TEXTS)
    alone = np.concatenate([encoder.encode_queries([text]) for text in reversed(TEXTS)])[::-1]
    np.testing.assert_array_equal(together, alone)
    stored = find(built_in, "bi-encoder")
    assert stored is not None
    inputs = rows([9, 50, 3, 50], segments=False)
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
