"""Weights in 8 bits, rounded so that a product's outputs stay near.

GPTQ: Frantar et al. 2022, arXiv:2210.17323, algorithm 1.
Input by input a row of weights is rounded, and those not yet rounded take up the error, as far as
the inputs are correlated. Inputs with large values go first (their errors weigh most), and
weights that are not rounded at all come last: they take up what is left.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LARGEST = 127  # magnitude of a code of 8 bits
_DAMPING = 0.01  # of the mean of the moments' diagonal, added to it; 0.001 and 0.1 do as well
_BLOCK = 64  # rows whose errors are handed on together


class Rounded(NamedTuple):
    """Weights in two parts: `codes` * `scales`, and `exact` of the inputs that are not rounded."""

    codes: NDArray[np.int8]  # (inputs, outputs); 0 where an input is not rounded
    scales: Floats  # (outputs,)
    exact: Floats  # (n_exact, outputs)


def rounded(
    weights: Floats,
    moments: Floats | None,
    exact: Sequence[int] = (),
    *,
    largest: int = LARGEST,
) -> Rounded:
    """The weights (inputs, outputs) in 8 bits, but for some inputs.

    Args:
        weights: what the inputs are multiplied with.
        moments: (inputs, inputs), the sum of x xᵀ over inputs x; None rounds to the nearest.
        exact: the places of the inputs that keep weights in float32.
        largest: magnitude of a code, at most LARGEST.
    """
    kept = np.array(exact, np.int64)
    coarse = weights.astype(np.float64)
    coarse[kept] = 0
    ranges = np.maximum(np.abs(coarse).max(axis=0), np.finfo(np.float32).tiny)
    scales = (ranges / largest).astype(np.float32)
    if moments is None:
        return Rounded(_codes(coarse / scales, largest), scales, weights[kept])
    sizes = np.diag(moments).copy()
    sizes[kept] = -1
    order = np.argsort(-sizes, kind="stable")
    passes_on = _passes_on(moments[np.ix_(order, order)])
    left = weights[order].astype(np.float64)
    codes = np.zeros(weights.shape, np.int8)
    end = len(weights) - len(kept)
    for start in range(0, end, _BLOCK):
        stop = min(start + _BLOCK, end)
        errors = np.empty((stop - start, weights.shape[1]))
        for row in range(start, stop):
            codes[order[row]] = _codes(left[row] / scales, largest)
            error = (left[row] - codes[order[row]] * scales) / passes_on[row, row]
            left[row + 1 : stop] -= np.outer(passes_on[row, row + 1 : stop], error)
            errors[row - start] = error
        left[stop:] -= passes_on[start:stop, stop:].T @ errors
    places = np.argsort(order)[kept]
    return Rounded(codes, scales, left[places].astype(np.float32))


def _codes(values: NDArray[np.floating], largest: int) -> NDArray[np.int8]:
    codes: NDArray[np.int8] = np.clip(np.rint(values), -largest, largest).astype(np.int8)
    return codes


def _passes_on(moments: Floats) -> NDArray[np.float64]:
    """Upper triangular: row i / its diagonal says where the error of input i goes."""
    damped = moments.astype(np.float64)
    diagonal = np.diag(damped)
    damped[np.diag_indices_from(damped)] += max(_DAMPING * float(diagonal.mean()), 1e-12)
    upper: NDArray[np.float64] = np.linalg.cholesky(np.linalg.inv(damped)).T.astype(np.float64)
    return upper
