"""A printed number stands for all numbers that round to it: the interval that it may have come from.

In text, 0.98 has two decimals and 0.980 three. JSON and spreadsheets drop zeros at the end, so there the
longest number says how exact all of them are.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minibert.errors import InputError

NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?%?|nan", re.IGNORECASE)
FINEST = 1e-9  # what floating point may have lost on the way
Cells = Mapping[str, str]


@dataclass(frozen=True)
class Printed:
    """A number as it was printed, and the numbers low..high that may have been meant; nan is undefined."""

    text: str
    value: float
    low: float
    high: float

    @property
    def undefined(self) -> bool:
        return math.isnan(self.value)


def printed(text: str, *, where: str = "report") -> Printed:
    """Return a number with all that it may have been rounded from.

    >>> printed("0.97")
    Printed(text='0.97', value=0.97, low=0.965, high=0.975)
    """
    if not NUMBER.fullmatch(text):
        raise InputError(f"{where}: {text!r} is no number such as 0.97 or 97%")
    if text.lower() == "nan":
        return Printed(text, math.nan, math.nan, math.nan)
    scale = 100 if text.endswith("%") else 1
    value = float(text.rstrip("%")) / scale
    half = max(0.5 * 10.0 ** -_decimals(text) / scale, FINEST)
    return Printed(text, value, round(value - half, 12), round(value + half, 12))


def _decimals(text: str) -> int:
    digits, _, power = text.rstrip("%").lower().partition("e")
    return len(digits.partition(".")[2]) - int(power or 0)


def equally_exact(rows: Sequence[tuple[str, Cells]]) -> list[tuple[str, Cells]]:
    """Write the zeros back that JSON and spreadsheets drop at the end of a number."""
    ratios = [cell for _, cells in rows for column, cell in cells.items() if column != "support"]
    places = max((_decimals(cell) for cell in ratios if re.fullmatch(r"\d*\.\d+", cell)), default=0)
    return [
        (
            name,
            {
                column: cell if column == "support" else _padded(cell, places)
                for column, cell in cells.items()
            },
        )
        for name, cells in rows
    ]


def _padded(cell: str, places: int) -> str:
    if not re.fullmatch(r"\d+|\d*\.\d*", cell) or _decimals(cell) >= places:
        return cell
    return (cell if "." in cell else cell + ".") + "0" * (places - _decimals(cell))
