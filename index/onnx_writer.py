"""New nodes and constants of an ONNX graph, among them 8-bit products."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scisearch.index.onnx_rounding import Rounded

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

CONTRIB = "com.microsoft"  # the domain of ONNX Runtime's own operators


class Codes(NamedTuple):
    """Names of a value in 8 bits: (codes - zero) * scale is the value."""

    codes: str
    scale: str
    zero: str


class GraphWriter:
    """Collects the nodes of a graph, in their order, and the constants that they read.

    Operators are those of opset 18 and later.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        """Write nothing yet; `known` are the names of constants that there are."""
        self._known = set(known)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def keep(self, node: "NodeProto") -> None:
        """Write a node as it is."""
        self.nodes.append(node)

    def node(
        self,
        operator: str,
        inputs: Iterable[str],
        outputs: Sequence[str],
        *,
        domain: str = "",
        **attributes: Any,
    ) -> None:
        """Write a node."""
        from onnx import helper

        self.nodes.append(
            helper.make_node(operator, list(inputs), outputs, domain=domain, **attributes)
        )

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """The name, under which the values are written if nothing is."""
        if name not in self._known:
            self._known.add(name)
            self.constants.append(_tensor(values, name))
        return name

    # -- 8 bits ------------------------------------------------------------------------------

    def product(self, value: Codes, weights: Rounded, name: str, bias: str = "") -> None:
        """`name` is the product of a value in 8 bits with weights in 8 bits."""
        codes = self.constant(f"{name}/weight", weights.codes)
        by_column = self.constant(f"{name}/scale", weights.scales)
        inputs = [value.codes, codes, value.scale, by_column, value.zero, "", bias]
        self.node("MatMulIntegerToFloat", inputs, [name], domain=CONTRIB)

    def coded(self, value: str, name: str) -> Codes:
        """A value in 8 bits; one scale and zero point, found while running."""
        found = Codes(f"{name}/uint8", f"{name}/scale", f"{name}/zero")
        self.node("DynamicQuantizeLinear", [value], found)
        return found

    def coded_tokens(self, name: str, low: float, least: float) -> tuple[Codes, str]:
        """Tokens (tokens, channels), each divided by its largest value, in 8 bits; what by.

        Args:
            name: of the tokens.
            low: (0, 1]: codes go from -low to 1. At 1 the largest value is the largest magnitude.
            least: what a token is divided by at least.
        """
        unit = (1 + low) / 254  # of 255 steps, so that both ends are reached
        zero = np.array([np.ceil(low / unit)], np.uint8)
        axis = self.constant("last_axis", np.array([-1], np.int64))
        values = name
        if low == 1:
            values = f"{name}/magnitude"
            self.node("Abs", [name], [values])
        self.node("ReduceMax", [values, axis], [f"{name}/highest"], keepdims=1)
        floor = self.constant(f"{name}/least", np.array(least, np.float32))
        self.node("Max", [f"{name}/highest", floor], [f"{name}/largest"])
        step = self.constant(f"{name}/unit", np.array(unit, np.float32))
        self.node("Mul", [f"{name}/largest", step], [f"{name}/scales"])
        self.node("Squeeze", [f"{name}/scales", axis], [f"{name}/scale"])
        self.node("Shape", [f"{name}/scale"], [f"{name}/count"])
        self.node("ConstantOfShape", [f"{name}/count"], [f"{name}/zeros"], value=_tensor(zero))
        codes = f"{name}/uint8"
        self.node("QuantizeLinear", [name, f"{name}/scale", f"{name}/zeros"], [codes], axis=0)
        one = self.constant("one_scale", np.array(1, np.float32))
        return Codes(codes, one, self.constant(f"{name}/zero", zero[0])), f"{name}/scales"

    # -- axes --------------------------------------------------------------------------------

    def flatten(self, value: str, name: str) -> str:
        """`name` is the value as (tokens, channels), whatever its leading axes."""
        self.node("Flatten", [value], [name], axis=-1)
        return name

    def unflatten(self, flat: str, like: str, channels: int, name: str) -> None:
        """`name` has the leading axes of `like`, and so many channels."""
        self.node("Shape", [like], [f"{name}/leading"], end=-1)
        last = self.constant(f"{name}/channels", np.array([channels], np.int64))
        self.node("Concat", [f"{name}/leading", last], [f"{name}/shape"], axis=0)
        self.node("Reshape", [flat, f"{name}/shape"], [name])


def rewrite(model: "ModelProto", writer: GraphWriter) -> None:
    """Give a model the writer's nodes and constants, and drop constants that none reads."""
    from onnx import helper

    graph = model.graph
    used = {name for node in writer.nodes for name in node.input}
    kept = [tensor for tensor in (*graph.initializer, *writer.constants) if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.node[:]
    graph.node.extend(writer.nodes)
    if all(one.domain != CONTRIB for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid(CONTRIB, 1))


def _tensor(values: NDArray[Any], name: str = "") -> "TensorProto":
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(values, order="C"), name)
