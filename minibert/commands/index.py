"""Build an index of documents, which `search` finds things in."""

import argparse
from typing import Any

from minibert.commands.memory import keep_memory
from minibert.commands.parser import add_base, add_command, add_model, add_output, add_prompt
from minibert.embedding.documents import read_searched
from minibert.embedding.index import build_index
from minibert.embedding.loading import load_encoder
from minibert.interop.prompts import OF_DOCUMENTS
from minibert.output import replaced
from minibert.training.precision import choose_device


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "index",
        run,
        usage="--model DIR --file FILE --output-dir DIR [options]",
        about="embed documents and leave their vectors on disk, for search",
        example="minibert index --model runs/enc --file docs.jsonl --output-dir idx",
    )
    add_model(parser, "folder of the encoder, ours or Hugging Face's")
    add_base(parser)
    parser.add_argument(
        "--file", required=True, metavar="FILE", help=".jsonl, .csv, .tsv, or .txt with a text on each line"
    )
    add_output(parser, "folder for the index")
    add_prompt(parser, "document", OF_DOCUMENTS)
    parser.add_argument("--text-column", metavar="NAME", help="the column that holds the text")
    parser.add_argument("--id-column", metavar="NAME", help="the column that holds the id")
    parser.add_argument(
        "--dtype",
        choices=("float16", "float32"),
        default="float16",
        help="numbers to keep (default: float16)",
    )
    parser.add_argument(
        "--similarity",
        choices=("cosine", "dot"),
        default="cosine",
        help="norm the vectors or take them as they are (default: cosine)",
    )
    parser.add_argument(
        "--kind",
        choices=("exact", "hnsw"),
        default="exact",
        help="hnsw adds a graph for fast approximate search; it needs faiss (default: exact)",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Embed a file of documents and write the index."""
    keep_memory()
    with replaced(args.output_dir, overwrite=args.overwrite_output_dir) as output:
        encoder = load_encoder(args.model, choose_device(args.device), base=args.base)
        documents = read_searched(args.file, text_column=args.text_column, id_column=args.id_column)
        index = build_index(
            encoder,
            documents,
            output,
            dtype=args.dtype,
            similarity=args.similarity,
            precision=args.precision,
            kind=args.kind,
            prompt=args.prompt,
        )
    print(f"{len(index):,} documents are in {output}")
    return {"output_dir": str(output), "documents": len(index), "size": index.settings.size}
