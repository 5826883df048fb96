"""Which files are listed and which texts are taken from them."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

from minibert.demo.chapters import load_chapters
from minibert.demo.docstrings import clean, collect
from minibert.demo.sources import DEPENDENCIES, SourceFile, dependency_closure, standard_library
from minibert.errors import InputError

MODULE = '''"""Tools for counting *sheep* at night."""
class Fold:
    """A fold that holds sheep, safely."""
    def count(self):
        """Count the sheep.

        >>> Fold().count()
        3

        -----
        Returns a whole number of them.
        """
        if True:
            def inner():
                """Inner text, longer than twenty characters."""
    async def wait(self): """Tiny."""
add_docstr(lib.gone, r"""
Says where the sheep went.
""" + r"""
    {input}
Otherwise it says nothing.
""".format(**common))
raise RuntimeError("nothing here may ever be run")
'''


def write(folder: Path, name: str, text: str | bytes, package: str = "python") -> SourceFile:
    path = folder / package / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return SourceFile(package, path, name)


def test_docstrings_are_read_without_running_the_file(tmp_path: Path) -> None:
    data = collect([write(tmp_path, "barn/fold.py", MODULE)])
    assert [(document.name, document.text) for document in data.documents] == [
        ("barn.fold", "Tools for counting *sheep* at night."),
        ("barn.fold.Fold", "A fold that holds sheep, safely."),
        ("barn.fold.Fold.count", "Count the sheep.\n\nReturns a whole number of them."),
        ("barn.fold.Fold.count.inner", "Inner text, longer than twenty characters."),
        ("barn.fold.lib.gone", "Says where the sheep went.\n\nOtherwise it says nothing."),
    ]
    assert {document.file for document in data.documents} == {"python/barn/fold.py"}


def test_a_near_copy_is_kept_once_and_remembers_where_else_it_stands(tmp_path: Path) -> None:
    first = write(tmp_path, "a.py", '"""Read the whole   file, then close it."""')
    second = write(tmp_path, "b.py", '"""READ the whole file\nthen close it"""', package="copies")
    data = collect([first, second])
    assert [(document.file, document.also) for document in data.documents] == [
        ("python/a.py", ("copies/b.py",))
    ]


def test_help_topics_are_documents(tmp_path: Path) -> None:
    topics = "topics = {'assert': 'The assert statement\\n'\n 'checks a condition.'}"
    data = collect([write(tmp_path, "pydoc_data/topics.py", topics)])
    assert [(document.name, document.text) for document in data.documents] == [
        ("assert", "The assert statement\nchecks a condition.")
    ]


def test_files_that_do_not_parse_are_skipped_by_name(tmp_path: Path) -> None:
    bad = write(tmp_path, "bad.py", '"""Some text""" def')
    bytes_only = write(tmp_path, "latin.py", b'"""caf\xe9 is not UTF-8"""')
    data = collect([bad, bytes_only, write(tmp_path, "good.py", '"""A text of sufficient length."""')])
    assert data.skipped == ("python/bad.py", "python/latin.py")
    assert [source.key for source in data.sources] == ["python/good.py"]


def test_the_checksum_follows_the_texts(tmp_path: Path) -> None:
    file = write(tmp_path, "a.py", '"""A text of sufficient length."""')
    before = collect([file]).sha256
    assert collect([file]).sha256 == before
    file.path.write_text('"""A text of sufficient size."""')
    assert collect([file]).sha256 != before


def test_a_corpus_without_a_text_is_an_error_that_counts_the_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="in 1 source files"):
        collect([write(tmp_path, "a.py", "x = 1")])


def test_cleaning_drops_examples_and_rules_but_no_sentence() -> None:
    assert clean("Title\n=====\n\n\n>>> 1 + 1\n2\n\nAfter.\n... 3 ...") == "Title\n\nAfter."


def test_tests_and_installed_packages_are_no_part_of_the_standard_library(tmp_path: Path) -> None:
    for name in (
        "json/__init__.py",
        "test/test_json.py",
        "lib2to3/tests/x.py",
        "site-packages/y.py",
        "notes.txt",
    ):
        write(tmp_path, name, "", package="lib")
    assert [(file.name, file.module) for file in standard_library(tmp_path / "lib")] == [
        ("json/__init__.py", "json")
    ]


def test_the_corpus_comes_from_what_the_project_requires_and_not_from_its_tools() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert [re.split(r"[><=]", name)[0] for name in project["dependencies"]] == list(DEPENDENCIES)
    closure = dependency_closure(DEPENDENCIES)
    assert {"torch", "sympy", "jinja2", "numpy"} <= closure.keys()
    assert not {"pytest", "hypothesis", "mypy", "ruff", "scikit-learn"} & closure.keys()
    assert closure["sympy"].version == importlib.metadata.version("sympy")


@pytest.mark.parametrize(
    ("module", "label"),
    [
        ("json.decoder", "internet data and markup"),
        ("collections.abc", "data types and numbers"),
        ("_pydecimal", "data types and numbers"),
        ("posixpath", "files and operating system"),
        ("concurrent.futures.thread", "concurrency and sockets"),
        ("http.client", "internet protocols"),
        ("tkinter.ttk", "graphical interfaces"),
        ("unittest.mock", "development tools"),
        ("importlib.util", "interpreter and language"),
        ("gettext", None),
        ("jsonschema", None),
    ],
)
def test_a_module_has_the_class_of_its_chapter(module: str, label: str | None) -> None:
    assert load_chapters().label(module) == label
