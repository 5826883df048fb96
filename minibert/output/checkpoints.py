"""A run's checkpoints: `checkpoint-STEP` folders, each whole or absent, of which the newest few are kept."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minibert.checkpoint import published
from minibert.data.corpus import source_of
from minibert.durable import verify
from minibert.errors import InputError
from minibert.output.record import RECORD, changed_settings, is_finished, refuse_other_data
from minibert.text.loading import load_tokenizer
from minibert.training.loop import Run
from minibert.training.state import save_state


def publish_checkpoint(
    run: Run, output: Path, *, beside: dict[str, Any] | None = None, state: dict[str, Any] | None = None
) -> None:
    """Write `checkpoint-STEP`, then delete those beyond `save_total_limit`, the oldest first.

    state  {"weights": ..., "run": ...}, gathered beforehand where the model is kept in pieces

    A whole one of the same step holds the same bytes already and stays. One of a later step is left from
    before the run was taken up again, and damaged; it goes.
    """
    place = output / f"checkpoint-{run.done}"
    if not (place.exists() and is_whole(place)):
        with published(place, ours=True) as folder:
            run.model.write(folder, state and state["weights"])
            save_state(run, folder, beside=beside, state=state and state["run"])
    earlier = [path for path in checkpoints(output) if step_of(path) < run.done]
    later = [path for path in checkpoints(output) if step_of(path) > run.done]
    limit = run.config.save_total_limit
    for path in [*later, *(earlier[: max(0, len(earlier) + 1 - limit)] if limit else [])]:
        shutil.rmtree(path)


def nothing_left(
    output: Path,
    settings: dict[str, Any],
    data: Callable[[], dict[str, Any]] | None,
    *,
    resume: bool,
    overwrite: bool,
) -> bool:
    """Tell whether a run that is to go on is finished, with no checkpoint to go on from; if so, say it.

    settings  those it is asked to go on with; others, such as more steps, are another run, which may replace
              the finished one only if that was said (overwrite)
    data      returns what it is asked to learn from, each with its hash; others are refused by InputError;
              None where another process looks
    """
    if not resume or not is_finished(output) or checkpoints(output):
        return False
    if changed := changed_settings(output, settings, deciding=True):
        if overwrite:
            return False
        raise InputError(
            f"{output} holds a finished run of other settings ({'; '.join(changed)}) and no checkpoint to "
            "go on from; choose another folder, or --overwrite-output-dir trains anew"
        )
    if data is not None:
        refuse_other_data(output, data())
    again = "--overwrite-output-dir trains anew"
    print(f"  {output} holds a finished run: nothing is left to do; {again}", file=sys.stderr)
    return True


def refuse_other_tokenizer(output: Path, tokenizer: str | Path | None) -> None:
    """Raise InputError where a run is to go on with another tokenizer than it began with.

    tokenizer  the folder that was named; None takes the one that the run has learnt. Beside a checkpoint that
               was brought here alone it is learnt again, and what it makes of the corpus is compared later
    """
    kept = next((path for path in (*reversed(checkpoints(output)), output) if has_pieces(path)), None)
    named = Path(tokenizer or output / "tokenizer")
    learnt_again = tokenizer is None and not named.exists() and not (output / RECORD).is_file()
    if kept is None or learnt_again:
        return
    if tokenizer is None and not named.exists():
        raise InputError(f"{output} holds a run with a tokenizer of its own choice; name it: --tokenizer")
    if source_of([], load_tokenizer(named), "") != source_of([], load_tokenizer(kept), ""):
        raise InputError(
            f"{output}: the tokenizer in {named} is not the one that the run began with, which {kept} holds; "
            "resume with that, or start anew in another folder"
        )


def has_pieces(folder: Path) -> bool:
    """Tell whether a tokenizer that can be opened lies in a folder."""
    try:
        load_tokenizer(folder)
    except InputError:
        return False
    return True


def checkpoints(output: Path) -> list[Path]:
    """Return the checkpoint folders, the oldest first."""
    found = [path for path in output.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """Return the number of steps that were done when a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def is_whole(checkpoint: Path) -> bool:
    """Tell whether all files of a checkpoint are as they were written."""
    try:
        verify(checkpoint, required=True)
    except InputError:
        return False
    return True


def newest_whole(output: Path) -> Path | None:
    """Return the newest checkpoint whose files are as they were written; say which ones are not.

    Returns None where nothing was saved. Raises InputError where something was, and all of it is damaged.
    """
    found = checkpoints(output)
    for path in reversed(found):
        try:
            verify(path, required=True)
            return path
        except InputError as error:
            print(f"  {path.name} is passed over: {error}", file=sys.stderr)
    if found:
        raise InputError(
            f"no checkpoint in {output} is whole: {', '.join(path.name for path in found)}; "
            "start anew with --overwrite-output-dir"
        )
    return None
