"""BERT's encoder as an ONNX graph, written straight from its weights; needs no PyTorch.

The graph is what ONNX Runtime's processor kernels are fastest at: fused attention without a mask
(its rows have no padding), a product each for query, key and value (one for all three would have to
be split), and, where only the first token is read, a last layer that computes only that token.
Formulas: Devlin et al. 2019, arXiv:1810.04805. Other architectures are exported by PyTorch
(index/onnx_export.py).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from scisearch.index.onnx_writer import CONTRIB, GraphWriter

if TYPE_CHECKING:
    from onnx import ModelProto

Output = Literal["tokens", "logit"]  # (rows, length, hidden) or (rows, 1)
Weights = Mapping[str, NDArray[Any]]

OPSET = 23
_GELU = {"gelu": "Gelu", "gelu_new": "FastGelu", "gelu_pytorch_tanh": "FastGelu"}
_IR_VERSION = 11


def bert_graph(folder: Path, output: Output) -> "ModelProto | None":
    """The graph of a folder with a plain BERT, in float32; None where it holds another model."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_bytes())
    if not _is_plain_bert(config):
        return None
    try:
        weights = load_file(folder / "model.safetensors")
        return _Bert(config, weights).graph(output)
    except (OSError, SafetensorError, TypeError, KeyError):  # another layout, bfloat16
        return None


def _is_plain_bert(config: Mapping[str, Any]) -> bool:
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") in _GELU
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder", False)
    )


class _Bert:
    """Writes the nodes in their order; a value is the name of a tensor of the graph."""

    def __init__(self, config: Mapping[str, Any], weights: Weights) -> None:
        self._config = config
        self._prefix = "bert." if "bert.embeddings.word_embeddings.weight" in weights else ""
        self._weights = weights
        self._epsilon = float(config["layer_norm_eps"])
        self._writer = GraphWriter()

    def graph(self, output: Output) -> "ModelProto":
        from onnx import TensorProto, helper

        x = self._embeddings()
        n_layers = int(self._config["num_hidden_layers"])
        for number in range(n_layers):
            x = self._layer(x, number, first_token=output == "logit" and number == n_layers - 1)
        if output == "logit":
            x = self._logit(x)
        self._writer.node("Identity", [x], ["output"])
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "length"])
            for name in ("input_ids", "token_type_ids")
        ]
        shape: list[str | int | None] = ["rows", 1]
        if output == "tokens":
            shape = ["rows", "length", None]
        out = helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)
        graph = helper.make_graph(self._writer.nodes, "bert", inputs, [out], self._writer.constants)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)],
            ir_version=_IR_VERSION,
        )

    # -- parts -------------------------------------------------------------------------------

    def _embeddings(self) -> str:
        base = f"{self._prefix}embeddings."
        words = self._node("Gather", self._table(f"{base}word_embeddings"), "input_ids")
        types = self._node("Gather", self._table(f"{base}token_type_embeddings"), "token_type_ids")
        length = self._node("Shape", "input_ids", start=1, end=2)
        begin, axis = self._integers("zero", 0), self._integers("zero", 0)
        positions = self._node(
            "Slice", self._table(f"{base}position_embeddings"), begin, length, axis
        )
        summed = self._node("Add", self._node("Add", words, types), positions)
        return self._normalised(summed, f"{base}LayerNorm")

    def _layer(self, x: str, number: int, *, first_token: bool) -> str:
        base = f"{self._prefix}encoder.layer.{number}."
        key, value = (self._linear(x, f"{base}attention.self.{part}") for part in ("key", "value"))
        if first_token:
            bounds = (self._integers("zero", 0), self._integers("one", 1))
            x = self._node("Slice", x, *bounds, self._integers("one", 1))
        query = self._linear(x, f"{base}attention.self.query")
        heads = int(self._config["num_attention_heads"])
        seen = self._node("Attention", query, key, value, q_num_heads=heads, kv_num_heads=heads)
        seen = self._linear(seen, f"{base}attention.output.dense")
        x = self._normalised(self._node("Add", seen, x), f"{base}attention.output.LayerNorm")
        wide = self._linear(x, f"{base}intermediate.dense")
        wide = self._node(_GELU[self._config["hidden_act"]], wide, domain=CONTRIB)
        narrow = self._linear(wide, f"{base}output.dense")
        return self._normalised(self._node("Add", narrow, x), f"{base}output.LayerNorm")

    def _logit(self, x: str) -> str:
        pooled = self._node("Tanh", self._linear(x, f"{self._prefix}pooler.dense"))
        logits = self._linear(pooled, "classifier")  # (rows, 1, 1)
        return self._node("Squeeze", logits, self._integers("one", 1))

    # -- nodes -------------------------------------------------------------------------------

    def _linear(self, x: str, name: str) -> str:
        weights = self._writer.constant(f"{name}.weight", self._array(f"{name}.weight").T)
        bias = self._writer.constant(f"{name}.bias", self._array(f"{name}.bias"))
        return self._node("Add", self._node("MatMul", x, weights), bias)

    def _normalised(self, x: str, name: str) -> str:
        scale, shift = (
            self._writer.constant(f"{name}.{part}", self._array(f"{name}.{part}"))
            for part in ("weight", "bias")
        )
        return self._node("LayerNormalization", x, scale, shift, axis=-1, epsilon=self._epsilon)

    def _node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self._writer.nodes)}"
        self._writer.node(operator, inputs, [name], domain=domain, **attributes)
        return name

    def _array(self, name: str) -> NDArray[np.float32]:
        return self._weights[name].astype(np.float32)

    def _table(self, name: str) -> str:
        return self._writer.constant(f"{name}.weight", self._array(f"{name}.weight"))

    def _integers(self, name: str, *values: int) -> str:
        return self._writer.constant(name, np.array(values, np.int64))
