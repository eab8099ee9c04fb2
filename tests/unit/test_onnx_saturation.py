"""How large a weight may be on this processor."""

import numpy as np

from scisearch.index.onnx_rounding import LARGEST
from scisearch.index.onnx_saturation import LARGEST_SATURATING, largest_code, sums_are_exact


def test_the_largest_code_is_added_up_rightly_here() -> None:
    assert largest_code() in (LARGEST_SATURATING, LARGEST)
    assert sums_are_exact(largest_code())


def test_two_products_of_the_smaller_code_fit_into_16_bits_and_no_larger_ones() -> None:
    largest = np.iinfo(np.int16).max
    assert largest >= 2 * 255 * LARGEST_SATURATING
    assert largest < 2 * 255 * (LARGEST_SATURATING + 1)
    assert sums_are_exact(LARGEST_SATURATING)
