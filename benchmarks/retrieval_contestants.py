"""Who takes part in the retrieval rows: words, vectors as they come, vectors that were trained, re-ranking.

Ours and sentence-transformers start from the same weights; theirs is trained with its
MultipleNegativesRankingLoss in a plain loop, with the numbers of ours (its trainer needs one more package).
"""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from retrieval_problems import Problem, Rankings

import minibert as mb
from minibert.data.examples import SearchExample, TextExample
from minibert.embedding.bm25 import BM25
from minibert.embedding.fusion import fuse
from minibert.tasks.model import Model
from minibert.tasks.ranking_metrics import ranking_scores
from minibert.tasks.reranking import rerank_all

Embed = Callable[[list[str]], np.ndarray]


def by_words(problem: Problem) -> Rankings:
    """Rank by BM25, its statistics from all documents of the problem."""
    index = BM25(problem.documents.values())
    return problem.rankings(np.stack([index.scores(query) for query in problem.queries.values()]))


def by_vectors(problem: Problem, embed: Embed) -> Rankings:
    """Rank by the cosine of queries and documents."""
    texts = list(problem.documents.values())
    different = list(dict.fromkeys(texts))
    rows = dict(zip(different, embed(different), strict=True))
    rows_ND = np.stack([rows[text] for text in texts])
    return problem.rankings(embed(list(problem.queries.values())) @ rows_ND.T)


def embedder(folder: Path) -> Embed:
    """Return what embeds with an encoder's folder, in the faster precision."""
    encoder = mb.load_encoder(folder)
    return lambda texts: encoder.embed(texts, dtype="auto", progress=False)


def fused(one: Rankings, other: Rankings) -> Rankings:
    """Join two rankings by reciprocal rank fusion."""
    return {query: [document for document, _ in fuse([one[query], other[query]])] for query in one}


def reranked(problem: Problem, rankings: Rankings, judge: Model, *, depth: int) -> Rankings:
    """Let a cross-encoder order the first documents of each ranking anew."""
    asked = [
        (problem.queries[query], [problem.documents[document] for document in ranking[:depth]])
        for query, ranking in rankings.items()
    ]
    orders = rerank_all(judge, asked)
    return {
        query: [ranking[number] for number, _ in order] + ranking[depth:]
        for (query, ranking), order in zip(rankings.items(), orders, strict=True)
    }


def tuned(folder: Path, task: str, rows: Sequence[Any], output: Path, *, seed: int, recipe: Any) -> Model:
    """Fine-tune ours on a task, by a recipe of dotted settings."""
    settings = {**recipe, "train.seed": seed, "data.progress": False}
    return mb.finetune(
        folder, task=task, train=list(rows), output_dir=output, settings=settings, overwrite_output_dir=True
    )


def theirs(folder: Path, rows: Sequence[SearchExample], *, seed: int, recipe: Any) -> Embed:
    """Train sentence-transformers' model with its own loss; return what embeds."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    def told(part: Sequence[SearchExample]) -> tuple[list[list[str]], torch.Tensor]:
        columns = [[row.text for row in part], [str(row.positive) for row in part]]
        if all(row.negatives for row in part):
            columns.append([row.negatives[0] for row in part])
        return columns, torch.empty(0)

    torch.manual_seed(seed)
    model = opened_theirs(folder)
    loss = MultipleNegativesRankingLoss(model, scale=1 / recipe["task.temperature"])
    for _ in their_epochs(model, loss, rows, told, seed=seed, recipe=recipe):
        pass
    return embedder_theirs(model)


def opened_theirs(folder: Path) -> Any:
    """Open sentence-transformers' model of a folder."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", backend="torch")


def embedder_theirs(model: Any) -> Embed:
    """Return what embeds with it."""
    model.eval()
    return lambda texts: np.asarray(model.encode(texts, normalize_embeddings=True, show_progress_bar=False))


def their_epochs(
    model: Any,
    loss: Any,
    rows: Sequence[Any],
    told: Callable[[Sequence[Any]], tuple[list[list[str]], torch.Tensor]],
    *,
    seed: int,
    recipe: Any,
) -> Iterator[int]:
    """Train sentence-transformers' model by one of its losses; yield after each epoch.

    told  the columns of texts of some rows, and their labels
    """
    from sentence_transformers import util

    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe["train.learning_rate"], weight_decay=0.01)
    size, epochs = recipe["train.train_batch_size"], int(recipe["train.num_train_epochs"])
    steps = epochs * -(-len(rows) // size)
    warm = max(1, round(recipe.get("train.warmup_ratio", 0.06) * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm))
    )
    order = random.Random(seed)
    for epoch in range(epochs):
        model.train()
        shuffled = order.sample(list(rows), len(rows))
        for start in range(0, len(rows), size):
            columns, labels = told(shuffled[start : start + size])
            features = [
                util.batch_to_device(model.preprocess(column), torch.device("cpu")) for column in columns
            ]
            optimizer.zero_grad()
            loss(features, labels).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        yield epoch


def measured(problem: Problem, rankings: Rankings, *names: str) -> dict[str, float]:
    """Return the named measures of rankings, in this order."""
    scores = ranking_scores(rankings, problem.judged)
    return {name: scores[name] for name in names}


def pairs_of_turns(
    dialogues: Sequence[Sequence[str]], *, count: int, context: int = 3
) -> list[SearchExample]:
    """Draw turns (seed 0) with what was said before them."""
    places = [(turns, at) for turns in dialogues for at in range(1, len(turns))]
    chosen = random.Random(0).sample(places, min(count, len(places)))
    return [SearchExample("\n".join(turns[max(0, at - context) : at]), turns[at]) for turns, at in chosen]


def labelled_turns(rows: Sequence[SearchExample], *, wrong: int) -> list[TextExample]:
    """Pair each context with its answer, and with answers to others (seed 0)."""
    draw = random.Random(0)
    found = []
    for row in rows:
        found.append(TextExample(row.text, row.positive, "1"))
        found += [TextExample(row.text, draw.choice(rows).positive, "0") for _ in range(wrong)]
    return found
