"""Looking inside a model, and changing it: MiniLM on sst2, 2,000 rows, and what is asked of it then.

The same of waimai_10k's reviews with the Chinese encoder, where a word is a character.

"sst2, words exchanged": minibert counterfactual on the other training sentences, 4,920 (waimai 6,711).

    genders, names, places   the share of answers that change, of the sentences with such a word; no review
                             of waimai holds a name of the list

"sst2, words taken away": of 200 sentences of dev a fifth of the words, those that speak most for the answer.

    integrated gradients, gradient x input   by what `minibert explain` says
    at random                                any words

The score is by how much the probability of the answer falls (J. DeYoung and others, 2020, ERASER:
comprehensiveness). All three ask the same model of a seed.

"sst2, updated": a model of 500 rows meets 1,500 more, judged on 436 sentences of dev, scored on the others
(waimai: 300 on which it is judged, 887 others).

    kept old model           nothing is learnt
    update                   minibert update; "accepted" is the share of seeds that took the new model
    update, wrong labels     the same with the labels of the new rows turned round: to be refused
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
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

ROWS, OLD_ROWS, ASKED = 2000, 500, 200
SHARE, STEPS = 0.2, 20
WORD, CHARACTER = re.compile("[^ ]+"), re.compile(r"\S")
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
SMALL: dict[str, Any] = {**RECIPE, "train.learning_rate": 5e-4}
Parts = tuple[list[TextExample], list[TextExample], list[TextExample]]


@dataclass(frozen=True)
class Texts:
    """A data set and the encoder that learns it.

    parts   folder of the data sets -> rows for training, other training rows, rows of dev
    judges  rows of dev on which two models are compared
    word    what is taken away at once
    swaps   the words that are exchanged, those that the texts hold
    """

    name: str
    parts: Callable[[Path], Parts]
    encoder: Path
    recipe: dict[str, Any]
    judges: int
    word: re.Pattern[str]
    swaps: tuple[str, ...] = ("genders", "names", "places")


def cells(places: Places) -> Iterator[Cell]:
    """Yield the cells, English first."""
    yield from cells_of(Texts("sst2", sst2, places.english, RECIPE, 436, WORD), places)
    if places.chinese is not None:
        reviews = Texts("waimai_10k", waimai, places.chinese, SMALL, 300, CHARACTER, ("genders", "places"))
        yield from cells_of(reviews, places)


def cells_of(texts: Texts, places: Places) -> Iterator[Cell]:
    """Yield the cells of a data set."""
    name, recipe = texts.name, texts.recipe
    note = f"{ROWS:,} training rows, 3 epochs, float32"
    for swap in texts.swaps:
        run = exchanged(swap, texts, places)
        yield Cell(f"{name}, words exchanged", swap, run, note=note, recipe=recipe)
    for method in (*METHODS, "at random"):
        run = taken_away(method, texts, places)
        yield Cell(f"{name}, words taken away", method, run, note=note, recipe=recipe)
    note = f"{OLD_ROWS} rows, then {ROWS - OLD_ROWS:,} more; 3 epochs each, float32"
    for way in ("kept old model", "update", "update, wrong labels"):
        yield Cell(f"{name}, updated", way, updated(way, texts, places), note=note, recipe=recipe)


def sst2(data: Path) -> Parts:
    """Return sentences about films."""
    rows = shuffled(read_texts(data / "sst2" / "train.jsonl"), 0)
    return rows[:ROWS], rows[ROWS:], shuffled(read_texts(data / "sst2" / "dev.jsonl"), 1)


def waimai(data: Path) -> Parts:
    """Return reviews of delivered meals; the file has no other parts, so 1,187 rows are held out."""
    rows = shuffled(read_texts(data / "waimai_10k" / "train.csv", text_column="review"), 0)
    return rows[:ROWS], rows[ROWS:-1187], rows[-1187:]


def shuffled(rows: list[TextExample], seed: int) -> list[TextExample]:
    """Return the rows in an order drawn once."""
    return random.Random(seed).sample(rows, len(rows))


def taught(rows: Sequence[TextExample], texts: Texts, places: Places, *, seed: int) -> Path:
    """Fine-tune the encoder, once for all cells of a seed and these rows; return its folder."""
    folder = places.scratch / f"inside-{texts.name}-{len(rows)}-{seed}"
    if not folder.is_dir():
        mb.finetune(
            texts.encoder,
            task="classification",
            train=rows,
            output_dir=folder,
            settings={**texts.recipe, "train.seed": seed},
        )
    return folder


def exchanged(name: str, texts: Texts, places: Places) -> Callable[[int], dict[str, float]]:
    """Return a run that exchanges words."""

    def run(seed: int) -> dict[str, float]:
        rows, others, _ = texts.parts(places.data)
        model = mb.load(taught(rows, texts, places, seed=seed))
        told = counterfactual(model, others, swap_of(name))
        return {"changed": told.share, "with such a word": told.with_words / told.texts, "moved": told.moved}

    return run


def taken_away(name: str, texts: Texts, places: Places) -> Callable[[int], dict[str, float]]:
    """Return a run that takes words away and asks again."""

    def run(seed: int) -> dict[str, float]:
        rows, _, dev = texts.parts(places.data)
        model = mb.load(taught(rows, texts, places, seed=seed))
        asked = [row.text for row in dev[:ASKED]]
        answers = model.predict(asked)
        less = [without(model, text, name, texts.word, random.Random(at)) for at, text in enumerate(asked)]
        falls = [
            before.probabilities[before.label] - after.probabilities[before.label]
            for before, after in zip(answers, model.predict(less), strict=True)
        ]
        return {"fall of the probability": sum(falls) / len(falls)}

    return run


def without(model: Model, text: str, name: str, word: re.Pattern[str], draw: random.Random) -> str:
    """Return a text less a fifth of its words, one at least: the most telling, or any."""
    spans = [match.span() for match in word.finditer(text)]
    count = max(1, round(SHARE * len(spans)))
    if name in METHODS:
        found = explain(model, text, method=METHODS[name], steps=STEPS)  # type: ignore[arg-type]
        scores = [0.0] * len(spans)
        for piece in found.pieces:
            inside = [at for at, (start, end) in enumerate(spans) if start < piece.end and piece.start < end]
            for at in inside:
                scores[at] += piece.score / len(inside)
        gone = sorted(range(len(spans)), key=lambda at: -scores[at])[:count]
    else:
        gone = draw.sample(range(len(spans)), count)
    left = list(text)
    for at in gone:
        start, end = spans[at]
        left[start:end] = [""] * (end - start)
    return " ".join("".join(left).split()) or "."


def updated(name: str, texts: Texts, places: Places) -> Callable[[int], dict[str, float]]:
    """Return a run that trains an old model further, and scores which of the two is kept."""

    def run(seed: int) -> dict[str, float]:
        rows, _, dev = texts.parts(places.data)
        judges, scored = dev[: texts.judges], dev[texts.judges :]
        old = taught(rows[:OLD_ROWS], texts, places, seed=seed)
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
            settings={**{key: value for key, value in texts.recipe.items() if not key.startswith("task.")},
                      "train.seed": seed},
            overwrite_output_dir=True,
        )  # fmt: skip
        return {"accuracy": told.model.evaluate(scored)["accuracy"], "accepted": float(told.accepted)}

    return run
