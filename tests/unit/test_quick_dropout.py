"""Dropout with other random bits: the same chances, scale and gradient as PyTorch's."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from scisearch.rerank.training.quick_dropout import QuickDropout


def dropped(values: torch.Tensor, p: float, seed: int = 1, **options: bool) -> torch.Tensor:
    torch.manual_seed(seed)
    with QuickDropout():
        return functional.dropout(values, p, **options)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.87])
def test_a_share_of_p_is_zero_and_the_mean_stays(p: float) -> None:
    found = dropped(torch.ones(1_000_003), p)
    zero = found == 0
    assert float(zero.float().mean()) == pytest.approx(p, abs=0.002)
    kept = found[~zero]
    assert kept.min() == kept.max()
    assert float(kept[0]) == pytest.approx(1 / (1 - p), rel=2e-4)
    # places are independent: neighbours are zero together as often as chance has it
    assert float((zero[1:] & zero[:-1]).float().mean()) == pytest.approx(p * p, abs=0.002)
    assert float((zero[4:] & zero[:-4]).float().mean()) == pytest.approx(p * p, abs=0.002)


def test_the_gradient_goes_where_the_values_went() -> None:
    values = torch.randn(3, 5, 7, requires_grad=True)
    found = dropped(values, 0.3)
    found.backward(torch.full_like(found, 2.0))  # type: ignore[no-untyped-call]
    assert values.grad is not None
    torch.testing.assert_close(values.grad * values.detach(), 2 * found.detach())


def test_the_same_seed_gives_the_same_places_and_each_call_others() -> None:
    values = torch.ones(4096)
    assert torch.equal(dropped(values, 0.5), dropped(values, 0.5))
    assert not torch.equal(dropped(values, 0.5), dropped(values, 0.5, seed=2))
    torch.manual_seed(1)
    with QuickDropout():
        first, second = (functional.dropout(values, 0.5) for _ in range(2))
    assert not torch.equal(first, second)


def test_modules_use_it_and_what_is_no_training_is_left_alone() -> None:
    values = torch.ones(1000)
    module = nn.Dropout(0.5)
    torch.manual_seed(1)
    with QuickDropout():
        assert torch.equal(module(values), dropped(values, 0.5))
        assert torch.equal(module.eval()(values), values)
        assert torch.equal(functional.dropout(values, 0.0), values)
        assert not functional.dropout(values, 1.0).any()
        assert torch.equal(functional.relu(-values), torch.zeros(1000))
    torch.manual_seed(1)
    theirs = functional.dropout(values, 0.5)
    assert not torch.equal(theirs, dropped(values, 0.5))  # so it was another generator within


def test_half_precision_keeps_its_type() -> None:
    found = dropped(torch.ones(10_000, dtype=torch.bfloat16), 0.1)
    assert found.dtype == torch.bfloat16
    assert float((found == 0).float().mean()) == pytest.approx(0.1, abs=0.02)
