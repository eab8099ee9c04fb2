"""Matrix products of an ONNX graph in 8 bits; everything else stays float32.

* Weights: int8, symmetric, one scale for each column.
* Inputs: uint8, one scale for a whole row of tokens, found while running (ONNX Runtime's
  DynamicQuantizeLinear). A layer norm gives a few channels ten times the range of the others; they
  are first evened out, by factors that the weights take back: SmoothQuant, Xiao et al. 2023,
  arXiv:2211.10438, eq. 4. A share of them, the widest, may be left out and multiplied in float32,
  as outliers are in LLM.int8, Dettmers et al. 2022, arXiv:2208.07339, section 3.1.
* The products that contract the wide layer have ranges that no fixed factors even out. Each token
  gets a scale of its own, as in section 2.1 there, and the few channels with by far the largest
  values a product of their own, in 8 bits too: the wide layer is put in the order of its channels'
  ranges and computed in these parts, which costs nothing.
* The head behind the last layer norm stays float32: one row, and it makes the score.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scisearch.index.onnx_half import halve_tables
from scisearch.index.onnx_products import Product, products_of

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Ranges = Mapping[str, NDArray[np.float32]]  # name of a value -> its largest magnitude by channel

SMOOTHING = 0.65  # how much of an input's range moves into the weights
_SHARES = (1 / 24, 1 / 4)  # of the wide layer's channels, where its first and second part end
_ACTIVATIONS = ("Gelu", "FastGelu", "Relu")  # never far below zero
_LEAST_MAGNITUDE = 0.17  # GELU's minimum, so that no token's scale blows up what is below zero
_TINY = 1e-6  # the same for values of any sign: a token of zeros stays one
_CONTRIB = "com.microsoft"


def calibrated_values(model: "ModelProto") -> list[str]:
    """The values whose ranges `quantised` wants: layer norms that are multiplied, wide layers."""
    norms = {node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization"}
    return sorted({one.input for one in products_of(model) if one.input in norms or one.contracts})


def with_outputs(model: "ModelProto", names: Sequence[str]) -> "ModelProto":
    """A copy of the model that also gives these values."""
    from onnx import ModelProto, TensorProto, helper

    copy = ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    return copy


def quantised(model: "ModelProto", ranges: Ranges, *, float_share: float = 0) -> "ModelProto":
    """A copy of the model with its products in 8 bits, and large embeddings in half precision.

    Args:
        model: in float32.
        ranges: of `calibrated_values`; what they do not name is left as wide as it is.
        float_share: in [0, 1): of a layer norm's channels, rounded down, that stay float32.
    """
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    _Rewriting(copy, ranges, float_share).run()
    halve_tables(copy)
    return copy


class _Rewriting:
    """Replaces nodes; new ones stand where the first of the old ones stood."""

    def __init__(self, model: "ModelProto", ranges: Ranges, float_share: float) -> None:
        self._model = model
        self._ranges = ranges
        self._makers = {node.output[0]: node for node in model.graph.node}
        self._parted: dict[str, NodeProto] = {}  # output of a widening -> its activation
        self._products = self._sorted(products_of(model))
        wide = {one.input for one in self._products if one.contracts}
        self._factors = {name: self._smoothing(name) for name in ranges if name not in wide}
        self._widest = {name: _widest(ranges[name], float_share) for name in self._factors}
        self._new: list[NodeProto] = []
        self._quantised: dict[str, list[str]] = {}  # value -> its uint8 form, scale, zero point
        self._gathered: dict[str, str] = {}  # value -> its widest channels

    def run(self) -> None:
        from onnx import helper

        by_matmul = {one.matmul.output[0]: one for one in self._products}
        replaced = {one.add.output[0] for one in self._products if one.add is not None}
        replaced |= {node.output[0] for node in self._parted.values()}
        for node in self._model.graph.node:
            product = by_matmul.get(node.output[0])
            if product is not None:
                self._write(product)
            elif node.output[0] not in replaced:
                self._new.append(node)
        del self._model.graph.node[:]
        self._model.graph.node.extend(self._new)
        self._drop_unused()
        if all(one.domain != _CONTRIB for one in self._model.opset_import):
            self._model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))

    def _sorted(self, products: list[Product]) -> list[Product]:
        """The products with every wide layer's channels by falling range, where that is free.

        What is put in order is also written in parts.
        """
        by_output = {one.output: place for place, one in enumerate(products)}
        for place, product in enumerate(products):
            widening = by_output.get(self._activated(product.input) or "")
            if not product.contracts or widening is None or product.input not in self._ranges:
                continue
            before = products[widening]
            order = np.argsort(-self._ranges[product.input], kind="stable")
            products[widening] = replace(
                before, weights=before.weights[:, order], bias=before.bias[order]
            )
            products[place] = replace(product, weights=product.weights[order])
            self._parted[before.output] = self._makers[product.input]
        return products

    def _activated(self, name: str) -> str | None:
        """What an activation makes this value of; None where no other makes it, or others read."""
        activation = self._activation(name)
        if activation is None or len(activation.input) != 1:  # a bias would keep its order
            return None
        values = (name, str(activation.input[0]))
        reads = [one for node in self._model.graph.node for one in node.input]
        return values[1] if all(reads.count(one) == 1 for one in values) else None

    def _activation(self, name: str) -> "NodeProto | None":
        """The activation that makes this value, if one does."""
        maker = self._makers.get(name)
        return maker if maker is not None and maker.op_type in _ACTIVATIONS else None

    def _smoothing(self, name: str) -> NDArray[np.float32]:
        """SmoothQuant's factor of each channel, of geometric mean 1."""
        weights = [abs(one.weights).max(axis=1) for one in self._products if one.input == name]
        largest = np.maximum(np.max(weights, axis=0), 1e-5)
        factors = np.maximum(self._ranges[name], 1e-5) ** SMOOTHING / largest ** (1 - SMOOTHING)
        even: NDArray[np.float32] = factors / np.exp(np.log(factors).mean())
        return even.astype(np.float32)

    def _write(self, product: Product) -> None:
        activation = self._parted.get(product.output)
        if product.contracts:
            self._write_contraction(product)
        elif activation is None:
            self._write_columns(product.input, product.output, product.weights, product.bias)
        else:
            self._write_widening(product, activation)

    def _write_widening(self, product: Product, activation: "NodeProto") -> None:
        """A product and an activation for each part that the contraction reads."""
        weights, biases = _in_parts(product.weights, axis=1), _in_parts(product.bias)
        names = _part_names(activation.output[0], len(weights))
        for name, part, bias in zip(names, weights, biases, strict=True):
            self._write_columns(product.input, f"{name}/before", part, bias)
            node = type(activation)()
            node.CopyFrom(activation)
            node.name, node.input[0], node.output[0] = name, f"{name}/before", name
            self._new.append(node)

    def _write_columns(
        self, value: str, name: str, weights: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> None:
        """`name` is the product of a value with these columns of weights."""
        added = self._tensor(f"{name}/bias", bias)
        even, widest = weights, np.array([], np.int64)
        if value in self._factors:
            widest = self._widest[value]
            even = weights * self._factors[value][:, None]
            even[widest] = 0
        if not widest.size:
            self._multiply(self._uint8(value), even, name, added)
            return
        self._multiply(self._uint8(value), even, f"{name}/narrow", added)
        apart = self._tensor(f"{name}/widest", weights[widest])
        self._node("MatMul", [self._gather(value), apart], [f"{name}/wide"])
        self._node("Add", [f"{name}/narrow", f"{name}/wide"], [name])

    def _gather(self, name: str) -> str:
        """The widest channels of a value, (rows, length, channels), in float32."""
        if name not in self._gathered:
            places = self._tensor(f"{name}/widest", self._widest[name])
            self._gathered[name] = f"{name}/wide"
            self._node("Gather", [name, places], [f"{name}/wide"], axis=-1)
        return self._gathered[name]

    def _multiply(
        self, parts: list[str], weights: NDArray[np.float32], name: str, bias: str = ""
    ) -> None:
        """`name` is the product of a value's uint8 form, scale and zero point with the weights."""
        scales = np.maximum(abs(weights).max(axis=0), np.finfo(np.float32).tiny) / 127
        whole = self._tensor(f"{name}/weight", np.rint(weights / scales).astype(np.int8))
        values, scale, zero = parts
        by_column = self._tensor(f"{name}/scale", scales.astype(np.float32))
        inputs = [values, whole, scale, by_column, zero, "", bias]
        self._node("MatMulIntegerToFloat", inputs, [name], domain=_CONTRIB)

    def _uint8(self, name: str) -> list[str]:
        if name not in self._quantised:
            value = name
            if name in self._factors:
                value = f"{name}/even"
                factors = 1 / self._factors[name]
                factors[self._widest[name]] = 0
                inverse = self._tensor(f"{name}/factor", factors)
                self._node("Mul", [name, inverse], [value])
            parts = [f"{name}/{part}" for part in ("uint8", "scale", "zero")]
            self._node("DynamicQuantizeLinear", [value], parts)
            self._quantised[name] = parts
        return self._quantised[name]

    def _write_contraction(self, product: Product) -> None:
        """A product for each part of the channels, of inputs divided by their token's largest one.

        The outputs take it back.
        """
        name = product.output
        weights = _in_parts(product.weights)
        activation = self._activation(product.input)
        written = activation is not None and activation.input[0] in self._parted
        parts = _part_names(product.input if written else name, len(weights))
        if not written:
            sizes = np.array([len(one) for one in weights], np.int64)
            lengths = self._tensor(f"{name}/sizes", sizes)
            self._node("Split", [product.input, lengths], parts, axis=-1)
        total = self._tensor(f"{name}/bias", product.bias)
        for part, rows in zip(parts, weights, strict=True):
            largest = self._largest(part, positive=activation is not None)
            self._node("Div", [part, largest], [f"{part}/even"])
            self._multiply(self._uint8(f"{part}/even"), rows, f"{part}/product")
            self._node("Mul", [f"{part}/product", largest], [f"{part}/scaled"])
            after = name if part == parts[-1] else f"{part}/total"
            self._node("Add", [f"{part}/scaled", total], [after])
            total = after

    def _largest(self, name: str, *, positive: bool) -> str:
        """The largest magnitude of each token, (rows, length, 1)."""
        axis = self._tensor(f"{name}/axis", np.array([-1], np.int64))
        least = np.float32(_LEAST_MAGNITUDE if positive else _TINY)
        values = name
        if not positive:
            values = f"{name}/magnitude"
            self._node("Abs", [name], [values])
        self._node("ReduceMax", [values, axis], [f"{name}/highest"], keepdims=1)
        floor = self._tensor(f"{name}/least", np.array(least))
        self._node("Max", [f"{name}/highest", floor], [f"{name}/largest"])
        return f"{name}/largest"

    def _node(
        self,
        operator: str,
        inputs: Iterable[str],
        outputs: Sequence[str],
        *,
        domain: str = "",
        **attributes: Any,
    ) -> None:
        from onnx import helper

        self._new.append(
            helper.make_node(operator, list(inputs), outputs, domain=domain, **attributes)
        )

    def _tensor(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self._model.graph.initializer.append(tensor)
        return name

    def _drop_unused(self) -> None:
        graph = self._model.graph
        used = {name for node in graph.node for name in node.input}
        kept = [tensor for tensor in graph.initializer if tensor.name in used]
        del graph.initializer[:]
        graph.initializer.extend(kept)


def _in_parts(values: NDArray[np.float32], axis: int = 0) -> list[NDArray[np.float32]]:
    """The wide layer's parts of an array; a narrow layer is one."""
    ends = [int(values.shape[axis] * share) for share in _SHARES]
    return np.split(values, ends if ends[0] else [], axis=axis)


def _part_names(name: str, parts: int) -> list[str]:
    return [f"{name}/part{i}" for i in range(parts)]


def _widest(ranges: NDArray[np.float32], share: float) -> NDArray[np.int64]:
    """The channels with the largest ranges, rising."""
    count = int(len(ranges) * share)
    return np.sort(np.argsort(-ranges, kind="stable")[:count]).astype(np.int64)
