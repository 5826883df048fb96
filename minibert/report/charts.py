"""Charts as inline SVG: curves, heat maps, bars and strips of dots.

A curve's picture has no fixed width. Heights are pixels and horizontal places are percentages of the plot,
so a chart fills a wide page or a telephone with letters of the same size; the labels stand in the padding
that the stylesheet leaves around the plot. Colours, dashes and fonts come from the stylesheet too.
Left out: zooming, logarithmic axes, more than four colours.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escape_markup

from minibert.report.numbers import (
    Points,
    finite_points,
    is_number,
    power_of_ten,
    round_ticks,
    running_mean,
    spelled,
    thin,
    tick_labels,
)

_LABEL_GAP = 16.0
_MANY_POINTS = 80


def escape(text: object) -> str:
    """Make any value safe as text or attribute of a page; drop characters that no page may contain."""
    known = str(text).encode("utf-8", "replace").decode("utf-8")
    kept = "".join(letter for letter in known if letter in "\n\t" or unicodedata.category(letter) != "Cc")
    return escape_markup(kept.replace("\ufffe", "").replace("\uffff", ""))


@dataclass(frozen=True)
class Curve:
    """A named line through points.

    dots   mark each point
    noisy  draw a long curve faintly, and its running mean over it
    """

    label: str
    xs: Sequence[object]
    ys: Sequence[object]
    dots: bool = False
    noisy: bool = False


@dataclass(frozen=True)
class Level:
    """A named horizontal line to compare curves with."""

    label: str
    value: float


@dataclass(frozen=True)
class _Plane:
    """Map data to percentages across and pixels down."""

    left: float
    right: float
    bottom: float
    top: float
    height: int

    def across(self, x: float) -> float:
        return round(100 * (x - self.left) / (self.right - self.left), 2)

    def down(self, y: float) -> float:
        return round(self.height * (self.top - y) / (self.top - self.bottom), 2)


def line_chart(
    title: str,
    curves: Sequence[Curve],
    *,
    x_label: str,
    y_label: str,
    levels: Sequence[Level] = (),
    height: int = 250,
) -> str:
    """Draw curves over one pair of axes, each labelled at its end; return "" where there is no point to draw.

    A curve of more than 400 points is thinned; a noisy one of more than 80 lies under its running mean.
    """
    drawn = [(curve, points) for curve in curves if (points := finite_points(curve.xs, curve.ys))]
    if not drawn:
        return ""
    levels = [level for level in levels if is_number(level.value)]
    xs = [x for _, points in drawn for x, _ in points]
    ys = [y for _, points in drawn for _, y in points] + [level.value for level in levels]
    y_ticks = round_ticks(min(ys), max(ys), count=4 if height > 150 else 2)
    left, right = _horizontal(min(xs), max(xs))
    x_ticks = round_ticks(left, right)
    plane = _Plane(left, right, y_ticks[0], y_ticks[-1], height)
    labels = [(level.label, level.value, "level") for level in levels]
    parts = [_axes(plane, x_ticks, y_ticks=y_ticks, x_label=x_label, y_label=y_label)]
    parts += [f'<line class="level" x1="0" x2="100%" y1="{y}" y2="{y}"/>' for y in _downs(plane, levels)]
    for index, (curve, points) in enumerate(drawn):
        parts.append(_curve(plane, curve, points=points, colour=f"series-{index % 4}"))
        labels.append((curve.label, _shown_line(curve, points)[-1][1], f"series-{index % 4}"))
    many = len(labels) > 1
    parts.append(_end_labels(plane, labels) if many else "")
    told = "; ".join(_told(curve.label, points) for curve, points in drawn)
    told += "".join(f"; {level.label}: {spelled(level.value)}" for level in levels)
    return (
        f'<div class="plot"><svg role="img" aria-label="{escape(title)}" width="100%" height="{height}">'
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc>{''.join(parts)}</svg></div>"
        + (_legend(labels) if many else "")
    )


def _horizontal(low: float, high: float) -> tuple[float, float]:
    if low >= high:
        ticks = round_ticks(low, high)
        return ticks[0], ticks[-1]
    # Steps are counted from one, but an axis of steps is read from zero.
    return (0.0 if 0 < low < 0.1 * high else low), high


def _downs(plane: _Plane, levels: Sequence[Level]) -> list[float]:
    return [plane.down(level.value) for level in levels]


def _told(label: str, points: Points) -> str:
    (first_x, first_y), (last_x, last_y) = points[0], points[-1]
    return f"{label}: {spelled(first_y)} at {spelled(first_x)}, {spelled(last_y)} at {spelled(last_x)}"


def _axes(
    plane: _Plane, x_ticks: Sequence[float], *, y_ticks: Sequence[float], x_label: str, y_label: str
) -> str:
    x_ticks = [tick for tick in x_ticks if plane.left <= tick <= plane.right]
    parts = []
    y_texts, y_power = tick_labels(y_ticks)
    for tick, text in zip(y_ticks, y_texts, strict=True):
        y = plane.down(tick)
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick y" x="0" y="{y}" dx="-8" dy=".32em">{text}</text>')
    x_power = 0
    if x_ticks:
        x_texts, x_power = tick_labels(x_ticks)
        for index, (tick, text) in enumerate(zip(x_ticks, x_texts, strict=True)):
            x = plane.across(tick)
            kind = "tick x second" if index % 2 else "tick x"
            parts.append(
                f'<line class="mark" x1="{x}%" x2="{x}%" y1="{plane.height}" y2="{plane.height + 5}"/>'
            )
            parts.append(f'<text class="{kind}" x="{x}%" y="{plane.height + 19}">{text}</text>')
    parts.append(f'<line class="axis" x1="0" x2="100%" y1="{plane.height}" y2="{plane.height}"/>')
    parts.append(f'<text class="name y" x="0" y="-14">{escape(_with_power(y_label, y_power))}</text>')
    name = escape(_with_power(x_label, x_power))
    parts.append(f'<text class="name x" x="100%" y="{plane.height + 38}">{name}</text>')
    return "".join(parts)


def _with_power(label: str, exponent: int) -> str:
    return f"{label}, in {power_of_ten(exponent)}" if exponent else label


def _shown_line(curve: Curve, points: Points) -> Points:
    return running_mean(points) if curve.noisy and len(points) > _MANY_POINTS else points


def _curve(plane: _Plane, curve: Curve, *, points: Points, colour: str) -> str:
    shown = _shown_line(curve, points)
    lines = [(points, "line")] if shown is points else [(points, "line faint"), (shown, "line mean")]
    parts = []
    for line, kind in lines:
        places = " ".join(f"{10 * plane.across(x):.6g},{plane.down(y):.6g}" for x, y in thin(line))
        parts.append(f'<polyline class="{kind} {colour}" points="{places}"/>')
    # Only the line is stretched with the page, by a picture inside the picture; dots stay round outside it.
    picture = (
        f'<svg class="stretched" viewBox="0 0 1000 {plane.height}" preserveAspectRatio="none" '
        f'width="100%" height="{plane.height}">{"".join(parts)}</svg>'
    )
    if curve.dots or len(points) == 1:
        picture += "".join(
            f'<circle class="dot {colour}" cx="{plane.across(x)}%" cy="{plane.down(y)}" r="3">'
            f"<title>{escape(_told_point(curve.label, (x, y)))}</title></circle>"
            for x, y in thin(points)
        )
    return picture


def _told_point(label: str, point: tuple[float, float]) -> str:
    x, y = point
    return f"{label}: {spelled(y)} at {spelled(x)}"


def _end_labels(plane: _Plane, labels: Sequence[tuple[str, float, str]]) -> str:
    ordered = sorted(labels, key=lambda entry: plane.down(entry[1]))
    places = spread([plane.down(value) for _, value, _ in ordered], gap=_LABEL_GAP, limit=plane.height - 6)
    return "".join(
        f'<text class="direct {kind}" x="100%" y="{place:.1f}" dx="9" dy=".32em">{escape(label)}</text>'
        for (label, _, kind), place in zip(ordered, places, strict=True)
    )


def spread(places: Sequence[float], *, gap: float, limit: float) -> list[float]:
    """Move sorted places apart until they are `gap` from each other, as far as may be below `limit`."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    ceiling = max(limit, gap * (len(moved) - 1))
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], ceiling)
        ceiling = moved[index] - gap
    return moved


def _legend(labels: Sequence[tuple[str, float, str]]) -> str:
    entries = "".join(
        '<li><svg aria-hidden="true" width="22" height="10">'
        f'<line class="swatch {kind}" x1="0" x2="22" y1="5" y2="5"/></svg>{escape(label)}</li>'
        for label, _, kind in labels
    )
    return f'<ul class="legend">{entries}</ul>'


def bar(fraction: float) -> str:
    """Draw a fraction, 0 to 1, as a bar in a track."""
    filled = round(100 * min(1.0, max(0.0, fraction)), 1)
    return (
        '<svg class="bar" aria-hidden="true" width="100%" height="8">'
        '<rect class="track" width="100%" height="8" rx="2"/>'
        f'<rect class="filled" width="{filled}%" height="8" rx="2"/></svg>'
    )


def strip(values: Sequence[float], *, low: float, high: float) -> str:
    """Draw single values as dots on a scale from `low` to `high`."""
    span = (high - low) or 1.0
    dots = "".join(
        f'<circle class="dot" cx="{4 + 92 * (value - low) / span:.1f}%" cy="6" r="3"/>' for value in values
    )
    return (
        '<svg class="strip" aria-hidden="true" width="100%" height="12">'
        f'<line class="grid" x1="0" x2="100%" y1="6" y2="6"/>{dots}</svg>'
    )
