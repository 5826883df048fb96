"""Texts whose tokens are shaded by what they add to an answer: for a page, and for a terminal.

Both begin with the same stretches: the whole text in order, each piece with its score, what lies between
tokens with none. Blue (32 in a terminal: green) speaks for the answer, red against it; the strongest piece
of a text has the strongest shade.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minibert.report.charts import escape
from minibert.report.numbers import is_number

FOR, AGAINST = "47, 111, 178", "190, 60, 50"
SHADES = (22, 28, 34, 40), (52, 88, 124, 160)  # of 256 terminal colours, dark to bright


def stretches(text: str, pieces: Iterable[tuple[int, int, float]]) -> list[tuple[str, float]]:
    """Cut a text at its pieces (start, end, score).

    Pieces of one place, such as bytes, are added up; one without characters goes to what stands behind it.

    >>> stretches("so good", [(0, 2, 0.1), (3, 5, 0.5), (5, 7, -0.2), (5, 7, 0.4)])
    [('so', 0.1), (' ', 0.0), ('go', 0.5), ('od', 0.2)]
    """
    found: list[tuple[str, float]] = []
    done, waiting = 0, 0.0
    for start, end, score in sorted(pieces):
        if start == end:
            waiting += score
            continue
        score, waiting = round(score + waiting, 12), 0.0
        if end <= done:
            found[-1] = (found[-1][0], round(found[-1][1] + score, 12))
            continue
        if start > done:
            found.append((text[done:start], 0.0))
        found.append((text[max(start, done) : end], score))
        done = end
    if waiting and found:
        found[-1] = (found[-1][0], round(found[-1][1] + waiting, 12))
    return [*found, (text[done:], 0.0)] if done < len(text) else found


def strongest(parts: Sequence[tuple[str, float]]) -> float:
    """Return the largest score, whatever its sign; 1 where all are zero."""
    return max((abs(score) for _, score in parts), default=0.0) or 1.0


def coloured(parts: Sequence[tuple[str, float]], largest: float) -> str:
    """Colour the background of a text's stretches with escape sequences for a terminal."""
    shown = []
    for text, score in parts:
        share = min(1.0, abs(score) / largest)
        shade = SHADES[score < 0][min(3, int(share * 4))]
        shown.append(f"\x1b[97;48;5;{shade}m{text}\x1b[0m" if share >= 0.1 else text)
    return "".join(shown)


def explanations(told: Sequence[Mapping[str, Any]]) -> str:
    """List texts with shaded tokens, the answer that is explained, and its score."""
    entries = "".join(
        f'<li><p class="quoted">{_shaded(entry["parts"])}</p><p class="verdict">'
        f"<b>{escape(entry['label'])}</b>{_score(entry)}</p></li>"
        for entry in told
    )
    note = (
        '<p class="note">Blue speaks for the answer, red against it; point at a piece for its number. '
        "The pieces sum to the score, less that of a text that says nothing.</p>"
    )
    return f'<ol class="texts">{entries}</ol>{note}' if entries else ""


def _shaded(parts: Sequence[tuple[str, float]]) -> str:
    largest = strongest(parts)
    drawn = []
    for text, score in parts:
        shade = 0.75 * min(1.0, abs(score) / largest) if is_number(score) else 0.0
        colour = FOR if score > 0 else AGAINST
        style = f' style="background: rgba({colour}, {shade:.3f})"' if shade > 0.01 else ""
        drawn.append(f'<span title="{score:+.4f}"{style}>{escape(text)}</span>' if score else escape(text))
    return "".join(drawn)


def _score(entry: Mapping[str, Any]) -> str:
    value, nothing = entry.get("value"), entry.get("nothing")
    if not (is_number(value) and is_number(nothing)):
        return ""
    return f' <span class="probability">{value:+.3f}, a text that says nothing {nothing:+.3f}</span>'
