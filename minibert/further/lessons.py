"""How a student is made and taught: by one teacher whose layers it has, or by what several answered."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minibert.adapt.merging import merged
from minibert.data.batches import ExampleBatches
from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.finetune import batches_from, batches_of, open_for_task
from minibert.further.answers import (
    Chooser,
    answers_of,
    check_labels,
    gold_of,
    numbered,
    of_a_class,
    rejected_by,
)
from minibert.further.growing import refuse_new
from minibert.further.student import kept_layers, student_of
from minibert.interop.opening import load
from minibert.tasks.classification import Classification
from minibert.tasks.intent_slots import IntentSlots
from minibert.tasks.model import Model
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.task import Task, Window
from minibert.training.config import TrainingConfig
from minibert.training.distillation import answered, distance_of, hidden_too, taught
from minibert.training.finetuning import Settings
from minibert.training.loop import Run
from minibert.training.objectives import Objective, objective_of


@dataclass(frozen=True)
class DistillOptions:
    """How a student is made and taught.

    layers         of the student, where it is a part of its teacher
    temperature    of the soft targets
    label_weight   weight of the labels' own loss beside the teacher's word, in 0..1
    hidden_weight  weight of the distance between hidden states; 0 leaves them alone. Only a student that is
                   a part of its one teacher has states that can be compared
    """

    layers: int = 3
    temperature: float = 2.0
    label_weight: float = 0.5
    hidden_weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature {self.temperature} must be above 0; 2 is usual")
        if not 0 <= self.label_weight <= 1:
            raise InputError(f"label_weight {self.label_weight} must be between 0 and 1")
        if self.hidden_weight < 0:
            raise InputError(f"hidden_weight {self.hidden_weight} must not be negative")


def student_from(folder: str | Path, task: Chooser, settings: Settings) -> Model:
    """Return the encoder in a folder with a new head for a teacher's labels; it rejects as that does."""
    known = [TextExample(label, label=label) for label in task.labels]
    options = {**settings.task, "reject_label": settings.task.get("reject_label") or rejected_by(task)}
    if options["reject_label"] in task.labels:
        raise InputError(f"reject_label {options['reject_label']!r} is a class that the teachers know")
    return open_for_task(Path(folder), Classification, known, settings=replace(settings, task=options))


def lesson_of_answers(
    teachers: Sequence[str | Path],
    model: str | Path | None,
    rows: Sequence[Any],
    *,
    options: DistillOptions,
    settings: Settings,
) -> tuple[Callable[[], Run], DistillOptions]:
    """Return what begins a run in which a student learns what the teachers answer, and the options in force.

    model  folder of the encoder that the student begins as; None makes it a part of the first teacher
    """
    known = check_labels(teachers)
    if model is None:
        student = student_of(merged(load(teachers[0])), options.layers)
    else:
        student = student_from(model, known, settings)
    task = student.task
    assert isinstance(task, Chooser)
    rows = of_a_class(task, rows)
    gold_R = gold_of(task, rows)
    if options.label_weight:
        task.weigh([row for row, number in zip(rows, gold_R.tolist(), strict=True) if number >= 0])
    batches = batches_from(numbered(task, rows), task, settings.train)

    def begin() -> Run:
        run = Run(student, batches, settings.train)
        bar = settings.data.progress
        said_RC = answers_of(teachers, rows, task.labels, config=settings.train, progress=bar)
        objective = answered(
            run.forward,
            said_RC.to(run.device),
            gold_R.to(run.device),
            temperature=options.temperature,
            label_weight=options.label_weight,
        )
        run.objective = objective_of(student, objective, settings.train)
        return run

    return begin, replace(options, layers=len(student.encoder.blocks), hidden_weight=0.0)


def lesson_of_layers(
    teacher: Model, rows: Sequence[Any], options: DistillOptions, config: TrainingConfig
) -> tuple[Callable[[], Run], DistillOptions]:
    """Return what begins a run in which a part of the teacher learns from it, and the options in force."""
    distance_of(teacher.task)
    student = student_of(teacher, options.layers)
    if options.label_weight and not all_answered(type(teacher.task), rows):
        print("  there are rows without a label: the teacher alone is heard", file=sys.stderr)
        options = replace(options, label_weight=0.0)
    if options.label_weight:
        check_labels_of(teacher.task, rows)
    batches = batches_for(student.task, rows, options, config)
    return lambda: lesson(student, teacher, batches, options, config), options


def check_labels_of(task: Task, rows: Sequence[Any]) -> None:
    """Raise InputError for a label that a teacher does not know; tell of answers that cannot be heard."""
    if isinstance(task, IntentSlots):
        refuse_new(task, rows)
    if isinstance(task, QuestionAnswering):
        lost = sum(bool(row.answers) and all(gold.start is None for gold in row.answers) for row in rows)
        if lost:
            print(
                f"  {lost:,} of {len(rows):,} questions have answers that do not stand in their passage, and "
                "teach nothing; take those answers away, and the teacher alone is heard",
                file=sys.stderr,
            )


def all_answered(kind: type[Task], rows: Sequence[Any]) -> bool:
    """Tell whether every row says what is right; a bare text does not."""
    return all(not isinstance(row, str) and kind.answered(row) for row in rows)


def batches_for(
    task: Task, rows: Sequence[Any], options: DistillOptions, config: TrainingConfig
) -> ExampleBatches[Window, Any]:
    """Return the batches of the rows, for a task that hears their labels or is to hear none."""
    batches = batches_of(task, rows, config)
    if options.label_weight:
        task.weigh(rows)
        return batches
    return replace(batches, windows=[task.unlabelled(window) for window in batches.windows])


def lesson(
    student: Model,
    teacher: Model,
    batches: ExampleBatches[Window, Any],
    options: DistillOptions,
    config: TrainingConfig,
) -> Run:
    """Return a run in which the student learns from the teacher."""
    run = Run(student, batches, config)
    share = options.label_weight
    objective = taught(
        run.forward, teacher, temperature=options.temperature, weight=1 - share, label_weight=share
    )
    return listening(run, objective, teacher, options)


def listening(run: Run, objective: Objective, teacher: Model, options: DistillOptions) -> Run:
    """Return the run with an objective that asks the teacher, and compares hidden states if wanted."""
    student = run.model
    teacher.to(run.device).requires_grad_(False)
    teacher.encoder.dtype = student.encoder.dtype
    teacher.encoder.use_attention(run.config.attention)
    if options.hidden_weight:
        layers = kept_layers(teacher.encoder.config, options.layers)
        objective = hidden_too(objective, student, teacher, layers=layers, weight=options.hidden_weight)
    run.objective = objective_of(student, objective, run.config)
    return run
