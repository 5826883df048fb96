"""Bars that compare numbers with one, as a picture that any browser shows.

Colours and fonts are those of the other pictures in docs/images.
"""

from collections.abc import Sequence
from html import escape

WIDTH, LEFT, RIGHT, ROW, TOP = 760, 350, 70, 30, 64
FONT = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
INK, QUIET, PAPER, EDGE = "#2b2f38", "#6b6f78", "#faf8f3", "#d9d3c5"
AHEAD, BEHIND = "#3a6ea5", "#c06a1f"


def bars(title: str, rows: Sequence[tuple[str, float]], note: str) -> str:
    """Draw a bar for each (label, number); a line marks 1, and bars below it have another colour."""
    height = TOP + ROW * len(rows) + 26
    longest = max([1.0, *(value for _, value in rows)])
    scale = (WIDTH - LEFT - RIGHT) / longest
    one = LEFT + scale
    bottom = TOP + ROW * len(rows) + 4
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" font-family="{FONT}" font-size="14" fill="{INK}">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape('; '.join(f'{label}: {value:.2f}' for label, value in rows))}</desc>",
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10" fill="{PAPER}" '
        f'stroke="{EDGE}"/>',
        f'<text x="20" y="28" font-weight="600">{escape(title)}</text>',
        f'<text x="20" y="48" font-size="12" fill="{QUIET}">{escape(note)}</text>',
    ]
    for number, (label, value) in enumerate(rows):
        y = TOP + ROW * number
        colour = AHEAD if value >= 1 else BEHIND
        end = LEFT + value * scale
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 19}" text-anchor="end" font-size="13">{escape(label)}</text>',
            f'<rect x="{LEFT}" y="{y + 5}" width="{value * scale:.1f}" height="20" rx="3" fill="{colour}"/>',
            f'<text x="{end + 7:.1f}" y="{y + 20}" font-size="13">{value:.2f}</text>',
        ]
    parts += [
        f'<line x1="{one:.1f}" x2="{one:.1f}" y1="{TOP - 4}" y2="{bottom}" stroke="{INK}" '
        'stroke-dasharray="3 3"/>',
        f'<text x="{one:.1f}" y="{bottom + 14}" text-anchor="middle" font-size="11" fill="{QUIET}">'
        "as fast</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
