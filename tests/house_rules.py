"""The rules of the house, as functions from source text to a list of broken ones.

The floors and the limits are those of docs/design.md and CONTRIBUTING.md. Nothing here imports minibert:
the rules read the syntax tree, so they also see what is imported inside a function. What no syntax tree
shows (good names, comments that say why) stays with the reader.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

HOUSE = {
    9: ("__main__", "cli", "commands", "demo"),
    8: ("pretrain", "finetune", "further", "tune", "checkup", "few_labels"),
    7: ("report", "inspect", "attribution", "doctor", "output", "embedding"),
    6: ("training", "adapt", "interop", "evaluation"),
    5: ("tasks",),
    4: ("data", "checkpoint"),
    3: ("model",),
    2: ("kernels",),
    1: ("packed", "distributed"),
    0: ("config", "errors", "version", "allocator", "durable", "text", "data.examples", "data.fields"),
}
FLOORS = {f"minibert.{name}": floor for floor, names in HOUSE.items() for name in names}
# Neighbours on one floor that may see each other, in this direction only.
SAME_FLOOR = {
    ("minibert.__main__", "minibert.cli"),
    ("minibert.cli", "minibert.commands"),
    ("minibert.commands", "minibert.demo"),
    ("minibert.few_labels", "minibert.finetune"),
    ("minibert.further", "minibert.finetune"),
    ("minibert.tune", "minibert.finetune"),
    ("minibert.checkup", "minibert.finetune"),
    ("minibert.checkup", "minibert.pretrain"),
    ("minibert.config", "minibert.errors"),
    ("minibert.text", "minibert.errors"),
    ("minibert.text", "minibert.config"),
    ("minibert.data.examples", "minibert.data.fields"),
    ("minibert.data.examples", "minibert.errors"),
    ("minibert.data.fields", "minibert.errors"),
    ("minibert.allocator", "minibert.errors"),
    ("minibert.durable", "minibert.errors"),
    ("minibert.interop", "minibert.adapt"),
    ("minibert.training", "minibert.adapt"),
}
# The last one: torchrun tells each process who it is by environment variables, and in no other way.
MAY_READ_THE_ENVIRONMENT = {"minibert.cli", "minibert.allocator", "minibert.distributed.joining"}
UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml"}
UNSAFE_CALLS = {"eval", "exec", "torch.load", "torch.save"}
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.putenv"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
MAX_DOCSTRING_LINES = 20
MAX_PARAMETERS = 8
MAX_POSITIONAL = 5
DATA = ("Tensor", "Layout", "Angles")  # what may be left out and still be passed by position
# The one door to attention, and those to training, ask everything at once.
MANY_PARAMETERS = {"attend", "attend_packed", "finetune", "pretrain", "tune"}
MAX_FUNCTION_LINES, MAX_KERNEL_LINES = 40, 100
MAX_FILE_LINES, MAX_KERNEL_FILE_LINES = 250, 350

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One module: its dotted name, the path to show, and its text."""

    module: str
    path: str
    text: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def in_kernels(self) -> bool:
        return self.module.startswith("minibert.kernels")


def read_package(root: Path) -> list[Source]:
    """Read every module below root/minibert."""
    sources = []
    for path in sorted((root / "minibert").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        sources.append(Source(module, str(path.relative_to(root)), path.read_text("utf-8"), is_package))
    return sources


def unit_of(module: str) -> str | None:
    """Name the longest entry of FLOORS that holds the module, or None."""
    while module and module not in FLOORS:
        module = module.rpartition(".")[0]
    return module or None


def imported_modules(source: Source) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of each import; a name from a module counts as `module.name`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = source.module.split(".")
                package = package[: len(package) - node.level + source.is_package]
                base = ".".join([*package, base]) if base else ".".join(package)
            yield from ((node.lineno, f"{base}.{name.name}") for name in node.names)


def floor_violations(source: Source) -> list[str]:
    """Find imports that go upward, or sideways to a neighbour that is not listed."""
    if source.module == "minibert":
        return []
    here = unit_of(source.module)
    if here is None:
        return [f"{source.path}:1: {source.module} has no floor; give it one in tests/house_rules.py"]
    found = []
    for line, name in imported_modules(source):
        where = f"{source.path}:{line}: {here} (floor {FLOORS[here]})"
        if name.split(".")[0] == "torch" and FLOORS[here] == 0:
            found.append(f"{where} imports {name}; floor 0 does without torch")
        if name.split(".")[0] != "minibert":
            continue
        there = unit_of(name)
        if there is None:
            found.append(f"{where} imports {name}, which has no floor; import a module that has one")
        elif there != here and FLOORS[there] >= FLOORS[here] and (here, there) not in SAME_FLOOR:
            found.append(
                f"{where} imports {there} (floor {FLOORS[there]}); "
                "a module imports only from lower floors or its own folder"
            )
    return found


def size_violations(source: Source) -> list[str]:
    """Find files, functions and module docstrings that are too long, and modules without a docstring."""
    found = []
    lines = len(source.text.splitlines())
    limit = MAX_KERNEL_FILE_LINES if source.in_kernels else MAX_FILE_LINES
    if lines > limit:
        found.append(f"{source.path}:{limit + 1}: the file has {lines} lines; at most {limit}")
    docstring = ast.get_docstring(source.tree, clean=False)
    if docstring is None and source.text.strip():
        found.append(f"{source.path}:1: the module has no docstring")
    elif docstring and len(docstring.strip().splitlines()) > MAX_DOCSTRING_LINES:
        long = len(docstring.strip().splitlines())
        found.append(f"{source.path}:1: the module docstring has {long} lines; at most {MAX_DOCSTRING_LINES}")
    limit = MAX_KERNEL_LINES if source.in_kernels else MAX_FUNCTION_LINES
    for function in functions(source.tree):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > limit:
            found.append(
                f"{source.path}:{function.lineno}: {function.name} has {lines} lines; at most {limit}"
            )
    return found


def functions(tree: ast.AST) -> Iterator[Function]:
    """Yield every function and method, nested ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def signature_violations(source: Source) -> list[str]:
    """Find **kwargs, too many parameters, and options that can be passed by position.

    Triton's kernels and torch's custom operators are left out: they take flat lists of tensors and numbers.
    """
    found = []
    for function in functions(source.tree):
        decorators = " ".join(map(ast.unparse, function.decorator_list))
        if any(word in decorators for word in ("triton.jit", "custom_op", "register_fake")):
            continue
        where = f"{source.path}:{function.lineno}: {function.name}"
        arguments = function.args
        positional = [*arguments.posonlyargs, *arguments.args]
        receiver = bool(positional) and positional[0].arg in ("self", "cls", "ctx")
        autograd = bool(positional) and positional[0].arg == "ctx"
        count = len(positional) - receiver
        if arguments.kwarg and ast.unparse(arguments.kwarg.annotation or arguments.kwarg) != "P.kwargs":
            found.append(f"{where} takes **{arguments.kwarg.arg}; name its parameters")
        too_many = count + len(arguments.kwonlyargs) > MAX_PARAMETERS
        if too_many and function.name not in MANY_PARAMETERS:
            total = count + len(arguments.kwonlyargs)
            found.append(f"{where} has {total} parameters; at most {MAX_PARAMETERS}")
        if autograd:  # torch.autograd.Function passes everything by position
            continue
        if count > MAX_POSITIONAL:
            found.append(f"{where} has {count} positional parameters; at most {MAX_POSITIONAL}, use *")
        defaults = {argument.arg for argument in positional[len(positional) - len(arguments.defaults) :]}
        for argument in positional[2 + receiver :]:
            is_data = argument.annotation and ast.unparse(argument.annotation).startswith(DATA)
            if argument.arg in defaults and not is_data:
                found.append(
                    f"{where}: {argument.arg} is optional and after the second; make it keyword-only"
                )
    return found


def safety_violations(source: Source) -> list[str]:
    """Find what runs a stranger's code, guesses at types, or leans on the environment or module state."""
    found = []
    forbidden = UNSAFE_CALLS if source.module in MAY_READ_THE_ENVIRONMENT else UNSAFE_CALLS | ENVIRONMENT
    for line, name in imported_modules(source):
        if name.split(".")[0] in UNSAFE_MODULES or name in forbidden:
            found.append(f"{source.path}:{line}: imports {name}")
    for node in ast.walk(source.tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Name) and node.id in {"eval", "exec", "hasattr"}:
            found.append(f"{source.path}:{line}: uses {node.id}")
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in forbidden:
            found.append(f"{source.path}:{line}: uses {ast.unparse(node)}")
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                found.append(f"{source.path}:{line}: sets allow_pickle to something other than False")
        elif isinstance(node, ast.Global):
            found.append(f"{source.path}:{line}: global {', '.join(node.names)}: no module state")
    return found


def naming_violations(source: Source) -> list[str]:
    """Find modules whose name says nothing about what is inside."""
    vague = VAGUE_NAMES & set(source.module.split("."))
    return [
        f"{source.path}:1: {name} says nothing; name the module for what is in it" for name in sorted(vague)
    ]


def data_class_violations(source: Source) -> list[str]:
    """Find data classes that can be changed after they are made."""
    found = []
    for node in ast.walk(source.tree):
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else []:
            text = ast.unparse(decorator)
            if text.split("(")[0].split(".")[-1] == "dataclass" and "frozen=True" not in text:
                found.append(f"{source.path}:{node.lineno}: the data class {node.name} is not frozen")
    return found


def inheritance_violations(sources: Iterable[Source]) -> list[str]:
    """Find classes of ours that derive from a class of ours that itself derives from one."""
    classes = {
        node.name: (f"{source.path}:{node.lineno}", [ast.unparse(base).split("[")[0] for base in node.bases])
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
    }
    ours = {name: [base for base in bases if base in classes] for name, (_, bases) in classes.items()}
    return [
        f"{classes[name][0]}: {name} derives from {base}, which derives from {ours[base][0]}; compose instead"
        for name, bases in ours.items()
        for base in bases
        if ours[base]
    ]


RULES = (
    floor_violations,
    size_violations,
    signature_violations,
    safety_violations,
    naming_violations,
    data_class_violations,
)
