"""An embedding model made smaller: a student of fewer layers whose vectors lie where its teacher's lie.

    teacher's layers, every other one -> student -> learns the vector of each text, hidden states -> folder

No label is needed, and no pair: any texts of the kind that will be embedded. The loss of a text is

    |v - v_t|^2 / |v_t|^2       v_t the teacher's vector; 2 (1 - cosine) where both are one long

(Reimers and Gurevych, 2020, "Making Monolingual Sentence Embeddings Multilingual", without the share).
A student is a model of `retrieval`, or of `similarity` if its teacher is one: `load_encoder`, `embed` and
`index` take its folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minibert.data.examples import NumberExample, SearchExample, TextExample
from minibert.embedding.loading import load_encoder
from minibert.errors import InputError
from minibert.finetune import batches_from
from minibert.further.lessons import DistillOptions, listening
from minibert.further.student import student_of
from minibert.interop.kinds import is_encoder
from minibert.interop.opening import load
from minibert.tasks.model import Model
from minibert.tasks.retrieval import Retrieval
from minibert.tasks.task import Task, Window
from minibert.training.config import TrainingConfig
from minibert.training.distillation import Embedder, vectors_alike
from minibert.training.loop import Run


def teacher_of(folder: str | Path) -> Model:
    """Open a model that can teach; an encoder without labels becomes one of vectors, as it is used to embed.

    Raises InputError for a folder that cannot be opened.
    """
    if not is_encoder(folder):
        return load(folder)
    opened = load_encoder(folder)
    habits = {"pooling": opened.pooling, "max_length": opened.max_length}
    return Model(opened.encoder, Retrieval.build(opened.tokenizer, opened.encoder.config, [], habits)).eval()


def lesson_of_vectors(
    teacher: Model, rows: Sequence[Any], options: DistillOptions, config: TrainingConfig
) -> tuple[Callable[[], Run], DistillOptions]:
    """Return what begins a run in which a part of the teacher learns its vectors, and the options in force.

    teacher  a model that gives vectors
    rows     texts, or examples that hold some (`TextExample`, `SearchExample`, `NumberExample`)
    """
    student = student_of(teacher, options.layers)
    task, zero = student.task, np.zeros(1, np.int64)
    assert isinstance(task, Embedder)
    texts = list(dict.fromkeys(text for row in rows for text in texts_in(row)))
    windows = [[Window(task.tokens(text), rows=zero, labels=zero, units=zero)] for text in texts]
    collate = partial(Task.collate, task)  # their own make pairs
    batches = replace(batches_from(windows, task, config), collate=collate)

    def begin() -> Run:
        return listening(Run(student, batches, config), vectors_alike(student, teacher), teacher, options)

    return begin, replace(options, label_weight=0.0)


def texts_in(row: Any) -> list[str]:
    """Return the texts of a row.

    >>> texts_in("a cat"), texts_in(SearchExample("who?", "Ada", ("a cat",)))
    (['a cat'], ['who?', 'Ada', 'a cat'])
    """
    if isinstance(row, str):
        return [row]
    if not isinstance(row, SearchExample | TextExample | NumberExample):
        raise InputError(f"{str(row)[:60]} is no text; strings, TextExample or SearchExample are wanted")
    more = (row.positive, *row.negatives) if isinstance(row, SearchExample) else (row.pair,)
    return [row.text, *(text for text in more if text is not None)]
