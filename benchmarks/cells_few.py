"""Few labels: 8, 16, 32 texts of each class, five draws as five seeds, several ways side by side.

    finetune       MiniLM (or the Chinese encoder) with a new head, 100 steps of 16 texts
    contrastive    pairs of one label together, then a linear head; 50 steps of 16 pairs, all layers
    setfit         the package SetFit, which does the same, in English; only where it is installed, which the
                   extra `benchmark` leaves to you: pip install setfit "datasets<4"
    cloze          the words of the labels at a gap; MiniLM gets its head by ten minutes of masked language
                   modelling on the texts of the training parts, without their labels
    zero-shot      the same gap, or vectors of the labels' descriptions, and no text at all
    augmented      "sst2, 200 labels": two copies of each row with other words, as many steps as without;
                   beside it, what the language modelling that finds the words does to the encoder itself

The continued model is kept in runs/few and made once. Every other run takes one to three minutes on a thread
that it has to itself; the two low layers stay as they are, texts are cut at 64 tokens (sst2, tnews) or 96,
and at most 1,000 are scored.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cells import Cell, NotHere, Places
from classify_rows import json_rows
from few_contestants import setfit
from going_on import RUNS, GoingOn

import minibert as mb
from minibert.data.examples import TextExample
from minibert.data.readers import read_texts
from minibert.few_labels.augment import Replacing, augment
from minibert.few_labels.compare import Plan
from minibert.few_labels.draws import draw_few
from minibert.tasks.templates import read_verbalizer

SIZES = (8, 16, 32)
DRAWS = (0, 1, 2, 3, 4)
TESTED = 1000
GOING_ON = GoingOn(RUNS / "few" / "en", budget="10m", longest=96)
STEPS = {"train.max_steps": 100, "train.train_batch_size": 16, "train.warmup_ratio": 0.1, "train.freeze": 2}
TWO_HUNDRED = {**STEPS, "train.max_steps": 150}
Run = Callable[[int], dict[str, float]]


@dataclass(frozen=True)
class Problem:
    """A data set: its texts, the gap, the words of its labels, and what describes them."""

    name: str
    parts: Callable[[Path], tuple[list[TextExample], list[TextExample]]]
    template: str
    verbalizer: str
    described: str
    max_length: int
    chinese: bool = False

    def read(self, data: Path) -> tuple[list[TextExample], list[TextExample]]:
        """Return the rows that draws are made of, and at most TESTED test rows, drawn once."""
        train, test = self.parts(data)
        return train, random.Random(0).sample(test, min(TESTED, len(test)))

    def settings(self, method: str) -> dict[str, Any]:
        """Return what a method is told."""
        own = {"task.template": self.template, "task.verbalizer": self.verbalizer}
        told = {**STEPS, **own, "task.max_length": self.max_length}
        if method == "contrastive":
            told |= {"train.freeze": 0} if self.chinese else {"train.freeze": 0, "train.learning_rate": 2e-5}
        return told


def files(train: str, test: str) -> Callable[[Path], tuple[list[TextExample], list[TextExample]]]:
    """Return a function that reads the two files of a set."""
    return lambda data: (read_texts(data / train), read_texts(data / test))


def fewclue(name: str, label: str) -> Callable[[Path], tuple[list[TextExample], list[TextExample]]]:
    """Return a function that reads FewCLUE's training rows of all its splits, and its public test part."""

    def rows(path: Path) -> list[TextExample]:
        return [TextExample(row["sentence"], label=str(row[label])) for row in json_rows(path)]

    return lambda data: (
        rows(data / f"fewclue/{name}/train_few_all.json"),
        rows(data / f"fewclue/{name}/test_public.json"),
    )


PROBLEMS = (
    Problem(
        "sst2",
        files("sst2/train.jsonl", "sst2/test.jsonl"),
        "{text} It was [MASK].",
        "1=great|good,0=terrible|bad",
        "1=a film review that praises it,0=a film review that blames it",
        64,
    ),
    Problem(
        "ag_news_small",
        files("ag_news_small/train.jsonl.xz", "ag_news_small/test.jsonl"),
        "[MASK] news: {text}",
        "World=world,Sports=sports,Business=business,Sci/Tech=technology",
        "World=world politics,Sports=sports,Business=business,Sci/Tech=science and technology",
        96,
    ),
    Problem(
        "fewclue eprstmt",
        fewclue("eprstmt", "label"),
        "{text}。总之很[MASK]。",
        "Positive=好,Negative=差",
        "Positive=很好,Negative=很差",
        96,
        chinese=True,
    ),
    Problem(
        "fewclue tnews",
        fewclue("tnews", "label_desc"),
        "这是[MASK]类新闻：{text}",
        "news_story=故,news_culture=文,news_entertainment=娱,news_sports=体,news_finance=财,news_house=房,"
        "news_car=车,news_edu=教,news_tech=科,news_military=军,news_travel=旅,news_world=国,news_stock=股,"
        "news_agriculture=农,news_game=游",
        "news_story=故事,news_culture=文化,news_entertainment=娱乐,news_sports=体育,news_finance=财经,news_house=房产,"
        "news_car=汽车,news_edu=教育,news_tech=科技,news_military=军事,news_travel=旅游,news_world=国际,news_stock=股票,"
        "news_agriculture=农业,news_game=游戏",
        64,
        chinese=True,
    ),
)


def cells(places: Places) -> Iterator[Cell]:
    """Yield the cells: the gaps and the pairs of each size, what needs no text, and the 200 labels."""
    for problem in PROBLEMS:
        if problem.chinese and places.chinese is None:
            continue
        for size in SIZES:
            for method in ("finetune", "cloze", "contrastive"):
                note = f"{size} texts of each class, at most {TESTED:,} test rows" + gap_note(problem, method)
                yield Cell(
                    f"{problem.name}, {size} per class",
                    method,
                    few(problem, method, size, places),
                    DRAWS,
                    note,
                    problem.settings(method),
                )
            if not problem.chinese:
                note = f"{size} texts of each class, at most {TESTED:,} test rows, float32"
                yield Cell(
                    f"{problem.name}, {size} per class", "setfit", theirs(problem, size, places), DRAWS, note
                )
        for how in ("gap", "gap, calibrated", "vectors", "vectors, calibrated"):
            name = f"zero-shot by {how}"
            note = "no text" + gap_note(problem, "cloze" if "gap" in how else "")
            yield Cell(f"{problem.name}, no text", name, none(problem, how, places), (0,), note)
    for name in ("plain", "plain, continued", "augmented"):
        recipe = {**TWO_HUNDRED, "task.max_length": 64}
        note = "100 texts of each class, 150 steps" + gap_note(
            PROBLEMS[0], "cloze" if name == "plain, continued" else ""
        )
        if name == "augmented":
            note += f"; words by a model of {GOING_ON.budget} of masked language modelling"
        yield Cell("sst2, 200 labels", name, two_hundred(name, recipe, places), DRAWS, note, recipe)


def gap_note(problem: Problem, method: str) -> str:
    """Say where the head for a gap comes from."""
    made = method == "cloze" and not problem.chinese
    return f"; after {GOING_ON.budget} of masked language modelling on texts without labels" if made else ""


@cache
def continued(places: Places) -> Path:
    """Return MiniLM after masked language modelling on the texts of the English training parts."""
    if GOING_ON.is_made():
        return GOING_ON.folder
    english = [problem for problem in PROBLEMS if not problem.chinese]
    return GOING_ON.model(
        places.english, [row.text for problem in english for row in problem.read(places.data)[0]]
    )


def model_for(problem: Problem, places: Places, *, gap: bool) -> Path:
    """Return the encoder of a problem, one with a language-model head where a gap is asked for."""
    if problem.chinese:
        assert places.chinese is not None
        return places.chinese
    return continued(places) if gap else places.english


def few(problem: Problem, method: str, size: int, places: Places) -> Run:
    """Return a function that trains on a draw and scores."""

    def run(seed: int) -> dict[str, float]:
        train, test = problem.read(places.data)
        model = model_for(problem, places, gap=method == "cloze")
        plan = Plan.of(model, train, test, methods=[method], settings=problem.settings(method))
        trial = plan.trial(method, size, seed)
        return {"accuracy": trial.accuracy, "macro_f1": trial.macro_f1}

    return run


def theirs(problem: Problem, size: int, places: Places) -> Run:
    """Return a function that trains SetFit on the same draw and scores it."""

    def run(seed: int) -> dict[str, float]:
        if not find_spec("setfit"):
            raise NotHere('setfit is not installed: pip install setfit "datasets<4"')
        train, test = problem.read(places.data)
        rows = draw_few(train, size, seed)
        return setfit(places.english, rows, test, max_length=problem.max_length, seed=seed)

    return run


def none(problem: Problem, how: str, places: Places) -> Run:
    """Return a function that asks without training."""

    def run(seed: int) -> dict[str, float]:
        gap = "gap" in how
        _, test = problem.read(places.data)
        answers = mb.zero_shot(
            model_for(problem, places, gap=gap),
            [TextExample(row.text) for row in test],
            labels=problem.verbalizer if gap else problem.described,
            template=problem.template if gap else None,
            calibrate="calibrated" in how,
        )
        right = sum(answer.label == row.label for answer, row in zip(answers, test, strict=True))
        return {"accuracy": right / len(test)}

    return run


def two_hundred(name: str, recipe: dict[str, Any], places: Places) -> Run:
    """Return a function that fine-tunes on 200 texts of sst2, or on them and their copies."""
    problem = PROBLEMS[0]

    def run(seed: int) -> dict[str, float]:
        train, test = problem.read(places.data)
        rows = draw_few(train, 100, seed)
        if name == "augmented":
            rows = rows + copies(problem, rows, continued(places), seed)
        model = mb.finetune(
            continued(places) if name == "plain, continued" else places.english,
            task="classification",
            train=rows,
            output_dir=places.scratch / "model",
            settings={**recipe, "task.pooling": "mean", "train.seed": seed, "data.progress": False},
            overwrite_output_dir=True,
        )
        scores = model.evaluate(test)
        return {"accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"]}

    return run


def copies(problem: Problem, rows: Sequence[TextExample], model: Path, seed: int) -> list[TextExample]:
    """Return two copies of each row with other words that agree with its label."""
    how = Replacing(
        copies=2, seed=seed, template=problem.template, verbalizer=read_verbalizer(problem.verbalizer, [])
    )
    made = augment(model, [row.text for row in rows], labels=[str(row.label) for row in rows], how=how)
    return [TextExample(text, label=row.label) for row, own in zip(rows, made, strict=True) for text in own]
