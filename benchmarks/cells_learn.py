"""Learning on: classes that come group after group, and a smaller model for the same work.

"clinc150, three groups of classes": 45 of the 150 intents in three groups, each shown once and never again;
MiniLM. "thucnews_titles, three groups of classes": nine of its ten classes; the Chinese encoder.

    plain, replay, ewc, distill   the methods of `minibert learn`; all groups are asked at the end
    adapters                      another of them: LoRA and a head for each group, which a text has to find
    joint                         all classes at once, as often: what could be had if nothing were ever lost

The Chinese lines hold the matrix of accuracies too: what is known of a part after each later one.

"sst2, smaller": a classifier of six layers, and ways to a cheaper one.

    teacher             MiniLM, fine-tuned
    student, distilled  three layers of the teacher, taught by it
    student, plain      three layers of MiniLM, fine-tuned without a teacher
    teacher, int8       the teacher through `export --quantize int8`, run by onnxruntime

"speed" is texts a second as a multiple of the teacher's, both measured in turns in the same cell, so other
work on the machine slows both. The last epoch counts; nothing is chosen on the rows that are scored.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from cells import Cell, Places

import minibert as mb
from minibert.data.examples import TextExample
from minibert.data.readers import read_texts
from minibert.finetune import open_for_task
from minibert.further.distill import distill
from minibert.further.learn_on import accuracies, learn_on
from minibert.further.student import student_of
from minibert.interop.graph_checks import Runner, padded_inputs
from minibert.interop.graphs import open_onnx
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model
from minibert.training.finetuning import Settings

CLASSES = {"clinc150": 15, "thucnews_titles": 3}  # of a group
SST2_ROWS, STUDENT_LAYERS, TURNS = 1500, 3, 3
CLINC = {
    "train.learning_rate": 4e-4,
    "train.num_train_epochs": 6.0,
    "train.train_batch_size": 32,
    "train.freeze": 2,
    "task.pooling": "mean",
    "task.max_length": 32,
    "data.progress": False,
}
TITLES = {**CLINC, "train.learning_rate": 5e-4, "train.freeze": 1}
APART = {"learn.method": "adapters", "train.freeze": 0, "train.learning_rate": 2e-3}
SST2 = {
    "train.learning_rate": 2e-4,
    "train.num_train_epochs": 2.0,
    "train.train_batch_size": 32,
    "task.pooling": "mean",
    "task.max_length": 64,
    "data.progress": False,
}
LESSON = {
    "train.learning_rate": 2e-4,
    "train.num_train_epochs": 2.0,
    "train.train_batch_size": 32,
    "distill.layers": STUDENT_LAYERS,
    "data.progress": False,
}
SST2_ROW = "sst2, smaller"
SST2_NOTE = f"{SST2_ROWS:,} training rows, 2 epochs, 64 tokens, the whole test part"
Parts = list[list[TextExample]]


@dataclass(frozen=True)
class Groups:
    """A data set whose classes come in three groups: how many, their rows at most, and the encoder.

    files  the rows to learn and those that are asked
    rows   to learn of each class, and asked of it; 0 takes all
    """

    name: str
    files: tuple[str, str]
    classes: int
    rows: tuple[int, int]
    encoder: Path
    recipe: dict[str, Any]

    @property
    def row(self) -> str:
        """The row of the table."""
        return f"{self.name}, three groups of classes"

    @property
    def note(self) -> str:
        """What the record must not hide."""
        return f"3 groups of {self.classes} classes, {self.rows[0]} training rows a class"

    def read(self, data: Path) -> tuple[Parts, Parts]:
        """Return the rows of each group to learn and to be asked, in an order of classes drawn once."""
        train, test = (read_texts(data / self.name / file) for file in self.files)
        labels = sorted({str(row.label) for row in train} - {"oos"})
        random.Random(0).shuffle(labels)
        parts: tuple[Parts, Parts] = ([], [])
        for start in range(0, 3 * self.classes, self.classes):
            wanted = labels[start : start + self.classes]
            for part, rows, most in zip(parts, (train, test), self.rows, strict=True):
                part.append(first_of(rows, wanted, most))
        return parts


def first_of(rows: Sequence[TextExample], labels: Sequence[str], most: int) -> list[TextExample]:
    """Return the first rows of each class, one class after the other; all in their order if most is 0."""
    if not most:
        return [row for row in rows if row.label in labels]
    return [row for label in labels for row in [row for row in rows if row.label == label][:most]]


def cells(places: Places) -> Iterator[Cell]:
    """Yield the cells."""
    classes, files = CLASSES["clinc150"], ("train.jsonl.xz", "test.jsonl")
    yield from cells_of(Groups("clinc150", files, classes, (50, 0), places.english, CLINC), places)
    for name, made in (("teacher", None), ("student, distilled", taught), ("student, plain", untaught)):
        recipe = {**SST2, **(LESSON if made is taught else {})}
        yield Cell(SST2_ROW, name, smaller(made, places), note=SST2_NOTE, recipe=recipe)
    yield Cell(SST2_ROW, "teacher, int8", in_eight_bits(places), note=SST2_NOTE, recipe=SST2)
    if places.chinese is not None:
        classes, files = CLASSES["thucnews_titles"], ("train.jsonl", "test.jsonl")
        titles = Groups("thucnews_titles", files, classes, (150, 100), places.chinese, TITLES)
        yield from cells_of(titles, places)


def cells_of(groups: Groups, places: Places) -> Iterator[Cell]:
    """Yield the cells of a data set whose classes come in groups."""
    row, note = groups.row, groups.note
    for method in ("plain", "replay", "ewc", "distill"):
        recipe = {**groups.recipe, "learn.method": method}
        yield Cell(row, method, one_by_one(groups, recipe, places), note=note, recipe=recipe)
    recipe = {**groups.recipe, **APART}
    yield Cell(row, "adapters", one_by_one(groups, recipe, places), note=note, recipe=recipe)
    yield Cell(row, "joint", all_at_once(groups, places), note=note, recipe=groups.recipe)


def one_by_one(groups: Groups, recipe: dict[str, Any], places: Places) -> Callable[[int], dict[str, float]]:
    """Return a function that learns the groups one after the other and says what is left of them."""

    def run(seed: int) -> dict[str, float]:
        train, test = groups.read(places.data)
        _, found = learn_on(
            groups.encoder,
            train=train,
            validation=test,
            output_dir=places.scratch / "learnt",
            settings={**recipe, "train.seed": seed},
            overwrite_output_dir=True,
        )
        return {
            "average_accuracy": found.average,
            "forgetting": found.forgetting,
            "backward_transfer": found.backward,
            **{
                f"part {part} after {after}": share
                for after, row in enumerate(found.matrix[1:], 1)
                for part, share in enumerate(row[:after], 1)
            },
        }

    return run


def all_at_once(groups: Groups, places: Places) -> Callable[[int], dict[str, float]]:
    """Return a function that learns all groups together."""

    def run(seed: int) -> dict[str, float]:
        train, test = groups.read(places.data)
        model = mb.finetune(
            groups.encoder,
            task="classification",
            train=[row for part in train for row in part],
            output_dir=places.scratch / "joint",
            settings={**groups.recipe, "train.seed": seed},
            overwrite_output_dir=True,
        )
        return {"average_accuracy": float(np.mean(accuracies(model, test)))}

    return run


def sst2(data: Path) -> tuple[list[TextExample], list[TextExample]]:
    """Return the training rows that take part, drawn once, and all test rows."""
    train = read_texts(data / "sst2" / "train.jsonl")
    random.Random(0).shuffle(train)
    return train[:SST2_ROWS], read_texts(data / "sst2" / "test.jsonl")


def fine_tuned(encoder: Path, places: Places, name: str, seed: int) -> Model:
    """Fine-tune the encoder in a folder on SST-2."""
    return mb.finetune(
        encoder,
        task="classification",
        train=sst2(places.data)[0],
        output_dir=places.scratch / name,
        settings={**SST2, "train.seed": seed},
        overwrite_output_dir=True,
    )


def taught(places: Places, seed: int) -> Model:
    """Return a student of the teacher, which stands in the scratch folder."""
    return distill(
        places.scratch / "teacher",
        train=sst2(places.data)[0],
        output_dir=places.scratch / "student",
        settings={**LESSON, "train.seed": seed},
        overwrite_output_dir=True,
    )


def untaught(places: Places, seed: int) -> Model:
    """Return a model of the same layers, fine-tuned without a teacher."""
    rows = sst2(places.data)[0]
    settings = Settings.of({key: value for key, value in SST2.items() if key.startswith("task.")})
    whole = open_for_task(places.english, Classification, rows, settings=settings)
    student_of(whole, STUDENT_LAYERS).save(places.scratch / "shallow")
    return fine_tuned(places.scratch / "shallow", places, "plain", seed)


def smaller(made: Callable[[Places, int], Model] | None, places: Places) -> Callable[[int], dict[str, float]]:
    """Return a function that makes a model and compares it with the teacher, or scores the teacher."""

    def run(seed: int) -> dict[str, float]:
        teacher, test = fine_tuned(places.english, places, "teacher", seed), sst2(places.data)[1]
        model = teacher if made is None else made(places, seed)
        accuracy = model.evaluate(test)["accuracy"]
        weights = sum(weight.numel() for weight in model.parameters()) / 1e6
        if made is None:
            return {"accuracy": accuracy, "million weights": weights}
        speed = times_as_fast(lambda: model.predict(test), lambda: teacher.predict(test))
        return {"accuracy": accuracy, "million weights": weights, "speed": speed}

    return run


def in_eight_bits(places: Places) -> Callable[[int], dict[str, float]]:
    """Return a function that scores the teacher's graph with weights of 8 bits."""

    def run(seed: int) -> dict[str, float]:
        teacher, test = fine_tuned(places.english, places, "teacher", seed), sst2(places.data)[1]
        folder = places.scratch / "int8"
        mb.export(teacher, folder, quantize="int8")
        graph = open_onnx(next(folder.glob("*.onnx")))
        assert isinstance(teacher.task, Classification)
        labels = teacher.task.labels
        chosen = [labels[place] for place in graph_answers(graph, teacher, test)]
        right = [label == row.label for label, row in zip(chosen, test, strict=True)]
        speed = times_as_fast(lambda: graph_answers(graph, teacher, test), lambda: teacher.predict(test))
        return {"accuracy": float(np.mean(right)), "speed": speed}

    return run


def graph_answers(graph: Runner, model: Model, rows: Sequence[TextExample]) -> list[int]:
    """Return the number of the likeliest class of each text, 32 of about one length at a time."""
    encoded = [windows[0].tokens for windows in model.encode(rows)]
    order = sorted(range(len(rows)), key=lambda number: len(encoded[number]))
    found = [0] * len(rows)
    for start in range(0, len(order), 32):
        numbers = order[start : start + 32]
        names = ("input_ids", "attention_mask", "token_type_ids")
        given = padded_inputs([encoded[n] for n in numbers], names, model.encoder.config.pad_token_id)
        for number, place in zip(numbers, graph(given)["logits"].argmax(-1).tolist(), strict=True):
            found[number] = place
    return found


def times_as_fast(one: Callable[[], Any], other: Callable[[], Any]) -> float:
    """Return how many times as fast `one` is, from turns of both."""
    ratios = []
    for _ in range(TURNS):
        seconds = []
        for call in (one, other):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[1] / seconds[0])
    return median(ratios)
