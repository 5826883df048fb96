"""A large model teaches one of fewer layers: nearly as good, and faster by the layers that it lacks.

    teacher's layers, every other one -> student -> learns labels, soft targets, hidden states -> folder

Texts without labels will do: the teacher says what it thinks of them. For int8 on a CPU see
`export --quantize int8`; the two go together.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minibert.adapt.merging import merged
from minibert.config import to_dict
from minibert.data.batches import ExampleBatches
from minibert.errors import InputError
from minibert.finetune import batches_of, read_examples, train_into, usual_rate
from minibert.further.settings import opened_for_training, with_own
from minibert.further.student import kept_layers, student_of
from minibert.output import describe_data
from minibert.output.record import describe_model
from minibert.tasks.model import Model
from minibert.tasks.task import Task, Window
from minibert.training.config import TrainingConfig
from minibert.training.distillation import distance_of, hidden_too, taught
from minibert.training.loop import Run


@dataclass(frozen=True)
class DistillOptions:
    """How a student is made and taught.

    layers         of the student
    temperature    of the soft targets
    label_weight   weight of the labels' own loss beside the teacher's word, in 0..1
    hidden_weight  weight of the distance between hidden states; 0 leaves them alone
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


def distill(
    teacher: str | Path,
    *,
    train: str | Path | Sequence[Any],
    output_dir: str | Path,
    validation: str | Path | Sequence[Any] | None = None,
    settings: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite_output_dir: bool = False,
) -> Model:
    """Teach a student what the model in a folder knows, and leave it in `output_dir`.

    train       a file or examples; where any has no label, the teacher alone is heard
    validation  labelled examples: the best student on them is kept
    settings    dotted keys such as {"distill.layers": 2, "train.num_train_epochs": 5}

    Raises InputError for unusable input and tasks whose loss tells no logits, before anything is trained.
    """
    model = merged(opened_for_training(teacher))
    kind, rate = type(model.task), usual_rate(model.encoder.config.hidden_size)
    options, tuned = with_own(settings or {}, "distill", DistillOptions, learning_rate=rate)
    rows = read_examples(kind, train)
    held = [] if validation is None else read_examples(kind, validation)
    distance_of(model.task)
    student = student_of(model, options.layers)
    if options.label_weight and not all_answered(kind, rows):
        print("  there are rows without a label: the teacher alone is heard", file=sys.stderr)
        options = replace(options, label_weight=0.0)
    batches = batches_for(student.task, rows, options, tuned.train)
    return train_into(
        output_dir,
        lambda: lesson(student, model, batches, options, tuned.train),
        held,
        settings=tuned,
        data={"teacher": describe_model(Path(teacher)), "train": describe_data(rows)},
        free={"resume": resume, "overwrite": overwrite_output_dir},
        own={"distill": to_dict(options)},
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
    return replace(batches, windows=[blank(window) for window in batches.windows])


def blank(window: Window) -> Window:
    """Return a window whose labels can be counted, and mean nothing."""
    return replace(window, labels=np.zeros_like(window.labels))


def lesson(
    student: Model,
    teacher: Model,
    batches: ExampleBatches[Window, Any],
    options: DistillOptions,
    config: TrainingConfig,
) -> Run:
    """Return a run in which the student learns from the teacher."""
    run = Run(student, batches, config)
    teacher.to(run.device).requires_grad_(False)
    teacher.encoder.dtype = student.encoder.dtype
    teacher.encoder.use_attention(config.attention)
    share = options.label_weight
    objective = taught(
        run.objective, teacher, temperature=options.temperature, weight=1 - share, label_weight=share
    )
    if options.hidden_weight:
        layers = kept_layers(teacher.encoder.config, options.layers)
        objective = hidden_too(objective, student, teacher, layers=layers, weight=options.hidden_weight)
    run.objective = objective
    return run
