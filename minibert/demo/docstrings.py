"""The English in source files: docstrings, read from the syntax tree and cleaned.

Besides docstrings proper there are the texts that PyTorch and NumPy attach to compiled functions
(`add_docstr(torch.abs, "...")`) and Python's own help topics, a module that is one big dictionary.
Interactive examples (`>>>` and what they print) and lines without a letter are dropped: they are not
sentences. Of texts that differ only in case, punctuation or spacing the first is kept, and it remembers in
which other files it stands.

Left out: strings that are assigned, comments, and documentation in other formats.
"""

import ast
import hashlib
import inspect
import re
import time
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from minibert.demo.sources import SourceFile, find_sources
from minibert.errors import InputError

SHORTEST = 20  # characters
HELP_TOPICS = "pydoc_data/topics.py"
DOCUMENTING_CALLS = frozenset(("add_docstr", "_add_docstr", "add_docstr_all", "add_newdoc"))
BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Document:
    """One cleaned text and where it stands: `also` names the other files that hold the same text."""

    file: str
    package: str
    name: str
    text: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class EmbeddedData:
    """What was collected.

    documents  no two with the same words
    sources    the files that were read
    versions   package -> version
    sha256     of all texts, so that two runs can tell whether they saw the same corpus
    skipped    files that could not be read or parsed
    """

    documents: tuple[Document, ...]
    sources: tuple[SourceFile, ...]
    versions: dict[str, str]
    sha256: str
    seconds: float
    skipped: tuple[str, ...]


def collect(sources: Iterable[SourceFile] | None = None) -> EmbeddedData:
    """Read the docstrings of the given files, or of all that `find_sources` lists (about 15 s on one core).

        data = collect()
        print(len(data.documents), data.sha256[:8])
        print(data.documents[0].text)

    Raises InputError where no file holds a text.
    """
    started = time.perf_counter()
    files, versions = find_sources() if sources is None else (list(sources), {})
    found: dict[str, Document] = {}
    read, skipped = [], []
    for file in files:
        try:
            documents = list(read_documents(file))
        except (OSError, SyntaxError, ValueError):  # ValueError: not UTF-8, or a null byte
            skipped.append(file.key)
            continue
        read.append(file)
        for document in documents:
            keep_first(found, document)
    if not found:
        raise InputError(
            f"no docstring in {len(files)} source files; "
            "the standard library must lie there as .py files, not zipped"
        )
    texts = hashlib.sha256("\0".join(document.text for document in found.values()).encode()).hexdigest()
    seconds = time.perf_counter() - started
    return EmbeddedData(tuple(found.values()), tuple(read), versions, texts, seconds, tuple(skipped))


def keep_first(found: dict[str, Document], document: Document) -> None:
    """Add the document, or where its words are there already, note the file in which they stand again."""
    key = text_key(document.text)
    first = found.setdefault(key, document)
    if document.file != first.file and document.file not in first.also:
        found[key] = replace(first, also=(*first.also, document.file))


def read_documents(file: SourceFile) -> Iterator[Document]:
    """Yield the cleaned texts of one file in the order in which they stand."""
    raw = file.path.read_bytes()
    if b'"""' not in raw and b"'''" not in raw and file.name != HELP_TOPICS:
        return  # a docstring needs triple quotes nearly always, and parsing is what takes the time
    tree = ast.parse(raw)
    texts = topic_texts(tree) if file.name == HELP_TOPICS else documentation(tree, file.module)
    for name, text in texts:
        cleaned = clean(text)
        if len(cleaned) >= SHORTEST:
            yield Document(file.key, file.package, name, cleaned)


def documentation(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """Yield (qualified name, text) of a node's docstring and of all statements below it."""
    if isinstance(node, ast.Module | Definition) and (text := ast.get_docstring(node)):
        yield name, text
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield from attached_texts(node.value, name)
    for block in BLOCKS:
        for child in getattr(node, block, ()):
            inner = f"{name}.{child.name}" if isinstance(child, Definition) else name
            yield from documentation(child, inner)


def attached_texts(call: ast.Call, name: str) -> Iterator[tuple[str, str]]:
    """Yield the text of a call that documents a compiled function; its parts may be added or formatted."""
    if called_name(call) not in DOCUMENTING_CALLS:
        return
    arguments = [piece for argument in call.args for piece in ast.walk(argument)]
    strings = [
        piece for piece in arguments if isinstance(piece, ast.Constant) and isinstance(piece.value, str)
    ]
    strings.sort(key=lambda piece: (piece.lineno, piece.col_offset))
    pieces = [str(piece.value) for piece in strings if "\n" in str(piece.value)]
    if pieces:
        text = re.sub(
            r"^\s*\{\w+\}.*$|# noqa.*$", "", "\n".join(pieces), flags=re.MULTILINE
        )  # places to be filled in
        yield f"{name}.{ast.unparse(call.args[0])}", inspect.cleandoc(text)


def called_name(call: ast.Call) -> str:
    """Give the last part of the name that is called."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def topic_texts(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the help topics: every entry of the dictionaries in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                    yield str(key.value), str(value.value)


def clean(text: str) -> str:
    """Drop interactive examples with their output and lines without a letter; paragraphs stay apart."""
    kept: list[str] = []
    example = False
    for line in text.expandtabs().splitlines():
        stripped = line.strip()
        example = stripped.startswith(">>>") or (example and stripped != "")
        if example or (stripped and not any(character.isalpha() for character in stripped)):
            continue
        if stripped or (kept and kept[-1]):
            kept.append(line.rstrip())
    return "\n".join(kept).strip()


def text_key(text: str) -> str:
    """Reduce a text to its words, so that copies with other spacing, case or punctuation are found."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def read_source(file: SourceFile) -> str:
    """Read a source file as text, in the encoding that it declares, with plain line ends."""
    with tokenize.open(file.path) as lines:
        return lines.read()
