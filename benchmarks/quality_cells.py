"""Fine-tuning MiniLM on real data: ours and transformers' Trainer by one recipe, and ours by a better one.

    trainer       transformers' Trainer, SHARED recipe
    minibert      the same weights, data, epochs and numbers; the same kind of head, newly drawn
    recommended   minibert as docs/07-training.md recommends it
    ..., whole    the same on all rows of a set, where the few rows of the race are some hundred
    ..., 5,000 rows, whole, both ends
                  IMDB's long texts alone: more rows for all; two epochs, and of a long text head and tail
    ..., reviews  the recommended recipe, after half an hour of reading IMDB's training texts
    ..., labelled reviews  after an epoch of classifying them: another task first (Phang et al., 2018)
    ..., self-trained      one student of three of these, which label sentences of the reviews for it

Whoever has no data of its own held out has the weights of its last step scored: nothing is chosen by looking.
A cap on rows or tokens is part of the row, the same for all, and told in the record; so is the precision,
bfloat16 where nothing is said.
"""

import itertools
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cells import Cell, Line, Places, Table, key, spelled
from going_on import RUNS, GoingOn
from quality_trainer import train_and_score

from minibert.data.examples import TaggedExample
from minibert.data.tagged import read_tagged
from minibert.finetune import finetune
from minibert.further.distill import distill
from minibert.tasks.classification import Classification
from minibert.tasks.tagging import Tagging
from minibert.text.sentences import sentence_spans
from minibert.training.recipes import recipe_for

SHARED = {
    "learning_rate": 1e-4,
    "num_train_epochs": 3.0,
    "train_batch_size": 32,
    "weight_decay": 0.01,
    "warmup_ratio": 0.06,
    "lr_scheduler_type": "linear",
    "max_grad_norm": 1.0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.98,
    "adam_epsilon": 1e-6,
}
CLASSIFYING = {**recipe_for(Classification, "few_rows"), "train.learning_rate": 2e-4}
MANY_CLASSES = {**CLASSIFYING, "train.num_train_epochs": 10.0, "train.learning_rate": 4e-4}
TAGGING = {**recipe_for(Tagging, "few_rows"), "train.train_batch_size": 6, "train.learning_rate": 4e-4}


@dataclass(frozen=True)
class Row:
    """One data set: where it is, and what every contestant of the race is given of it.

    cap, held_cap  at most so many rows for training and held out; 0 for all
    max_length     longest text in tokens
    recommended    what the recommended recipe says beside SHARED
    on_all         what it says otherwise when it is given all rows
    join_words     neighbouring sentences that the recommended recipe reads as one text, in words
    precision      what everybody computes in
    """

    name: str
    train: str
    held: str
    recommended: dict[str, Any]
    on_all: dict[str, Any]
    task: str = "classification"
    cap: int = 1000
    held_cap: int = 0
    max_length: int = 128
    columns: tuple[tuple[str, str], ...] = ()
    join_words: int = 0
    precision: str = "bf16"

    def whole(self) -> "Row":
        """Return the row with all its rows, and IMDB's long texts as far as the encoder reads."""
        longest = 512 if self.name == "imdb" else self.max_length
        recipe = {**self.recommended, **self.on_all}
        return replace(self, cap=0, held_cap=0, max_length=longest, recommended=recipe)

    def note(self, recipe: dict[str, Any]) -> str:
        """What the record must not hide."""
        rows = f"{self.cap:,} training rows" if self.cap else "all training rows"
        held = f", {self.held_cap:,} held out" if self.held_cap else ""
        epochs = f"{recipe['train.num_train_epochs']:g} epochs"
        joined = f", sentences joined to {self.join_words} words" if self.join_words else ""
        precision = "" if self.precision == "bf16" else f", {self.precision}"
        return f"{rows}{held}, {epochs}, at most {self.max_length} tokens{joined}{precision}"


# A review tells its verdict at its end: what is too long loses its middle.
BOTH_ENDS = {"task.on_long": "head_tail", "train.num_train_epochs": 2.0}

# Ten times the rows are ten times the steps: a smaller rate. Long reviews are read once a step, not twice.
MANY_STEPS = {"train.learning_rate": 1e-4, "train.ema_decay": 0.99}
REVIEWS = GoingOn(RUNS / "quality" / "reviews", budget="30m", longest=128)
LABELLED_REVIEWS = RUNS / "quality" / "labelled-reviews"
TEACHERS, SENTENCES = 3, 20_000
LONG_TEXTS = {
    **MANY_STEPS,
    "train.num_train_epochs": 1.0,
    "train.train_batch_size": 16,
    "train.r_drop_alpha": 0.0,
}

ROWS = (
    Row("sst2", "sst2/train.jsonl", "sst2/dev.jsonl", CLASSIFYING, MANY_STEPS),
    Row(
        "banking77",
        "banking77/train.csv",
        "banking77/test.csv",
        MANY_CLASSES,
        {**MANY_STEPS, "train.num_train_epochs": 8.0, "train.learning_rate": 2e-4},
        columns=(("label_column", "category"),),
    ),
    Row(
        "conll2003",
        "conll2003/eng.train.xz",
        "conll2003/eng.testa",
        TAGGING,
        {"train.learning_rate": 3e-4, "train.ema_decay": 0.99},
        "tagging",
        join_words=100,
    ),
    Row(
        "financial_phrasebank",
        "financial_phrasebank/train.jsonl",
        "financial_phrasebank/test.jsonl",
        CLASSIFYING,
        MANY_STEPS,
        cap=500,
    ),
    Row(
        "ag_news_small",
        "ag_news_small/train.jsonl.xz",
        "ag_news_small/test.jsonl",
        CLASSIFYING,
        MANY_STEPS,
        cap=500,
    ),
    Row("imdb", "imdb/train.jsonl.xz", "imdb/dev.jsonl.xz", CLASSIFYING, LONG_TEXTS, cap=250, held_cap=500),
)


def cells(places: Places) -> list[Cell]:
    """Return the cells: the race of some hundred rows, then that of whole data sets.

    On whole reviews (imdb) only the recommended recipe runs, at 512 tokens; what was read of reviews before
    is told for sst2 and imdb, both about films; what their labels taught for sst2.
    """
    few = [cell for row in ROWS for cell in cells_of(row, places)]
    every = [row.whole() for row in ROWS]
    whole = [
        replace(cell, contestant=f"{cell.contestant}, whole")
        for row in every
        for cell in cells_of(row, places)
        if row.name != "imdb" or cell.contestant == "recommended"
    ]
    after = [after_reviews(row, places) for row in every if row.name in ("sst2", "imdb")]
    films, reviews = (next(row for row in every if row.name == name) for name in ("sst2", "imdb"))
    return [
        *few,
        *whole,
        *long_texts(reviews, places),
        *after,
        after_labelled_reviews(films, places),
        self_trained(films, places),
    ]


def long_texts(row: Row, places: Places) -> list[Cell]:
    """Return the race on 5,000 reviews of 256 tokens, and the recommended recipe with both ends of all.

    That race ran on a machine without bfloat16.
    """
    recipe = {**recipe_of(row), **row.recommended, **BOTH_ENDS}
    best = Cell(row.name, "recommended, whole, both ends", ours(row, recipe, places), recipe=recipe)
    fewer = replace(
        row, cap=5000, max_length=256, recommended={**row.recommended, **BOTH_ENDS}, precision="fp32"
    )
    race = [replace(cell, contestant=f"{cell.contestant}, 5,000 rows") for cell in cells_of(fewer, places)]
    return [*race, replace(best, note=f"{row.note(recipe)}, from both ends of a text")]


def after_reviews(row: Row, places: Places) -> Cell:
    """Return the recommended recipe, beginning with weights that have read film reviews."""
    recipe = {**recipe_of(row), **row.recommended}

    def run(seed: int) -> dict[str, float]:
        texts = [row.text for row in Classification.read(places.data / "imdb/train.jsonl.xz")]
        films = REVIEWS.model(places.english, texts)
        return ours(row, recipe, replace(places, english=films))(seed)

    note = f"{row.note(recipe)}; after {REVIEWS.budget} of masked language modelling"
    return Cell(row.name, "recommended, whole, reviews", run, note=note, recipe=recipe)


def after_labelled_reviews(row: Row, places: Places) -> Cell:
    """Return the recommended recipe, beginning with weights that learnt which film reviews are kind."""
    recipe = {**recipe_of(row), **row.recommended}

    def run(seed: int) -> dict[str, float]:
        return ours(row, recipe, replace(places, english=labelled_reviews(row, places)))(seed)

    note = f"{row.note(recipe)}; after 1 epoch of IMDB's 20,000 labelled reviews"
    return Cell(row.name, "recommended, whole, labelled reviews", run, note=note, recipe=recipe)


def labelled_reviews(row: Row, places: Places) -> Path:
    """Return the folder of a classifier of IMDB's reviews; it is made if it is not there."""
    settings = {**recipe_of(row), **CLASSIFYING, **LONG_TEXTS, "data.progress": False}
    texts = Classification.read(places.data / "imdb/train.jsonl.xz")
    free = {"output_dir": LABELLED_REVIEWS, "settings": settings, "resume": True}
    LABELLED_REVIEWS.parent.mkdir(parents=True, exist_ok=True)
    finetune(places.english, task=row.task, train=texts, **free)
    return LABELLED_REVIEWS


def self_trained(row: Row, places: Places) -> Cell:
    """Return one student of several teachers, who label sentences of IMDB's reviews for it."""
    best = {**recipe_of(row), **row.recommended, "data.progress": False}
    recipe = {**best, "train.num_train_epochs": 3.0, "train.r_drop_alpha": 0.0, "distill.temperature": 1.0}

    def run(seed: int) -> dict[str, float]:
        start = labelled_reviews(row, places)
        train, held = read(row, places.data)
        teachers = [RUNS / "quality" / f"teacher-{number}" for number in range(TEACHERS)]
        for number, folder in enumerate(teachers):
            settings = {**best, "train.seed": number}
            finetune(start, task=row.task, train=train, output_dir=folder, settings=settings, resume=True)
        with tempfile.TemporaryDirectory(dir=places.scratch) as folder:
            student = distill(
                teachers,
                train=[*train, *sentences_of(places.data)],
                output_dir=Path(folder) / "model",
                model=start,
                settings={**recipe, "train.seed": seed},
            )
        return numbers(student.evaluate(held))

    note = (
        f"{row.note(recipe)}; {TEACHERS} teachers, each by the recommended recipe after IMDB's labelled "
        f"reviews, answer for {SENTENCES:,} sentences of these"
    )
    return Cell(row.name, "recommended, whole, self-trained", run, note=note, recipe=recipe)


def sentences_of(data: Path) -> list[str]:
    """Return sentences of film reviews, as long as those of SST-2, drawn once."""
    texts = [row.text for row in Classification.read(data / "imdb/train.jsonl.xz")]
    found = [text[start:end] for text in texts for start, end in sentence_spans(text)]
    return random.Random(0).sample([text for text in found if 4 <= len(text.split()) <= 40], SENTENCES)


def recipe_of(row: Row) -> dict[str, Any]:
    """Return the recipe that the Trainer and ours share, as settings of `finetune`."""
    shared = {f"train.{name}": value for name, value in SHARED.items()}
    return {**shared, "train.precision": row.precision, "task.max_length": row.max_length}


def cells_of(row: Row, places: Places) -> list[Cell]:
    """Return the three cells of one data set."""
    shared = recipe_of(row)
    best = {**shared, **row.recommended}
    alike = replace(row, join_words=0)

    def theirs(seed: int) -> dict[str, float]:
        train, held = read(alike, places.data)
        return train_and_score(
            places.english, row.task, train, held, recipe=shared, seed=seed, scratch=places.scratch
        )

    return [
        Cell(row.name, "trainer", theirs, note=alike.note(shared), recipe=shared),
        Cell(row.name, "minibert", ours(alike, shared, places), note=alike.note(shared), recipe=shared),
        Cell(row.name, "recommended", ours(row, best, places), note=row.note(best), recipe=best),
    ]


def ours(row: Row, recipe: dict[str, Any], places: Places) -> Callable[[int], dict[str, float]]:
    """Return what fine-tunes by a recipe, as `minibert finetune` does, and scores what comes out."""

    def run(seed: int) -> dict[str, float]:
        train, held = read(row, places.data)
        with tempfile.TemporaryDirectory(dir=places.scratch) as folder:
            model = finetune(
                places.english,
                task=row.task,
                train=train,
                output_dir=Path(folder) / "model",
                settings={**recipe, "train.seed": seed, "data.progress": False},
            )
        return numbers(model.evaluate(held))

    return run


def read(row: Row, data: Path) -> tuple[list[Any], list[Any]]:
    """Return the examples for training and those held out, as many as the caps allow.

    Texts are drawn once for all, as some files are sorted by label; sentences of news are the first ones.
    """
    if row.task == "tagging":
        files = (read_tagged(data / name, join_words=row.join_words) for name in (row.train, row.held))
        train, held = files
        apart = read_tagged(data / row.train) if row.cap else []
        return first(train, sum(len(example.spans) for example in apart[: row.cap])), held
    train, held = (Classification.read(data / name, dict(row.columns)) for name in (row.train, row.held))
    return drawn(train, row.cap), drawn(held, row.held_cap)


def drawn(examples: list[Any], cap: int) -> list[Any]:
    """Return `cap` of the examples, the same for everybody; 0 for all."""
    return random.Random(0).sample(examples, cap) if cap else examples


def first(examples: list[TaggedExample], words: int) -> list[TaggedExample]:
    """Return the first examples, with at most so many words together; 0 for all."""
    ends = itertools.accumulate(len(example.spans) for example in examples)
    return [example for example, end in zip(examples, ends, strict=True) if not words or end <= words]


def numbers(scores: dict[str, Any]) -> dict[str, float]:
    """Return the scores that are one number, the main one first."""
    return {name: value for name, value in scores.items() if isinstance(value, float)}


def race_of(lines: Sequence[Line]) -> Table:
    """Return what docs/07-training.md shows: a line for each data set, over the seeds that all three ran."""
    contestants = ("trainer", "minibert", "recommended")
    table = [["data", "training rows", "measure", "Trainer", "minibert", "recommended", "seeds"]]
    found = {key(line): line for line in lines}
    for row in ROWS:
        seeds = [seed for seed in range(9) if all((row.name, name, seed) in found for name in contestants)]
        if seeds:
            groups = [[found[row.name, name, seed] for seed in seeds] for name in contestants]
            measure = next(iter(groups[0][0]["scores"]))
            shown = [spelled(group, measure) for group in groups]
            table.append([row.name, f"{row.cap:,}", measure, *shown, str(len(seeds))])
    return table
