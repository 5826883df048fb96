"""A few lines of a function with the role of each name in them: the rows of the demo's tagging task.

A row is the header of a function and up to five consecutive lines of its body, the rest folded away: without
the header nobody could tell a parameter from a variable. Docstrings and comment lines are dropped, statements
are never torn apart. Left out: code outside functions, rows with few names, and statements that are longer
than a row.
"""

import ast
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from minibert.demo.roles import NamedRole, name_roles, tokens_of

MOST_HEADER_LINES = 3
MOST_LINES = 5  # of the body
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

    [snippet.text for snippet in cut_snippets("def area(width, height):\n    return width * height")]
    """
    try:
        tree, tokens = ast.parse(source), tokens_of(source)
        roles = name_roles(source, tokens)
    except (SyntaxError, tokenize.TokenError):
        return
    of_line: dict[int, list[NamedRole]] = {}
    for role in roles:
        of_line.setdefault(role.line, []).append(role)
    lines = source.split("\n")
    headers = function_headers(tree)
    for first, last in line_groups(list(statement_lines(tokens)), lines, headers):
        header = headers[first]
        numbers = [*range(header[0], header[1] + 1), *range(first, last + 1)]
        if sum(len(of_line.get(number, ())) for number in numbers) >= FEWEST_NAMES:
            folded = refit(lines[header[0] - 1 : header[1]], "") + refit(lines[first - 1 : last], "    ")
            yield make_snippet(folded, numbers, lines, of_line)


def function_headers(tree: ast.Module) -> dict[int, tuple[int, int]]:
    """Map each line of a function's body to the first and last line of that (innermost) function's header."""
    headers: dict[int, tuple[int, int]] = {}
    for node in ast.walk(tree):  # outer functions come before those inside them
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            start = node.body[0].lineno
            if isinstance(node.body[0], ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                start = min([start, *(decorator.lineno for decorator in node.body[0].decorator_list)])
            ends = [
                part.end_lineno or 0 for part in ast.walk(node.args) if isinstance(part, ast.arg | ast.expr)
            ]
            end = max([node.lineno, *ends, *([node.returns.end_lineno or 0] if node.returns else [])])
            for line in range(start, (node.end_lineno or start) + 1):
                headers[line] = (node.lineno, end)
    return headers


def refit(lines: list[str], margin: str) -> list[str]:
    """Replace the common indentation of lines by a margin."""
    return [margin + line if line else line for line in textwrap.dedent("\n".join(lines)).split("\n")]


def make_snippet(
    folded: list[str], numbers: list[int], lines: list[str], of_line: dict[int, list[NamedRole]]
) -> Snippet:
    """Join lines, whose numbers in the source are given, and count columns in the new text."""
    spans: list[tuple[int, int]] = []
    roles: list[str] = []
    start = 0
    for number, line in zip(numbers, folded, strict=True):
        shift = start + len(line) - len(lines[number - 1])
        for name in of_line.get(number, ()):
            spans.append((shift + name.column, shift + name.column + len(name.name)))
            roles.append(name.role)
        start += len(line) + 1
    return Snippet("\n".join(folded), tuple(spans), tuple(roles))


def line_groups(
    statements: list[tuple[int, int]], lines: list[str], headers: dict[int, tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Join neighbouring statements of one function to (first line, last line) that fit with its header."""
    group: tuple[int, int] | None = None
    for first, last in statements:
        header = headers.get(first)
        # outside functions, or all on the line of the header
        if header is None or header[0] <= first <= header[1]:
            continue
        if group and group[1] + 1 == first and headers[group[0]] == header:
            joined = (group[0], last)
            if fits(lines, joined, header):
                group = joined
                continue
        if group:
            yield group
        group = (first, last) if fits(lines, (first, last), header) else None
    if group:
        yield group


def fits(lines: list[str], group: tuple[int, int], header: tuple[int, int]) -> bool:
    """Tell whether lines are few and short enough for a snippet."""
    (first, last), (top, bottom) = group, header
    characters = sum(len(line.strip()) for line in lines[first - 1 : last] + lines[top - 1 : bottom])
    return last - first < MOST_LINES and bottom - top < MOST_HEADER_LINES and characters <= MOST_CHARACTERS


def statement_lines(tokens: list[tokenize.TokenInfo]) -> Iterator[tuple[int, int]]:
    """Yield the first and last line of every statement or header; strings that stand alone are skipped."""
    statement: list[tokenize.TokenInfo] = []
    layout = (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    for token in tokens:
        if token.type == tokenize.NEWLINE:
            if any(part.type != tokenize.STRING for part in statement):
                yield statement[0].start[0], statement[-1].end[0]
            statement = []
        elif token.type not in layout:
            statement.append(token)
