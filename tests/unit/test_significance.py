from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scisearch.benchmarks.bootstrap import bootstrap_intervals
from scisearch.benchmarks.significance import holm, permutation_p_values


def test_p_by_hand() -> None:
    # sums of +-1 +-2 +-3 are 6, 0, 2, 4 and their negatives: two of eight reach 6
    assert permutation_p_values(np.array([[1.0], [2.0], [3.0]])) == pytest.approx([2 / 8])
    # +1 -2 +3 = 2 in absolute value is reached by +-6, +-4, +-2: six of eight
    assert permutation_p_values(np.array([[1.0], [-2.0], [3.0]])) == pytest.approx([6 / 8])


def test_queries_without_a_difference_do_not_count() -> None:
    column = np.array([1.0, 0, 2, 0, 0, 3, 0])[:, np.newaxis]
    assert permutation_p_values(np.vstack([column] * 1 + [np.zeros((500, 1))])) == pytest.approx(
        [2 / 8]
    )
    assert permutation_p_values(np.zeros((40, 2))) == pytest.approx([1.0, 1.0])


def test_equal_sums_in_another_order_count_as_equal() -> None:
    # 0.1 + 0.2 - 0.3 is not 0 in floats; every pattern reaches 0
    assert permutation_p_values(np.array([[0.1], [0.2], [-0.3]])) == pytest.approx([1.0])


@settings(deadline=None, max_examples=30)
@given(arrays(np.float64, st.integers(1, 8), elements=st.integers(-4, 4).map(lambda n: n / 8)))
def test_the_exact_test_is_the_enumeration(values: np.ndarray) -> None:
    sums = [abs(np.dot(signs, values)) for signs in product([1, -1], repeat=len(values))]
    expected = np.mean(np.array(sums) >= abs(values.sum()) - 1e-12)
    assert permutation_p_values(values[:, np.newaxis]) == pytest.approx([expected])


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1])
def test_sampled_p_agrees_with_scipy(shift: float) -> None:
    from scipy.stats import permutation_test

    generator = np.random.default_rng(3)
    first, second = generator.random(60) + shift, generator.random(60)
    expected = permutation_test(
        (first, second),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(4),
    ).pvalue
    found = permutation_p_values((first - second)[:, np.newaxis])
    assert found == pytest.approx([expected], abs=0.015)


def test_sampled_p_is_repeatable_symmetric_and_never_0() -> None:
    differences = np.random.default_rng(5).normal(0.1, 1, (50, 2))
    found = permutation_p_values(differences, samples=2000)
    assert found.tolist() == permutation_p_values(differences, samples=2000).tolist()
    assert found.tolist() == permutation_p_values(-differences, samples=2000).tolist()
    assert permutation_p_values(np.ones((50, 1)), samples=2000) == pytest.approx([1 / 2001])


def test_under_the_null_p_is_uniform() -> None:
    differences = np.random.default_rng(6).normal(0, 1, (30, 2000))
    p_values = permutation_p_values(differences, samples=2000)
    for alpha in (0.05, 0.2, 0.5):
        assert np.mean(p_values <= alpha) == pytest.approx(alpha, abs=0.035)


def test_holm_by_hand() -> None:
    # 3 x 0.01, then 2 x 0.02 = 0.04, then 1 x 0.03 raised to the 0.04 before it
    found = holm({"c": 0.03, "a": 0.01, "b": 0.02})
    assert found == pytest.approx({"c": 0.04, "a": 0.03, "b": 0.04})
    assert list(found) == ["c", "a", "b"]
    assert holm({"a": 0.7, "b": 0.6}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.2}) == {"a": 0.2}
    assert holm({}) == {}


def test_bootstrap_interval_is_that_of_the_normal_for_many_queries() -> None:
    values = np.random.default_rng(7).random((400, 1))
    ((low, high),) = bootstrap_intervals(values)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.003)
    assert high == pytest.approx(values.mean() + half, abs=0.003)


def test_bootstrap_by_hand_on_two_queries() -> None:
    # means of two draws from {0, 1} are 0, 0.5, 1 with chances 1/4, 1/2, 1/4
    assert bootstrap_intervals(np.array([[0.0], [1.0]])).tolist() == [[0.0, 1.0]]
    assert bootstrap_intervals(np.array([[0.0], [1.0]]), confidence=0.4).tolist() == [[0.5, 0.5]]
    assert bootstrap_intervals(np.array([[0.3]])) == pytest.approx(np.array([[0.3, 0.3]]))


def test_all_columns_see_the_same_queries() -> None:
    values = np.random.default_rng(8).random((30, 1))
    table = np.hstack([values, values + 1, -values])
    same, shifted, turned = bootstrap_intervals(table)
    assert shifted == pytest.approx(same + 1)
    assert turned == pytest.approx(-same[::-1])
