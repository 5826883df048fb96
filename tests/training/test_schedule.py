"""The learning rate's shapes, at hand-computed points."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.training.config import TrainingConfig
from minibert.training.schedule import rate_at

SHAPES = ("linear", "cosine", "warmup_stable_decay", "constant")


def rates(shape: str, steps: list[int], total: int = 100, **numbers) -> list[float]:
    config = TrainingConfig(lr_scheduler_type=shape, **numbers)
    return [rate_at(step, total, config) for step in steps]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_warm_up_climbs_straight_to_the_peak(shape):
    found = rates(shape, [0, 4, 9, 10], warmup_ratio=0.1, decay_ratio=0.2)
    assert found == pytest.approx([0.1, 0.5, 1.0, 1.0])


def test_linear_falls_straight_to_zero():
    assert rates("linear", [10, 55, 99, 100], warmup_ratio=0.1) == pytest.approx([1.0, 0.5, 1 / 90, 0.0])


def test_cosine_falls_along_half_a_cosine():
    wanted = [1.0, 0.5 * (1 + math.cos(math.pi / 4)), 0.5, 0.0]
    assert rates("cosine", [0, 25, 50, 100], warmup_ratio=0.0) == pytest.approx(wanted)


def test_stable_decay_is_flat_and_then_falls_over_its_last_share():
    found = rates("warmup_stable_decay", [10, 50, 80, 90, 99], warmup_ratio=0.1, decay_ratio=0.2)
    assert found == pytest.approx([1.0, 1.0, 1.0, 0.5, 0.05])


def test_constant_stays():
    assert rates("constant", [0, 50, 99], warmup_ratio=0.0) == [1.0, 1.0, 1.0]


def test_warm_up_steps_win_over_the_ratio():
    assert rates("linear", [0, 3, 4], warmup_ratio=0.5, warmup_steps=4) == pytest.approx([0.25, 1.0, 1.0])


@given(st.sampled_from(SHAPES), st.integers(1, 300), st.floats(0, 1), st.floats(0, 1))
def test_every_rate_of_every_run_is_above_zero_and_at_most_the_peak(shape, total, warmup, decay):
    config = TrainingConfig(lr_scheduler_type=shape, warmup_ratio=warmup, decay_ratio=decay)
    found = [rate_at(step, total, config) for step in range(total)]
    assert all(0 < rate <= 1 for rate in found)
    peak = found.index(max(found))
    assert found[:peak] == sorted(found[:peak])
    assert found[peak:] == sorted(found[peak:], reverse=True)
