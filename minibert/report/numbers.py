"""Numbers as a reader wants them: round ticks, thinned curves, and figures spelled with units.

Values that are not finite (a loss that overflowed, a missing entry) count as absent everywhere.
Left out: logarithmic and time axes.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeGuard

Points = list[tuple[float, float]]

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def is_number(value: object) -> TypeGuard[int | float]:
    """Say whether a value is a finite number; True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def finite_points(xs: Sequence[object], ys: Sequence[object]) -> Points:
    """Pair the coordinates and drop each pair that has a value missing or not finite."""
    return [(x, y) for x, y in zip(xs, ys, strict=False) if is_number(x) and is_number(y)]


def round_ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Return about `count` steps of 1, 2 or 5 times a power of ten, whose multiples enclose [low, high].

    >>> round_ticks(0.3, 9.1)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    scale = max(abs(low), abs(high))
    if high - low <= 1e-9 * scale or high <= low:
        # A flat curve still needs an axis: show it in the middle of some room.
        room = 0.5 * scale or 1.0
        low, high = low - room, high + room
    rough = (high - low) / count
    power = math.floor(math.log10(rough))
    factor = next(
        factor for factor, below in ((1, 1.5), (2, 3.5), (5, 7.5), (10, 11.0)) if rough < below * 10.0**power
    )
    step = factor * 10.0**power
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, max(0, -power)) for index in range(first, last + 1)]


def tick_labels(ticks: Sequence[float]) -> tuple[list[str], int]:
    """Spell ticks with as many decimals as their step needs, and return the power of ten taken out."""
    largest = max(abs(tick) for tick in ticks)
    exponent = 0 if 0.01 <= largest < 1e6 or largest == 0 else math.floor(math.log10(largest))
    step = min((b - a for a, b in pairwise(ticks)), default=1.0)
    decimals = max(0, exponent - math.floor(math.log10(step) + 1e-9))
    labels = [f"{tick / 10.0**exponent:,.{decimals}f}".replace("-", "−") for tick in ticks]
    return labels, exponent


def power_of_ten(exponent: int) -> str:
    """Spell 10 to the power of `exponent`.

    >>> power_of_ten(-4)
    '10⁻⁴'
    """
    return "10" + str(exponent).translate(_SUPERSCRIPTS)


def thin(points: Points, *, limit: int = 400) -> Points:
    """Keep at most `limit` points: both ends, and the lowest and the highest of each stretch between."""
    if len(points) <= limit:
        return points
    inner, stretches = points[1:-1], (limit - 2) // 2
    kept = [points[0]]
    for index in range(stretches):
        stretch = range(index * len(inner) // stretches, (index + 1) * len(inner) // stretches)
        lowest = min(stretch, key=lambda at: inner[at][1])
        highest = max(stretch, key=lambda at: inner[at][1])
        kept += [inner[at] for at in sorted({lowest, highest})]
    return [*kept, points[-1]]


def running_mean(points: Points) -> Points:
    """Average each value with its neighbours, a fortieth of the curve in all; the ends see one side."""
    half = max(1, len(points) // 80)
    sums = [0.0]
    for _, y in points:
        sums.append(sums[-1] + y)
    smoothed = []
    for index, (x, _) in enumerate(points):
        start, end = max(0, index - half), min(len(points), index + half + 1)
        smoothed.append((x, (sums[end] - sums[start]) / (end - start)))
    return smoothed


def spelled(value: float) -> str:
    """Spell a number with four significant digits, integers in full.

    >>> spelled(81234), spelled(2.14159), spelled(0.0003)
    ('81,234', '2.142', '3×10⁻⁴')
    """
    size = abs(value)
    if isinstance(value, int) or size >= 1000:
        text = f"{value:,.0f}"
    elif size >= 0.001 or size == 0:
        text = f"{value:.{max(0, 3 - math.floor(math.log10(size))) if size >= 1 else 4}f}"
    else:
        exponent = math.floor(math.log10(size))
        return f"{value / 10.0**exponent:.3g}×{power_of_ten(exponent)}".replace("-", "−")
    return text.replace("-", "−")


def duration(seconds: float) -> str:
    """Spell a time with its two largest units.

    >>> duration(3.21), duration(245), duration(5400)
    ('3.2 s', '4 min 5 s', '1 h 30 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def percent(fraction: float) -> str:
    """Spell a fraction as a percentage with one decimal."""
    return f"{fraction:.1%}"
