"""What a path stands for: a model, an earlier run, files of examples, or a corpus."""

import re
from dataclasses import dataclass
from pathlib import Path

from minibert.data.files import KNOWN, expand, kind_of
from minibert.doctor.earlier import RECORD
from minibert.errors import InputError
from minibert.interop.kinds import is_peft
from minibert.tasks.model import TASKS
from minibert.tasks.task import Task

SPLITS = (re.compile(r"train", re.IGNORECASE), re.compile(r"dev|valid", re.IGNORECASE))


@dataclass(frozen=True)
class Target:
    """A path and what it is: "model", "run", "examples" or "corpus".

    files  of examples: those to train on, and those to validate on if there are any
    """

    what: str
    path: Path
    files: tuple[Path, ...] = ()


def target_of(path: Path) -> Target:
    """Tell what a path stands for; raises InputError where it is nothing that can be looked at."""
    if (path / RECORD).is_file():
        return Target("run", path)
    if (path / "config.json").is_file() or is_peft(path):
        return Target("model", path)
    if path.is_dir():
        return _folder_of_data(path)
    return Target("corpus" if kind_of(path) == ".txt" else "examples", path, tuple(expand(path)[:1]))


def _folder_of_data(folder: Path) -> Target:
    inside = sorted(path for path in folder.iterdir() if path.is_file() and kind_of(path) in KNOWN)
    files = []
    for split in SPLITS:
        named = [path for path in inside if split.match(path.name)]
        files += named[:1]
    if files:
        return Target("examples", folder, tuple(files))
    if all(kind_of(path) == ".txt" for path in expand(folder)):
        return Target("corpus", folder)
    raise InputError(
        f"{folder}: neither a model, a run nor train.* among {', '.join(p.name for p in inside[:8])}; "
        "name the file itself"
    )


def guess_task(path: Path, columns: dict[str, str]) -> type[Task]:
    """Return the first task that can read a file and finds what is right in it.

    Raises InputError, with what each said, where none can.
    """
    said = []
    for name, kind in TASKS.items():
        if kind.Options is None or not set(columns) <= set(kind.columns):
            continue
        try:
            examples = kind.read(path, columns)
        except (InputError, KeyError) as error:
            said.append(f"{name}: {str(error)[:100]}")
            continue
        if examples and kind.answered(examples[0]):
            return kind
    raise InputError(f"{path}: no task reads it; name one: --task. {' / '.join(said[:3])}")
