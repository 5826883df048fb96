"""Find entities in running texts, and which relations run between them."""

import argparse
import json
from typing import Any

from minibert.commands.inputs import named_columns, open_folder, typed_texts
from minibert.commands.parser import add_command, add_device
from minibert.data.remote import local
from minibert.errors import InputError
from minibert.tasks.classification import Classification
from minibert.tasks.extract import extract

CHUNK = 1024  # texts whose sentences are sorted by length together


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "extract",
        run,
        usage="[TEXT ...] --tagger DIR --relater DIR [options]",
        about="find entities in texts and the relations between them; one JSON object a line",
        example='minibert extract --tagger runs/tagger --relater runs/relations "Ada was born in London."\n'
        "  cat lines.txt | minibert extract --tagger runs/tagger --relater runs/relations -",
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="texts; - reads lines from stdin")
    tagger = "folder of a model for tagging, whose tags mark entities"
    parser.add_argument("--tagger", required=True, metavar="DIR", help=tagger)
    parser.add_argument("--relater", required=True, metavar="DIR", help="folder of a model for relations")
    parser.add_argument(
        "--file", metavar="FILE", help="more texts: .txt (one on each line), .csv, .tsv or .jsonl"
    )
    parser.add_argument("--text-column", metavar="NAME", help="the column that holds the text")
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Print one JSON object for each text: its entities and relations, with their places in it."""
    texts = typed_texts(args)
    if args.file:
        rows = Classification.read_unanswered(local(args.file), named_columns(Classification, args))
        texts += [row.text for row in rows]
    if not texts:
        raise InputError("nothing to read; give texts, - for lines of stdin, or --file")
    tagger, relater = (open_folder(folder, args) for folder in (args.tagger, args.relater))
    for start in range(0, len(texts), CHUNK):
        for found in extract(texts[start : start + CHUNK], tagger, relater):
            print(json.dumps(found.plain(), ensure_ascii=False))
