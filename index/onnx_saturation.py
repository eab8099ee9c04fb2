"""How large may an 8-bit weight be on this processor? Found by trying, not by the processor's name.

Processors with dot products of bytes (VNNI, AMX, Arm's) add up in 32 bits. Other x86 ones (AVX2 and
AVX-512 without VNNI) first add two products of neighbours in 16 bits and cut off what does not fit:
255 * w + 255 * w fits into 32,767 up to w = 64. Weights beyond that then give silently wrong sums,
so there they have 7 bits.
"""

from functools import cache

import numpy as np

from scisearch.index.onnx_rounding import LARGEST

LARGEST_SATURATING = 64
_INPUTS, _OUTPUTS = 64, 32  # enough for the kernels that models are computed with


@cache
def largest_code() -> int:
    """The largest magnitude of a weight whose products with bytes ONNX Runtime adds up rightly."""
    return LARGEST if sums_are_exact(LARGEST) else LARGEST_SATURATING


def sums_are_exact(weight: int) -> bool:
    """Whether weights of this magnitude, all of one sign, times 255 add up to what they should."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    signs = np.where(np.arange(_OUTPUTS) % 2, 1, -1)
    weights = np.tile(weight * signs, (_INPUTS, 1)).astype(np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["codes", "weights"], ["sums"])],
        "saturation",
        [helper.make_tensor_value_info("codes", TensorProto.UINT8, ["tokens", _INPUTS])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, ["tokens", _OUTPUTS])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    codes = np.full((4, _INPUTS), 255, np.uint8)
    sums = np.asarray(session.run(None, {"codes": codes})[0])
    return np.array_equal(sums, codes.astype(np.int64) @ weights.astype(np.int64))
