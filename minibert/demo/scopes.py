"""What a name in Python source refers to, by the language's scoping rules.

A scope binds names: parameters, imports, functions, classes, variables. A name that is used is looked up in
its own scope, then in the functions around it (classes are passed over), then in the module, then among the
builtins. A name bound in several ways in one scope keeps its first role, but a parameter stays a parameter.

Left out: names made by star imports, `exec` or assignment to `globals()`: those have no role.
"""

import ast
import builtins

BUILTINS = frozenset(name for name in dir(builtins) if not name.startswith("_"))
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Scope:
    """The names that one module, class, function or comprehension binds."""

    def __init__(self, kind: str, outer: "Scope | None" = None) -> None:
        self.kind = kind
        self.outer = outer
        self.roles: dict[str, str] = {}
        self.elsewhere: dict[str, str] = {}  # name -> "global" or "nonlocal"

    def bind(self, name: str, role: str) -> None:
        """Give a name its role in this scope, or where `global` or `nonlocal` says that it lives."""
        declared = self.elsewhere.get(name)
        if declared is not None:
            target = self.module() if declared == "global" else self.enclosing(name)
            if target is not None:
                target.roles.setdefault(name, role)
        else:
            self.roles.setdefault(name, role)

    def look_up(self, name: str) -> str | None:
        """Find the role of a name that is used in this scope."""
        if self.elsewhere.get(name) == "global":
            return self.module().roles.get(name)
        if name in self.roles and name not in self.elsewhere:
            return self.roles[name]
        target = self.enclosing(name)
        if target is not None:
            return target.roles[name]
        return "builtin" if name in BUILTINS else None

    def enclosing(self, name: str) -> "Scope | None":
        """Find the scope outside this one that binds the name."""
        scope = self.outer
        while scope is not None and (scope.kind == "class" or name not in scope.roles):
            scope = scope.outer
        return scope

    def module(self) -> "Scope":
        """Go to the outermost scope."""
        return self if self.outer is None else self.outer.module()


def build_scopes(tree: ast.Module) -> dict[ast.AST, Scope]:
    """Map every node of a tree to the scope in which its names are looked up."""
    scopes: dict[ast.AST, Scope] = {}
    place(tree, Scope("module"), scopes)
    bind_all(tree, scopes)
    return scopes


def place(node: ast.AST, scope: Scope, scopes: dict[ast.AST, Scope]) -> None:
    """Note the scope of a node and of all below it, and open a new one where the language does."""
    scopes[node] = scope
    if isinstance(node, ast.Global | ast.Nonlocal):
        word = "global" if isinstance(node, ast.Global) else "nonlocal"
        scope.elsewhere.update(dict.fromkeys(node.names, word))
    inside = set(map(id, inner_parts(node)))
    inner = Scope(scope_kind(node), scope) if inside else scope
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.arguments):
            place_arguments(child, scope, inner, scopes)
        else:
            place(child, inner if id(child) in inside else scope, scopes)
    if isinstance(node, Comprehension):  # the first iterable is evaluated outside
        place(node.generators[0].iter, scope, scopes)
    if isinstance(node, ast.NamedExpr):  # `:=` in a comprehension binds outside of it
        while scope.kind == "comprehension" and scope.outer is not None:
            scope = scope.outer
        scopes[node.target] = scope


def place_arguments(
    arguments: ast.arguments, scope: Scope, inner: Scope, scopes: dict[ast.AST, Scope]
) -> None:
    """Put the parameters into the function's scope, their annotations and defaults around it."""
    scopes[arguments] = scope
    for child in ast.iter_child_nodes(arguments):
        place(child, scope, scopes)
        if isinstance(child, ast.arg):
            scopes[child] = inner


def inner_parts(node: ast.AST) -> list[ast.AST]:
    """List the children that stand in the scope which a node opens; none where it opens none."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [*node.body]
    if isinstance(node, ast.Lambda):
        return [node.body]
    if isinstance(node, Comprehension):
        return list(ast.iter_child_nodes(node))
    return []


def scope_kind(node: ast.AST) -> str:
    """Name the kind of scope that a node opens."""
    if isinstance(node, ast.ClassDef):
        return "class"
    return "comprehension" if isinstance(node, Comprehension) else "function"


def bind_all(tree: ast.Module, scopes: dict[ast.AST, Scope]) -> None:
    """Bind every name that the source binds."""
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.arg):
            scopes[node].bind(node.arg, "parameter")
    for node in sorted(nodes, key=lambda node: getattr(node, "lineno", 0)):
        for name, role in bindings(node):
            scopes[node].bind(name, role)


def bindings(node: ast.AST) -> list[tuple[str, str]]:
    """List the (name, role) that one node binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [(node.name, "function")]
    if isinstance(node, ast.ClassDef):
        return [(node.name, "class")]
    if isinstance(node, ast.Import):
        return [(alias.asname or alias.name.partition(".")[0], "module") for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(alias.asname or alias.name, "imported") for alias in node.names if alias.name != "*"]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
        return [(node.id, "variable")]
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        return [(node.name, "variable")]
    if isinstance(node, ast.MatchMapping) and node.rest:
        return [(node.rest, "variable")]
    return []
