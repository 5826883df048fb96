"""A look at a fine-tuning run before it begins: data, model folder, both together, the numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from minibert.adapt.prompts import rows_before
from minibert.checkup.outline import Outline, outline_of
from minibert.checkup.rehearsing import rehearse_finetuning
from minibert.doctor.capacity import capacity_findings
from minibert.doctor.copies import copy_findings
from minibert.doctor.findings import Checkup, Finding, unreadable
from minibert.doctor.folders import folder_findings
from minibert.doctor.labels import label_findings
from minibert.doctor.memory import WIDE, Memory, Step, heavy_batch, predict
from minibert.doctor.numbers import Course, attention_findings, course_findings
from minibert.doctor.tokens import token_findings
from minibert.doctor.unread import unread_findings
from minibert.errors import InputError
from minibert.finetune import Settings, first_rate, task_class
from minibert.interop.starting import starting_folder
from minibert.tasks.from_scratch import is_size
from minibert.tasks.given import read_examples
from minibert.tasks.task import Task
from minibert.training.config import TrainingConfig
from minibert.training.freezing import freeze
from minibert.training.optimizer import depth_of
from minibert.training.plan import Budget
from minibert.training.precision import choose_device

QUICK_ROWS, ROWS = 10_000, 1_000_000  # that are compared with each other
QUICK_TEXTS, TEXTS = 300, 5_000  # that are tokenized


PREDICTED = 8192  # tokens that are predicted at once on validation data


def check_finetuning(
    model: str | Path,
    *,
    task: str,
    train: str | Path | Sequence[Any],
    validation: str | Path | Sequence[Any] | None = None,
    output_dir: str | Path | None = None,
    budget: Budget = None,
    settings: dict[str, Any] | None = None,
    quick: bool = False,
) -> Checkup:
    """Look at a fine-tuning run before it begins; the arguments are those of `finetune`.

    quick  a few seconds at most, without training

    Random states stay as they are. Raises InputError for settings that do not exist.
    """
    model = starting_folder(model)
    chosen = Settings.of(settings or {}, learning_rate=first_rate(model))
    kind = task_class(task)
    try:
        rows = read_examples(kind, train)
        held = read_examples(kind, validation) if validation is not None else []
    except InputError as error:
        return unreadable(error)
    reject = str(chosen.task.get("reject_label", ""))
    findings = data_findings(kind, rows, held, quick=quick, reject=reject) + unread_findings(kind, train)
    facts: dict[str, Any] = {"task": task, "rows": len(rows), "validation_rows": len(held)}
    if is_size(str(model)) and not model.exists():
        return Checkup.of(findings, facts)
    findings += folder_findings(model, quick=quick)
    if not ill(findings):
        with torch.random.fork_rng(devices=[]):
            found, told = run_findings(
                model, kind, rows, settings=chosen, output=output_dir, validates=bool(held),
                budgeted=budget is not None, quick=quick,
            )  # fmt: skip
        findings, facts = findings + found, {**facts, **told}
    return Checkup.of(findings, facts)


def data_findings(
    kind: type[Task], rows: Sequence[Any], held: Sequence[Any], *, quick: bool, reject: str = ""
) -> list[Finding]:
    """Check what can be seen in examples alone; `reject` is the label that is no class, if there is one."""
    return [
        *label_findings(rows, held, reject=reject, takes_unseen=kind.takes_unseen),
        *copy_findings(rows, held, limit=QUICK_ROWS if quick else ROWS),
    ]


def run_findings(
    folder: Path,
    kind: type[Task],
    rows: Sequence[Any],
    *,
    settings: Settings,
    output: str | Path | None,
    validates: bool,
    budgeted: bool,
    quick: bool,
) -> tuple[list[Finding], dict[str, Any]]:
    """Check what the data are to this model, and the numbers of the run; return facts as well."""
    config = settings.train
    try:
        outline = outline_of(folder, kind, rows, settings=settings, texts=QUICK_TEXTS if quick else TEXTS)
    except InputError as error:
        return [Finding("task", "error", str(error), "mend that first")], {}
    tokens, task, shape = outline.tokens, outline.model.task, outline.model.encoder.config
    windows = round(len(rows) * tokens.asked / len(tokens.fits))
    usual = first_rate(folder) * settings.adapt.rate_factor
    course = Course(config, windows, config.train_batch_size, usual, budgeted=budgeted)
    longest = max(tokens.lengths, default=0)
    found = [
        *token_findings(tokens, task.tokenizer, task.max_length),
        *course_findings(course),
        *attention_findings(shape, config, longest),
    ]
    facts = facts_of(outline, course)
    if ill(found):
        return found, facts
    fits, told = capacity_findings(memory_of_run(outline, config, validates=validates), course, output)
    if quick or ill(fits):
        return found + fits, {**facts, **told}
    tried, shown = rehearse_finetuning(folder, kind, rows, settings=settings, course=course)
    return found + fits + tried, {**facts, **told, **shown}


def facts_of(outline: Outline, course: Course) -> dict[str, Any]:
    """Return what a person wants to know of a run before it begins."""
    tokens = outline.tokens
    return {
        "weights": outline.weights,
        "longest_text": max(tokens.lengths, default=0),
        "tokens_per_text": round(tokens.total / len(tokens.fits), 1),
        "steps": course.steps,
        "learning_rate": course.config.learning_rate,
    }


def ill(findings: Sequence[Finding]) -> bool:
    """Whether one of the findings is an error: what builds on it is not looked at."""
    return any(finding.severity == "error" for finding in findings)


def memory_of_run(outline: Outline, config: TrainingConfig, *, validates: bool) -> Memory:
    """Return the memory of a step over a heavy batch, and of what is predicted at once on validation."""
    before = rows_before(outline.model.encoder)
    lengths = [length + before for length in outline.tokens.lengths]
    freeze(outline.model, config.freeze)
    layers = outline.model.encoder.config.num_hidden_layers
    trained = {name: weight for name, weight in outline.model.named_parameters() if weight.requires_grad}
    micro = -(-config.train_batch_size // config.gradient_accumulation_steps)
    fused = choose_device(config.device).type != "cpu"
    itemsize = 2 if config.precision == "bf16" else WIDE
    longest = sorted(lengths, reverse=True)
    fitting = max(1, PREDICTED // max(longest[0], 1))
    return predict(
        outline.model.encoder.config,
        Step(heavy_batch(lengths, micro), micro, itemsize=itemsize, fused=fused),
        config,
        weights=outline.weights,
        trained=sum(weight.numel() for weight in trained.values()),
        lowest=min((depth_of(name, layers) for name in trained), default=layers + 1),
        validation=Step(tuple(longest[:fitting]), 0, itemsize=itemsize, fused=fused) if validates else None,
    )
