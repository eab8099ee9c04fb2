"""Graphs of random models, written or traced, in float32 and 8 bits, held to PyTorch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scisearch.index.errors import ModelError
from scisearch.index.onnx_bert import bert_graph
from scisearch.index.onnx_calibration import calibrated
from scisearch.index.onnx_export import float_graph
from scisearch.index.onnx_quantise import quantised
from scisearch.index.onnx_session import OnnxModel, TokenRow

if TYPE_CHECKING:
    from onnx import ModelProto

pytestmark = pytest.mark.slow

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
    operators = [node.op_type for node in graph.graph.node]
    assert operators.count("Gelu") >= 3, "one of each layer, not written out"
    assert operators.count("LayerNormalization") >= 6
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
