"""A smaller encoder that embeds: half of MiniLM's layers, its vectors taught by the whole of it.

    whole            MiniLM, six layers
    half, as cut     every other layer of it, as it is
    half, taught     the same, after one pass over sentences of films and of the training part, without labels

Asked is whether texts that people call alike lie close together: Spearman's correlation of the cosine with
the grades of SemEval's similarity tasks, test part. "speed" is texts a second as a multiple of the whole
one's, both measured in turns in the same cell.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cells import Cell, Places
from cells_learn import times_as_fast
from quality_cells import sentences_of

from minibert.data.labelled import read_numbers
from minibert.embedding.loading import load_encoder
from minibert.embedding.text_encoder import TextEncoder
from minibert.further.distill import distill
from minibert.further.student import student_of
from minibert.further.vectors import teacher_of
from minibert.tasks.correlation import spearman

LAYERS, OF_FILMS = 3, 10_000
LESSON = {
    "distill.layers": LAYERS,
    "train.num_train_epochs": 1.0,
    "train.train_batch_size": 32,
    "train.learning_rate": 2e-4,
    "train.precision": "bf16",
    "data.progress": False,
}
ROW = f"sts_semeval, {LAYERS} of 6 layers"


def cells(places: Places) -> list[Cell]:
    """Return the cells; nothing but the lesson depends on a seed."""
    note = f"one pass over {OF_FILMS:,} sentences of film reviews and those of the training part"
    return [
        Cell(ROW, "whole", scored(whole, places), (0,)),
        Cell(ROW, "half, as cut", scored(cut, places), (0,)),
        Cell(ROW, "half, taught", scored(taught, places), note=note, recipe=LESSON),
    ]


def scored(made: Callable[[Places, int], TextEncoder], places: Places) -> Callable[[int], dict[str, float]]:
    """Return a function that makes an encoder, and says how well and how fast it embeds."""

    def run(seed: int) -> dict[str, float]:
        encoder, teacher = made(places, seed), whole(places, seed)
        rows = read_numbers(places.data / "sts_semeval" / "test.jsonl")
        first, second = ([row.text for row in rows], [str(row.pair) for row in rows])
        cosines = (embedded(encoder, first) * embedded(encoder, second)).sum(1)
        scores = {"spearman": spearman(cosines, [float(row.label or 0) for row in rows])}
        if made is not whole:
            scores["speed"] = times_as_fast(
                lambda: embedded(encoder, first), lambda: embedded(teacher, first)
            )
        return {**scores, "million weights": sum(w.numel() for w in encoder.encoder.parameters()) / 1e6}

    return run


def embedded(encoder: TextEncoder, texts: list[str]) -> Any:
    """Return the vectors of texts, (N, D)."""
    return encoder.embed(texts, dtype="bf16", progress=False)


def whole(places: Places, seed: int) -> TextEncoder:
    """Return MiniLM."""
    return load_encoder(places.english)


def cut(places: Places, seed: int) -> TextEncoder:
    """Return half of its layers."""
    student_of(teacher_of(places.english), LAYERS).save(places.scratch / "cut")
    return load_encoder(places.scratch / "cut")


def taught(places: Places, seed: int) -> TextEncoder:
    """Return them after the lesson."""
    distill(
        places.english,
        train=texts_of(places.data),
        output_dir=places.scratch / "taught",
        settings={**LESSON, "train.seed": seed},
        overwrite_output_dir=True,
    )
    return load_encoder(places.scratch / "taught")


def texts_of(data: Path) -> list[str]:
    """Return what is learnt from: sentences without their grades."""
    rows = read_numbers(data / "sts_semeval" / "train.jsonl.xz")
    return [*sentences_of(data)[:OF_FILMS], *(text for row in rows for text in (row.text, str(row.pair)))]
