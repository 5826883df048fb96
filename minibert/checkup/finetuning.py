"""A look at a fine-tuning run before it begins: data, model folder, both together, the numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from minibert.doctor.copies import copy_findings
from minibert.doctor.examples import sample
from minibert.doctor.findings import Checkup, Finding, unreadable
from minibert.doctor.folders import folder_findings
from minibert.doctor.labels import label_findings
from minibert.doctor.numbers import Course, attention_findings, course_findings
from minibert.doctor.tokens import Tokens, token_findings
from minibert.errors import InputError
from minibert.finetune import Settings, first_rate, read_examples, task_class
from minibert.interop.checkpoints import check_vocabulary, read_config
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.from_scratch import is_size
from minibert.tasks.model import Model
from minibert.tasks.task import Task
from minibert.text.loading import load_tokenizer
from minibert.training.plan import Budget

QUICK_ROWS, ROWS = 10_000, 1_000_000  # that are compared with each other
QUICK_TEXTS, TEXTS = 500, 5_000  # that are tokenized


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
    chosen = Settings.of(settings or {}, learning_rate=first_rate(model))
    kind = task_class(task)
    try:
        rows = read_examples(kind, train)
        held = read_examples(kind, validation) if validation is not None else []
    except InputError as error:
        return unreadable(error)
    findings = data_findings(rows, held, quick=quick)
    facts: dict[str, Any] = {"task": task, "rows": len(rows), "validation_rows": len(held)}
    if is_size(str(model)) and not Path(model).exists():
        return Checkup.of(findings, facts)
    findings += folder_findings(Path(model), quick=quick)
    if not any(finding.severity == "error" for finding in findings):
        with torch.random.fork_rng(devices=[]):
            findings += run_findings(Path(model), kind, rows, settings=chosen, facts=facts, quick=quick)
    return Checkup.of(findings, facts)


def data_findings(rows: Sequence[Any], held: Sequence[Any], *, quick: bool) -> list[Finding]:
    """Check what can be seen in examples alone."""
    return [*label_findings(rows, held), *copy_findings(rows, held, limit=QUICK_ROWS if quick else ROWS)]


def run_findings(
    folder: Path,
    kind: type[Task],
    rows: Sequence[Any],
    *,
    settings: Settings,
    facts: dict[str, Any],
    quick: bool,
) -> list[Finding]:
    """Check what the data are to this model, and the numbers of the run; adds to the facts."""
    try:
        model = outline(folder, kind, rows, settings=settings)
        texts = sample(rows, QUICK_TEXTS if quick else TEXTS)
        tokens = Tokens.of(model.task, texts)
    except InputError as error:
        return [Finding("task", "error", str(error), "mend that first")]
    shape, config = model.encoder.config, settings.train
    windows = round(len(rows) * len(tokens.lengths) / max(1, len(texts)))
    course = Course(config, windows, config.train_batch_size, first_rate(folder))
    facts |= {
        "weights": sum(weight.numel() for weight in model.parameters()),
        "longest_text": max(tokens.lengths, default=0),
        "tokens_per_text": round(tokens.total / max(1, len(texts)), 1),
        "steps": course.steps,
        "learning_rate": config.learning_rate,
    }
    return [
        *token_findings(tokens, model.task.tokenizer, model.task.max_length),
        *course_findings(course),
        *attention_findings(shape, config, facts["longest_text"]),
    ]


def outline(folder: Path, kind: type[Task], rows: Sequence[Any], *, settings: Settings) -> Model:
    """Return the model that would be trained, its weights on torch's device "meta": shapes without memory."""
    shape = {**read_config(folder).to_dict(), **settings.model}
    config = EncoderConfig.from_dict(shape, str(folder / "config.json"))
    tokenizer = load_tokenizer(folder)
    check_vocabulary(tokenizer, config, folder)
    with torch.device("meta"):
        return Model(Encoder(config), kind.build(tokenizer, config, rows, settings.task))
