"""Questions about passages: exact match and F1 on SQuAD, CMRC 2018 and DRCD.

Contestants: ours, once with every answer that people gave and once with the first alone; transformers'
Trainer, which learns the first, on the same windows by the same recipe, its scores decoded by the same code;
and a baseline without any model: of the sentence that shares most words with the question, the longest run of
words that the question does not hold.

Nothing is chosen on the questions that are scored: the last epoch counts, and the recipe is one for all.
A row "whole" trains on all questions; the others on a random part of them, so that a run takes some minutes
on one core.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from cells import Cell, Places
from inference_contestants import quiet
from trainer_arguments import trainer_arguments, without_printing

from minibert.data.examples import QuestionExample
from minibert.data.questions import read_questions
from minibert.finetune import Settings, batches_of, open_for_task
from minibert.tasks.answer_scores import match
from minibert.tasks.model import Model
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.task import Window
from minibert.training.loop import Run
from minibert.training.precision import choose_dtype

ENGLISH = {"learning_rate": 2e-4, "num_train_epochs": 2.0, "train_batch_size": 8}
CHINESE = {"learning_rate": 5e-4, "num_train_epochs": 3.0, "train_batch_size": 8}
PART, CHINESE_PART = 1000, 800  # questions that a run learns from
ASKED = 1000  # questions of DRCD that it is asked
SENTENCE = re.compile(r"[^.!?\u3002\uff01\uff1f\n]+")
UNIT = re.compile(r"[\u3400-\u9fff]|\w+")
Scores = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """Which questions are learnt from and which are asked (all of a file with None), and how."""

    train: Path
    test: Path
    learnt: int | None
    asked: int | None
    recipe: dict[str, Any]
    options: dict[str, Any]

    def with_options(self, options: dict[str, Any]) -> "Plan":
        """Return the plan with some options of the task changed."""
        return replace(self, options={**self.options, **options})


def plans(data: Path) -> dict[str, Plan]:
    """Return the plan of each row."""
    squad, cmrc, drcd = (data / name for name in ("squad_dev_subset", "cmrc2018", "drcd"))
    english = Plan(squad / "train.json.xz", squad / "dev.json", PART, None, ENGLISH, {})
    longer = {"max_answer_length": 50}
    return {
        "squad_dev_subset": english,
        "cmrc2018": Plan(cmrc / "train.json.xz", cmrc / "dev.json", CHINESE_PART, None, CHINESE, longer),
        "drcd": Plan(drcd / "dev.json.xz", drcd / "test.json.xz", CHINESE_PART, ASKED, CHINESE, longer),
        "squad_dev_subset, whole": replace(english, learnt=None),
    }


def cells(places: Places) -> list[Cell]:
    """Return the cells of all data sets that there is an encoder for, and every baseline."""
    found = []
    for row, plan in plans(places.data).items():
        seeds = (0, 1, 2) if plan.learnt else (0,)
        learnt = f"{plan.learnt:,} questions learnt" if plan.learnt else "all questions learnt, one seed"
        note = learnt + (f", {plan.asked:,} asked" if plan.asked else "")
        encoder = places.english if "squad" in row else places.chinese
        if encoder is not None:
            found.append(Cell(row, "minibert", partial(ours, encoder, plan), seeds, note, plan.recipe))
        if "squad" in row:
            run = partial(trainer, places, plan.with_options({"gold_answers": "first"}))
            found.append(Cell(row, "transformers Trainer", run, seeds, note, plan.recipe))
        if plan.learnt:
            found.append(Cell(row, "word overlap", partial(overlap, plan), (0,), "needs no training"))
    first = plans(places.data)["squad_dev_subset"].with_options({"gold_answers": "first"})
    run, note = partial(ours, places.english, first), f"{first.learnt:,} questions learnt"
    return [*found, Cell("squad_dev_subset", "minibert, first answers", run, note=note, recipe=first.recipe)]


def ours(folder: Path, plan: Plan, seed: int) -> Scores:
    """Train our model and score it."""
    model, examples, settings = opened(folder, plan, seed)
    for _ in Run(model, batches_of(model.task, examples, settings.train), settings.train):
        pass
    return told(model.evaluate(some(plan.test, plan.asked)))


def opened(folder: Path, plan: Plan, seed: int) -> tuple[Model, list[QuestionExample], Settings]:
    """Return an encoder with a new head, the questions to learn from, and the settings."""
    values: dict[str, Any] = {f"train.{name}": value for name, value in plan.recipe.items()}
    values |= {f"task.{name}": value for name, value in plan.options.items()}
    settings = Settings.of({**values, "train.seed": seed})
    examples = some(plan.train, plan.learnt)
    torch.manual_seed(seed)
    return open_for_task(folder, QuestionAnswering, examples, settings=settings), examples, settings


def some(file: Path, count: int | None) -> list[QuestionExample]:
    """Return so many questions of a file, drawn by chance, or all."""
    examples = read_questions(file)
    if count is not None:
        random.Random(0).shuffle(examples)
    return examples[:count]


def told(scores: dict[str, Any]) -> Scores:
    """Return the numbers of a row."""
    return {name: scores[name] for name in ("f1", "exact_match")}


def trainer(places: Places, plan: Plan, seed: int) -> Scores:
    """Train with transformers on our windows, and decode and score as ours does."""
    from transformers import (
        AutoModelForQuestionAnswering,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
    )

    quiet()
    model, examples, settings = opened(places.english, plan, seed)
    rows = [row_of(window) for one in examples for window in model.task.encode(one) if window.labels.any()]
    torch.manual_seed(seed)
    theirs = AutoModelForQuestionAnswering.from_pretrained(places.english, attn_implementation="eager")
    collate = DataCollatorWithPadding(AutoTokenizer.from_pretrained(places.english))
    given = trainer_arguments(settings.train, len(rows), places.scratch)
    without_printing(Trainer(theirs, given, train_dataset=rows, data_collator=collate)).train()
    return told(asked(theirs.eval(), model.task, some(plan.test, plan.asked)))


def row_of(window: Window) -> dict[str, Any]:
    """Return a window as transformers wants it; start and end are the rows with the whole share."""
    start, end = (int(window.rows[column.argmax()]) for column in window.labels.T)
    return {**inputs_of(window), "start_positions": start, "end_positions": end}


def inputs_of(window: Window) -> dict[str, list[int]]:
    """Return the tokens of a window under their names."""
    return {
        "input_ids": window.tokens.ids.tolist(),
        "token_type_ids": window.tokens.segments.tolist(),
        "attention_mask": [1] * len(window),
    }


@torch.no_grad()
def asked(theirs: Any, task: QuestionAnswering, examples: Sequence[QuestionExample]) -> dict[str, Any]:
    """Return the scores of a model of transformers, its logits decoded by our task."""
    answers, narrow = [], choose_dtype("auto", torch.device("cpu")) == torch.bfloat16
    for example in examples:
        windows, logits = task.encode(example), []
        for window in windows:  # in the precision of ours
            with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                out = theirs(**{name: torch.tensor([values]) for name, values in inputs_of(window).items()})
            both_T2 = torch.stack([out.start_logits[0], out.end_logits[0]], dim=1)
            logits.append(both_T2[torch.from_numpy(window.rows)].float().numpy())
        answers.append(task.merge(example, windows, logits))
    return task.score(answers, examples)


def overlap(plan: Plan, seed: int) -> Scores:
    """Score the baseline."""
    examples = some(plan.test, plan.asked)
    found = [
        match(guess(one), [gold.text for gold in one.answers or ()], question=one.question)
        for one in examples
    ]
    return {
        "f1": sum(one.f1 for one in found) / len(found),
        "exact_match": sum(one.exact for one in found) / len(found),
    }


def guess(example: QuestionExample) -> str:
    """Return the longest run of words that the question lacks, in the sentence that shares most with it.

    >>> guess(QuestionExample("Who wrote the book?", "It rained. Ada Lovelace wrote the book."))
    'Ada Lovelace'
    """
    asked_for = set(UNIT.findall(example.question.lower()))
    sentences = [match.group() for match in SENTENCE.finditer(example.passage)]
    best = max(sentences, key=lambda text: len(asked_for & set(UNIT.findall(text.lower()))), default="")
    runs, run = [], []
    for unit in [*UNIT.finditer(best), None]:
        if unit is not None and unit.group().lower() not in asked_for:
            run.append(unit)
        else:
            runs.append(run)
            run = []
    longest = max(runs, key=len, default=[])
    return best[longest[0].start() : longest[-1].end()] if longest else ""
