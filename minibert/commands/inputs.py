"""What a person hands to a command: a model, texts typed, texts piped, and files of several kinds."""

import argparse
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from minibert.data.files import kind_of
from minibert.data.readers import read_texts
from minibert.data.rows import rows_of
from minibert.data.tagged import WORDS
from minibert.errors import InputError
from minibert.interop.heads import load
from minibert.tasks.classification import Classification
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.task import Task
from minibert.training.precision import choose_device, choose_dtype

COLUMNS = ("text_column", "pair_column", "label_column")
TAGGED_FILES = (".conll", ".conllu", ".bio", ".bmes")


def read_file_of(kind: type[Task], path: str, args: argparse.Namespace) -> list[Any]:
    """Read a file of a task's examples, from the columns that a person named."""
    named = {name: getattr(args, name) for name in COLUMNS if getattr(args, name) is not None}
    if kind is Classification:
        return read_texts(path, **named)
    if named:
        flags = ", ".join("--" + name.replace("_", "-") for name in named)
        raise InputError(f"{flags}: {kind.name} has no such columns; leave it out")
    return kind.read(path)


def labelled_examples(kind: type[Task], path: str, args: argparse.Namespace) -> list[Any]:
    """Read examples that all have their label; raises InputError that names the first without."""
    examples = read_file_of(kind, path, args)
    for number, example in enumerate(examples, 1):
        if (example.label if kind is Classification else example.tags) is None:
            raise InputError(
                f"{path}: example {number} has no label: {example.text[:60]!r}; name the column if it has"
            )
    return examples


def texts_and_examples(kind: type[Task], args: argparse.Namespace) -> list[Any]:
    """Return what is to be predicted: texts that were typed, lines of stdin for "-", the file's rows."""
    texts: list[Any] = []
    for text in args.text:
        lines = [line.rstrip("\r\n") for line in sys.stdin] if text == "-" else [text]
        texts += [line for line in lines if line.strip() or text != "-"]
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise InputError(f"text {number} is empty: {text!r}; leave it out")
    if args.file:
        texts += unlabelled(kind, args.file, args)
    if not texts:
        raise InputError("nothing to predict; give texts, - for lines of stdin, or --file")
    return texts


def unlabelled(kind: type[Task], path: str, args: argparse.Namespace) -> list[Any]:
    """Read a file's rows without their labels; words that are already parted stay parted."""
    if kind is Classification:
        return [replace(example, label=None) for example in read_file_of(kind, path, args)]
    if holds_words(Path(path)):
        return [replace(example, tags=None) for example in kind.read(path)]
    return [example.text for example in read_texts(path, text_column=args.text_column)]


def holds_words(path: Path) -> bool:
    """Whether a file holds words rather than running text."""
    if kind_of(path) in (".jsonl", ".json"):
        return any(name in row for _, row in islice(rows_of(path), 1) for name in WORDS)
    return kind_of(path) in TAGGED_FILES


def open_model(args: argparse.Namespace) -> Model:
    """Open the model of --model on --device, to compute in --precision."""
    device = choose_device(args.device)
    model = load(args.model, device)
    model.encoder.dtype = choose_dtype(args.precision, device)
    return model


def open_for_labels(args: argparse.Namespace) -> Model:
    """Open a model that predicts labels or tags."""
    model = open_model(args)
    if isinstance(model.task, MaskedLM):
        raise InputError(
            f"{args.model} is a pretrained encoder and knows no labels; fine-tune it, or use fill-mask"
        )
    return model
