"""Turn texts into vectors: as JSON, or a file of any length into a .npy, in bounded memory."""

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from minibert.commands.inputs import check_output
from minibert.commands.parser import add_base, add_command, add_model
from minibert.data.columns import choose_columns
from minibert.data.files import kind_of, open_text
from minibert.data.rows import rows_of
from minibert.embedding.loading import load_encoder
from minibert.embedding.npy import write_rows
from minibert.embedding.text_encoder import TextEncoder
from minibert.errors import InputError
from minibert.training.precision import choose_device


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "embed",
        run,
        usage="[TEXT ...] --model DIR [options]",
        about="turn texts into vectors, one JSON object a line or one row of a .npy each",
        example="minibert embed --model runs/enc --file texts.txt --output vectors.npy\n"
        '  minibert embed --model runs/enc "what a film"',
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="texts; - reads lines from stdin")
    add_model(parser, "folder of an encoder, or a name of Hugging Face's hub: organisation/model")
    add_base(parser)
    parser.add_argument(
        "--file", metavar="FILE", help=".txt (a text on each line), .csv, .tsv, .jsonl, each also .gz or .xz"
    )
    parser.add_argument("--text-column", metavar="NAME", help="the column that holds the text")
    parser.add_argument("--output", metavar="FILE.npy", help="write the rows there, in order, as float32")
    parser.add_argument("--overwrite", action="store_true", help="replace an older --output")
    parser.add_argument("--prompt", metavar="TEXT", help='words put before each text, such as "query: "')
    parser.add_argument(
        "--prompt-name",
        metavar="NAME",
        help="the prompt of this name that the checkpoint has, before each text",
    )
    parser.add_argument(
        "--pooling",
        choices=("mean", "first"),
        help="of the tokens (default: as the folder says)",
    )
    parser.add_argument(
        "--normalize", action=argparse.BooleanOptionalAction, default=True, help="make each vector one long"
    )
    parser.add_argument(
        "--batch-tokens", type=int, default=0, metavar="N", help="tokens computed at once; 0 suits the device"
    )


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Print the vectors, or write them and return where and how many."""
    output = checked_output(args)
    if not args.text and not args.file:
        raise InputError("nothing to embed; give texts, - for lines of stdin, or --file")
    encoder = load_encoder(args.model, choose_device(args.device), base=args.base)
    texts = tqdm(texts_of(args), "embed", unit="text", disable=not sys.stderr.isatty(), file=sys.stderr)
    if output is None:
        show(encoder, texts, args)
        return None
    size = encoder.encoder.config.hidden_size
    count = write_rows(output, parts_of(encoder, texts, args), size)
    return {"output": str(output), "rows": count, "columns": size}


def checked_output(args: argparse.Namespace) -> Path | None:
    """Return where the rows go; raises InputError before any work where they cannot."""
    if args.output is None:
        return None
    path = Path(args.output)
    if path.suffix != ".npy":
        raise InputError(f"--output {path}: a name that ends in .npy is wanted")
    check_output(path, overwrite=args.overwrite)
    return path


def texts_of(args: argparse.Namespace) -> Iterator[str]:
    """Yield texts that were typed, lines of stdin for "-", all lines or rows of the file, empty ones too."""
    for text in args.text:
        if text == "-":
            yield from (line.rstrip("\r\n") for line in sys.stdin)
        else:
            yield text
    if args.file:
        yield from texts_of_file(Path(args.file), args.text_column)


def texts_of_file(path: Path, column: str | None) -> Iterator[str]:
    """Yield a file's texts as they are read; raises InputError with file and line for a row without one."""
    if kind_of(path) == ".txt":
        yield from open_text(path)
        return
    for number, row in rows_of(path):
        names = list(row)
        column = column or choose_columns(str(path), names, label=names[0]).text  # labels are not read
        if not isinstance(row.get(column), str):
            raise InputError(f"{path}, line {number}: no text in {column!r}; the row has {', '.join(names)}")
        yield row[column]


def parts_of(encoder: TextEncoder, texts: Iterable[str], args: argparse.Namespace) -> Iterator[Any]:
    """Yield the vectors some thousands at a time."""
    return encoder.embed_chunks(
        texts,
        args.pooling,
        prompt=args.prompt,
        prompt_name=args.prompt_name,
        normalize=args.normalize,
        dtype=args.precision,
        batch_tokens=args.batch_tokens,
    )


def show(encoder: TextEncoder, texts: Iterable[str], args: argparse.Namespace) -> None:
    """Print each text with its vector; only the texts under way are held."""
    waiting: deque[str] = deque()

    def taken() -> Iterator[str]:
        for text in texts:
            waiting.append(text)
            yield text

    for part in parts_of(encoder, taken(), args):
        for row in part:
            values = [round(float(value), 6) for value in row]
            print(json.dumps({"text": waiting.popleft(), "embedding": values}, ensure_ascii=False))
