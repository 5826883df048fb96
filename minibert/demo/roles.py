"""The role of every name in Python source, with its exact place: the labels of the demo's tagging task.

The roles: function, class, parameter, variable, module, imported (taken from a module), builtin, attribute
(after a dot) and keyword (the name of an argument in a call or pattern). They are exact, since the syntax
tree and the scoping rules decide them, yet a few lines cut from a file do not always show them, and the same
word has different roles in different places.

The syntax tree counts columns in bytes of UTF-8 and gives many names no position of their own; the tokenizer
counts characters and knows every word. So each name is looked up among the tokens that its node covers. Left
out: names inside f-strings, whose positions are not reliable before Python 3.12, and names that no rule
resolves.
"""

import ast
import io
import tokenize
import unicodedata
from bisect import bisect_left
from dataclasses import dataclass

from minibert.demo.scopes import Scope, build_scopes

ROLES = (
    "function", "class", "parameter", "variable", "module", "imported", "builtin", "attribute", "keyword",
)  # fmt: skip
Place = tuple[int, int]  # (line from 1, column from 0 in characters)


@dataclass(frozen=True)
class NamedRole:
    """A name that starts at (line, column) and what it is."""

    line: int
    column: int
    name: str
    role: str


class Words:
    """The words of a source file in order, found by place."""

    def __init__(self, source: str, tokens: list[tokenize.TokenInfo]) -> None:
        self.lines = source.split("\n")
        self.words = [(token.start, token.string) for token in tokens if token.type == tokenize.NAME]
        self.starts = [start for start, _ in self.words]

    def place(self, line: int, byte_column: int) -> Place:
        """Turn a column in bytes into one in characters."""
        text = self.lines[line - 1]
        if text.isascii():
            return line, byte_column
        return line, len(text.encode()[:byte_column].decode(errors="ignore"))

    def covered(self, node: ast.AST) -> list[tuple[Place, str]]:
        """List the words that a node covers."""
        first = self.place(node.lineno, node.col_offset)  # type: ignore[attr-defined]
        last = self.place(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
        return self.words[bisect_left(self.starts, first) : bisect_left(self.starts, last)]


def tokens_of(source: str) -> list[tokenize.TokenInfo]:
    """Cut a source text into tokens."""
    return list(tokenize.generate_tokens(io.StringIO(source).readline))


def name_roles(source: str, tokens: list[tokenize.TokenInfo]) -> list[NamedRole]:
    """Find the names of a source text and their roles, in order.

        name_roles("import os", tokens_of("import os"))    # [NamedRole(1, 7, "os", "module")]

    Raises SyntaxError where the text is no Python.
    """
    tree = ast.parse(source)
    words, scopes = Words(source, tokens), build_scopes(tree)
    hidden = {id(inner) for node in ast.walk(tree) if is_template(node) for inner in ast.walk(node)}
    found: dict[Place, NamedRole] = {}
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        for (place, word), name, role in named(node, words, scopes[node]):
            if role is not None and unicodedata.normalize("NFKC", word) == name:
                found[place] = NamedRole(*place, word, role)
    return [found[place] for place in sorted(found)]


def is_template(node: ast.AST) -> bool:
    """Tell whether a node is an f-string or, from Python 3.14, a t-string."""
    return type(node).__name__ in ("JoinedStr", "TemplateStr")


Named = list[tuple[tuple[Place, str], str, str | None]]


def named(node: ast.AST, words: Words, scope: Scope) -> Named:
    """List (word with its place, name, role) of the names that stand in the node itself."""
    if isinstance(node, ast.Name):
        return [(word, node.id, scope.look_up(node.id)) for word in words.covered(node)[:1]]
    if isinstance(node, ast.Attribute):
        return [(word, node.attr, "attribute") for word in words.covered(node)[-1:]]
    if isinstance(node, ast.arg):
        return [(word, node.arg, "parameter") for word in words.covered(node)[:1]]
    if isinstance(node, ast.keyword) and node.arg is not None:
        return [(word, node.arg, "keyword") for word in words.covered(node)[:1]]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return definition(node, words)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return imports(node, words)
    if isinstance(node, ast.Global | ast.Nonlocal):
        return [(word, word[1], scope.look_up(word[1])) for word in words.covered(node)[1:]]
    if isinstance(node, ast.ExceptHandler) and node.name is not None:
        return handler(node, words, scope)
    return pattern(node, words, scope)


def definition(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, words: Words) -> Named:
    """Find the name that follows `def` or `class`."""
    place = 2 if isinstance(node, ast.AsyncFunctionDef) else 1
    role = "class" if isinstance(node, ast.ClassDef) else "function"
    return [(word, node.name, role) for word in words.covered(node)[place : place + 1]]


def imports(node: ast.Import | ast.ImportFrom, words: Words) -> Named:
    """Give a role to the modules of an import, the names taken from them and the names given to them."""
    role = "module" if isinstance(node, ast.Import) else "imported"
    found: Named = []
    if isinstance(node, ast.ImportFrom):
        path = [word for word in words.covered(node)[1:] if word[0] < words.place(*start_of(node.names[0]))]
        found = [(word, word[1], "module") for word in path[:-1]]  # the last one is `import`
    for alias in node.names:
        covered = words.covered(alias)
        named_anew = 1 if alias.asname is not None else 0
        parts = covered[: len(covered) - 2 * named_anew] + covered[len(covered) - named_anew :]
        found += [(word, word[1], role) for word in parts]
    return found


def start_of(node: ast.alias) -> Place:
    """Give the line and the column in bytes at which an alias starts."""
    return node.lineno, node.col_offset


def handler(node: ast.ExceptHandler, words: Words, scope: Scope) -> Named:
    """Find the name after `as`: the last word before the body of an except clause."""
    first = words.place(node.body[0].lineno, node.body[0].col_offset)
    head = [word for word in words.covered(node) if word[0] < first]
    at = [word for _, word in head].index("as", 1)
    return [(head[at + 1], str(node.name), scope.look_up(str(node.name)))]


def pattern(node: ast.AST, words: Words, scope: Scope) -> Named:
    """Find the names that a pattern of `match` captures, and the keywords of a class pattern."""
    if isinstance(node, ast.MatchAs | ast.MatchStar) and node.name is not None:
        return [(word, node.name, scope.look_up(node.name)) for word in words.covered(node)[-1:]]
    if isinstance(node, ast.MatchMapping) and node.rest is not None:
        return [(word, node.rest, scope.look_up(node.rest)) for word in words.covered(node)[-1:]]
    if isinstance(node, ast.MatchClass):
        inside = {
            word for inner in [node.cls, *node.patterns, *node.kwd_patterns] for word in words.covered(inner)
        }
        own = [word for word in words.covered(node) if word not in inside]
        return [(word, word[1], "keyword") for word in own]
    return []
