"""Trials in a space of settings, each nearer to what was good before; the bad ones are given up early.

The search itself is Optuna's (Akiba et al., 2019): a tree-structured Parzen estimator (Bergstra et al., 2011)
proposes, and a trial that is below the median of the earlier ones at the same validation is pruned; so is one
whose values do not go together. What happened is in trials.db (SQLite): a search that was cut goes on where
it was.

    OUTPUT/trials.db   every trial        OUTPUT/best.toml   for `minibert finetune --config`
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from minibert.config import parse_seconds
from minibert.durable import replace_text
from minibert.errors import InputError, MissingExtra
from minibert.finetune import task_class
from minibert.interop.starting import starting_folder
from minibert.output import allowed, claimed, locked
from minibert.tasks.given import read_answered, read_held
from minibert.training.best import goodness
from minibert.training.finetuning import Settings
from minibert.training.loop import NotFinite
from minibert.tune.settings_file import as_toml
from minibert.tune.space import Range, Space, check_ends, check_space, joined, spell
from minibert.tune.study import SETTINGS, fixed, opened_study
from minibert.tune.trial import Problem, Rehearsal, try_settings

BEST, TRIALS = "best.toml", "trials.db"
REFUSED = "refused"  # of a trial, why it cannot be


@dataclass(frozen=True)
class Found:
    """The best trial of a search.

    values    what was tried in it, by the space's keys
    settings  all that it was told, for `finetune`
    trials    how many there are by now, the pruned ones among them
    """

    metric: str
    score: float
    values: dict[str, Any]
    settings: dict[str, Any]
    trials: int
    pruned: int


def tune(
    model: str | Path,
    *,
    task: str,
    train: str | Path | Sequence[Any],
    validation: str | Path | Sequence[Any],
    space: Space,
    output_dir: str | Path,
    trials: int = 20,
    budget: str | float | None = None,
    settings: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite_output_dir: bool = False,
) -> Found:
    """Look for the settings that do best on validation rows; leave them in `output_dir` as best.toml.

    space     what may be tried: `parse_space(["train.learning_rate=1e-5..5e-4:log"])`
    trials    how many in all, those before a resumption included
    budget    begin no trial after so long ("2h")
    settings  what is the same in all trials
    resume    go on with the search in `output_dir`; model, data, space and settings must be the same

    Raises InputError for unusable input before anything is trained, MissingExtra without the package optuna.
    """
    optuna = needed_optuna()
    kind = task_class(task)
    check_space(space, kind, same=settings)
    seed = Settings.of(settings or {}).train.seed
    if trials < 1:
        raise InputError(f"trials {trials} must be at least 1")
    rows, held = read_answered(kind, train), read_held(kind, validation)
    free = allowed(resume, overwrite_output_dir, [model, train, validation])
    problem = Problem(starting_folder(model), kind, rows, held)
    with locked(output_dir, **free) as output:
        with claimed(output, **free):
            check_ends(space, Rehearsal(problem, settings or {}).ready)
            same = {"space": repr(sorted(space.items())), **problem.hashes(), SETTINGS: fixed(settings or {})}
            study = opened_study(optuna, output / TRIALS, same, seed=seed)
        search = Search(optuna, study, problem, space, settings or {})
        return search.go(output, trials, None if budget is None else parse_seconds(budget))


def needed_optuna() -> Any:
    """Return the package; raises MissingExtra where it is not installed."""
    try:
        optuna = import_module("optuna")
    except ImportError as error:
        raise MissingExtra("optuna is not installed: pip install 'minibert-encoder[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class Search:
    """A study, and what its trials are made of."""

    def __init__(
        self, optuna: Any, study: Any, problem: Problem, space: Space, settings: dict[str, Any]
    ) -> None:
        self.optuna, self.study, self.problem = optuna, study, problem
        self.space, self.settings = space, settings

    def go(self, output: Path, trials: int, seconds: float | None) -> Found:
        """Run the trials that are missing, telling each; return the best."""
        end = None if seconds is None else time.monotonic() + seconds
        while len(self.ended()) < trials and (end is None or time.monotonic() < end or not self.ended()):
            self.study.optimize(self.trial, n_trials=1)
            self.tell(self.study.trials[-1], trials)
            if self.best() is not None:
                found = self.found()
                replace_text(output / BEST, as_toml(found.settings, about=told(found)) + "\n")
        if self.best() is None:
            ended = self.ended()
            refused = [trial.user_attrs[REFUSED] for trial in ended if REFUSED in trial.user_attrs]
            why = f"{len(refused)} cannot be ({refused[-1]})" if refused else "lower the learning rates"
            raise InputError(f"none of {len(ended)} trials had a finite loss; {why}")
        return self.found()

    def trial(self, trial: Any) -> float:
        """Run one trial; returns how good its best validation was."""

        def go_on(number: int, value: float) -> bool:
            trial.report(value, number)
            return not trial.should_prune()

        values = {key: self.proposed(trial, key) for key in self.space}
        settings = joined(values, self.settings, self.problem.kind)
        try:
            outcome = try_settings(self.problem, settings, go_on=go_on)
        except NotFinite as error:
            raise self.optuna.TrialPruned(str(error)) from error
        except InputError as error:  # each value can be, and these do not go together
            trial.set_user_attr(REFUSED, str(error))
            raise self.optuna.TrialPruned(str(error)) from error
        trial.set_user_attr("metric", outcome.metric)
        trial.set_user_attr("score", outcome.value)
        if outcome.given_up:
            raise self.optuna.TrialPruned
        return goodness(outcome.metric, outcome.value)

    def proposed(self, trial: Any, key: str) -> Any:
        """Let the sampler choose the value of one setting."""
        what = self.space[key]
        if not isinstance(what, Range):
            return trial.suggest_categorical(key, what.values)
        if isinstance(what.low, int) and isinstance(what.high, int):
            return trial.suggest_int(key, what.low, what.high, log=what.log)
        return trial.suggest_float(key, what.low, what.high, log=what.log)

    def ended(self) -> list[Any]:
        states = self.optuna.trial.TrialState
        found: list[Any] = self.study.get_trials(states=(states.COMPLETE, states.PRUNED))
        return found

    def best(self) -> Any:
        """Return the best whole trial, None before there is one."""
        whole = self.study.get_trials(states=(self.optuna.trial.TrialState.COMPLETE,))
        return max(whole, key=lambda trial: trial.value, default=None)

    def found(self) -> Found:
        best, ended = self.best(), self.ended()
        pruned = sum(trial.state == self.optuna.trial.TrialState.PRUNED for trial in ended)
        named = best.user_attrs
        settings = joined(best.params, self.settings, self.problem.kind)
        return Found(named["metric"], named["score"], best.params, settings, len(ended), pruned)

    def tell(self, trial: Any, trials: int) -> None:
        """Print a trial as it ends."""
        score = trial.user_attrs.get("score")
        how = "no finite loss" if score is None else f"{trial.user_attrs['metric']} {score:.4f}"
        given_up = f", given up after validation {len(trial.intermediate_values)}"
        pruned = score is not None and trial.state == self.optuna.trial.TrialState.PRUNED
        how += given_up if pruned else ""
        how = f"cannot be: {trial.user_attrs[REFUSED]}" if REFUSED in trial.user_attrs else how
        print(f"trial {len(self.ended())} of {trials}: {how}  ({spell(trial.params)})", file=sys.stderr)


def told(found: Found) -> str:
    """Say in a line what the best settings are the best of."""
    return (
        f"{found.metric} {found.score:.4f}, the best of {found.trials} trials ({found.pruned} given up early)"
    )
