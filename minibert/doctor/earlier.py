"""What the record and the log of an earlier run say about it: did it end, and did it learn?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minibert.checkpoint import read_table
from minibert.data.corpus import Corpus
from minibert.doctor.findings import Finding
from minibert.errors import InputError
from minibert.training.log import log_files, read_log

RECORD = "run.json"
LAST_PART = 0.98  # of the steps: a best model from there on was still getting better
OVERFITTED = 1.1  # times the lowest validation loss


def earlier_findings(folder: Path) -> tuple[list[Finding], dict[str, Any]]:
    """Check a folder that holds a run.json; return findings and what is known of the run."""
    record = read_table(folder / RECORD)
    steps = record.get("steps_done")
    facts = {name: record.get(name) for name in ("kind", "task", "state") if record.get(name)}
    return [
        *_state(record, folder),
        *_ending(record, steps),
        *_pretraining(record, folder),
        *_skipped(folder),
    ], {**facts, "steps": steps}


def _state(record: dict[str, Any], folder: Path) -> Iterator[Finding]:
    state = record.get("state")
    if state in ("running", "stopped"):
        seen = f"{folder}: the run did not come to its end: it is {state!r}"
        yield Finding("unfinished-run", "warning", seen, "go on with the same command and --resume")
    elif state == "not finite":
        seen = f"{folder}: the loss was no number; the weights are those before that step"
        yield Finding("diverged", "error", seen, "begin anew with a third of the learning rate")
    if record.get("warning"):
        yield Finding("degenerate-run", "warning", str(record["warning"]), "see docs/07-training.md")


def _ending(record: dict[str, Any], steps: Any) -> Iterator[Finding]:
    """Was the best model the last, or an early one?"""
    best = record.get("best")
    step = best.get("step") if isinstance(best, dict) else None
    if not isinstance(step, int) or not isinstance(steps, int) or record.get("state") != "finished":
        return
    if step >= LAST_PART * steps and steps > 1:
        seen = f"the best model is that of the last validation, at step {step:,} of {steps:,}"
        yield Finding("still-learning", "note", seen, "more epochs may give a better one")


def _pretraining(record: dict[str, Any], folder: Path) -> Iterator[Finding]:
    """Has masked language modelling got below the entropy of the tokens' frequencies?"""
    if record.get("kind") != "pretrain":
        return
    losses = [line["loss"] for line in _lines(folder, "validation") if "loss" in line]
    try:
        bar = Corpus.open(folder / "corpus").unigram_entropy()
    except InputError:
        return
    if losses and losses[-1] >= bar:
        seen = f"validation loss {losses[-1]:.3f}; who knows the tokens' frequencies alone has {bar:.3f}"
        advice = "train longer, or with another learning rate: nothing of use has been learnt yet"
        yield Finding("unigram-bar", "warning", seen, advice)
    if losses and losses[-1] > OVERFITTED * min(losses):
        seen = f"validation loss {losses[-1]:.3f} after {min(losses):.3f}"
        yield Finding("overfitted", "warning", seen, "give more text, or take fewer steps")


def _skipped(folder: Path) -> Iterator[Finding]:
    skipped = len(_lines(folder, "skipped"))
    if skipped:
        seen = f"{skipped} batches were passed over: their loss was not finite or far above the others"
        yield Finding("bad-batches", "warning", seen, f"look at {folder / 'bad-batches'}")


def _lines(folder: Path, event: str) -> list[dict[str, Any]]:
    """Return the lines of a log; a run of several seeds has none of its own."""
    return read_log(folder, event) if log_files(folder) else []
