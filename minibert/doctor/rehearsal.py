"""A rehearsal: the real model on a few real batches, before the run.

- The *first loss* of a new head is that of guessing: ln C for C classes, ln V for V pieces. Far above, the
  head or the labels are wrong before anything is learnt.
- *One batch is overfitted*: whatever can learn at all gets a handful of texts right, without dropout, in
  some hundred steps. Where it does not, no number of epochs will help.
- A few *timed steps*, as the run will make them, say how long it will take.

The model that is given is trained on the way: it is for this alone.
"""

import math
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from tqdm import tqdm

from minibert.doctor.findings import Finding
from minibert.doctor.numbers import Course
from minibert.packed import Packed
from minibert.tasks.model import Model
from minibert.tasks.task import Targets
from minibert.training.loop import Batches, Run
from minibert.training.precision import choose_dtype

ABOVE = 0.5  # nats above guessing that a first loss may have
LEARNT = 0.05  # nats a unit: a batch is known by heart
MOST_STEPS, MOST_SECONDS = 200, 60.0  # of learning one batch
FIRST_RATES = (1e-3, 1e-4)  # of narrow and of wide encoders
WIDE_ENCODER = 512
TIMED, TIMED_SECONDS = 4, 30.0  # steps, the first of which warms up
LONG = 12 * 3600.0  # seconds of a run without a budget that are worth a word
Micro = tuple[Packed, Targets]


@dataclass(frozen=True)
class Speed:
    """What a few steps have shown."""

    seconds_per_step: float
    dtype: torch.dtype
    device: torch.device


def first_loss(model: Model, micro: Micro) -> float:
    """Return the mean loss of a batch before anything is learnt, without dropout."""
    return model.evaluate_loss([micro])


def told(loss: float) -> float | None:
    """Return a loss as a fact: JSON has no word for what is no number."""
    return round(loss, 3) if math.isfinite(loss) else None


def first_loss_findings(loss: float, choices: int, what: str) -> Iterator[Finding]:
    """Compare a first loss with that of guessing among so many choices.

    >>> [finding.name for finding in first_loss_findings(3.0, 2, "classes")]
    ['first-loss']
    """
    guess = math.log(max(2, choices))
    if not loss <= guess + ABOVE:  # also where it is no number
        seen = f"the first loss is {loss:.3f}; who guesses among {choices:,} {what} has {guess:.3f}"
        advice = "the head begins far from indifferent: look at initializer_range, and at what it reads"
        yield Finding("first-loss", "warning" if math.isfinite(loss) else "error", seen, advice)


def learn_by_heart(model: Model, micro: Micro) -> tuple[float, int, bool]:
    """Train on one batch until it is known; return the last loss, the steps, and whether time ran out."""
    model.eval()  # no dropout
    for weight in model.parameters():
        weight.requires_grad_(True)
    rate = FIRST_RATES[model.encoder.config.hidden_size > WIDE_ENCODER]
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    begin, loss = time.perf_counter(), math.inf
    bar = tqdm(range(MOST_STEPS), "one batch by heart", leave=False, disable=not sys.stderr.isatty())
    for step in bar:
        mean = model(*micro).mean()
        loss = float(mean.detach())
        if loss < LEARNT or not math.isfinite(loss):
            bar.close()
            return loss, step, False
        if time.perf_counter() - begin > MOST_SECONDS:
            bar.close()
            return loss, step, True
        optimizer.zero_grad()
        mean.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return loss, MOST_STEPS, False


def by_heart_findings(loss: float, steps: int, out_of_time: bool) -> Iterator[Finding]:
    """Say so where one batch could not be learnt."""
    if loss < LEARNT:
        return
    seen = f"after {steps} steps on one batch, without dropout, its loss is {loss:.3f}, not below {LEARNT}"
    if out_of_time:
        yield Finding("cannot-overfit", "note", f"{seen}; time ran out", "this says little: try a GPU")
        return
    advice = "nothing is learnt: are texts empty or unknown, or labels shuffled, or weights damaged?"
    yield Finding("cannot-overfit", "error", seen, advice)


def timed(model: Model, batches: Batches[Any], course: Course) -> Speed:
    """Make a few steps as the run will make them."""
    config = replace(course.config, max_steps=course.steps, torch_compile=False)
    run = Run(model, batches, config)
    begin, seconds = time.perf_counter(), []
    for step in run:
        seconds.append(step.seconds)
        if len(seconds) == TIMED or time.perf_counter() - begin > TIMED_SECONDS:
            break
    return Speed(statistics.median(seconds[1:] or seconds), model.encoder.dtype, run.device)


def speed_findings(speed: Speed, course: Course) -> Iterator[Finding]:
    """Say so where a run is long, or computes in the slower of two precisions."""
    seconds = speed.seconds_per_step * course.steps
    if seconds > LONG and not course.budgeted:
        each = f"{course.steps:,} steps of {speed.seconds_per_step:.2f} s"
        seen = f"{each} are {shown(seconds)} on {speed.device}"
        advice = "give a --budget, fewer steps or epochs, or a smaller encoder; and --save-steps"
        yield Finding("time", "warning", seen, advice)
    usual = choose_dtype("auto", speed.device)
    if speed.dtype != usual and course.config.precision != "auto":
        names = (str(dtype).removeprefix("torch.") for dtype in (speed.dtype, usual))
        seen = "the run computes in {}, and this machine is faster in {}".format(*names)
        yield Finding("precision", "note", seen, "leave it to --precision auto")


def shown(seconds: float) -> str:
    """Write a duration as a person would.

    >>> shown(40), shown(60 * 95), shown(3600 * 50)
    ('40 s', '95 min', '50.0 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
