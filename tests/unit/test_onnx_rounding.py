"""Weights rounded by what their inputs are like."""

import numpy as np
from numpy.typing import NDArray

from scisearch.index.onnx_rounding import Rounded, rounded

INPUTS, OUTPUTS, TOKENS = 48, 20, 4000
EXACT = (7, 3, 40, 21, 0, 9, 33, 12, 25, 18)
Floats = NDArray[np.float32]


def correlated() -> tuple[Floats, Floats]:
    """Weights (inputs, outputs) and tokens (tokens, inputs) of ten directions and some noise."""
    random = np.random.default_rng(11)
    directions = random.normal(0, 1, (10, INPUTS))
    tokens = random.normal(0, 1, (TOKENS, 10)) @ directions
    tokens += random.normal(0, 0.1, tokens.shape)
    weights = random.normal(0, 0.5, (INPUTS, OUTPUTS))
    return weights.astype(np.float32), tokens.astype(np.float32)


def error(weights: Floats, tokens: Floats, found: Rounded) -> float:
    """rms error of the outputs."""
    back = found.codes * found.scales
    back[list(EXACT)[: len(found.exact)]] += found.exact
    return float(np.sqrt(np.mean((tokens @ (back - weights)) ** 2)))


def test_without_moments_to_the_nearest() -> None:
    weights, _ = correlated()
    found = rounded(weights, None)
    assert found.exact.shape == (0, OUTPUTS)
    np.testing.assert_allclose(found.scales, np.abs(weights).max(axis=0) / 127, rtol=1e-6)
    assert np.abs(found.codes * found.scales - weights).max() <= 0.501 * found.scales.max()


def test_codes_are_no_larger_than_asked() -> None:
    weights, tokens = correlated()
    whole, small = (
        rounded(weights, tokens.T @ tokens),
        rounded(weights, tokens.T @ tokens, EXACT, largest=64),
    )
    assert np.abs(whole.codes).max() == 127
    assert np.abs(small.codes).max() == 64
    assert error(weights, tokens, whole) < error(
        weights, tokens, rounded(weights, None, largest=64)
    )


def test_correlated_inputs_take_up_each_others_errors() -> None:
    weights, tokens = correlated()
    plain = error(weights, tokens, rounded(weights, None))
    assert error(weights, tokens, rounded(weights, tokens.T @ tokens)) < 0.4 * plain


def test_inputs_that_stay_exact_take_up_what_is_left() -> None:
    weights, tokens = correlated()
    moments = tokens.T @ tokens
    found = rounded(weights, moments, EXACT)
    assert found.exact.shape == (len(EXACT), OUTPUTS)
    assert not found.codes[list(EXACT)].any()
    assert np.abs(found.exact - weights[list(EXACT)]).max() > 0
    np.testing.assert_array_equal(rounded(weights, None, EXACT).exact, weights[list(EXACT)])
    assert error(weights, tokens, found) < 0.5 * error(weights, tokens, rounded(weights, moments))


def test_uncorrelated_inputs_are_rounded_to_the_nearest() -> None:
    weights, _ = correlated()
    sizes = np.linspace(1, 2, INPUTS, dtype=np.float32)
    found = rounded(weights, np.diag(sizes))
    np.testing.assert_array_equal(found.codes, rounded(weights, None).codes)


def test_inputs_that_were_never_seen_and_outputs_of_zero() -> None:
    weights, _ = correlated()
    weights[:, 3] = 0
    found = rounded(weights, np.zeros((INPUTS, INPUTS), np.float32))
    assert not found.codes[:, 3].any()
    assert np.isfinite(found.scales).all()
    np.testing.assert_array_equal(found.codes, rounded(weights, None).codes)


def test_more_inputs_than_a_block_of_rows() -> None:
    random = np.random.default_rng(12)
    tokens = random.normal(0, 1, (2000, 30)) @ random.normal(0, 1, (30, 200))
    weights = random.normal(0, 1, (200, 8)).astype(np.float32)
    tokens32 = (tokens + random.normal(0, 0.1, tokens.shape)).astype(np.float32)
    plain = error(weights, tokens32, rounded(weights, None))
    assert error(weights, tokens32, rounded(weights, tokens32.T @ tokens32)) < 0.4 * plain
