"""Every role and position checked by hand; scopes also against the interpreter's own `symtable`."""

import ast
import symtable
import sys
import sysconfig
from pathlib import Path

import pytest

from minibert.demo.roles import name_roles, tokens_of
from minibert.demo.scopes import build_scopes
from minibert.demo.snippets import cut_snippets


def roles(source: str) -> str:
    """List the names as word:role, after checking that each stands where it is said to stand."""
    lines = source.split("\n")
    found = name_roles(source, tokens_of(source))
    for role in found:
        assert lines[role.line - 1][role.column :].startswith(role.name)
    return " ".join(f"{role.name}:{role.role}" for role in found)


CASES = {
    "import os.path as p, sys": "os:module path:module p:module sys:module",
    "from ..a.b import c as d, e": "a:module b:module c:imported d:imported e:imported",
    "from . import f": "f:imported",
    "from m import *\nx": "m:module",
    "async def go(a, /, *b, c=len, **d): pass": (
        "go:function a:parameter b:parameter c:parameter len:builtin d:parameter"
    ),
    "class A(B, metaclass=M): pass\nA()": "A:class metaclass:keyword A:class",
    "import w\n@w.f\ndef g(): g()": "w:module w:module f:attribute g:function g:function",
    "def f(x):\n    y = x\n    return lambda z: (x, y, z)": (
        "f:function x:parameter y:variable x:parameter z:parameter x:parameter y:variable z:parameter"
    ),
    "n = 1\ndef f():\n    global n\n    n = 2": "n:variable f:function n:variable n:variable",
    "try: pass\nexcept (OSError, KeyError) as e: e.x": (
        "OSError:builtin KeyError:builtin e:variable e:variable x:attribute"
    ),
    "class K:\n    a = 1\n    def m(self): return a": "K:class a:variable m:function self:parameter",
    "def f(v): return [v for v in v if (w := v)], w": (
        "f:function v:parameter v:variable v:variable v:parameter w:variable v:variable w:variable"
    ),
    "def f(s):\n match s:\n  case P(k=q, r=[*t]) | {'u': 1, **v} as z: pass": (
        "f:function s:parameter s:parameter k:keyword q:variable r:keyword t:variable v:variable z:variable"
    ),
    "def f(é): return 'ü', é.ö(ñ=é)": (
        "f:function é:parameter é:parameter ö:attribute ñ:keyword é:parameter"
    ),
    "def f(a):\n    return f'{a.b}', a": "f:function a:parameter a:parameter",
    "def f(a): a . b . c": "f:function a:parameter a:parameter b:attribute c:attribute",
    "def o():\n    c = 0\n    def i():\n        nonlocal c\n        c += 1": (
        "o:function c:variable i:function c:variable c:variable"
    ),
    "def f(a: int = a) -> str: pass": "f:function a:parameter int:builtin str:builtin",
}


@pytest.mark.parametrize("source", CASES, ids=range(len(CASES)))
def test_every_name_has_its_role_and_its_place(source: str) -> None:
    assert roles(source) == CASES[source]


def test_columns_are_characters_where_bytes_differ() -> None:
    (value, strip, amount) = name_roles(source := "x = 'ä€𝄞'; x.ß(n=1)", tokens_of(source))[1:4]
    assert [(role.column, role.name) for role in (value, strip, amount)] == [(11, "x"), (13, "ß"), (15, "n")]


def comprehended(function: ast.FunctionDef) -> set[str]:
    """Return the names that comprehensions in a function bind."""
    generators = [node for node in ast.walk(function) if isinstance(node, ast.comprehension)]
    names = [name for generator in generators for name in ast.walk(generator.target)]
    return {name.id for name in names if isinstance(name, ast.Name)}


@pytest.mark.parametrize("module", ["json/decoder", "textwrap", "contextlib", "enum"])
def test_parameters_and_imports_agree_with_the_interpreter(module: str) -> None:
    source = Path(sysconfig.get_paths()["stdlib"], f"{module}.py").read_text(encoding="utf-8")
    functions: dict[tuple[str, int], symtable.SymbolTable] = {}

    def walk(table: symtable.SymbolTable) -> None:
        functions[table.get_name(), table.get_lineno()] = table
        for child in table.get_children():
            walk(child)

    walk(symtable.symtable(source, module, "exec"))
    tree = ast.parse(source)
    scopes, compared = build_scopes(tree), 0
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.decorator_list or node.name.startswith("__"):
            continue
        scope, table = scopes[node.body[0]], functions[node.name, node.lineno]
        assert {name for name, role in scope.roles.items() if role == "parameter"} == set(
            table.get_parameters()
        )
        inlined = comprehended(node) if sys.version_info >= (3, 12) else set()  # PEP 709
        assert set(scope.roles) - inlined == set(table.get_locals()) - inlined
        compared += 1
    assert compared > 2


def test_a_snippet_is_a_header_and_lines_of_its_body_with_exact_spans() -> None:
    source = (
        "class A:\n"
        "    def move(self, dx,\n"
        "             dy=0):\n"
        '        """Docstring."""\n'
        "        # a comment\n"
        "        if dx:\n"
        "            self.x += dx  # 'é'\n"
        "\n"
        "        return Point(self.x, dy)\n"
    )
    first, second = cut_snippets(source)
    header = "def move(self, dx,\n         dy=0):\n"
    assert first.text == header + "    if dx:\n        self.x += dx  # 'é'"
    assert second.text == header + "    return Point(self.x, dy)"
    words = [second.text[start:end] for start, end in second.spans]
    assert " ".join(words) == "move self dx dy self x dy"
    assert second.roles == (
        "function", "parameter", "parameter", "parameter", "parameter", "attribute", "parameter",
    )  # fmt: skip


def test_source_that_is_no_python_gives_no_snippets() -> None:
    assert list(cut_snippets("def broken(:\n")) == []
