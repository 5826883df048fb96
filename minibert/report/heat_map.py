"""A matrix as a heat map in inline SVG: shaded cells, printed values, labels that turn where they are long.

It has its own size in pixels, so the page scrolls it sideways where the screen is narrower.
Left out: a colour bar; the shade's meaning belongs into the caption.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from minibert.report.charts import escape
from minibert.report.numbers import is_number
from minibert.tasks.metrics import width_of

_LETTER = 6.9
_LONGEST = 18
_SLOPE = 0.72


@dataclass(frozen=True)
class Cell:
    """One cell: its shade, 0 (paper) to 1 (ink), what is printed in it, what it tells when pointed at."""

    shade: float
    text: str = ""
    told: str = ""


def heat_map(
    title: str,
    cells: Sequence[Sequence[Cell]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    row_name: str,
    column_name: str,
    size: int = 40,
) -> str:
    """Draw cells of `size` pixels under column labels and beside row labels; return "" where there are none.

    A row with fewer cells than there are columns ends early.
    """
    if not any(cells):
        return ""
    left = max(_width(row_name), *(_width(label) for label in rows)) + 14
    turned = max(_width(label) for label in columns) > size - 4
    longest = max(_width(label) for label in columns)
    top = 26 + (longest * _SLOPE + 10 if turned else 16)
    right = longest * _SLOPE if turned else 4
    width = round(left + len(columns) * size + max(right, _width(column_name) - len(columns) * size))
    height = round(top + len(rows) * size + 4)
    parts = [
        f'<text class="name x-start" x="{left:.0f}" y="13">{escape(column_name)}</text>',
        f'<text class="name x" x="{left - 8:.0f}" y="{top - 8:.0f}">{escape(row_name)}</text>',
    ]
    for index, label in enumerate(columns):
        parts.append(_column_label(label, x=left + (index + 0.5) * size, y=top - 8, turned=turned))
    for index, (label, row) in enumerate(zip(rows, cells, strict=True)):
        y = top + index * size
        parts.append(_label(label, "row", place=f'x="{left - 8:.0f}" y="{y + size / 2:.1f}" dy=".32em"'))
        for place, cell in enumerate(row[: len(columns)]):
            parts.append(_cell(cell, x=left + place * size, y=y, size=size))
    return (
        f'<div class="matrix"><svg role="img" aria-label="{escape(title)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><title>{escape(title)}</title>{"".join(parts)}</svg></div>'
    )


def _width(label: str) -> float:
    return _LETTER * width_of(_shortened(label))


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"


def _column_label(label: str, *, x: float, y: float, turned: bool) -> str:
    if turned:
        return _label(label, "column turned", place=f'transform="translate({x + 3:.1f} {y:.1f}) rotate(-46)"')
    return _label(label, "column", place=f'x="{x:.1f}" y="{y:.1f}"')


def _label(label: str, kind: str, *, place: str) -> str:
    shown = _shortened(label)
    full = f"<title>{escape(label)}</title>" if shown != label else ""
    return f'<text class="label {kind}" {place}>{escape(shown)}{full}</text>'


def _cell(cell: Cell, *, x: float, y: float, size: int) -> str:
    shade = min(1.0, max(0.0, cell.shade)) if is_number(cell.shade) else 0.0
    told = f"<title>{escape(cell.told)}</title>" if cell.told else ""
    drawn = (
        f'<rect class="cell" x="{x + 1:.1f}" y="{y + 1:.1f}" width="{size - 2}" height="{size - 2}" '
        f'fill-opacity="{0.05 + 0.95 * shade:.3f}">{told}</rect>'
    )
    if cell.text:
        tone = "value dark" if shade > 0.5 else "value"
        drawn += (
            f'<text class="{tone}" x="{x + size / 2:.1f}" y="{y + size / 2:.1f}" dy=".34em">'
            f"{escape(cell.text)}</text>"
        )
    return drawn
