"""Large embeddings of an ONNX graph in half precision: half the file, read by row anyway."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_LARGE = 1 << 20  # values
_FLOAT = 1  # TensorProto.FLOAT


def halve_tables(model: "ModelProto") -> None:
    """Change large float32 tables that only Gather reads, and cast what is read from them."""
    from onnx import helper, numpy_helper

    nodes = list(model.graph.node)
    read = {node.input[0] for node in nodes if node.op_type == "Gather"}
    read -= {name for node in nodes if node.op_type != "Gather" for name in node.input}
    halved = set()
    for tensor in model.graph.initializer:
        if tensor.name in read and tensor.data_type == _FLOAT and _size(tensor) >= _LARGE:
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
            halved.add(tensor.name)
    changed: list[NodeProto] = []
    for node in nodes:
        if node.op_type == "Gather" and node.input[0] in halved:
            half_row = f"{node.output[0]}/half"
            changed.append(helper.make_node("Gather", node.input, [half_row]))
            changed.append(helper.make_node("Cast", [half_row], node.output, to=_FLOAT))
        else:
            changed.append(node)
    del model.graph.node[:]
    model.graph.node.extend(changed)


def _size(tensor: Any) -> int:
    return int(np.prod(tensor.dims))
