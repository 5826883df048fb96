"""The file of a search's trials: opened or begun, and refused where it is damaged or of another search.

It is Optuna's study in SQLite. What all trials have in common stands in it beside them.
"""

import json
import sqlite3
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from minibert.config import group
from minibert.errors import InputError
from minibert.output.record import IDLE, differences
from minibert.training.config import SEEDS
from minibert.tune.settings_file import GROUPS

SETTINGS = "settings"
RANDOM_TRIALS = 5  # before the first is pruned


def fixed(settings: dict[str, Any]) -> str:
    """Spell what is the same in all trials, but for what no weight depends on; in one order.

    >>> fixed({"train.seed": 1, "train": {"max_steps": 9}, "data.progress": False})
    '{"train.max_steps": 9, "train.seed": 1}'
    """
    tables = group(settings, GROUPS)
    flat = {f"{name}.{key}": value for name, table in tables.items() for key, value in table.items()}
    return json.dumps({key: value for key, value in flat.items() if key not in IDLE}, sort_keys=True)


def opened_study(optuna: Any, path: Path, same: dict[str, str], *, seed: int = 0) -> Any:
    """Open the study of a file, or begin it; what a killed process left under way is tried again.

    same  what all trials have in common, by its name; the file of other trials is refused by InputError
    seed  of what is proposed
    """
    study = whole_study(optuna, path)
    # Without the trials it would propose the same again where it goes on.
    study.sampler = optuna.samplers.TPESampler(seed=(seed + len(study.trials)) % SEEDS)
    for name, value in same.items():
        before = study.user_attrs.get(name, value)
        if before != value:
            what = f"another {name}"
            if name == SETTINGS:
                what = f"other settings: {', '.join(differences(json.loads(before), json.loads(value)))}"
            raise InputError(f"{path}: the search began with {what}; resume with the same, or anew")
        study.set_user_attr(name, value)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def whole_study(optuna: Any, path: Path) -> Any:
    """Open a file of trials or begin it; raises InputError where it is damaged."""
    broken = import_module("sqlalchemy.exc").SQLAlchemyError, optuna.exceptions.OptunaError, sqlite3.Error
    try:
        with closing(sqlite3.connect(path)) as file:
            state = file.execute("pragma quick_check").fetchone()[0]
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        study = optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name="tune",
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS),
        )
        len(study.trials)  # reads them all
    except (*broken, RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: damaged, or no file of trials ({error!r:.80}); search in another "
            "folder, or --overwrite-output-dir begins anew"
        ) from error
    return study
