"""One run in one folder: a lock on the folder's mark, with the owner's process and host written in it.

The system gives a lock back when its process dies, however it dies, so what a killed run leaves behind is a
stale note, not a closed door. The lock is POSIX's: children of a process do not inherit it, and it reaches
other hosts where the file system's locks do (NFS 4, not every FUSE). Where there are none, as on Windows,
two runs in one folder are not kept apart.
"""

import errno
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from minibert.checkpoint import MARK
from minibert.errors import InputError
from minibert.output.folder import check_free

HELD = (errno.EACCES, errno.EAGAIN)
NO_FOLDER = (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)


@contextmanager
def locked(
    output_dir: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    inputs: Sequence[Any] = (),
    writes: bool = True,
) -> Iterator[Path]:
    """Keep other runs out of an output folder while the block runs; the folder is made if missing.

    Of several processes of one run the first alone `writes`; the others do nothing here.
    Raises InputError for a folder that may not be used (`check_free`) or that another process is using. A
    folder that was made here and stays empty is removed again.
    """
    output = Path(output_dir)
    if not writes:
        yield output
        return
    try:
        check_free(output, resume=resume, overwrite=overwrite, inputs=inputs)
        made = _make(output)
    except OSError as error:
        if error.errno in NO_FOLDER:
            raise InputError(f"{output} cannot be a folder: {error.strerror}; choose another") from error
        raise
    try:
        with (output / MARK).open("a+", encoding="utf-8") as mark:
            _take(mark, output)
            try:
                yield output
            finally:
                mark.truncate(0)  # an empty mark names nobody; closing it gives the lock back
    finally:
        if made and [path.name for path in output.iterdir()] == [MARK]:
            (output / MARK).unlink()
            for path in made:
                path.rmdir()


@contextmanager
def replaced(output_dir: str | Path, *, overwrite: bool, inputs: Sequence[Any] = ()) -> Iterator[Path]:
    """Keep runs out of a folder while the block writes it anew, and mark it as ours when that is done."""
    with locked(output_dir, overwrite=overwrite, inputs=inputs) as output:
        yield output
        (output / MARK).touch()


def _make(output: Path) -> list[Path]:
    """Make a folder; return it with those above it that were missing. Nothing is left where that fails."""
    made = [path for path in (output, *output.parents) if not path.exists()]
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError:
        for path in made:
            with suppress(OSError):
                path.rmdir()
        raise
    return made


def _take(mark: IO[str], output: Path) -> None:
    """Lock the mark and write our name into it; refuse if another process has it."""
    owner = _owner(mark)
    try:
        posix: Any = import_module("fcntl")
        posix.lockf(mark, posix.LOCK_EX | posix.LOCK_NB)
    except ImportError:
        pass
    except OSError as error:
        if error.errno in HELD:
            raise InputError(
                f"{output} is in use by process {owner.get('pid', '?')} on {owner.get('host', '?')}; "
                "wait until it has ended, or choose another folder"
            ) from error
        print(f"  {output}: this file system has no locks; keep other runs out yourself", file=sys.stderr)
    if owner:
        where = f"process {owner.get('pid')} on {owner.get('host')}"
        print(f"  {output}: {where} ended without leaving; its place is taken over", file=sys.stderr)
    mark.truncate(0)
    mark.write(json.dumps({"pid": os.getpid(), "host": platform.node()}))
    mark.flush()


def _owner(mark: IO[str]) -> dict[str, Any]:
    """Return what the mark says of its owner, {} where it names nobody."""
    mark.seek(0)
    try:
        owner = json.loads(mark.read() or "{}")
    except (ValueError, RecursionError):
        return {}
    return owner if isinstance(owner, dict) else {}
