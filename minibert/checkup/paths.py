"""A look at a file or folder as it is: a model, an earlier run, examples, a corpus."""

from pathlib import Path

from minibert.checkpoint import WEIGHTS
from minibert.checkup.finetuning import data_findings
from minibert.checkup.pretraining import check_pretraining
from minibert.doctor.earlier import earlier_findings
from minibert.doctor.findings import Checkup, unreadable
from minibert.doctor.folders import adapter_findings, folder_findings
from minibert.doctor.targets import Target, guess_task, target_of
from minibert.errors import InputError
from minibert.finetune import task_class
from minibert.interop.kinds import lies_over_a_base
from minibert.tasks.given import read_examples

PARTS = ("config.json", "task.json", WEIGHTS)  # with one of them a folder claims to be a model's


def check_path(
    path: str | Path,
    *,
    task: str | None = None,
    columns: dict[str, str] | None = None,
    quick: bool = False,
) -> Checkup:
    """Look at a model's folder, an earlier run's, a file or folder of examples, or a corpus.

    task     how examples are to be read; None finds out
    columns  of a table, those that have no usual name: {"label_column": "mood"}

    Raises InputError for a path that is none of these.
    """
    target = target_of(Path(path))
    if target.what == "corpus":
        return check_pretraining([path], quick=quick)
    if target.what == "examples":
        return check_examples(target, task, columns or {}, quick=quick)
    findings, facts = earlier_findings(target.path) if target.what == "run" else ([], {})
    if lies_over_a_base(target.path):
        findings = [*findings, *adapter_findings(target.path, quick=quick)]
    elif any((target.path / name).is_file() for name in PARTS):
        findings = [*findings, *folder_findings(target.path, quick=quick)]
    return Checkup.of(findings, {"what": target.what, **facts})


def check_examples(target: Target, task: str | None, columns: dict[str, str], *, quick: bool) -> Checkup:
    """Look at examples to train on and, where a folder holds some, at those to validate on."""
    kind = guess_task(target.files[0], columns) if task is None else task_class(task)
    try:
        rows, *held = [read_examples(kind, kind.read(path, columns)) for path in target.files]
    except InputError as error:
        return unreadable(error)
    validation = held[0] if held else []
    facts = {"what": "examples", "task": kind.name, "rows": len(rows), "validation_rows": len(validation)}
    return Checkup.of(data_findings(kind, rows, validation, quick=quick), facts)
