"""Looking inside a model, and changing it: MiniLM on sst2, 2,000 rows, and what is asked of it then.

"sst2, words exchanged": minibert counterfactual on the 4,920 other training sentences.

    genders, names, places   the share of answers that change, of the sentences with such a word

"sst2, words taken away": of 200 sentences of dev a fifth of the words, those that speak most for the answer.

    integrated gradients, gradient x input   by what `minibert explain` says
    at random                                any words

The score is by how much the probability of the answer falls (J. DeYoung and others, 2020, ERASER:
comprehensiveness). All three ask the same model of a seed.

"sst2, updated": a model of 500 rows meets 1,500 more, judged on 436 sentences of dev, scored on the others.

    kept old model           nothing is learnt
    update                   minibert update; "accepted" is the share of seeds that took the new model
    update, wrong labels     the same with the labels of the new rows turned round: to be refused
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cells import Cell, Places

import minibert as mb
from minibert.attribution import explain
from minibert.data.examples import TextExample
from minibert.data.readers import read_texts
from minibert.evaluation.counterfactual import counterfactual
from minibert.evaluation.swaps import swap_of
from minibert.further.update import update
from minibert.tasks.model import Model

ROWS, OLD_ROWS, ASKED, JUDGES = 2000, 500, 200, 436
SHARE, STEPS = 0.2, 20
SWAPS = ("genders", "names", "places")
METHODS = {"integrated gradients": "integrated_gradients", "gradient x input": "gradient_x_input"}
RECIPE: dict[str, Any] = {
    "train.learning_rate": 2e-4,
    "train.num_train_epochs": 3.0,
    "train.train_batch_size": 32,
    "train.precision": "fp32",
    "task.pooling": "mean",
    "task.max_length": 64,
    "data.progress": False,
}
Parts = tuple[list[TextExample], list[TextExample], list[TextExample]]


def cells(places: Places) -> Iterator[Cell]:
    """Yield the cells."""
    note = f"{ROWS:,} training rows, 3 epochs, float32"
    for name in SWAPS:
        yield Cell("sst2, words exchanged", name, exchanged(name, places), note=note, recipe=RECIPE)
    for name in (*METHODS, "at random"):
        yield Cell("sst2, words taken away", name, taken_away(name, places), note=note, recipe=RECIPE)
    note = f"{OLD_ROWS} rows, then {ROWS - OLD_ROWS:,} more; 3 epochs each, float32"
    for name in ("kept old model", "update", "update, wrong labels"):
        yield Cell("sst2, updated", name, updated(name, places), note=note, recipe=RECIPE)


def parts(data: Path) -> Parts:
    """Return rows for training, other training rows, and the rows of dev."""
    folder = data / "sst2"
    rows = read_texts(folder / "train.jsonl")
    rows = random.Random(0).sample(rows, len(rows))
    dev = read_texts(folder / "dev.jsonl")
    return rows[:ROWS], rows[ROWS:], random.Random(1).sample(dev, len(dev))


def taught(rows: Sequence[TextExample], places: Places, *, seed: int) -> Path:
    """Fine-tune MiniLM, once for all cells of a seed and these rows; return its folder."""
    folder = places.scratch / f"inside-{len(rows)}-{seed}"
    if not folder.is_dir():
        mb.finetune(
            places.english,
            task="classification",
            train=rows,
            output_dir=folder,
            settings={**RECIPE, "train.seed": seed},
        )
    return folder


def exchanged(name: str, places: Places) -> Callable[[int], dict[str, float]]:
    """Return a run that exchanges words."""

    def run(seed: int) -> dict[str, float]:
        rows, others, _ = parts(places.data)
        told = counterfactual(mb.load(taught(rows, places, seed=seed)), others, swap_of(name))
        return {"changed": told.share, "with such a word": told.with_words / told.texts, "moved": told.moved}

    return run


def taken_away(name: str, places: Places) -> Callable[[int], dict[str, float]]:
    """Return a run that takes words away and asks again."""

    def run(seed: int) -> dict[str, float]:
        rows, _, dev = parts(places.data)
        model = mb.load(taught(rows, places, seed=seed))
        texts = [row.text for row in dev[:ASKED]]
        answers = model.predict(texts)
        less = [without(model, text, name, random.Random(at)) for at, text in enumerate(texts)]
        falls = [
            before.probabilities[before.label] - after.probabilities[before.label]
            for before, after in zip(answers, model.predict(less), strict=True)
        ]
        return {"fall of the probability": sum(falls) / len(falls)}

    return run


def without(model: Model, text: str, name: str, draw: random.Random) -> str:
    """Return a text less a fifth of its words, one at least: the most telling, or any."""
    words = text.split(" ")
    count = max(1, round(SHARE * len(words)))
    if name in METHODS:
        found = explain(model, text, method=METHODS[name], steps=STEPS)  # type: ignore[arg-type]
        scores = [0.0] * len(words)
        starts = [sum(len(word) + 1 for word in words[:at]) for at in range(len(words))]
        for piece in found.pieces:
            if piece.word >= 0:
                scores[max(at for at, start in enumerate(starts) if start <= piece.start)] += piece.score
        gone = set(sorted(range(len(words)), key=lambda at: -scores[at])[:count])
    else:
        gone = set(draw.sample(range(len(words)), count))
    return " ".join(word for at, word in enumerate(words) if at not in gone) or "."


def updated(name: str, places: Places) -> Callable[[int], dict[str, float]]:
    """Return a run that trains an old model further, and scores which of the two is kept."""

    def run(seed: int) -> dict[str, float]:
        rows, _, dev = parts(places.data)
        judges, scored = dev[:JUDGES], dev[JUDGES:]
        old = taught(rows[:OLD_ROWS], places, seed=seed)
        if name == "kept old model":
            return {"accuracy": mb.load(old).evaluate(scored)["accuracy"]}
        new = rows[OLD_ROWS:]
        if "wrong" in name:
            new = [replace(row, label=str(1 - int(str(row.label)))) for row in new]
        told = update(
            old,
            train=new,
            kept=judges,
            output_dir=places.scratch / "updated",
            settings={**{key: value for key, value in RECIPE.items() if not key.startswith("task.")},
                      "train.seed": seed},
            overwrite_output_dir=True,
        )  # fmt: skip
        return {"accuracy": told.model.evaluate(scored)["accuracy"], "accepted": float(told.accepted)}

    return run
