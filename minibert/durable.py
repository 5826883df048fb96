"""Files that are on the disk when we say so, and a list that tells later whether they are still the same.

A write only reaches the system's memory; `fsync` waits for the disk. A rename is atomic, but lasts only once
the folder that holds the name is on the disk as well. `seal` does all of this for a folder and leaves a
`manifest.json` in it: the size and the SHA-256 of every file. `verify` compares a folder with its manifest.

    {"format": 1, "files": {"model.safetensors": {"size": 4096, "sha256": "9f86d0..."}}}
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from minibert.errors import InputError

MANIFEST = "manifest.json"
FORMAT = 1


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name != "posix":  # elsewhere a folder cannot be opened
        return
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path) -> None:
    """Write the manifest of all files below a folder, and wait until they and their names are on the disk."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST):
        sync(path)
        name = path.relative_to(folder).as_posix()
        files[name] = {"size": path.stat().st_size, "sha256": sha256(path)}
    text = json.dumps({"format": FORMAT, "files": files}, indent=2) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    sync(folder / MANIFEST)
    for inner in [path for path in folder.rglob("*") if path.is_dir()]:
        sync(inner)
    sync(folder)


def verify(folder: Path, *, required: bool = False) -> None:
    """Raise InputError for a folder whose files are not those of its manifest: missing, cut short, changed.

    Files that the manifest does not list are no matter. A folder without a manifest passes unless one is
    required.
    """
    if not required and not (folder / MANIFEST).is_file():
        return
    for name, facts in read_manifest(folder).items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{folder}: {name} is missing; {MANIFEST} lists it")
        size, changed = path.stat().st_size, ""
        if size != facts["size"]:
            changed = f"{size} bytes, {facts['size']} were written"
        elif sha256(path) != facts["sha256"]:
            changed = f"not what was written (its SHA-256 differs from {MANIFEST})"
        if changed:
            raise InputError(
                f"{path}: {changed}; the file is damaged. "
                f"If you changed it on purpose, delete {folder / MANIFEST}"
            )


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of each file by its name; raises InputError for a manifest that is not one."""
    path = folder / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): dict(facts) for name, facts in values["files"].items()}
        is_ours = values["format"] == FORMAT and all(set(f) == {"size", "sha256"} for f in files.values())
    except FileNotFoundError:
        raise InputError(f"{folder} has no {MANIFEST}: it was not written to its end") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: damaged: {str(error)[:80] or type(error).__name__}") from error
    outside = [name for name in files if PurePosixPath(name).is_absolute() or ".." in name.split("/")]
    if not is_ours or outside:
        raise InputError(f"{path}: damaged, or not of minibert: {', '.join(outside) or 'other fields'}")
    return files


def replace_text(path: Path, text: str) -> None:
    """Put a text in the place of a file at once: whoever reads it finds the old text or the new one.

    Raises InputError for half a character (a lone surrogate), which UTF-8 cannot write.
    """
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        piece = text[max(0, error.start - 30) : error.end]
        raise InputError(f"{path}: {piece!r} ends with half a character, which no file can hold") from error
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o644)
        os.replace(beside, path)
        sync(path.parent)
    finally:
        Path(beside).unlink(missing_ok=True)
