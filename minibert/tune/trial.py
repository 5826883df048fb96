"""One trial: a fine-tuning run in memory that can be given up after any of its validations.

The same rows, batches, seed and validations as `finetune` with these settings, and so the same scores; no
model is left behind.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from minibert.adapt.features import kept_features
from minibert.data.batches import ExampleBatches
from minibert.distributed.ranks import Ranks
from minibert.finetune import batches_of, first_rate, open_for_task
from minibert.output import describe_data
from minibert.output.record import describe_model
from minibert.tasks.task import Task, Window
from minibert.training.best import Best, check_choice
from minibert.training.degenerate import refuse_lonely
from minibert.training.finetuning import Settings
from minibert.training.held_out import HeldOut
from minibert.training.loop import Run
from minibert.tune.space import joined


@dataclass(frozen=True)
class Problem:
    """What all trials have in common."""

    model: Path
    kind: type[Task]
    rows: Sequence[Any]
    held: Sequence[Any]

    def hashes(self) -> dict[str, str]:
        """Return what model and rows are known by; a model that is only a size has no weights yet."""
        files = describe_model(self.model)["sha256"]
        model = json.dumps(files, sort_keys=True) if files else self.model.name
        parts = {"training data": self.rows, "validation data": self.held}
        return {"model": model, **{name: describe_data(rows)["sha256"] for name, rows in parts.items()}}


class Rehearsal:
    """Makes trials ready, and trains none: for what no trial could do, a strange setting, an unknown label.

    same  settings of all trials
    The rows are cut into tokens again only where a setting may change what becomes of them.
    """

    def __init__(self, problem: Problem, same: dict[str, Any]) -> None:
        self.problem, self.same = problem, same
        self.windows: list[Window] = []
        self.told: Any = None

    def ready(self, values: dict[str, Any]) -> None:
        """Make a trial of some values ready; raises InputError where it cannot be."""
        problem = self.problem
        settings = joined(values, self.same, problem.kind)
        chosen = Settings.of(settings, learning_rate=first_rate(problem.model))
        model = open_for_task(problem.model, problem.kind, problem.rows, settings=chosen)
        told = (chosen.task, chosen.model, chosen.data.vocab_size)
        if told != self.told:
            parts = model.encode(problem.rows)
            self.windows = [window for windows in parts for window in windows if len(window.rows)]
            model.encode(problem.held)
            self.told = told
        refuse_lonely(model.task, self.windows, chosen.train)
        check_choice(chosen.train, problem.held, model.evaluate)
        batches = ExampleBatches(self.windows, model.task.collate, chosen.train.train_batch_size)
        with kept_features(model, self.windows[:1], (), chosen.adapt, progress=False) as learn:
            learn(Run(model, batches, chosen.train))


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    metric, value  the metric that decides, and its best value
    given_up       whether the run was ended for it, before its last step and before it stopped by itself
    """

    metric: str
    value: float
    given_up: bool = False


def try_settings(
    problem: Problem, settings: dict[str, Any], *, go_on: Callable[[int, float], bool]
) -> Outcome:
    """Fine-tune with these settings; return what came of it.

    go_on  is told the number of the validation, from 1, and how good it was (higher is better); whether to
           go on with the run
    Raises NotFinite where the loss blows up.
    """
    chosen = Settings.of(settings, learning_rate=first_rate(problem.model))
    torch.manual_seed(chosen.train.seed)
    model = open_for_task(problem.model, problem.kind, problem.rows, settings=chosen)
    batches = batches_of(model.task, problem.rows, chosen.train)
    windows, progress = batches.windows, chosen.data.progress
    with kept_features(model, windows, problem.held, chosen.adapt, progress=progress) as learn:
        run = learn(Run(model, batches, chosen.train))
        return best_of(run, HeldOut(model, problem.held, Ranks.here()), go_on)


def best_of(run: Run, held: HeldOut, go_on: Callable[[int, float], bool]) -> Outcome:
    """Drive a run until it ends, is given up, or gets no better; return what came of it."""
    config, best = run.config, Best(run.config.metric_for_best_model)
    every, patience = config.eval_steps or run.batches.steps_per_epoch, config.early_stopping_patience
    number, given_up = 0, False
    for step in run:
        if step.index % every and step.index < run.total:
            continue
        with run.average.applied():
            best.offer(run.model, held.scores(), step.index)
        number += 1
        assert best.value is not None
        whole = step.index >= run.total or 0 < patience <= best.waited
        given_up = not go_on(number, best.value) and not whole
        if given_up or whole:
            break
    return Outcome(best.record["metric"], float(best.record["value"]), given_up)
