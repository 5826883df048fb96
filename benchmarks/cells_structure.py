"""Structures in text: intents and slots, relations, triples, and tags of words, as cells of `tasks.py`.

Ours starts from MiniLM's weights (English) or from the encoder that the race leaves (Chinese), trains for the
epochs that the recipe names and is scored on the test file with the weights of the last step: no choice is
made on test data. Beside it stand the baselines of `structure_contestants`, and for chunks the Trainer of
transformers with the same weights, rows and numbers. Rows and epochs are capped so that a run takes a few
minutes of one thread; each cap is in the note of its cell.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cells import Cell, Places
from structure_contestants import frequent_tags, majority_intent, trained_by_transformers, words_between

from minibert.data.documents import NO_RELATION, pairs_of, read_annotated, tags_of
from minibert.finetune import finetune
from minibert.tasks.extract import relate, triple_scores
from minibert.tasks.intent_slots import IntentSlots
from minibert.tasks.model import TASKS, Model
from minibert.tasks.relations import Relations
from minibert.tasks.tagging import Tagging
from minibert.tasks.tags import Entity

Scores = dict[str, float]
UNRELATED = 1  # pairs without a relation, for each with one, that a relation model of scierc learns from


@dataclass(frozen=True)
class Row:
    """One data set: its files, what is learnt from them, and how much of it.

    rows, test_rows  at most so many examples, drawn once; 0 for all
    measures         the scores that are kept, the first decides
    """

    name: str
    task: str
    train: str
    test: str
    measures: tuple[str, ...]
    epochs: int = 3
    rows: int = 0
    test_rows: int = 0
    learning_rate: float = 3e-4
    chinese: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    remark: str = ""

    @property
    def note(self) -> str:
        """What the record of our run says of it."""
        return "; ".join(["1 epoch" if self.epochs == 1 else f"{self.epochs} epochs", *self.caps])

    @property
    def caps(self) -> list[str]:
        """What was capped for everybody, and what else is to be known of the row."""
        caps = [f"{self.rows:,} training rows"] if self.rows else []
        caps += [f"{self.test_rows:,} test rows"] if self.test_rows else []
        return [*caps, *([self.remark] if self.remark else [])]

    @property
    def recipe(self) -> dict[str, Any]:
        """The settings of the run."""
        return {
            "train.num_train_epochs": self.epochs,
            "train.learning_rate": self.learning_rate,
            **{f"task.{name}": value for name, value in self.options},
        }

    def read(self, places: Places, file: str, limit: int) -> list[Any]:
        """Return the examples of a file, or as many of them as are used."""
        examples = TASKS[self.task].read(places.data / self.name / file, dict(self.columns))
        return some(examples, limit)

    def both(self, places: Places) -> tuple[list[Any], list[Any]]:
        """Return the examples to learn from and those to be scored on."""
        return self.read(places, self.train, self.rows), self.read(places, self.test, self.test_rows)


FEW_TYPES = 12
SPANS = ("f1", "precision", "recall", "accuracy")
TAGS = ("accuracy", "macro_f1")
REQUESTS = ("sentence_accuracy", "intent_accuracy", "slot_f1", "unseen_share")
SLOTS = ("slot_f1", "intent_accuracy", "sentence_accuracy", "unseen_share")
RELATIONS = ("macro_f1", "micro_f1", "accuracy")
MEAN = (("pooling", "mean"),)
ROWS = (
    Row(
        "slu_snips",
        "intent_slots",
        "train.jsonl.xz",
        "test.jsonl",
        SLOTS,
        4,
        options=(*MEAN, ("crf", True)),
        learning_rate=5e-4,
    ),
    Row(
        "slu_atis",
        "intent_slots",
        "train.jsonl.xz",
        "test.jsonl",
        REQUESTS,
        10,
        options=(*MEAN, ("crf", True)),
        learning_rate=5e-4,
    ),
    Row("semeval2010_task8", "relations", "train.jsonl.xz", "test.jsonl", RELATIONS, 3),
    Row("conll2000", "tagging", "train.txt.xz", "test.txt", SPANS, 2, rows=3000),
    Row("conll2003", "tagging", "eng.train.xz", "eng.testa", SPANS, 2, rows=4000, remark="scored on testa"),
    Row("ud_en_ewt", "tagging", "en_ewt-ud-train.conllu.xz", "en_ewt-ud-test.conllu.xz", TAGS, 2, rows=4000),
    Row(
        "resume_ner",
        "tagging",
        "train.char.bmes.xz",
        "test.char.bmes",
        SPANS,
        5,
        learning_rate=5e-4,
        chinese=True,
    ),
    Row(
        "msra_ner",
        "tagging",
        "train.txt.xz",
        "test.txt.xz",
        SPANS,
        3,
        rows=12_000,
        learning_rate=5e-4,
        chinese=True,
    ),
    Row(
        "ud_zh_gsdsimp",
        "tagging",
        "zh_gsdsimp-ud-dev.conllu.xz",
        "zh_gsdsimp-ud-test.conllu.xz",
        TAGS,
        12,
        learning_rate=5e-4,
        chinese=True,
        remark="learnt from the 500 sentences of dev",
    ),
    Row(
        "zh_people_relation",
        "relations",
        "train.jsonl",
        "test.jsonl",
        ("accuracy", "macro_f1"),
        8,
        learning_rate=5e-4,
        chinese=True,
    ),
)
SCIERC = Row(
    "scierc",
    "relations",
    "train.jsonl.xz",
    "test.jsonl",
    ("relation_f1",),
    2,
    rows=600,
    test_rows=250,
    remark=f"rows are sentences; {UNRELATED} unrelated pair for each related one is learnt; 4 epochs of tags",
)


def some(examples: list[Any], limit: int) -> list[Any]:
    """Return at most `limit` examples, drawn once; all for 0."""
    return random.Random(0).sample(examples, limit) if 0 < limit < len(examples) else examples


def encoder_of(row: Row, places: Places) -> Path:
    """Return the folder of the weights that a row starts from."""
    folder = places.chinese if row.chinese else places.english
    if folder is None:
        raise SystemExit(f"{row.name} needs the Chinese encoder; name its folder: --zh-model")
    return folder


def train(
    row: Row, task: str, examples: Sequence[Any], places: Places, *, seed: int, epochs: int = 0
) -> Model:
    """Fine-tune the row's encoder on examples of a task."""
    numbers = {**row.recipe, "train.seed": seed, "data.progress": False}
    if epochs:
        numbers["train.num_train_epochs"] = epochs
    return finetune(
        encoder_of(row, places),
        task=task,
        train=examples,
        output_dir=places.scratch / f"{row.name}-{task}-{seed}",
        settings=numbers,
        overwrite_output_dir=True,
    )


def ours(row: Row, places: Places) -> Callable[[int], Scores]:
    """Return a run of ours: train, then the scores of the test file."""

    def run(seed: int) -> Scores:
        examples, test = row.both(places)
        scores = train(row, row.task, examples, places, seed=seed).evaluate(test)
        return {**{name: scores[name] for name in row.measures}, **by_type(scores)}

    return run


def by_type(scores: dict[str, Any]) -> Scores:
    """Return the F1 of each type of span, where there are few."""
    types = scores.get("per_type", {})
    return {f"f1 of {name}": one["f1"] for name, one in types.items()} if len(types) <= FEW_TYPES else {}


def scierc(places: Places) -> Callable[[int], Scores]:
    """Return the way on scierc: entities, relations between them, and relations between the right ones."""

    def run(seed: int) -> Scores:
        folder = places.data / SCIERC.name
        sentences = some(read_annotated(folder / SCIERC.train), SCIERC.rows)
        test = some(read_annotated(folder / SCIERC.test), SCIERC.test_rows)
        pairs = [pair for sentence in sentences for pair in pairs_of(sentence)]
        related = [pair for pair in pairs if pair.label != NO_RELATION]
        others = some([pair for pair in pairs if pair.label == NO_RELATION], UNRELATED * len(related))
        tagger = train(SCIERC, Tagging.name, [tags_of(s) for s in sentences], places, seed=seed, epochs=4)
        relater = train(SCIERC, Relations.name, [*related, *others], places, seed=seed)
        texts = [sentence.text for sentence in test]
        right = [[Entity(a, b, label, s.text[a:b]) for a, b, label in s.entities] for s in test]
        found = [answer.entities for answer in tagger.predict([tags_of(sentence) for sentence in test])]
        whole = triple_scores(relate(texts, found, relater), test)
        given = triple_scores(relate(texts, right, relater), test)
        return {
            "relation_f1": whole["relation_f1"],
            "strict_relation_f1": whole["strict_relation_f1"],
            "entity_f1": whole["entity_f1"],
            "relation_f1_right_entities": given["relation_f1"],
        }

    return run


def baseline(row: Row, places: Places) -> tuple[str, Callable[[int], Scores]]:
    """Return the simple baseline of a row, by its name."""
    learners: dict[str, tuple[str, Callable[[list[Any], list[Any]], Scores]]] = {
        Tagging.name: ("each word's most frequent tag", frequent_tags),
        IntentSlots.name: ("most frequent intent and tags", majority_intent),
        Relations.name: ("words between, logistic regression", words_between),
    }
    name, learn = learners[row.task]

    def run(seed: int) -> Scores:
        scores = learn(*row.both(places))
        return {name: scores[name] for name in row.measures if name in scores}

    return name, run


def cells(places: Places) -> list[Cell]:
    """Return every cell of this area; Chinese rows only where their encoder is there."""
    rows = [row for row in ROWS if places.chinese is not None or not row.chinese]
    found = [Cell(row.name, "minibert", ours(row, places), note=row.note, recipe=row.recipe) for row in rows]
    found.insert(4, Cell("scierc", "minibert", scierc(places), note=SCIERC.note, recipe=SCIERC.recipe))
    for row in rows:
        name, run = baseline(row, places)
        found.append(Cell(row.name, name, run, (0,), "; ".join(row.caps)))
    chunks = next(row for row in rows if row.name == "conll2000")

    def theirs(seed: int) -> Scores:
        train_rows, test = chunks.both(places)
        scores = trained_by_transformers(
            encoder_of(chunks, places), train_rows, test, chunks.recipe, seed=seed
        )
        return {name: scores[name] for name in chunks.measures}

    found.insert(5, Cell(chunks.name, "transformers Trainer", theirs, note=chunks.note, recipe=chunks.recipe))
    return found
