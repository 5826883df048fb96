"""The folder that a run leaves behind.

OUTPUT/                 config.json, model.safetensors, task.json, tokenizer files, run.json, log.jsonl
OUTPUT/checkpoint-500/  the same and the optimiser's state, to go on from
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minibert.checkpoint import published
from minibert.errors import InputError
from minibert.tasks.model import Model, load_weights
from minibert.training.loop import Run
from minibert.training.state import save_state

MARK = ".minibert"


def check_free(output: Path, *, resume: bool = False, overwrite: bool = False) -> None:
    """Raise InputError if a run may not use the output folder: it holds something already, or is a file."""
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; an output directory is wanted")
    used = output.is_dir() and any(path.name != MARK for path in output.iterdir())
    if used and not (resume or overwrite):
        raise InputError(f"{output} is not empty; choose another, or --overwrite-output-dir, or --resume")
    if used and overwrite and not resume and not (output / MARK).exists():
        raise InputError(f"{output} was not made by minibert and is not overwritten; choose another")


@contextmanager
def claimed(output_dir: str | Path, *, resume: bool = False, overwrite: bool = False) -> Iterator[Path]:
    """Give the output folder, empty unless resumed, to a block that makes a run ready; refuse a used one.

    If the block raises, everything is as it was before: what stood in the folder stands there again.
    """
    output = Path(output_dir)
    check_free(output, resume=resume, overwrite=overwrite)
    is_new = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    kept = [] if resume else [path for path in output.iterdir() if path.name != MARK]
    # Aside is inside: a folder that is a link or a mounted disk can itself not be renamed.
    aside = Path(tempfile.mkdtemp(prefix=".earlier-", dir=output))
    for path in kept:
        path.rename(aside / path.name)
    (output / MARK).touch()
    try:
        yield output
    except BaseException:
        if is_new:
            shutil.rmtree(output, ignore_errors=True)
        elif not resume:
            for path in output.iterdir():
                if path not in (aside, output / MARK):
                    _remove(path)
            for path in kept:
                (aside / path.name).rename(path)
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def publish_model(model: Model, output: Path) -> None:
    """Put the model's files into `output`, each written beside and renamed, the weights last."""
    beside = Path(tempfile.mkdtemp(prefix=".model-", dir=output))
    try:
        model.write(beside)
        for path in sorted(beside.iterdir(), key=lambda path: path.suffix == ".safetensors"):
            os.replace(path, output / path.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def publish_checkpoint(run: Run, output: Path) -> None:
    """Write `checkpoint-STEP`, then delete the one before it."""
    older = checkpoints(output)
    with published(output / f"checkpoint-{run.done}") as folder:
        run.model.write(folder)
        save_state(run, folder)
    for path in older:
        if path.name != f"checkpoint-{run.done}":
            shutil.rmtree(path)


def checkpoints(output: Path) -> list[Path]:
    """Return the checkpoint folders, the oldest first."""
    found = [path for path in output.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def latest_checkpoint(output: Path, model: Model) -> Path:
    """Fill the model with the newest checkpoint's weights and return its folder."""
    found = checkpoints(output)
    if not found:
        raise InputError(f"{output} has no checkpoint to resume from; start without --resume")
    load_weights(model, found[-1])
    return found[-1]
