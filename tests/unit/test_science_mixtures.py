"""Shares of the kinds of lists: by hand, and wrong ones."""

import numpy as np
import pytest

from scisearch.benchmarks.science_training.mixtures import GPU_MIXTURE, MIXTURE, with_shares
from scisearch.benchmarks.science_training.settings import Settings
from scisearch.index.errors import ConfigError


def test_kinds_that_are_not_named_share_the_rest() -> None:
    mixture = {"claim": (0.5, 0.2), "citation": (0.3, 0.3), "heading": (0.1, 0.3)}
    mixed = with_shares(mixture, {"claim": 0.6})
    assert mixed["claim"] == (0.6, 0.6)
    assert mixed["citation"] == pytest.approx((0.3, 0.2))
    assert mixed["heading"] == pytest.approx((0.1, 0.2))
    assert set(with_shares(mixture, {"claim": 0.7, "heading": 0.3})) == {"claim", "heading"}
    assert set(with_shares(mixture, {"claim": 0.0})) == {"citation", "heading"}


@pytest.mark.parametrize("mixture", [MIXTURE, GPU_MIXTURE], ids=["cpu", "gpu"])
def test_no_shares_leave_the_mixture_as_it_is(mixture: dict[str, tuple[float, float]]) -> None:
    assert set(mixture) == set(MIXTURE)
    total = np.array(list(mixture.values())).sum(axis=0)
    found = with_shares(mixture, {})
    assert {kind: found[kind] for kind in mixture} == {
        kind: pytest.approx(tuple(both / total)) for kind, both in mixture.items()
    }


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ({"claims": 0.5}, "kind 'claims' of lists; expected one of question, qkeywords, claim,"),
        ({"claim": 0.7, "title": 0.4}, "shares of lists claim=0.7, title=0.4; expected numbers"),
        ({"claim": -0.1}, "shares of lists claim=-0.1; expected numbers from 0"),
        ({"claim": float("nan")}, "shares of lists claim=nan; expected numbers from 0"),
    ],
)
def test_wrong_shares_are_named(shares: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Settings(seconds=60, shares=shares)
