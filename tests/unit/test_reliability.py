import sys
from pathlib import Path

import numpy as np
import pytest

from scisearch.index.errors import ConfigError
from scisearch.rerank.reliability import plot_reliability, reliability

CHANCES = np.array([0.1, 0.1, 0.1, 0.4, 0.8, 0.9])
LABELS = np.array([0, 0, 1, 0, 1, 1])


def test_equal_width_bins_by_hand() -> None:
    """Below 0.5 four pairs of mean 0.175 of which a quarter is relevant; above, 0.85 and all."""
    found = reliability(CHANCES, LABELS, binning="equal-width", n_bins=2)
    assert [one.n for one in found.bins] == [4, 2]
    assert [one.probability for one in found.bins] == pytest.approx([0.175, 0.85])
    assert [one.positive_share for one in found.bins] == [0.25, 1.0]
    assert found.ece == pytest.approx((4 * 0.075 + 2 * 0.15) / 6)
    assert found.brier == pytest.approx((0.01 + 0.01 + 0.81 + 0.16 + 0.04 + 0.01) / 6)


def test_equal_mass_bins_do_not_part_equal_probabilities() -> None:
    found = reliability(CHANCES, LABELS, n_bins=3)
    assert [(one.low, one.high, one.n) for one in found.bins] == [(0.1, 0.4, 4), (0.8, 0.9, 2)]


def test_the_order_of_the_pairs_does_not_matter() -> None:
    order = np.array([5, 2, 0, 4, 1, 3])
    assert reliability(CHANCES[order], LABELS[order]) == reliability(CHANCES, LABELS)


def test_no_pair_or_other_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"found 0 probabilities, 0 labels"):
        reliability(np.empty(0), np.empty(0, np.int64))
    with pytest.raises(ConfigError, match=r"found 6 probabilities, 5 labels"):
        reliability(CHANCES, LABELS[1:])


def test_without_matplotlib_a_plot_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"needs matplotlib, .*pip install 'scisearch\[train\]'"):
        plot_reliability({"a": reliability(CHANCES, LABELS)}, tmp_path / "plot.png")


def test_a_plot_is_written_or_the_folder_is_named(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    curves = {"a": reliability(CHANCES, LABELS)}
    plot_reliability(curves, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[1:4] == b"PNG"
    with pytest.raises(ConfigError, match=r"absent.plot\.png: the plot cannot be written"):
        plot_reliability(curves, tmp_path / "absent" / "plot.png")
