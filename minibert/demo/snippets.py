"""A few consecutive lines of code with the role of each name in them: the rows of the demo's tagging task.

A row is up to six lines of a function or class, header and statements, without comments of their own line and without docstrings.
Statements are never torn apart. Left out: rows with few names, and statements that are longer than a row.
"""

import io
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from minibert.demo.roles import NamedRole, name_roles

MOST_LINES = 6
MOST_CHARACTERS = 300
FEWEST_NAMES = 4


@dataclass(frozen=True)
class Snippet:
    """Lines of code, the span of each name in characters of `text`, and its role."""

    text: str
    spans: tuple[tuple[int, int], ...]
    roles: tuple[str, ...]


def cut_snippets(source: str) -> Iterator[Snippet]:
    """Cut a source text into snippets; nothing where it is no Python.

        [snippet.text for snippet in cut_snippets("def area(width, height):\\n    return width * height")]
    """
    try:
        roles = name_roles(source)
    except (SyntaxError, tokenize.TokenError):
        return
    of_line: dict[int, list[NamedRole]] = {}
    for role in roles:
        of_line.setdefault(role.line, []).append(role)
    lines = source.split("\n")
    for first, last in line_groups(source, lines):
        names = [role for line in range(first, last + 1) for role in of_line.get(line, [])]
        if len(names) >= FEWEST_NAMES:
            yield make_snippet(lines[first - 1 : last], names, first)


def make_snippet(lines: list[str], names: list[NamedRole], first: int) -> Snippet:
    """Take the common indentation away and count the columns of the names in the text that is left."""
    text = textwrap.dedent("\n".join(lines))
    kept = text.split("\n")
    starts = [0]
    for line in kept:
        starts.append(starts[-1] + len(line) + 1)
    spans = []
    for name in names:
        row = name.line - first
        start = starts[row] + name.column - (len(lines[row]) - len(kept[row]))
        spans.append((start, start + len(name.name)))
    return Snippet(text, tuple(spans), tuple(name.role for name in names))


def line_groups(source: str, lines: list[str]) -> Iterator[tuple[int, int]]:
    """Join neighbouring statements to (first line, last line), both counted from 1, that fit a snippet."""
    group: tuple[int, int] | None = None
    for first, last in statement_lines(source):
        joined = (group[0], last) if group and group[1] + 1 == first else None
        if joined and fits(lines, joined):
            group = joined
            continue
        if group:
            yield group
        group = (first, last) if fits(lines, (first, last)) else None
    if group:
        yield group


def fits(lines: list[str], group: tuple[int, int]) -> bool:
    """Tell whether lines are few and short enough for a snippet."""
    first, last = group
    return last - first < MOST_LINES and sum(map(len, lines[first - 1 : last])) <= MOST_CHARACTERS


def statement_lines(source: str) -> Iterator[tuple[int, int]]:
    """Yield the first and last line of every statement or header; strings that stand alone are skipped."""
    statement: list[tokenize.TokenInfo] = []
    layout = (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NEWLINE:
            if any(part.type != tokenize.STRING for part in statement):
                yield statement[0].start[0], statement[-1].end[0]
            statement = []
        elif token.type not in layout:
            statement.append(token)
