"""What the values of an ONNX graph are like, seen on sample rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scisearch.index.onnx_products import products_of
from scisearch.index.onnx_session import OnnxModel, TokenRow

if TYPE_CHECKING:
    from onnx import ModelProto

_ROWS = 24  # twice or five times as many give the same errors (benchmarks/LOG.md)
_WIDEST = 3072  # channels; their moments are 38 MB, those of twice as many four times that


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A value over all tokens that were seen.

    Attributes:
        length: the most tokens that a row had.
        largest: (channels,) float32, each channel's largest magnitude.
        moments: (channels, channels) float32, the sum of x xᵀ; None of a value that is too wide.
    """

    length: int
    largest: NDArray[np.float32]
    moments: NDArray[np.float32] | None


def calibrated(model: "ModelProto", rows: Sequence[TokenRow]) -> dict[str, Seen]:
    """Every value that is multiplied by constant weights, over some of the rows, evenly spread.

    Raises:
        ModelError: ONNX Runtime does not open the model.
    """
    names = sorted({product.input for product in products_of(model)})
    opened = OnnxModel(_with_outputs(model, names).SerializeToString(), "calibration")
    seen: dict[str, Seen] = {}
    for row in rows[:: max(1, len(rows) // _ROWS)]:
        values = opened.run_all(row)
        for name in names:
            found = _seen(values[name])
            seen[name] = _together(seen[name], found) if name in seen else found
    return seen


def _with_outputs(model: "ModelProto", names: Sequence[str]) -> "ModelProto":
    """A copy of the model that also gives these values."""
    from onnx import ModelProto, TensorProto, helper

    copy = ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    return copy


def _seen(values: NDArray[Any]) -> Seen:
    tokens = values.reshape(-1, values.shape[-1])
    few = tokens.shape[1] <= _WIDEST
    return Seen(len(tokens), np.abs(tokens).max(axis=0), tokens.T @ tokens if few else None)


def _together(one: Seen, other: Seen) -> Seen:
    moments = None
    if one.moments is not None and other.moments is not None:
        moments = one.moments + other.moments
    length = max(one.length, other.length)
    return Seen(length, np.maximum(one.largest, other.largest), moments)
