"""The matrix products of an ONNX graph that have constant weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_CONTRACTION = 2  # inputs for each output


@dataclass(frozen=True, slots=True)
class Product:
    """A MatMul with constant weights (inputs, outputs), and the bias that is added to it."""

    matmul: "NodeProto"
    add: "NodeProto | None"
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def input(self) -> str:
        """The value that is multiplied."""
        return str(self.matmul.input[0])

    @property
    def output(self) -> str:
        """The value that comes out, bias added."""
        return str((self.add or self.matmul).output[0])

    @property
    def contracts(self) -> bool:
        """Whether a wide layer becomes a narrow one."""
        inputs, outputs = self.weights.shape
        return bool(inputs >= _CONTRACTION * outputs)


def products_of(model: "ModelProto") -> list[Product]:
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
        found.append(Product(node, add, weights, bias))
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
