import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.report.numbers import (
    duration,
    finite_points,
    is_number,
    round_ticks,
    running_mean,
    spelled,
    thin,
    tick_labels,
)

numbers = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False).map(lambda value: round(value, 6))


def mantissa(value: float) -> float:
    return float(f"{value:.6e}".split("e")[0])


@given(numbers, numbers)
def test_ticks_are_multiples_of_a_round_step_and_enclose_the_values(one: float, other: float) -> None:
    low, high = sorted((one, other))
    ticks = round_ticks(low, high)
    step = (ticks[-1] - ticks[0]) / (len(ticks) - 1)
    room = 1e-6 * step
    assert mantissa(step) in (1, 2, 5)
    assert ticks[0] <= low + room and ticks[-1] >= high - room
    assert 2 <= len(ticks) <= 10
    for index, tick in enumerate(ticks):
        assert tick == pytest.approx(ticks[0] + index * step, abs=room)
        assert tick / step == pytest.approx(round(tick / step), abs=1e-5)


@given(st.floats(min_value=1e-9, max_value=1e9), st.floats(min_value=0.01, max_value=1))
def test_tick_labels_read_back_as_the_ticks(high: float, share: float) -> None:
    ticks = round_ticks(high * (1 - share), high)
    labels, exponent = tick_labels(ticks)
    assert len(set(labels)) == len(ticks)
    for tick, label in zip(ticks, labels, strict=True):
        read = float(label.replace(",", "").replace("−", "-")) * 10.0**exponent
        assert read == pytest.approx(tick, rel=1e-6, abs=1e-15)


def test_ticks_by_hand() -> None:
    assert round_ticks(0, 12000) == [0, 2000, 4000, 6000, 8000, 10000, 12000]
    assert round_ticks(2.1, 9.01, count=4) == [2, 4, 6, 8, 10]
    assert round_ticks(3.0, 3.0)[0] < 3.0 < round_ticks(3.0, 3.0)[-1]
    assert tick_labels([0.0, 2e-4, 4e-4]) == (["0", "2", "4"], -4)
    assert tick_labels([-0.5, 0.0, 0.5]) == (["−0.5", "0.0", "0.5"], 0)


@given(st.lists(st.floats(min_value=-1e3, max_value=1e3), min_size=401, max_size=3000))
def test_thinned_curve_keeps_ends_extremes_and_order(ys: list[float]) -> None:
    points = [(float(x), y) for x, y in enumerate(ys)]
    kept = thin(points)
    assert 200 <= len(kept) <= 400
    assert kept[0] == points[0] and kept[-1] == points[-1]
    assert [x for x, _ in kept] == sorted({x for x, _ in kept})
    assert max(y for _, y in kept) == max(ys) and min(y for _, y in kept) == min(ys)
    assert set(kept) <= set(points)


def test_short_curve_is_not_thinned() -> None:
    points = [(float(x), 0.5 * x) for x in range(400)]
    assert thin(points) == points


def test_running_mean_of_a_constant_is_the_constant_and_of_noise_is_calmer() -> None:
    flat = [(float(x), 2.5) for x in range(200)]
    assert [y for _, y in running_mean(flat)] == pytest.approx([2.5] * 200)
    zigzag = [(float(x), (-1.0) ** x) for x in range(400)]
    assert max(abs(y) for _, y in running_mean(zigzag)) < 0.2


def test_pairs_with_a_value_that_is_no_number_are_dropped() -> None:
    ys = [1.0, math.nan, math.inf, None, "4", True, 7.0]
    assert finite_points(list(range(7)), ys) == [(0, 1.0), (6, 7.0)]
    assert not is_number(False) and is_number(0)


def test_numbers_are_spelled_for_readers() -> None:
    assert [spelled(value) for value in (1234567, 74321.4, 41.37, 9.0109, 0.25, 0.0003, 0, -2)] == [
        "1,234,567",
        "74,321",
        "41.37",
        "9.011",
        "0.2500",
        "3×10⁻⁴",
        "0",
        "−2",
    ]
    assert [duration(seconds) for seconds in (0.04, 59.96, 662, 7325)] == [
        "0.0 s",
        "1 min 0 s",
        "11 min 2 s",
        "2 h 2 min",
    ]
