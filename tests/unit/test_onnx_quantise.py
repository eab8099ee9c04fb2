"""Products in 8 bits, against the same graph in float32."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from scisearch.index import onnx_quantise
from scisearch.index.onnx_calibration import Seen
from scisearch.index.onnx_quantise import quantised

HIDDEN, WIDE = 16, 96
Floats = NDArray[np.float32]


def feed_forward(activation: str, outlier: int | None) -> onnx.ModelProto:
    """x -> widened, activated, contracted; `outlier` is a wide channel of fifty times the size."""
    random = np.random.default_rng(3)
    wide = random.normal(0, 0.5, (HIDDEN, WIDE)).astype(np.float32)
    narrow = random.normal(0, 0.5, (WIDE, HIDDEN)).astype(np.float32)
    if outlier is not None:
        wide[:, outlier] *= 50
        narrow[outlier] /= 50
    tensors = {
        "wide": wide,
        "wide_bias": random.normal(0, 0.1, WIDE).astype(np.float32),
        "narrow": narrow,
        "narrow_bias": random.normal(0, 0.1, HIDDEN).astype(np.float32),
        "one": np.ones(HIDDEN, np.float32),
    }
    domain = "" if activation == "Tanh" else "com.microsoft"
    nodes = [
        helper.make_node("MatMul", ["x", "wide"], ["a"]),
        helper.make_node("Add", ["a", "wide_bias"], ["b"]),
        helper.make_node(activation, ["b"], ["c"], domain=domain),
        helper.make_node("MatMul", ["c", "narrow"], ["d"]),
        helper.make_node("Add", ["d", "narrow_bias"], ["y"]),
        helper.make_node("LayerNormalization", ["y", "one"], ["z"]),
    ]
    return graph_of(nodes, tensors, HIDDEN)


def graph_of(
    nodes: Sequence[onnx.NodeProto], tensors: Mapping[str, Floats], width: int
) -> onnx.ModelProto:
    """A model from x to y, both (1, length, width)."""
    shape: list[Any] = [1, "length", width]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def outputs(model: onnx.ModelProto, x: Floats, name: str = "y") -> Floats:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found: Any = session.run([name], {"x": x})[0]
    return np.asarray(found, np.float32)


def tokens(*sizes: float, width: int = HIDDEN) -> Floats:
    """A token of each size."""
    random = np.random.default_rng(4)
    directions: Floats = random.normal(0, 1, (1, len(sizes), width)).astype(np.float32)
    return directions * np.array(sizes, np.float32)[None, :, None]


def errors(exact: Floats, near: Floats) -> Floats:
    """Of each token, as a share of its size."""
    shares: Floats = (
        np.linalg.norm(near - exact, axis=-1) / np.linalg.norm(exact, axis=-1)
    ).ravel()
    return shares


def seen(largest: Floats, *, length: int = 40) -> Seen:
    """A value whose channels have these ranges, of which nothing else is known."""
    return Seen(length, largest, None)


@pytest.mark.parametrize("largest", [64, 127])
def test_weights_are_no_larger_than_the_processor_adds_up_rightly(
    largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_quantise, "largest_code", lambda: largest)
    small = quantised(feed_forward("Gelu", None), {})
    found = {one.name: numpy_helper.to_array(one) for one in small.graph.initializer}
    codes = [weights for weights in found.values() if weights.dtype == np.int8]
    assert codes
    assert {int(np.abs(one.astype(np.int16)).max()) for one in codes} == {largest}


def test_each_token_of_a_contraction_has_its_own_scale() -> None:
    model = feed_forward("Gelu", None)
    del model.graph.node[:3]
    for tensor in model.graph.initializer:
        if tensor.name == "narrow_bias":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(HIDDEN, np.float32), tensor.name))
    model.graph.node[0].input[0] = "x"
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = WIDE
    x = tokens(0.01, 1, 100, 0.1, 1, width=WIDE)
    found = errors(outputs(model, x), outputs(quantised(model, {}), x))
    assert found.max() < 0.025


def test_channels_by_falling_range_keep_the_meaning_and_take_the_outlier_apart() -> None:
    model, x = feed_forward("Gelu", 77), tokens(*[1] * 40)
    ranges = np.ones(WIDE, np.float32)
    ranges[77] = 50
    exact = outputs(model, x)
    without = errors(exact, outputs(quantised(model, {}), x))
    ordered = quantised(model, {"c": seen(ranges)})
    operators = [node.op_type for node in ordered.graph.node]
    assert operators.count("Gelu") == 2, "one for each part"
    assert operators.count("Gemm") == 1, "the outlier's part"
    with_order = errors(exact, outputs(ordered, x))
    assert with_order.max() < 0.1
    assert with_order.mean() < 0.7 * without.mean()


def test_an_activation_with_a_bias_keeps_the_order_of_its_channels() -> None:
    model, x = feed_forward("FastGelu", None), tokens(*[1] * 40)
    model.graph.node[2].input.append("wide_bias")
    small = quantised(model, {"c": seen(np.linspace(1, 2, WIDE, dtype=np.float32))})
    assert "Gemm" not in [node.op_type for node in small.graph.node]
    assert errors(outputs(model, x), outputs(small, x)).max() < 0.05


def test_two_contractions_of_one_value() -> None:
    model, x = feed_forward("Gelu", None), tokens(*[1] * 40)
    model.graph.node.insert(5, helper.make_node("MatMul", ["c", "again"], ["d2"]))
    model.graph.node.insert(6, helper.make_node("Add", ["y", "d2"], ["y2"]))
    model.graph.node[-1].input[0] = "y2"
    again = np.random.default_rng(6).normal(0, 0.5, (WIDE, HIDDEN)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(again, "again"))
    model.graph.output[0].name = "y2"
    small = quantised(model, {"c": seen(np.ones(WIDE, np.float32))})
    assert errors(outputs(model, x, "y2"), outputs(small, x, "y2")).max() < 0.05


def test_a_token_of_zeros_stays_finite() -> None:
    model, x = feed_forward("Tanh", None), tokens(0, 1)
    assert np.isfinite(outputs(quantised(model, {}), x)).all()


def normalised(scales: Floats) -> onnx.ModelProto:
    """x -> a layer norm whose channels have these scales -> a product -> a layer norm."""
    random = np.random.default_rng(5)
    width = len(scales)
    tensors = {
        "scales": scales,
        "weights": (random.normal(0, 1, (width, width)) / scales[:, None]).astype(np.float32),
        "bias": random.normal(0, 0.1, width).astype(np.float32),
        "one": np.ones(width, np.float32),
    }
    nodes = [
        helper.make_node("LayerNormalization", ["x", "scales"], ["n"]),
        helper.make_node("MatMul", ["n", "weights"], ["m"]),
        helper.make_node("Add", ["m", "bias"], ["y"]),
        helper.make_node("LayerNormalization", ["y", "one"], ["z"]),
    ]
    return graph_of(nodes, tensors, width)


def test_a_layer_norms_wide_channels_are_evened_out() -> None:
    scales = np.ones(96, np.float32)
    scales[[7, 50]] = 30
    model, x = normalised(scales), tokens(*[1] * 40, width=96)
    uneven = errors(outputs(model, x), outputs(quantised(model, {}), x))
    even = errors(outputs(model, x), outputs(quantised(model, {"n": seen(3 * scales)}), x))
    assert even.max() < 0.02
    assert even.mean() < 0.7 * uneven.mean()


def test_a_layer_norms_widest_channels_stay_float32() -> None:
    scales = np.ones(96, np.float32)
    scales[[7, 50]] = 30
    model, x = normalised(scales), tokens(*[1] * 40, width=96)
    small = quantised(model, {"n": seen(3 * scales)}, float_share=1 / 24)
    constants = {one.name: numpy_helper.to_array(one) for one in small.graph.initializer}
    assert {7, 50} < set(constants["n/places"].tolist())
    assert len(constants["n/places"]) == 4
    factors = constants["n/factor"]
    assert np.flatnonzero(factors == 0).tolist() == constants["n/places"].tolist(), "only once"
    found = errors(outputs(model, x), outputs(small, x))
    assert found.max() < 0.025
    none_apart = quantised(model, {"n": seen(3 * scales)})
    operators = [node.op_type for node in none_apart.graph.node]
    assert "MatMulIntegerToFloat" in operators
    assert "MatMul" not in operators
    evened_out = errors(outputs(model, x), outputs(none_apart, x))
    assert evened_out.max() < 0.02
    assert found.mean() < evened_out.mean()


def test_moments_of_the_inputs_bring_the_outputs_nearer() -> None:
    random = np.random.default_rng(8)
    mixed = (random.normal(0, 1, (1, 800, 6)) @ random.normal(0, 1, (6, 96))).astype(np.float32)
    mixed += random.normal(0, 0.05, mixed.shape).astype(np.float32)
    scales = np.ones(96, np.float32)
    model = normalised(scales)
    normed = outputs(with_output(model, "n"), mixed, "n")[0]
    known = Seen(800, np.abs(normed).max(axis=0), normed.T @ normed)
    exact = outputs(model, mixed)
    near = errors(exact, outputs(quantised(model, {"n": known}), mixed))
    nearest = errors(exact, outputs(quantised(model, {"n": seen(known.largest)}), mixed))
    assert near.mean() < 0.85 * nearest.mean()


def test_where_a_row_has_one_token_left_nothing_changes() -> None:
    model, x = normalised(np.ones(96, np.float32)), tokens(1, width=96)
    same = quantised(model, {"n": seen(np.ones(96, np.float32), length=1)})
    assert [node.op_type for node in same.graph.node] == [node.op_type for node in model.graph.node]
    np.testing.assert_array_equal(outputs(same, x), outputs(model, x))


def test_several_rows_keep_their_places() -> None:
    model = feed_forward("Gelu", 77)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 3
    x = np.concatenate([tokens(1, 2), tokens(2, 1), tokens(1, 1.5)])
    ranges = np.ones(WIDE, np.float32)
    ranges[77] = 50
    found = outputs(quantised(model, {"c": seen(ranges)}), x)
    assert found.shape == x.shape
    assert errors(outputs(model, x), found).max() < 0.1


def with_output(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """A copy that also gives a value."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return copy
