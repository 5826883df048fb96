"""The demo's question: does pretraining help, and does the encoder beat what needs no encoder at all?

On one split of each task stand the pretrained encoder, the same encoder with its weights drawn anew, and the
simple baselines, the two encoders over several seeds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minibert.data.examples import TaggedExample, TextExample
from minibert.demo.pace import Pace
from minibert.demo.splits import Splits
from minibert.evaluation.baselines import Majority, MostFrequentTag, strongest
from minibert.finetune import finetune
from minibert.tasks.metrics import accuracy, macro_f1, mean_and_spread
from minibert.tasks.model import Model
from minibert.training.log import read_log

METRICS = ("accuracy", "macro_f1")
Scores = dict[str, list[float]]


def compare_encoders(
    encoder: Path, task: str, splits: Splits[Any], *, output: Path, pace: Pace
) -> tuple[Model, dict[str, Scores], dict[str, Any]]:
    """Fine-tune with and without pretraining for every seed.

    Returns the first seed's pretrained model, the test scores of both arms, and their training curves.
    """
    scores: dict[str, Scores] = {}
    curves: dict[str, Any] = {}
    kept: Model | None = None
    for arm in ("pretrained", "scratch"):
        scores[arm] = {metric: [] for metric in METRICS}
        for seed in pace.seeds:
            folder = output / f"{task}-{arm}-{seed}"
            model = finetune(
                encoder,
                task=task,
                train=splits.train,
                validation=splits.validation,
                output_dir=folder,
                budget=pace.finetuning[task],
                settings=recipe(task, pace, seed, from_scratch=arm == "scratch"),
            )
            result = model.evaluate(splits.test)
            for metric in METRICS:
                scores[arm][metric].append(result[metric])
            curves.setdefault(arm, training_curve(folder))
            kept = kept or model
            print(f"   {arm}, seed {seed}: " + ", ".join(f"{name} {result[name]:.3f}" for name in METRICS))
    assert kept is not None
    return kept, scores, curves


def recipe(task: str, pace: Pace, seed: int, *, from_scratch: bool) -> dict[str, Any]:
    """Return the settings of a fine-tuning run; both arms share them."""
    options = {"task.pooling": "mean"} if task == "classification" else {}
    return {
        **options,
        "data.from_scratch": from_scratch,
        "model.hidden_dropout_prob": 0.1,
        "train.seed": seed,
        "train.num_train_epochs": float(pace.epochs),
        "train.learning_rate": pace.learning_rate,
        "train.metric_for_best_model": "accuracy",
    }


def training_curve(folder: Path) -> dict[str, list[float]]:
    """Read the steps and losses of a run's log."""
    lines = read_log(folder, "train")
    return {"steps": [line["step"] for line in lines], "loss": [line["loss"] for line in lines]}


def text_baselines(splits: Splits[TextExample]) -> dict[str, Scores]:
    """Score the majority class and the best bag-of-words model on the test rows."""
    gold = [example.label or "" for example in splits.test]
    majority = Majority()
    majority.fit(splits.train)
    chosen = strongest(splits.train, splits.validation)
    predictions = {
        "majority class": majority.predict(splits.test),
        f"bag of words ({chosen.name})": chosen.baseline.predict(splits.test),
    }
    return {name: _scores(gold, predicted) for name, predicted in predictions.items()}


def tag_baselines(splits: Splits[TaggedExample]) -> dict[str, Scores]:
    """Score the majority role and the most frequent role of each word on the test rows."""
    gold = [tag for example in splits.test for tag in example.tags or ()]
    most_frequent = MostFrequentTag()
    most_frequent.fit(splits.train)
    predicted = [tag for tags in most_frequent.predict(splits.test) for tag in tags]
    tags = [tag for example in splits.train for tag in example.tags or ()]
    names, counts = np.unique(tags, return_counts=True)
    majority = [str(names[counts.argmax()])] * len(gold)
    return {
        "majority role": _scores(gold, majority),
        "most frequent role of the word": _scores(gold, predicted),
    }


def _scores(gold: Sequence[str], predicted: Sequence[str]) -> Scores:
    return {"accuracy": [accuracy(gold, predicted)], "macro_f1": [macro_f1(gold, predicted)]}


def table(arms: dict[str, Scores]) -> list[dict[str, Any]]:
    """Return rows of system and scores (mean, spread, values), as the report wants them."""
    rows = []
    for system, scores in arms.items():
        cells = {}
        for metric, values in scores.items():
            mean, spread = mean_and_spread(values) if len(values) > 1 else (values[0], 0.0)
            cells[metric] = {"mean": mean, "spread": spread, "values": values}
        rows.append({"system": system, "scores": cells})
    return rows


def gain(scores: dict[str, Scores], metric: str) -> dict[str, float]:
    """Return what pretraining adds to a metric, and the pooled spread that it is to be held against."""
    pretrained, scratch = scores["pretrained"][metric], scores["scratch"][metric]
    variances = [
        float(np.var(values, ddof=1)) if len(values) > 1 else 0.0 for values in (pretrained, scratch)
    ]
    return {
        "gain": float(np.mean(pretrained) - np.mean(scratch)),
        "pooled_spread": float(np.sqrt(np.mean(variances))),
    }


def format_table(rows: list[dict[str, Any]]) -> str:
    """Return the table for a terminal."""
    lines = [f"   {'':<36}" + "".join(f"{metric:>18}" for metric in METRICS)]
    for row in rows:
        cells = [row["scores"][metric] for metric in METRICS]
        shown = [
            f"{c['mean']:.3f}" + (f" ± {c['spread']:.3f}" if len(c["values"]) > 1 else "") for c in cells
        ]
        lines.append(f"   {row['system']:<36}" + "".join(f"{cell:>18}" for cell in shown))
    return "\n".join(lines)
