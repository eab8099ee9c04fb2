"""What values of a graph are like, over rows of token ids."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from scisearch.index import onnx_calibration
from scisearch.index.onnx_calibration import calibrated
from scisearch.index.onnx_session import TokenRow

WORDS, WIDTH = 30, 6


def model_and_table() -> tuple[onnx.ModelProto, NDArray[np.float32]]:
    """Rows of words -> their vectors, multiplied; then the first one's product, and a norm."""
    random = np.random.default_rng(2)
    table = random.normal(0, 1, (WORDS, WIDTH)).astype(np.float32)
    tensors = {
        "table": table,
        "weights": random.normal(0, 1, (WIDTH, WIDTH)).astype(np.float32),
        "zero": np.array([0]),
        "one": np.array([1]),
        "scale": np.ones(WIDTH, np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("MatMul", ["vectors", "weights"], ["all"]),
        helper.make_node("Slice", ["all", "zero", "one", "one"], ["first"]),
        helper.make_node("MatMul", ["first", "weights"], ["again"]),
        helper.make_node("LayerNormalization", ["again", "scale"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "length"])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, WIDTH])],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10), table


def row(*ids: int) -> TokenRow:
    return TokenRow(np.array(ids), np.zeros(len(ids), np.int64))


def test_ranges_moments_and_lengths_over_all_rows() -> None:
    model, table = model_and_table()
    found = calibrated(model, [row(3, 9), row(4, 4, 12)])
    assert set(found) == {"vectors", "first"}
    tokens = table[[3, 9, 4, 4, 12]]
    vectors = found["vectors"]
    np.testing.assert_array_equal(vectors.largest, np.abs(tokens).max(axis=0))
    assert vectors.moments is not None
    np.testing.assert_allclose(vectors.moments, tokens.T @ tokens, rtol=1e-5, atol=1e-6)
    assert (vectors.length, found["first"].length) == (3, 1)


def test_rows_are_taken_from_everywhere() -> None:
    model, table = model_and_table()
    words = np.arange(WORDS).repeat(4)  # 120 rows, of which every fifth is seen
    found = calibrated(model, [row(int(word)) for word in words])
    seen = table[words[::5]]
    assert len(seen) == 24
    np.testing.assert_array_equal(found["vectors"].largest, np.abs(seen).max(axis=0))


def test_moments_of_what_is_too_wide_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_calibration, "_WIDEST", WIDTH - 1)
    model, _ = model_and_table()
    found = calibrated(model, [row(3, 9), row(5)])
    assert found["vectors"].moments is None
    assert found["vectors"].length == 2
