"""What a person hands to a command: a model, texts typed, texts piped, and files of several kinds."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minibert.data.examples import QuestionExample
from minibert.data.files import open_text
from minibert.data.remote import local
from minibert.errors import InputError
from minibert.interop.opening import load
from minibert.output import check_free
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.task import Task
from minibert.training.precision import choose_device, choose_dtype

INPUTS = ("model", "teacher", "base", "tokenizer", "translators", "corpus", "run_dir",
          "train_file", "validation_file", "kept_file", "test_file", "file")  # fmt: skip


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise InputError, before any work, where --output has no folder or is there already."""
    if not path.resolve().parent.is_dir():
        raise InputError(f"--output {path}: there is no folder {path.parent}")
    if path.exists() and not overwrite:
        raise InputError(f"--output {path} is there already; choose another name, or --overwrite")


def check_report(paths: Sequence[Path], *, overwrite: bool) -> None:
    """Raise InputError, before any work, where a report stands already."""
    for path in paths:
        if path.exists() and not overwrite:
            raise InputError(f"{path} is there already; choose another place, or --overwrite")


def spare_inputs(args: argparse.Namespace) -> None:
    """Raise InputError where a command would overwrite a folder in which something lies that it reads."""
    if getattr(args, "overwrite_output_dir", False) and getattr(args, "output_dir", None):
        inputs = [getattr(args, name, None) for name in INPUTS]
        check_free(
            Path(args.output_dir), resume=getattr(args, "resume", False), overwrite=True, inputs=inputs
        )


def named_columns(kind: type[Task], args: argparse.Namespace) -> dict[str, str]:
    """Return the columns that a person named; raises InputError for one that the task does not read."""
    named = {name: value for name, value in vars(args).items() if name.endswith("_column") and value}
    for name in named:
        if name not in kind.columns:
            flag = "--" + name.replace("_", "-")
            raise InputError(f"{flag}: {kind.name} has no such column; leave it out")
    return named


def labelled_examples(kind: type[Task], path: str, args: argparse.Namespace) -> list[Any]:
    """Read examples that all say what is right; raises InputError that names the first without."""
    examples = kind.read(local(path), named_columns(kind, args))
    for number, example in enumerate(examples, 1):
        if not kind.answered(example):
            flags = "".join(f": --{name.replace('_', '-')}" for name in kind.columns[-1:])
            raise InputError(
                f"{path}: example {number} has no label: {str(example)[:80]}; if the file has one, name its "
                f"column{flags}"
            )
    return examples


def texts_and_examples(kind: type[Task], args: argparse.Namespace) -> list[Any]:
    """Return what is to be predicted: texts that were typed, lines of stdin for "-", the file's rows."""
    texts: list[Any] = [*typed_texts(args), *typed_questions(kind, args)]
    if args.file:
        texts += kind.read_unanswered(args.file, named_columns(kind, args))
    if not texts:
        raise InputError("nothing to predict; give texts, - for lines of stdin, or --file")
    return texts


def typed_texts(args: argparse.Namespace) -> list[str]:
    """Return the texts that were typed, with the lines of stdin in the place of "-"."""
    texts: list[str] = []
    for text in args.text:
        lines = [line.rstrip("\r\n") for line in sys.stdin] if text == "-" else [text]
        texts += [line for line in lines if line.strip() or text != "-"]
    refuse_empty(texts)
    return texts


def refuse_empty(texts: list[str]) -> None:
    """Raise InputError for a typed text without a word."""
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise InputError(f"text {number} is empty: {text!r}; leave it out")


def add_questions(parser: argparse.ArgumentParser) -> None:
    """Add the flags by which questions are typed."""
    section = parser.add_argument_group("questions about a passage")
    section.add_argument(
        "--question", action="append", default=[], metavar="TEXT", help="a question; may be given again"
    )
    section.add_argument("--passage-file", metavar="FILE", help="the text that holds the answers")


def typed_questions(kind: type[Task], args: argparse.Namespace) -> list[QuestionExample]:
    """Return the questions that were typed, each about the passage of --passage-file."""
    if kind is not QuestionAnswering:
        if args.question or args.passage_file:
            raise InputError(f"--question, --passage-file: {kind.name} reads texts; type the text alone")
        return []
    if args.text:
        raise InputError(f"{args.text[0][:60]!r}: a question is typed as --question, beside --passage-file")
    if bool(args.question) != bool(args.passage_file):
        raise InputError("a question needs a passage: give --question, once or more, and --passage-file")
    if not args.question:
        return []
    passage = "\n".join(open_text(Path(args.passage_file)))
    for text, flag in [(passage, "--passage-file"), *((text, "--question") for text in args.question)]:
        if not text.strip():
            raise InputError(f"{flag}: there are no words in it: {text[:60]!r}")
    return [QuestionExample(question, passage) for question in args.question]


def open_model(args: argparse.Namespace, base: str | None = None) -> Model:
    """Open the model of --model (an adapter on this base) on --device, to compute in --precision."""
    return open_folder(args.model, args, base=base)


def open_folder(folder: str, args: argparse.Namespace, *, base: str | None = None) -> Model:
    """Open a model (an adapter on this base) on --device, to compute in --precision."""
    device = choose_device(args.device)
    model = load(folder, device, base=base)
    model.encoder.dtype = choose_dtype(args.precision, device)
    return model


def open_for_labels(args: argparse.Namespace) -> Model:
    """Open a model that predicts labels or tags."""
    model = open_model(args, args.base)
    if isinstance(model.task, MaskedLM):
        raise InputError(
            f"{args.model} is a pretrained encoder and knows no labels; fine-tune it, name some "
            "(predict --labels a,b,c), or use fill-mask"
        )
    return model
