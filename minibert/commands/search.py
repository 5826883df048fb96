"""Find the documents of an index that answer a query."""

import argparse
import json
import sys
from dataclasses import replace
from typing import Any

from minibert.commands.parser import add_base, add_command, add_model, add_prompt
from minibert.embedding.bm25 import BM25
from minibert.embedding.fusion import hybrid_search
from minibert.embedding.index import Hit, Index
from minibert.embedding.loading import load_encoder
from minibert.errors import InputError
from minibert.interop.opening import load
from minibert.interop.prompts import OF_QUERIES
from minibert.tasks.model import Model
from minibert.tasks.reranking import RELEVANT, rerank
from minibert.training.precision import choose_device


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "search",
        run,
        usage="INDEX QUERY [QUERY ...] --model DIR [options]",
        about="find the documents of an index that answer a query; one JSON object a line",
        example='minibert search idx "what are the costs?" --model runs/enc --top-k 5',
    )
    parser.add_argument("index", metavar="INDEX", help="folder that `minibert index` made")
    parser.add_argument("query", nargs="+", metavar="QUERY", help="queries; - reads lines from stdin")
    add_model(parser, "folder of the encoder that the index was built with")
    add_base(parser)
    add_prompt(parser, "query", OF_QUERIES)
    parser.add_argument(
        "--hybrid", action="store_true", help="search by words (BM25) too, and join the two rankings"
    )
    parser.add_argument(
        "--top-k", type=int, default=10, metavar="N", help="documents for each query (default: 10)"
    )
    parser.add_argument(
        "--rerank-model",
        metavar="DIR",
        help="a classification model that orders them anew; it must have been trained on pairs of query and "
        "passage, which its folder does not tell",
    )
    parser.add_argument("--rerank-base", metavar="DIR", help="its base, if it is an adapter whose base moved")
    parser.add_argument(
        "--rerank-depth", type=int, default=100, metavar="N", help="documents that it reads (default: 100)"
    )
    parser.add_argument(
        "--relevant-label",
        default=RELEVANT,
        metavar="NAME",
        help=f"its label for a passage that answers the query (default: {RELEVANT})",
    )


def run(args: argparse.Namespace) -> None:
    """Print one JSON object for each query, its documents the best first."""
    for flag, number in (("--top-k", args.top_k), ("--rerank-depth", args.rerank_depth)):
        if number < 1:
            raise InputError(f"{flag} {number}: give a number of at least 1")
    queries = texts_of(args.query)
    device = choose_device(args.device)
    encoder, index = load_encoder(args.model, device, base=args.base), Index(args.index)
    index.check(encoder)
    judge = load(args.rerank_model, device, base=args.rerank_base) if args.rerank_model else None
    depth = max(args.top_k, args.rerank_depth) if judge else args.top_k
    normalize = index.settings.similarity == "cosine"
    before = encoder.prompts.of_kind(args.prompt, OF_QUERIES)
    vectors = encoder.embed(queries, prompt=before, normalize=normalize, dtype=args.precision, progress=False)
    if args.hybrid:
        found = hybrid_search(index, BM25(index.texts()), queries, vectors, top_k=depth)
    else:
        found = index.search(vectors, depth)
    for query, hits in zip(queries, found, strict=True):
        if judge is not None:
            hits = reordered(judge, query, hits, args)
        print(json.dumps({"query": query, "hits": list(map(shown, hits))}, ensure_ascii=False))


def texts_of(given: list[str]) -> list[str]:
    """Return the queries that were typed, and the lines of stdin for "-"; refuse an empty one."""
    queries: list[str] = []
    for text in given:
        queries += [line.strip() for line in sys.stdin if line.strip()] if text == "-" else [text]
    for number, query in enumerate(queries, 1):
        if not query.strip():
            raise InputError(f"query {number} is empty: {query!r}; leave it out")
    if not queries:
        raise InputError("no query on stdin; give at least one line")
    return queries


def reordered(judge: Model, query: str, hits: list[Hit], args: argparse.Namespace) -> list[Hit]:
    """Return the hits in the order of a cross-encoder, with its probabilities for scores."""
    passages = [hit.text for hit in hits]
    order = rerank(judge, query, passages, relevant=args.relevant_label, top_k=args.top_k)
    return [replace(hits[number], score=score) for number, score in order]


def shown(hit: Hit) -> dict[str, Any]:
    """Return a hit as plain values."""
    return {"id": hit.id, "score": round(hit.score, 6), "text": hit.text}
