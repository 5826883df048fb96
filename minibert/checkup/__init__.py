"""The doctor is asked to look: at a run before it begins, or at a file or folder as it is.

The checks themselves are in `minibert/doctor`; here stands of what they are made, and in which order.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minibert.checkup.finetuning import check_finetuning
from minibert.checkup.paths import check_path
from minibert.checkup.pretraining import check_pretraining
from minibert.doctor.findings import Checkup
from minibert.errors import InputError

__all__ = ["check_finetuning", "check_path", "check_pretraining", "doctor"]


def doctor(
    target: str | Path,
    *,
    task: str | None = None,
    train: str | Path | Sequence[Any] | None = None,
    validation: str | Path | Sequence[Any] | None = None,
    output_dir: str | Path | None = None,
    settings: dict[str, Any] | None = None,
    quick: bool = False,
) -> Checkup:
    """Look for what would waste a run, before hours are spent.

    target             a model, an earlier run, data; with `train`, the model that is to be fine-tuned
    task, train, ...   as `finetune` takes them
    quick              a few seconds at most, without training

    Returns findings, the worst first, and facts. Raises InputError for what cannot be looked at.

    >>> for finding in doctor("train.csv").findings:
    ...     print(finding.name, finding.severity)
    """
    if train is None:
        return check_path(target, task=task, quick=quick)
    if task is None:
        raise InputError(f"doctor({str(target)!r}, train=...): name the task as well, such as task='tagging'")
    return check_finetuning(
        target, task=task, train=train, validation=validation, output_dir=output_dir, settings=settings,
        quick=quick,
    )  # fmt: skip
