"""Make more rows out of few: words that a language model replaces, or a way through another language."""

import argparse
import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

from minibert.commands.inputs import check_output
from minibert.commands.parser import add_command, add_device
from minibert.data.columns import choose_columns
from minibert.data.rows import rows_of
from minibert.durable import replace_text
from minibert.errors import InputError
from minibert.few_labels.augment import Replacing, augment
from minibert.few_labels.back_translation import back_translate
from minibert.interop.language_models import load_language_model
from minibert.interop.opening import load
from minibert.tasks.templates import read_verbalizer
from minibert.training.precision import choose_device, choose_dtype

KINDS = (".csv", ".tsv", ".jsonl")
BESIDE = ("tokens", "words", "entities", "answers")  # what repeats a text or points into it


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "augment",
        run,
        usage="--model DIR --file FILE --output FILE [options]",
        about="add copies of labelled rows, with words of a language model or translated there and back",
        example="minibert augment --model runs/enc --file train.csv --output more.csv --copies 2\n"
        "  minibert augment --translators runs/en-de runs/de-en --file train.csv --output more.csv",
    )
    model = "folder of a model that fills masks, ours or Hugging Face's"
    parser.add_argument("--model", metavar="DIR", help=model)
    translators = "instead: two seq2seq models, into another language and back; one copy of a row"
    parser.add_argument("--translators", nargs=2, metavar="DIR", help=translators)
    add_device(parser)
    parser.add_argument(
        "--file", required=True, metavar="FILE", help=".csv, .tsv or .jsonl with a text in each row"
    )
    output = "the rows, each followed by its copies, as .csv, .tsv or .jsonl; all columns are kept"
    parser.add_argument("--output", required=True, metavar="FILE", help=output)
    parser.add_argument("--overwrite", action="store_true", help="replace an older --output")
    parser.add_argument("--only-new", action="store_true", help="leave the rows themselves out")
    parser.add_argument("--text-column", metavar="NAME", help="the column whose words are replaced")
    parser.add_argument("--label-column", metavar="NAME", help="the column of the label, for --template")
    add_replacing(parser)


def add_replacing(parser: argparse.ArgumentParser) -> None:
    """Add what can be told about words that are replaced."""
    usual = Replacing()
    parser.add_argument(
        "--copies", type=int, default=usual.copies, metavar="N", help="copies of each row (default: 1)"
    )
    share = "share of the words that are replaced (default: 0.15)"
    parser.add_argument("--share", type=float, default=usual.share, metavar="X", help=share)
    top = "likeliest words that a new one is drawn from (default: 10)"
    parser.add_argument("--top-k", type=int, default=usual.top_k, metavar="N", help=top)
    parser.add_argument(
        "--seed", type=int, default=usual.seed, metavar="N", help="decides places and words (default: 0)"
    )
    template = (
        "'{text} It was [MASK].': the label's word stands there meanwhile, so that new words agree with it"
    )
    parser.add_argument("--template", default="", metavar="TEXT", help=template)
    verbalizer = "the word for each label, label=word,label=word (default: the labels)"
    parser.add_argument("--verbalizer", default="", metavar="NAMES", help=verbalizer)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Write the rows with their copies."""
    output = checked_output(args)
    how = Replacing(
        copies=args.copies,
        share=args.share,
        top_k=args.top_k,
        seed=args.seed,
        template=args.template,
        verbalizer=read_verbalizer(args.verbalizer, []) if args.verbalizer else None,
    )
    if bool(args.model) == bool(args.translators):
        raise InputError("give --model, which replaces words, or --translators; one of the two")
    if args.translators and (args.template or args.copies != 1):
        raise InputError("--translators makes one copy of a row and takes no template; leave those out")
    rows, column, labels = read_rows(Path(args.file), args)
    copies = copies_of([row[column] for row in rows], labels, how, args)
    made: list[dict[str, Any]] = []
    for row, changed in zip(rows, copies, strict=True):
        made += [] if args.only_new else [row]
        made += [{**row, column: text} for text in changed]
    if not made:
        raise InputError(f"{args.file}: no text has a word that is one token, or came back in other words")
    replace_text(output, written(made, output.suffix))
    unchanged = sum(not changed for changed in copies)
    if unchanged:
        print(f"{unchanged:,} of {len(rows):,} texts have no copy: nothing in them changed", file=sys.stderr)
    return {"output": str(output), "rows": len(made), "copies": sum(map(len, copies)), "unchanged": unchanged}


def copies_of(
    texts: list[str], labels: list[str], how: Replacing, args: argparse.Namespace
) -> list[list[str]]:
    """Return the copies of each text, by the model or the translators that were named."""
    device, shown = choose_device(args.device), sys.stderr.isatty()
    models = [load(folder, device) for folder in args.translators or ()] or [
        load_language_model(args.model, device)
    ]
    for model in models:
        model.encoder.dtype = choose_dtype(args.precision, device)
    if args.translators:
        return back_translate(models[0], models[1], texts, progress=shown)
    return augment(models[0], texts, labels=labels, how=how, progress=shown)


def checked_output(args: argparse.Namespace) -> Path:
    """Return where the rows go; raises InputError before any work where they cannot."""
    path = Path(args.output)
    if path.suffix not in KINDS:
        raise InputError(f"--output {path}: a name that ends in {', '.join(KINDS)} is wanted")
    check_output(path, overwrite=args.overwrite)
    return path


def read_rows(path: Path, args: argparse.Namespace) -> tuple[list[dict[str, Any]], str, list[str]]:
    """Return the rows, the column of the text, and the labels if they are needed."""
    rows: list[dict[str, Any]] = []
    column, label = args.text_column, args.label_column
    for number, row in rows_of(path):
        if not rows:
            found = choose_columns(str(path), list(row), text=column, label=label)
            column, label = found.text, found.label
            if found.pair:
                print(f"{column} is changed and {found.pair} stays as it is", file=sys.stderr)
        if not isinstance(row.get(column), str):
            raise InputError(f"{path}, line {number}: no text in {column!r}; the row has {', '.join(row)}")
        refuse_places(row, column, f"{path}, line {number}")
        if args.template and (label is None or row.get(label) in (None, "")):
            raise InputError(f"{path}, line {number}: no label, and --template needs one; name the column")
        rows.append(row)
    if not rows:
        raise InputError(f"{path} holds no rows")
    return rows, column, [str(row[label]) for row in rows] if args.template else []


def refuse_places(row: dict[str, Any], column: str, where: str) -> None:
    """Raise InputError for a row that says which characters or words of its text are what."""
    found = [name for name in BESIDE if isinstance(row.get(name), list | dict) and name != column]
    if found or {"head", "tail"} <= row.keys():
        named = ", ".join(found or ("head", "tail"))
        raise InputError(
            f"{where}: {named} would no longer be right beside a changed {column}; "
            "texts with labels are augmented"
        )


def written(rows: list[dict[str, Any]], suffix: str) -> str:
    """Return rows as a file has them; raises InputError for a field that a .tsv cannot hold."""
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    if suffix == ".tsv":
        lines = [names, *([cell(row.get(name)) for name in names] for row in rows)]
        for fields in lines:
            for field in fields:
                if {"\t", "\n", "\r"} & set(field):
                    raise InputError(f"{field[:40]!r} has a tab or a line end; write .csv or .jsonl instead")
        return "".join("\t".join(fields) + "\n" for fields in lines)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([names, *([cell(row.get(name)) for name in names] for row in rows)])
    return file.getvalue()


def cell(value: Any) -> str:
    """Return what a cell says of a value, so that a label is read as the same word from either file.

    >>> [cell(value) for value in (True, None, 3, ["a"])]
    ['true', '', '3', '["a"]']
    """
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
