"""Matrix products of an ONNX graph in 8 bits; everything else stays float32.

* Weights: int8, symmetric, one scale for each column.
* Inputs: uint8, one scale for a whole row of tokens, found while running (ONNX Runtime's
  DynamicQuantizeLinear). A layer norm gives a few channels ten times the range of the others; they
  are first evened out, by factors that the weights take back: SmoothQuant, Xiao et al. 2023,
  arXiv:2211.10438, eq. 4.
* The products that contract the wide layer have ranges that no fixed factors even out. They are
  quantised in blocks, inputs too (MatMulNBits): about twice their time, a third of their error.
* The head behind the last layer norm stays float32: one row, and it makes the score.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Ranges = Mapping[str, NDArray[np.float32]]  # name of a value -> its largest magnitude by channel

SMOOTHING = 0.65  # how much of an input's range moves into the weights
_BLOCKS = (128, 64, 32, 16)  # the lengths MatMulNBits takes
_CONTRACTION = 2  # inputs for each output
_LARGE_TABLE = 1 << 20  # values; embeddings of that size are kept in half precision
_CONTRIB = "com.microsoft"


@dataclass(frozen=True, slots=True)
class _Product:
    """A MatMul with constant weights (inputs, outputs), and the bias that is added to it."""

    matmul: "NodeProto"
    add: "NodeProto | None"
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def input(self) -> str:
        return str(self.matmul.input[0])

    @property
    def output(self) -> str:
        return str((self.add or self.matmul).output[0])

    @property
    def contracts(self) -> bool:
        inputs, outputs = self.weights.shape
        return bool(inputs >= _CONTRACTION * outputs)


def smoothed_values(model: "ModelProto") -> list[str]:
    """The values whose ranges `quantised` wants: layer norms that are multiplied by weights."""
    norms = {node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization"}
    return sorted({one.input for one in _products(model)} & norms)


def with_outputs(model: "ModelProto", names: Sequence[str]) -> "ModelProto":
    """A copy of the model that also gives these values."""
    from onnx import ModelProto, TensorProto, helper

    copy = ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    return copy


def quantised(model: "ModelProto", ranges: Ranges) -> "ModelProto":
    """A copy of the model with its products in 8 bits, and large embeddings in half precision."""
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    _Rewriting(copy, ranges).run()
    return copy


class _Rewriting:
    """Replaces nodes; new ones stand where the first of the old ones stood."""

    def __init__(self, model: "ModelProto", ranges: Ranges) -> None:
        self._model = model
        self._products = _products(model)
        self._ranges = ranges
        self._blockwise = self._in_blocks()
        self._factors = {name: self._smoothing(name) for name in ranges}
        self._new: list[NodeProto] = []
        self._quantised: dict[str, list[str]] = {}  # value -> its uint8 form, scale, zero point

    def run(self) -> None:
        from onnx import helper

        by_matmul = {one.matmul.output[0]: one for one in self._products}
        replaced = {one.add.output[0] for one in self._products if one.add is not None}
        tables = self._half_tables()
        for node in self._model.graph.node:
            product = by_matmul.get(node.output[0])
            if product is not None:
                self._write(product)
            elif node.op_type == "Gather" and node.input[0] in tables:
                half = f"{node.output[0]}/half"
                self._node("Gather", node.input, [half])
                self._node("Cast", [half], list(node.output), to=1)
            elif node.output[0] not in replaced:
                self._new.append(node)
        del self._model.graph.node[:]
        self._model.graph.node.extend(self._new)
        self._drop_unused()
        if all(one.domain != _CONTRIB for one in self._model.opset_import):
            self._model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))

    def _in_blocks(self) -> set[str]:
        """The outputs of the contractions."""
        contractions = [one for one in self._products if one.contracts]
        return {one.output for one in contractions if _block(one.weights) is not None}

    def _smoothing(self, name: str) -> NDArray[np.float32]:
        """SmoothQuant's factor of each channel, of geometric mean 1."""
        weights = [abs(one.weights).max(axis=1) for one in self._products if one.input == name]
        largest = np.maximum(np.max(weights, axis=0), 1e-5)
        factors = np.maximum(self._ranges[name], 1e-5) ** SMOOTHING / largest ** (1 - SMOOTHING)
        even: NDArray[np.float32] = factors / np.exp(np.log(factors).mean())
        return even.astype(np.float32)

    def _write(self, product: _Product) -> None:
        if product.output in self._blockwise:
            self._write_blockwise(product)
        else:
            self._write_int8(product)

    def _write_int8(self, product: _Product) -> None:
        weights, name = product.weights, product.output
        if product.input in self._factors:
            weights = weights * self._factors[product.input][:, None]
        scales = np.maximum(abs(weights).max(axis=0), np.finfo(np.float32).tiny) / 127
        whole = np.rint(weights / scales).astype(np.int8)
        values, scale, zero = self._uint8(product.input)
        inputs = [
            values,
            self._tensor(f"{name}/weight", whole),
            scale,
            self._tensor(f"{name}/scale", scales.astype(np.float32)),
            zero,
            "",
            self._tensor(f"{name}/bias", product.bias),
        ]
        self._node("MatMulIntegerToFloat", inputs, [name], domain=_CONTRIB)

    def _uint8(self, name: str) -> list[str]:
        if name not in self._quantised:
            value = name
            if name in self._factors:
                value = f"{name}/even"
                inverse = self._tensor(f"{name}/factor", 1 / self._factors[name])
                self._node("Mul", [name, inverse], [value])
            parts = [f"{name}/{part}" for part in ("uint8", "scale", "zero")]
            self._node("DynamicQuantizeLinear", [value], parts)
            self._quantised[name] = parts
        return self._quantised[name]

    def _write_blockwise(self, product: _Product) -> None:
        """8 bits around 128; inputs are quantised by the kernel, block by block."""
        inputs, outputs = product.weights.shape
        block = _block(product.weights) or 0
        blocks = product.weights.T.reshape(outputs, inputs // block, block)
        scales = np.maximum(abs(blocks).max(axis=-1), np.finfo(np.float32).tiny) / 127
        whole = (np.rint(blocks / scales[..., None]) + 128).astype(np.uint8)
        name = product.output
        tensors = [
            product.input,
            self._tensor(f"{name}/weight", whole),
            self._tensor(f"{name}/scale", scales.astype(np.float32).reshape(-1)),
            "",
            "",
            self._tensor(f"{name}/bias", product.bias),
        ]
        sizes = {"K": inputs, "N": outputs, "bits": 8, "block_size": block, "accuracy_level": 4}
        self._node("MatMulNBits", tensors, [name], domain=_CONTRIB, **sizes)

    def _half_tables(self) -> set[str]:
        """Turn large embeddings that only Gather reads into half precision; their names."""
        from onnx import numpy_helper

        nodes = self._model.graph.node
        read = {node.input[0] for node in nodes if node.op_type == "Gather"}
        read -= {name for node in nodes if node.op_type != "Gather" for name in node.input}
        found = set()
        for tensor in self._model.graph.initializer:
            if tensor.name in read and tensor.data_type == 1 and _size(tensor) >= _LARGE_TABLE:
                half = numpy_helper.to_array(tensor).astype(np.float16)
                tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
                found.add(tensor.name)
        return found

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


def _products(model: "ModelProto") -> list[_Product]:
    """The products before the last layer norm, in the order of the graph."""
    from onnx import numpy_helper

    nodes = list(model.graph.node)
    norms = [i for i, node in enumerate(nodes) if node.op_type == "LayerNormalization"]
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = []
    for node in nodes[: norms[-1] if norms else 0]:
        if node.op_type != "MatMul" or node.input[1] not in tensors:
            continue
        weights = numpy_helper.to_array(tensors[node.input[1]])
        if weights.ndim != 2:
            continue
        add, bias = _bias(node, readers, tensors, weights.shape[1])
        found.append(_Product(node, add, weights, bias))
    return found


def _bias(
    matmul: "NodeProto",
    readers: Mapping[str, list["NodeProto"]],
    tensors: Mapping[str, Any],
    outputs: int,
) -> tuple["NodeProto | None", NDArray[np.float32]]:
    from onnx import numpy_helper

    after = readers.get(matmul.output[0], [])
    if len(after) == 1 and after[0].op_type == "Add":
        other = [name for name in after[0].input if name != matmul.output[0]]
        if len(other) == 1 and other[0] in tensors:
            bias = numpy_helper.to_array(tensors[other[0]])
            if bias.shape == (outputs,):
                return after[0], bias
    return None, np.zeros(outputs, np.float32)


def _block(weights: NDArray[np.float32]) -> int | None:
    """The longest block that the inputs can be cut into; None where none fits."""
    return next((size for size in _BLOCKS if weights.shape[0] % size == 0), None)


def _size(tensor: Any) -> int:
    return int(np.prod(tensor.dims))
