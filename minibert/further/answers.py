"""What teachers answer, asked once before a student begins; they may be several, and of any kind.

    rows -> each teacher, with its own tokenizer and template -> log of the mean of their p    (R, C)
    rows -> windows of the student, each with the number of its row where a label would stand

A teacher and its student need the same labels and nothing else. Several seeds say more together than any one
(Lakshminarayanan, Pritzel and Blundell, 2017, "Deep Ensembles"), several templates with a gap do (Schick and
Schuetze, 2021, "Exploiting Cloze Questions"; they take the mean of logits, which one teacher that is certain
can decide alone), and texts that nobody labelled are as good as labelled ones.

Letters: R rows, C labels.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from minibert.errors import InputError
from minibert.further.settings import opened_for_training
from minibert.tasks.classification import Classification
from minibert.tasks.cloze import Cloze
from minibert.tasks.task import Window
from minibert.training.config import TrainingConfig
from minibert.training.precision import choose_device, choose_dtype

SMALLEST = 1e-12  # probability that a label is taken to have at least, for its logarithm
CHUNK = 8192  # rows whose answers are held as objects
Chooser = Classification | Cloze


def chooser(folder: str | Path) -> Chooser:
    """Open a model and return its task; raises InputError where that does not choose one label of a text."""
    task = opened_for_training(folder).task
    if not isinstance(task, Classification | Cloze):
        raise InputError(
            f"{folder} answers with {task.name}; several teachers, or a student that is no part of one, are "
            "for one label a text (classification, cloze)"
        )
    return task


def check_labels(teachers: Sequence[str | Path]) -> Chooser:
    """Return the first teacher's task; raises InputError where another chooses from other labels."""
    first = chooser(teachers[0])
    for folder in teachers[1:]:
        if apart := sorted({*first.labels} ^ {*chooser(folder).labels}):
            raise InputError(
                f"{teachers[0]} and {folder} do not choose from the same labels: only one of them knows "
                f"{', '.join(apart)}"
            )
    return first


def answers_of(
    teachers: Sequence[str | Path],
    rows: Sequence[Any],
    labels: Sequence[str],
    *,
    config: TrainingConfig,
    progress: bool = False,
) -> Tensor:
    """Return the logarithm of the mean of what the teachers think of each label for each row, (R, C)."""
    mean_RC = torch.zeros(len(rows), len(labels))
    bar = tqdm(total=len(teachers) * len(rows), desc="teachers", unit="text", disable=not progress)
    for folder in teachers:
        add_answers(mean_RC, folder, without_labels(rows), labels, config=config, bar=bar)
    return (mean_RC / len(teachers)).clamp_min(SMALLEST).log()


def add_answers(
    sum_RC: Tensor,
    folder: str | Path,
    rows: Sequence[Any],
    labels: Sequence[str],
    *,
    config: TrainingConfig,
    bar: Any,
) -> None:
    """Add what one teacher thinks of each label; it is closed afterwards."""
    teacher = opened_for_training(folder).to(device := choose_device(config.device))
    teacher.encoder.dtype = choose_dtype(config.precision, device)
    for start in range(0, len(rows), CHUNK):
        found = teacher.predict(rows[start : start + CHUNK])
        shares = [[answer.probabilities[label] for label in labels] for answer in found]
        sum_RC[start : start + CHUNK] += torch.tensor(shares)
        bar.update(len(found))


def numbered(task: Chooser, rows: Sequence[Any]) -> list[list[Window]]:
    """Return the windows of each row, with the row's number in place of a label."""
    return [
        [replace(window, labels=np.full_like(window.labels, number)) for window in task.encode(row)]
        for number, row in enumerate(without_labels(rows))
    ]


def gold_of(task: Chooser, rows: Sequence[Any]) -> Tensor:
    """Return the number of each row's label, (R,), -1 for none; raises InputError for one that is new."""
    named = [None if isinstance(row, str) else row.label for row in rows]
    unknown = sorted({str(label) for label in named if label is not None} - {*task.labels})
    if unknown:
        raise InputError(
            f"no teacher knows the label {', '.join(unknown)}; known labels: {', '.join(task.labels)}"
        )
    return torch.tensor([-1 if label is None else task.numbers[str(label)] for label in named])


def of_a_class(task: Chooser, rows: Sequence[Any]) -> list[Any]:
    """Return the rows without those whose label says that they are of no class: these teach nothing."""
    reject = rejected_by(task)
    return [row for row in rows if not reject or isinstance(row, str) or str(row.label) != reject]


def rejected_by(task: Chooser) -> str:
    """Return the label that a task gives to what is of no class, or nothing."""
    return task.options.reject_label if isinstance(task, Classification) else ""


def without_labels(rows: Sequence[Any]) -> list[Any]:
    """Return the rows as whoever is asked may see them."""
    return [row if isinstance(row, str) else replace(row, label=None) for row in rows]
