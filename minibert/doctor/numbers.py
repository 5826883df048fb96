"""The numbers of a run: learning rate, batches and steps, attention and precision.

What is usual is what the library would have taken by itself: the learning rate falls with the encoder's
width.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from minibert.doctor.findings import Finding
from minibert.errors import InputError
from minibert.kernels.attention import Machine, Request, choose
from minibert.model.config import EncoderConfig
from minibert.training.config import TrainingConfig
from minibert.training.precision import choose_device

FACTOR = 10  # times the usual learning rate, or a part of it
FEW_STEPS = 20
LARGE_BATCH = 0.2  # of all texts in one step
MANY_EPOCHS = 100


@dataclass(frozen=True)
class Course:
    """How long a run is.

    units           texts in an epoch; in pretraining tokens
    units_per_step  of a step, all its micro-batches together
    usual_rate      learning rate that the library takes for this width
    size_flag       what is typed to change units_per_step
    budgeted        whether a clock decides how many steps there are
    """

    config: TrainingConfig
    units: int
    units_per_step: int
    usual_rate: float
    unit: str = "texts"
    size_flag: str = "--per-device-train-batch-size"
    budgeted: bool = False

    @property
    def steps_per_epoch(self) -> int:
        return max(1, math.ceil(self.units / self.units_per_step))

    @property
    def steps(self) -> int:
        """Steps that are planned."""
        if self.config.max_steps > 0:
            return self.config.max_steps
        return max(1, math.ceil(self.config.num_train_epochs * self.steps_per_epoch))

    @property
    def epochs(self) -> float:
        return self.steps / self.steps_per_epoch


def course_findings(course: Course) -> list[Finding]:
    """Check learning rate, effective batch, steps and warm-up."""
    return [*_rate(course), *_batch(course), *_steps(course)]


def _rate(course: Course) -> Iterator[Finding]:
    rate, usual = course.config.learning_rate, course.usual_rate
    if course.config.optim == "sgd" or course.config.freeze == "encoder":
        return  # other rates are usual there
    if not usual / FACTOR <= rate <= usual * FACTOR:
        word = "above" if rate > usual else "below"
        seen = f"learning_rate {rate:.1e} is more than {FACTOR} times {word} the usual {usual:.1e}"
        advice = f"try --learning-rate {usual:.1e}"
        yield Finding("learning-rate", "warning", seen, advice)


def _batch(course: Course) -> Iterator[Finding]:
    units, batch = course.units, course.units_per_step
    if batch > LARGE_BATCH * units and course.epochs > 1:
        seen = f"a step takes {batch:,} {course.unit} and there are {units:,}: {course.steps:,} steps in all"
        advice = f"take a smaller batch ({course.size_flag}, --gradient-accumulation-steps)"
        yield Finding("batch-size", "warning", seen, advice)


def _steps(course: Course) -> Iterator[Finding]:
    config, steps = course.config, course.steps
    if steps < FEW_STEPS and not course.budgeted:
        seen = f"the run has {steps:,} step{'s' * (steps != 1)}, too few to learn much"
        yield Finding("few-steps", "warning", seen, "take more steps, more epochs or a smaller batch")
    elif config.warmup_steps >= steps:
        seen = f"warmup_steps {config.warmup_steps:,} and {steps:,} steps: the rate never gets to its peak"
        yield Finding("warmup", "warning", seen, "take fewer, or --warmup-ratio 0.06")
    elif course.epochs > MANY_EPOCHS and not course.budgeted:
        seen = f"the data are gone through {course.epochs:,.0f} times"
        yield Finding("many-epochs", "warning", seen, "take fewer epochs or steps, or more data")


def attention_findings(shape: EncoderConfig, config: TrainingConfig, longest: int) -> list[Finding]:
    """Check that the device is there, and that the attention that was asked for can be done on it."""
    try:
        device = choose_device(config.device)
    except InputError as error:
        return [Finding("device", "error", str(error), "name another device")]
    dtypes = {"bf16": torch.bfloat16}
    request = Request(
        dtype=dtypes.get(config.precision, torch.float32),
        head_size=shape.head_size,
        max_seqlen=longest,
        window=shape.window(1),
        dropout=shape.attention_probs_dropout_prob,
    )
    try:
        choose(request, Machine.of(device), backend=config.attention)
    except InputError as error:
        return [Finding("attention", "error", str(error), "leave it to --attention auto")]
    return []
