"""The Python source files that every machine with PyTorch has: the standard library and the installed
packages.

Their docstrings are several megabytes of English, so a first model can be trained without any download. Files
are only listed here and later read as text: nothing is imported or run. What is listed follows from this
project's dependencies and theirs, never from whatever else is installed, so two machines with the same
versions find the same files.

Left out: tests, and packages whose installer kept no list of files.
"""

import importlib.metadata
import platform
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

STANDARD_LIBRARY = "python"
DEPENDENCIES = ("torch", "numpy", "sentencepiece", "einops", "tqdm", "safetensors")
LEFT_OUT_FOLDERS = frozenset(
    ("test", "tests", "idle_test", "testing", "site-packages", "dist-packages", "__pycache__")
)


@dataclass(frozen=True)
class SourceFile:
    """One file of Python source.

    package  the distribution that brought it, or "python" for the standard library
    path     where it lies
    name     its path inside the package, with forward slashes: "json/decoder.py"
    """

    package: str
    path: Path
    name: str

    @property
    def key(self) -> str:
        """Name the file the same way on every machine."""
        return f"{self.package}/{self.name}"

    @property
    def module(self) -> str:
        """Name the module as an import would."""
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def find_sources() -> tuple[list[SourceFile], dict[str, str]]:
    """List the files, in a fixed order, and the version of each package that they come from."""
    files = list(standard_library(Path(sysconfig.get_paths()["stdlib"])))
    versions = {STANDARD_LIBRARY: platform.python_version()}
    for name, distribution in sorted(dependency_closure(DEPENDENCIES).items()):
        files.extend(distribution_files(name, distribution))
        versions[name] = distribution.version
    return files, versions


def standard_library(root: Path) -> Iterator[SourceFile]:
    """Walk the folder of the standard library, tests left out."""
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if is_wanted(name):
            yield SourceFile(STANDARD_LIBRARY, path, name.as_posix())


def dependency_closure(names: tuple[str, ...]) -> dict[str, importlib.metadata.Distribution]:
    """Follow the requirements of installed packages; extras, and what is not installed, are left out."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = normalise_name(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in found[name].requires or []:
            wanted, _, marker = requirement.partition(";")
            if "extra" not in marker:
                waiting.append(re.split(r"[^\w.-]", wanted.strip(), maxsplit=1)[0])
    return found


def distribution_files(name: str, distribution: importlib.metadata.Distribution) -> Iterator[SourceFile]:
    """List the modules that an installed package brought."""
    for file in sorted(distribution.files or [], key=str):
        if is_wanted(file) and ".." not in file.parts:
            yield SourceFile(name, Path(str(distribution.locate_file(file))), file.as_posix())


def is_wanted(name: PurePath) -> bool:
    """Tell whether a path inside a package is source that documents something."""
    return name.suffix == ".py" and not LEFT_OUT_FOLDERS & set(name.parts)


def normalise_name(name: str) -> str:
    """Spell a distribution's name the way package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
