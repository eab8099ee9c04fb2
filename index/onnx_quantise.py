"""Matrix products of an ONNX graph in 8 bits; everything else stays float32.

* Weights: int8, symmetric, one scale for each column, rounded by what the inputs are like
  (index/onnx_rounding.py), no larger than the processor adds up rightly (onnx_saturation.py).
* Inputs: uint8, one scale for a whole row of tokens, found while running (ONNX Runtime's
  DynamicQuantizeLinear). A layer norm gives a few channels ten times the range of the others; they
  are first evened out, by factors that the weights take back: SmoothQuant, Xiao et al. 2023,
  arXiv:2211.10438, eq. 4. Before attention a share of them, the widest, may be left out and
  multiplied in float32, as outliers are in LLM.int8, Dettmers et al. 2022, arXiv:2208.07339,
  section 3.1. Before the wide layer that gains less and costs more.
* The products that contract the wide layer have ranges that no fixed factors even out. Each token
  gets a scale of its own, and the few channels with by far the largest values a product of their
  own, in float32 (sections 2.1 and 3.1 there). The wide layer is put in the order of its channels'
  ranges and computed in these two parts, which costs nothing.
* Where a row has one token left, as in a cross-encoder's last layer, and in the head behind the
  last layer norm, everything stays float32: it costs next to nothing, and it makes the score.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scisearch.index.onnx_calibration import Seen
from scisearch.index.onnx_half import halve_tables
from scisearch.index.onnx_products import Product, products_of
from scisearch.index.onnx_rounding import Rounded, rounded
from scisearch.index.onnx_saturation import largest_code
from scisearch.index.onnx_wide_layers import ACTIVATIONS, by_falling_range
from scisearch.index.onnx_writer import Codes, GraphWriter, rewrite

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

SMOOTHING = 0.65  # how much of an input's range moves into the weights
_APART = 1 / 24  # of the wide layer's channels, those with the largest values: in float32
_LEAST_ACTIVATION = -0.17  # GELU's minimum
_LOW = 0.25  # how far below zero an activated token's codes go, as a share of its largest value
_TINY = 1e-6  # what a token of any sign is divided by at least: one of zeros stays one


def quantised(
    model: "ModelProto", seen: Mapping[str, Seen], *, float_share: float = 0
) -> "ModelProto":
    """A copy of the model with its products in 8 bits, and large embeddings in half precision.

    Args:
        model: in float32, of opset 18 or later.
        seen: the values that are multiplied (index/onnx_calibration.py); those that it does not
            name are left as wide as they are, and their weights rounded to the nearest.
        float_share: in [0, 1): of a layer norm's channels before attention, rounded down, that
            stay float32.
    """
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    _Rewriting(copy, seen, float_share).run()
    halve_tables(copy)
    return copy


class _Rewriting:
    """Replaces nodes; new ones stand where the first of the old ones stood."""

    def __init__(self, model: "ModelProto", seen: Mapping[str, Seen], float_share: float) -> None:
        self._model = model
        self._largest = largest_code()
        self._writer = GraphWriter(tensor.name for tensor in model.graph.initializer)
        self._operators = {node.output[0]: node.op_type for node in model.graph.node}
        one_token = {name for name, one in seen.items() if one.length == 1}
        products = [one for one in products_of(model) if one.input not in one_token]
        wide = by_falling_range(model, products, seen)
        self._products, self._seen, self._activations = wide.products, wide.seen, wide.activations
        self._parted = {str(node.output[0]) for node in self._activations.values()}
        inputs = {one.input for one in products}.intersection(seen)
        normed = [name for name in inputs if self._operators.get(name) == "LayerNormalization"]
        self._factors = {name: self._smoothing(name) for name in normed}
        widened = {one.input for one in self._products if one.output in self._activations}
        shares = {name: 0 if name in widened else float_share for name in normed}
        self._widest = {name: _widest(seen[name].largest, shares[name]) for name in normed}
        self._codes: dict[str, Codes] = {}  # of values that several products read
        self._gathered: dict[str, str] = {}  # value -> its widest channels

    def run(self) -> None:
        by_matmul = {one.matmul.output[0]: one for one in self._products}
        replaced = {one.add.output[0] for one in self._products if one.add is not None}
        replaced |= self._parted
        for node in self._model.graph.node:
            product = by_matmul.get(node.output[0])
            if product is not None:
                self._write(product)
            elif node.output[0] not in replaced:
                self._writer.keep(node)
        rewrite(self._model, self._writer)

    def _smoothing(self, name: str) -> NDArray[np.float32]:
        """SmoothQuant's factor of each channel, of geometric mean 1."""
        weights = [abs(one.weights).max(axis=1) for one in self._products if one.input == name]
        largest = np.maximum(np.max(weights, axis=0), 1e-5)
        ranges = np.maximum(self._seen[name].largest, 1e-5)
        factors = ranges**SMOOTHING / largest ** (1 - SMOOTHING)
        even: NDArray[np.float32] = factors / np.exp(np.log(factors).mean())
        return even.astype(np.float32)

    def _write(self, product: Product) -> None:
        activation = self._activations.get(product.output)
        if product.contracts:
            self._write_contraction(product)
        elif activation is None:
            weights = self._rounded(product.input, product.weights)
            self._write_columns(product.input, product.output, weights, product.bias)
        else:
            self._write_widening(product, activation)

    def _write_widening(self, product: Product, activation: "NodeProto") -> None:
        """A product and an activation for each part that the contraction reads."""
        whole = self._rounded(product.input, product.weights)
        end = _apart(product.weights.shape[1])
        for name, part in zip(
            _part_names(activation.output[0]), (slice(end), slice(end, None)), strict=True
        ):
            columns = Rounded(whole.codes[:, part], whole.scales[part], whole.exact[:, part])
            self._write_columns(product.input, f"{name}/before", columns, product.bias[part])
            node = type(activation)()
            node.CopyFrom(activation)
            node.name, node.input[0], node.output[0] = name, f"{name}/before", name
            self._writer.keep(node)

    def _rounded(self, value: str, weights: NDArray[np.float32]) -> Rounded:
        """Weights of a value as it is multiplied: evened out, if it is a layer norm."""
        factors = self._factors.get(value, np.ones(len(weights), np.float32))
        widest = self._widest.get(value, np.array([], np.int64))
        moments = self._moments(value)
        if moments is not None:
            moments = moments / np.outer(factors, factors)
        found = rounded(weights * factors[:, None], moments, widest.tolist(), largest=self._largest)
        return found._replace(exact=found.exact / factors[widest, None])

    def _moments(self, value: str) -> NDArray[np.float32] | None:
        return self._seen[value].moments if value in self._seen else None

    def _write_columns(
        self, value: str, name: str, weights: Rounded, bias: NDArray[np.float32]
    ) -> None:
        """`name` is the product of a value with these columns of weights."""
        writer = self._writer
        added = writer.constant(f"{name}/bias", bias)
        if not len(weights.exact):
            writer.product(self._coded(value), weights, name, added)
            return
        writer.product(self._coded(value), weights, f"{name}/narrow", added)
        exact = writer.constant(f"{name}/exact", weights.exact)
        writer.node("MatMul", [self._gather(value), exact], [f"{name}/wide"])
        writer.node("Add", [f"{name}/narrow", f"{name}/wide"], [name])

    def _gather(self, value: str) -> str:
        """The widest channels of a value, in float32."""
        if value not in self._gathered:
            places = self._writer.constant(f"{value}/places", self._widest[value])
            self._gathered[value] = f"{value}/wide"
            self._writer.node("Gather", [value, places], [f"{value}/wide"], axis=-1)
        return self._gathered[value]

    def _coded(self, value: str) -> Codes:
        """A value in 8 bits, evened out, if it is a layer norm, and without its widest channels."""
        if value not in self._codes:
            even = value
            if value in self._factors:
                even = f"{value}/even"
                factors = 1 / self._factors[value]
                factors[self._widest[value]] = 0
                inverse = self._writer.constant(f"{value}/factor", factors)
                self._writer.node("Mul", [value, inverse], [even])
            self._codes[value] = self._writer.coded(even, value)
        return self._codes[value]

    def _write_contraction(self, product: Product) -> None:
        """The product of the widest channels and the bias, and that of the rest, by token.

        The rest is divided by each token's largest value, and the outputs take it back.
        """
        name, value, writer = product.output, product.input, self._writer
        end = _apart(len(product.weights)) if value in self._parted else 0
        weights = rounded(product.weights, self._moments(value), range(end), largest=self._largest)
        total = writer.constant(f"{name}/bias", product.bias)
        rest = value
        if value in self._parted:
            widest, rest = _part_names(value)
            flat = writer.flatten(widest, f"{name}/widest")
            exact = writer.constant(f"{name}/exact", weights.exact)
            writer.node("Gemm", [flat, exact, total], [f"{name}/wide"])
            total = f"{name}/wide"
        is_activated = self._operators.get(value) in ACTIVATIONS
        low, least = (_LOW, -_LEAST_ACTIVATION / _LOW) if is_activated else (1, _TINY)
        tokens = writer.flatten(rest, f"{name}/tokens")
        codes, scales = writer.coded_tokens(tokens, low, least)
        rows = weights._replace(codes=weights.codes[end:])
        writer.product(codes, rows, f"{name}/product")
        writer.node("Mul", [f"{name}/product", scales], [f"{name}/scaled"])
        writer.node("Add", [f"{name}/scaled", total], [f"{name}/flat"])
        writer.unflatten(f"{name}/flat", rest, len(product.bias), name)


def _apart(wide: int) -> int:
    """How many channels of a wide layer are multiplied in float32: one at least."""
    return max(1, int(wide * _APART))


def _widest(ranges: NDArray[np.float32], share: float) -> NDArray[np.int64]:
    """The channels with the largest ranges, rising."""
    count = int(len(ranges) * share)
    return np.sort(np.argsort(-ranges, kind="stable")[:count]).astype(np.int64)


def _part_names(name: str) -> list[str]:
    return [f"{name}/widest", f"{name}/rest"]
