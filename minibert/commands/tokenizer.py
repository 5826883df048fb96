"""Train a vocabulary."""

import argparse
import time
from typing import Any

from minibert.checkpoint import published
from minibert.commands.flags import add_fields
from minibert.commands.parser import CORPUS, add_command, add_output
from minibert.data.files import expand
from minibert.data.readers import read_documents
from minibert.output import replaced
from minibert.training.prepared import learn_vocabulary
from minibert.training.pretraining import Settings as PretrainSettings


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "tokenizer",
        run,
        usage="CORPUS [CORPUS ...] --output-dir DIR [options]",
        about="train a SentencePiece vocabulary on text files",
        example="minibert tokenizer corpus.txt --vocab-size 8192 --output-dir tok/",
    )
    parser.add_argument("corpus", nargs="+", metavar="CORPUS", help=CORPUS)
    add_output(parser, "folder for the tokenizer")
    defaults = PretrainSettings.of({})
    add_fields(parser, "vocabulary", defaults.tokenizer, group="tokenizer")
    parser.add_argument(
        "--text-column", default="text", metavar="NAME", help="the column that holds the text"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Train a vocabulary and save it."""
    options = PretrainSettings.of({key: value for key, value in vars(args).items() if "." in key}).tokenizer
    start = time.perf_counter()
    with replaced(args.output_dir, overwrite=args.overwrite_output_dir) as output:
        documents = read_documents(expand(args.corpus), text_column=args.text_column)
        tokenizer = learn_vocabulary(documents, options)
        with published(output) as folder:
            tokenizer.save(folder)
    seconds = round(time.perf_counter() - start, 1)
    print(f"{tokenizer.vocab_size:,} pieces in {output}")
    return {"output_dir": str(output), "vocab_size": tokenizer.vocab_size, "seconds": seconds}
