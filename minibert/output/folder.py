"""Who may use an output folder, and how a model gets into it.

A run that overwrites another first sets the other's files aside, inside the folder, and deletes them only
when everything is ready to begin. If that fails they are put back; if the process is killed meanwhile, the
next one to claim the folder puts them back.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from minibert.checkpoint import MARK, was_made_here
from minibert.durable import MANIFEST, seal, sync
from minibert.errors import InputError
from minibert.tasks.model import Model

ASIDE, MOVING, DISCARDED = ".earlier-", ".moving-", ".discarded-"
UNFINISHED = (".model-", ".checkpoint-", ".run.json-", DISCARDED)  # what a killed process may leave


def check_free(
    output: Path, *, resume: bool = False, overwrite: bool = False, inputs: Sequence[Any] = ()
) -> None:
    """Raise InputError if a run may not use the output folder: it holds something already, or is a file.

    inputs  what the run reads; files and folders among it must not lie where an earlier run is replaced
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; an output directory is wanted")
    used = output.is_dir() and any(path.name != MARK for path in output.iterdir())
    if used and not (resume or overwrite):
        raise InputError(
            f"{output} is not empty; choose another, or --overwrite-output-dir, or --resume (a run)"
        )
    if used and overwrite and not resume and not was_made_here(output):
        raise InputError(f"{output} was not made by minibert and is not overwritten; choose another")
    if used and resume and not (output / MARK).exists() and not any(output.glob("checkpoint-*")):
        raise InputError(f"{output} was not made by minibert: there is nothing to resume; choose another")
    for one in paths_of(inputs) if used and overwrite else ():
        if one.resolve().is_relative_to(output.resolve()):
            raise InputError(
                f"{one} lies in the output folder {output}, which is to be overwritten; choose another"
            )


def allowed(resume: bool, overwrite: bool, inputs: Sequence[Any]) -> dict[str, Any]:
    """Return what `locked` and `claimed` are told of a folder that is not empty: what a run may do to it."""
    return {"resume": resume, "overwrite": overwrite, "inputs": inputs}


def paths_of(inputs: Sequence[Any]) -> Iterator[Path]:
    """Yield the files and folders among what a run reads, be it named alone or in lists.

    >>> list(paths_of(["runs/enc", None, ["a.csv", "b.csv"], 3]))
    [PosixPath('runs/enc'), PosixPath('a.csv'), PosixPath('b.csv')]
    """
    for one in inputs:
        if isinstance(one, str | Path):
            yield Path(one)
        elif isinstance(one, list | tuple):
            yield from paths_of([part for part in one if isinstance(part, str | Path)])


@contextmanager
def claimed(
    output_dir: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    inputs: Sequence[Any] = (),
    writes: bool = True,
) -> Iterator[Path]:
    """Give the output folder, empty unless resumed, to a block that makes a run ready; refuse a used one.

    If the block raises, everything is as it was before: what stood in the folder stands there again. Of
    several processes of one run the first alone `writes`; the others do nothing here.
    """
    output = Path(output_dir)
    if not writes:
        yield output
        return
    check_free(output, resume=resume, overwrite=overwrite, inputs=inputs)
    is_new = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    begun = any(path.name.startswith((ASIDE, MOVING)) for path in output.iterdir())
    if not (resume and overwrite and begun):  # else an overwriting run was killed, and is taken up again
        recover(output)
    aside = None if resume and not (overwrite and begun) else set_aside(output)
    if not (output / MARK).exists():
        (output / MARK).touch()
    try:
        yield output
    except BaseException:
        if is_new:
            shutil.rmtree(output, ignore_errors=True)
        elif aside:
            put_back(aside)
        raise
    if aside:
        discarded = output / aside.name.replace(ASIDE, DISCARDED)
        aside.rename(discarded)
        shutil.rmtree(discarded, ignore_errors=True)


def set_aside(output: Path) -> Path:
    """Move what is in the folder into one inside it; outside, a mounted disk could not be renamed to.

    While files are being moved the inner folder is called `.moving-`: then nothing new stands beside it.
    """
    earlier = next((path for path in output.iterdir() if path.name.startswith(ASIDE)), None)
    if earlier:
        return earlier
    begun = next((path for path in output.iterdir() if path.name.startswith(MOVING)), None)
    moving = begun or Path(tempfile.mkdtemp(prefix=MOVING, dir=output))
    for path in [path for path in output.iterdir() if path.name not in (moving.name, MARK)]:
        path.rename(moving / path.name)
    return moving.rename(output / moving.name.replace(MOVING, ASIDE))


def put_back(aside: Path) -> None:
    """Make what was set aside the contents of the folder again; whatever else is there goes."""
    output = aside.parent
    if aside.name.startswith(ASIDE):
        for path in output.iterdir():
            if path not in (aside, output / MARK):
                _remove(path)
        aside = aside.rename(output / aside.name.replace(ASIDE, MOVING))
    for path in aside.iterdir():
        path.rename(output / path.name)
    aside.rmdir()


def recover(output: Path) -> None:
    """Put back what a killed process had set aside in the folder, and delete what it had not finished."""
    for path in list(output.iterdir()):
        if path.name.startswith(MOVING) or (path.name.startswith(ASIDE) and any(path.iterdir())):
            put_back(path)
        elif path.name.startswith(ASIDE):  # nothing stood here before: keep what was made ready
            path.rmdir()
    for path in list(output.iterdir()):
        if path.name.startswith(UNFINISHED):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def publish_model(model: Model, output: Path, *, weights: dict[str, Tensor] | None = None) -> None:
    """Put the model's files into `output`, each written beside and renamed, the weights and the list last.

    Without its manifest a folder is not checked: a kill between two renames mixes whole files of one run.
    """
    beside = Path(tempfile.mkdtemp(prefix=".model-", dir=output))
    try:
        model.write(beside, weights)
        seal(beside)
        (output / MANIFEST).unlink(missing_ok=True)
        for path in sorted(
            beside.iterdir(), key=lambda path: (path.name == MANIFEST, path.suffix == ".safetensors")
        ):
            os.replace(path, output / path.name)
        sync(output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
