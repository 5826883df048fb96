"""Dropout from shared random bits: the rate, the mean, the gradient, independence of neighbours."""

import math

import pytest
import torch

from minibert.kernels.dropout import dropout


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_values_are_dropped_at_the_rate_or_divided_by_what_is_kept(p, dtype):
    count = 400_003  # a prime: the last draw of bits is not used up
    dropped = dropout(torch.ones(count, dtype=dtype), p)
    assert dropped.dtype == dtype
    kept = dropped != 0
    assert abs(kept.double().mean() - (1 - p)) < 4 * math.sqrt(p * (1 - p) / count) + 2**-17
    tolerance = 0.01 if dtype == torch.bfloat16 else 1e-4
    torch.testing.assert_close(
        dropped[kept], torch.full_like(dropped[kept], 1 / (1 - p)), rtol=tolerance, atol=0
    )


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 5, 8])
def test_neighbours_are_dropped_independently(distance):
    count = 1_000_003
    kept = (dropout(torch.ones(count), 0.5) != 0).double() - 0.5
    correlation = (kept[distance:] * kept[:-distance]).mean() / 0.25
    assert abs(correlation) < 5 / math.sqrt(count)


def test_the_gradient_goes_where_the_value_went():
    x = torch.randn(7, 11, dtype=torch.float64, requires_grad=True)
    output = dropout(x, 0.4)
    upstream = torch.randn_like(output)
    (gradient,) = torch.autograd.grad(output, x, upstream)
    torch.testing.assert_close(gradient * x.detach(), upstream * output.detach())
    assert 0 < (gradient == 0).sum() < gradient.numel()


def test_the_same_seed_drops_the_same_values():
    draws = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        draws.append(dropout(torch.ones(97), 0.5))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_without_dropout_nothing_is_touched_and_nothing_is_drawn():
    x = torch.randn(5)
    state = torch.get_rng_state()
    assert dropout(x, 0.0) is x
    assert torch.equal(torch.get_rng_state(), state)


def test_no_values_are_fine():
    assert dropout(torch.zeros(0, 3), 0.5).shape == (0, 3)


def test_a_rate_of_one_leaves_nothing():
    assert (dropout(torch.ones(97), 1.0) == 0).all()
