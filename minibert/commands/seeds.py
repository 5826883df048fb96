"""Fine-tuning several times, with seeds that differ in nothing else: how much of a score is luck."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minibert.checkpoint import replace_json
from minibert.config import to_dict
from minibert.errors import InputError
from minibert.finetune import Settings, finetune, first_rate, open_for_task, reopened, task_class
from minibert.interop.opening import load
from minibert.interop.starting import starting_folder
from minibert.output import RECORD, allowed, claimed, describe_data, is_done, locked, publish_model
from minibert.output.record import describe_model
from minibert.tasks.given import read_examples
from minibert.tasks.metrics import mean_and_spread
from minibert.training.best import goodness


def finetune_seeds(model: str | Path, seeds: int, given: dict[str, Any]) -> dict[str, Any]:
    """Train into OUTPUT/seed-K for each seed, publish the best on validation into OUTPUT, return scores.

    `given` are the arguments of `finetune`. The seeds count up from `train.seed`; resumed, those that are
    finished are only opened; with other data or settings they are refused. Returns, for each metric, its
    mean, its spread and its values.
    """
    task, validation, settings = given["task"], given["validation"], given["settings"]
    if seeds < 1 or not validation:
        raise InputError(f"--seeds {seeds} compares at least one model on --validation-file; give both")
    model = starting_folder(model)
    free = allowed(given["resume"], given["overwrite_output_dir"], [model])
    first = int(settings.get("train.seed", 0))
    table: dict[int, dict[str, float]] = {}
    with locked(given["output_dir"], **free) as output:
        with claimed(output, **free):
            # Does the encoder open, are all labels known? Else an earlier run stays.
            chosen = Settings.of(settings)
            opened = open_for_task(model, task_class(task), given["train"], settings=chosen)
            opened.encode(validation)
        data = data_of(model, given) if given["resume"] else {}  # hashes to compare with
        for seed in range(first, first + seeds):
            folder = output / f"seed-{seed}"
            own: dict[str, Any] = {"output_dir": folder, "settings": {**settings, "train.seed": seed}}
            alone = Settings.of(own["settings"], learning_rate=first_rate(model))
            done = is_done(folder, to_dict(alone), data, resume=given["resume"])
            trained = reopened(folder, alone.train) if done else finetune(model, **{**given, **own})
            table[seed] = tell_seed(seed, trained.evaluate(validation))
        return publish_best(table, output, given)


def data_of(model: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Return what the record of every seed says of the model and the rows."""
    kind = task_class(given["task"])
    rows = {name: describe_data(read_examples(kind, given[name])) for name in ("train", "validation")}
    return {"model": describe_model(model), **rows}


def publish_best(table: dict[int, dict[str, float]], output: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Put the model of the best seed into the output folder, beside the record of all; return the record."""
    settings, first = given["settings"], min(table)
    metric = settings.get("train.metric_for_best_model") or next(iter(table[first]))
    best = max(table, key=lambda seed: goodness(metric, table[seed][metric]))
    publish_model(load(output / f"seed-{best}"), output)
    summary = {"seeds": len(table), "best_seed": best, "scores": summarize([*table.values()])}
    replace_json(output / RECORD, {"kind": "finetune", "settings": settings, "state": "finished", **summary})
    return {"output_dir": str(output), "task": given["task"], **summary}


def tell_seed(seed: int, scores: dict[str, Any]) -> dict[str, float]:
    """Print a seed's scores as they come; return those that are one number."""
    numbers = {name: value for name, value in scores.items() if isinstance(value, float)}
    print(f"seed {seed}: " + "  ".join(f"{k} {v:.4f}" for k, v in numbers.items()), file=sys.stderr)
    return numbers


def summarize(table: Sequence[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Print and return mean, spread (sample standard deviation) and values of each metric.

    >>> summarize([{"accuracy": 0.5}, {"accuracy": 0.7}])["accuracy"]["values"]
    accuracy 0.6000 ± 0.1414
    [0.5, 0.7]
    """
    summary = {}
    for name in table[0]:
        values = [row[name] for row in table]
        mean, spread = mean_and_spread(values)
        print(f"{name} {mean:.4f} ± {spread:.4f}")
        summary[name] = {"mean": mean, "spread": None if math.isnan(spread) else spread, "values": values}
    return summary
