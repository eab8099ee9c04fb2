"""Wide layers of an ONNX graph whose channels may be put in another order, which costs nothing.

The columns of the product that widens, its bias and the rows of the product that contracts change
places together; an activation between them works on each channel alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from scisearch.index.onnx_calibration import Seen
from scisearch.index.onnx_products import Product

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

ACTIVATIONS = ("Gelu", "FastGelu", "Relu")  # never far below zero


@dataclass(frozen=True, slots=True)
class WideLayers:
    """Products, and what was seen of their inputs, with channels by falling range where free.

    Attributes:
        activations: output of a product that widens, where its channels are in order -> the
            activation that reads it.
    """

    products: list[Product]
    seen: Mapping[str, Seen]
    activations: Mapping[str, "NodeProto"]


def by_falling_range(
    model: "ModelProto", products: list[Product], seen: Mapping[str, Seen]
) -> WideLayers:
    """The products, those around a wide layer that was seen with its widest channels first."""
    makers = {node.output[0]: node for node in model.graph.node}
    reads = [name for node in model.graph.node for name in node.input]
    places = {one.output: place for place, one in enumerate(products)}
    ordered, known, activations = list(products), dict(seen), dict[str, "NodeProto"]()
    for place, product in enumerate(products):
        activation = makers.get(product.input)
        if activation is None or not product.contracts or product.input not in seen:
            continue
        widening = places.get(_activated(activation, reads) or "")
        if widening is None:
            continue
        before, wide = ordered[widening], seen[product.input]
        order = np.argsort(-wide.largest, kind="stable")
        ordered[widening] = replace(
            before, weights=before.weights[:, order], bias=before.bias[order]
        )
        ordered[place] = replace(product, weights=product.weights[order])
        moments = None if wide.moments is None else wide.moments[np.ix_(order, order)]
        known[product.input] = Seen(wide.length, wide.largest[order], moments)
        activations[before.output] = activation
    return WideLayers(ordered, known, activations)


def _activated(node: "NodeProto", reads: list[str]) -> str | None:
    """What a node is the activation of; None where it is none, or others read either value."""
    if node.op_type not in ACTIVATIONS or len(node.input) != 1:  # a bias would keep its order
        return None
    values = (str(node.input[0]), str(node.output[0]))
    return values[0] if all(reads.count(one) == 1 for one in values) else None
