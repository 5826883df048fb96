"""Whether a run has gone wrong without an error: one label for everything, or a loss that does not fall.

Both happen to Transformers that are fine-tuned on little data, with some seeds and not with others (Mosbach
et al., 2021, "On the Stability of Fine-tuning BERT"; Zhang et al., 2021, "Revisiting Few-sample BERT
Fine-tuning"). The usual reason is a learning rate that was too high, or climbed too fast, in the first steps.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from minibert.errors import InputError
from minibert.tasks.metrics import Choices
from minibert.tasks.model import Model
from minibert.tasks.task import Task
from minibert.training.config import TrainingConfig
from minibert.training.finetuning import Settings

FEWEST_STEPS = 40  # of fewer, a mean says little
FALLEN = 0.97  # a loss that falls by less than 3 % from the first quarter to the last is flat
LEARNT = 0.1  # nats a unit: who begins below has nothing to learn
FEWEST_ANSWERS = 10
LOW = 0.1  # share of the usual learning rate below which a loss is flat for want of speed


def refuse_lonely(task: Task, windows: Sequence[Any], config: TrainingConfig) -> None:
    """Raise InputError where a loss that compares examples would see one at a time, and be 0 for each."""
    size, parts = config.train_batch_size, config.gradient_accumulation_steps
    if not task.compares(windows):
        return
    if sum(len(window.rows) > 0 for window in windows) == 1:
        raise InputError(f"there is one example, and {task.name} learns by comparing several; give more rows")
    if size <= parts:
        cut = f" in {parts} parts" if parts > 1 else ""
        raise InputError(
            f"train_batch_size {size}{cut} shows one example at a time, and {task.name} learns by comparing "
            f"those of a batch; use at least {2 * parts}"
        )


def one_label(choices: Choices | None) -> str | None:
    """Say so where all answers are one label though the right ones are several; None where all is well.

    >>> one_label(Choices(["a", "b"] * 5, ["a"] * 10, ("a", "b")))
    "all 10 answers are 'a', and 2 labels are right"
    """
    if choices is None or len(choices.predicted) < FEWEST_ANSWERS:
        return None
    right, given = set(choices.gold), set(choices.predicted)
    if len(given) > 1 or len(right) < 2:
        return None
    return f"all {len(choices.predicted)} answers are {given.pop()!r}, and {len(right)} labels are right"


def flat(losses: Sequence[float]) -> str | None:
    """Say so where the loss of the last quarter is about that of the first; None where it fell.

    >>> flat([0.7] * 40), flat([0.7] * 20 + [0.4] * 20)
    ('the loss has not fallen: 0.700 in the first quarter of the steps, 0.700 in the last', None)
    """
    quarter = len(losses) // 4
    if len(losses) < FEWEST_STEPS:
        return None
    first, last = fmean(losses[:quarter]), fmean(losses[-quarter:])
    if first < LEARNT or last < FALLEN * first:
        return None
    return f"the loss has not fallen: {first:.3f} in the first quarter of the steps, {last:.3f} in the last"


def may_redraw(model: Model, settings: Settings) -> bool:
    """Say whether a run like this could draw the top layers of its encoder anew, and has not."""
    whole = (
        model.adaptation is None and settings.adapt.adapter == "none" and settings.train.freeze != "encoder"
    )
    return whole and not (settings.data.reinit_layers or settings.data.from_scratch)


def remedies(config: TrainingConfig, *, usual: float | None = None, redraws: bool = True) -> str:
    """Say what to try, beginning with what helps most often.

    usual    the learning rate that is usual for what is trained; one below a tenth of it is too low
    redraws  the top layers may be drawn anew, and are not yet

    >>> remedies(TrainingConfig(learning_rate=1e-6), usual=3e-4, redraws=False)
    'try learning_rate 3.0e-04 (1e-06 is far below what is usual), another seed, or more epochs'
    """
    rate = config.learning_rate
    if usual is not None and rate < LOW * usual:
        tried = [f"learning_rate {usual:.1e} ({rate:.2g} is far below what is usual)"]
    else:
        warm = config.warmup_steps or config.warmup_ratio >= 0.1
        tried = [f"learning_rate {rate / 3:.1e}", *([] if warm else ["warmup_ratio 0.1"])]
    tried += ["another seed", "more epochs", *(["reinit_layers 1"] if redraws else [])]
    return f"try {', '.join(tried[:-1])}, or {tried[-1]}"


def diagnose(
    losses: Sequence[float],
    choices: Choices | None,
    config: TrainingConfig,
    *,
    usual: float | None = None,
    redraws: bool = True,
) -> str | None:
    """Return what looks wrong with a run that has ended, and what to try; None where nothing does.

    losses          of every step
    choices         labels that are right and labels that were given on validation data, if there were any
    usual, redraws  see `remedies`
    """
    found = [what for what in (one_label(choices), flat(losses)) if what]
    return f"{'; '.join(found)}; {remedies(config, usual=usual, redraws=redraws)}" if found else None
