"""Folders that are whole or absent: a checkpoint is written beside its place and renamed into it.

    config.json         the encoder, under Hugging Face's names
    model.safetensors   the weights
    task.json           the task and its labels
    tokenizer files     spiece.model or vocab.txt, tokenizer_config.json
    run.json            settings, plan, machine: what would repeat the run
    manifest.json       size and SHA-256 of the files, by which a damaged one is found (`durable`)

No pickle is read or written anywhere.
"""

import errno
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from minibert.durable import read_manifest, replace_text, seal, sync
from minibert.errors import InputError

WEIGHTS = "model.safetensors"
MARK = ".minibert"  # in a folder that a command or a run has filled
# Files that lie together where minibert or a save_pretrained has written, if mark and manifest are gone,
# and all that may lie beside them: what else there is, somebody else put there.
TOGETHER = (
    ("config.json", WEIGHTS),
    ("config.json", f"{WEIGHTS}.index.json"),
    ("config.json", "graph.json"),
    ("adapter_config.json", "adapter_model.safetensors"),
    ("index.json", "vectors.bin"),
)
BESIDE = re.compile(
    r".*\.(json|jsonl|safetensors|onnx|onnx\.data|pt2|model)|(vocab|merges)\.txt|(vectors|offsets)\.bin|1_Pooling"
)
LONE = re.compile("[\ud800-\udfff]")  # half a character, which UTF-8 cannot write


@contextmanager
def published(folder: str | Path, *, ours: bool = False) -> Iterator[Path]:
    """Give an empty folder to write into; put it in the place of `folder` when the block ends well.

    ours  the folder is known to be one of ours, whatever a damaged disk has left of it

    The files are on the disk and listed in a manifest before the folder gets its name, so it is whole or
    absent, whatever happens. If the block raises (a full disk, Ctrl-C), what stood at `folder` stays as it
    was. A link to a folder stays one. Raises InputError, before the block, where something stands that is
    not to be replaced (`check_replaceable`).
    """
    place = Path(os.path.realpath(folder))
    check_replaceable(Path(folder), place, ours=ours)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{folder} cannot be a folder: {error.strerror}; choose another") from error
    beside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    beside.chmod(0o755)
    try:
        yield beside
        seal(beside)
        replace_folder(beside, place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_replaceable(folder: Path, place: Path, *, ours: bool = False) -> None:
    """Raise InputError where a folder is not to be replaced; `place` is where its name leads in the end."""
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise InputError(f"{folder} is a file; a folder is wanted, so choose another name")
    if not place.is_dir():
        return
    if _holds_the_working_directory(place):
        raise InputError(
            f"{folder} is the working directory, or holds it, and cannot be replaced; name a folder inside "
            f"it, such as {folder / 'model'}"
        )
    together = any(all((place / name).is_file() for name in pair) for pair in TOGETHER)
    written = together and all(BESIDE.fullmatch(path.name) for path in place.iterdir())
    if not ours and not written and not was_made_here(place) and any(place.iterdir()):
        raise InputError(
            f"{folder} is not empty and was not made by minibert, so it stays as it is; choose another folder"
        )


def was_made_here(folder: Path) -> bool:
    """Whether a folder bears our mark, or a manifest of ours."""
    if (folder / MARK).is_file():
        return True
    try:
        return bool(read_manifest(folder))
    except InputError:
        return False


def _holds_the_working_directory(place: Path) -> bool:
    try:
        return Path.cwd().is_relative_to(place)
    except FileNotFoundError:  # it was deleted
        return False


def replace_folder(new: Path, place: Path) -> None:
    """Rename `new` to `place`; an old folder there steps aside first and is then deleted."""
    old = place.parent / f".{place.name}-old-{os.getpid()}"
    if place.exists():
        os.rename(place, old)
    try:
        os.rename(new, place)
    except OSError:
        if old.exists():
            os.rename(old, place)
        raise
    sync(place.parent)
    shutil.rmtree(old, ignore_errors=True)


def as_json(values: Any) -> str:
    """Return plain values as indented JSON, one line end last; half a character is written as its number."""
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    return LONE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write_json(path: Path, values: Any) -> None:
    """Write plain values, indented, in UTF-8."""
    path.write_text(as_json(values), encoding="utf-8")


def replace_json(path: Path, values: Any) -> None:
    """Write plain values in the place of an older file: old or new is there at any moment, never half."""
    replace_text(path, as_json(values))


def read_json(path: Path) -> Any:
    """Read a JSON file; raises InputError where it is missing or malformed."""
    if not path.is_file():
        raise InputError(f"{path.parent} has no {path.name}: it is not a checkpoint of minibert")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error


def read_table(path: Path) -> dict[str, Any]:
    """Read a JSON file that must hold one object."""
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{path} holds {str(values)[:40]!r}; a table of names and values is wanted")
    return values


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write named tensors as safetensors; raises OSError where the disk is full or not to be written to."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)  # as any new file has it; safetensors lets its owner alone read
    try:
        save_file({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, path)
        path.chmod(mode)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error), str(path)) from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors; raises InputError where the file is missing or damaged."""
    if not path.is_file():
        raise InputError(f"{path.parent} has no {path.name}: it is not a checkpoint of minibert")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{path}: damaged or not safetensors: {error}") from error
