"""The retrieval rows: finding abstracts, answers and next turns, and taking sentences for a summary.

Every run is capped so that it takes less than five minutes on one thread that it has to itself; each note
names its caps.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from cells import Cell, Places
from retrieval_contestants import (
    by_vectors,
    by_words,
    embedder,
    fused,
    labelled_turns,
    measured,
    pairs_of_turns,
    reranked,
    theirs,
    tuned,
)
from retrieval_problems import (
    Problem,
    chinese_dialogues,
    cranfield,
    english_dialogues,
    next_turns,
    titles,
    trecqa,
)
from summary_contestants import RATIO, articles, central, drawn, extracts, judged, lead

from minibert.data.searches import gather
from minibert.tasks.model import Model

BI: dict[str, Any] = {
    "train.learning_rate": 1e-4,
    "train.num_train_epochs": 2,
    "train.train_batch_size": 32,
    "task.temperature": 0.05,
    "task.max_length": 128,
}
CROSS: dict[str, Any] = {
    "train.learning_rate": 2e-4,
    "train.num_train_epochs": 2,
    "train.train_batch_size": 32,
    "task.max_length": 128,
    "task.pooling": "mean",
}
SUMMARY: dict[str, Any] = {
    "train.learning_rate": 2e-4,
    "train.num_train_epochs": 2,
    "train.train_batch_size": 8,
    "task.max_length": 512,
}
CASES, PAIRS = 300, 700
TURNS = {"xdailydialog": 4500, "crosswoz": 1500}
ARTICLES, READ, WRONG = 800, 100, 6
Run = Callable[[int], dict[str, float]]


@cache
def finder_of_answers(places: Places, seed: int) -> Path:
    """Train a bi-encoder on TREC QA, once for the rows that use it."""
    output = places.scratch / f"trecqa-bi-{seed}"
    rows = gather(trecqa(places.data, "train")[1])
    tuned(places.english, "retrieval", rows, output, seed=seed, recipe=BI)
    return output


@cache
def judge_of_answers(places: Places, seed: int) -> Model:
    """Train a cross-encoder on TREC QA, once for the rows that use it."""
    chosen = some_wrong(trecqa(places.data, "train")[1], WRONG)
    output = places.scratch / "trecqa-cross"
    return tuned(places.english, "classification", chosen, output, seed=seed, recipe=CROSS)


@cache
def summarizer(places: Places, seed: int) -> Model:
    """Train on news articles, once for both budgets."""
    train = articles(places.data, "train", ARTICLES)
    output = places.scratch / "summary"
    return tuned(places.english, "extractive_summary", train, output, seed=seed, recipe=SUMMARY)


def cells(places: Places) -> list[Cell]:
    """Return all cells, those with an aim first; Chinese ones only where the encoder is there."""
    found = [*answers(places), *dialogue_cells(places, "xdailydialog", places.english)]
    if places.chinese:
        found += dialogue_cells(places, "crosswoz", places.chinese)
    return [*found, *summaries(places), *abstracts(places)]


def answers(places: Places) -> list[Cell]:
    """Rank the sentences that were judged for each question of TREC QA."""

    @cache
    def test() -> Problem:
        return trecqa(places.data, "test")[0]

    def tell(rankings: dict[str, list[str]]) -> dict[str, float]:
        return measured(test(), rankings, "map", "mrr@10", "ndcg@10")

    @cache
    def bi(seed: int) -> dict[str, list[str]]:
        return by_vectors(test(), embedder(finder_of_answers(places, seed)))

    @cache
    def cross(seed: int) -> dict[str, list[str]]:
        first = by_vectors(test(), embedder(places.english))
        return reranked(test(), first, judge_of_answers(places, seed), depth=1000)

    def st(seed: int) -> dict[str, float]:
        rows = gather(trecqa(places.data, "train")[1])
        return tell(by_vectors(test(), theirs(places.english, rows, seed=seed, recipe=BI)))

    def both(seed: int) -> dict[str, float]:
        return tell(fused(bi(seed), cross(seed)))

    row, note = "trecqa, test", "training on all 348 right answers of train"
    more = f"{note}, {WRONG} wrong ones for each question"
    recipes = {"bi-encoder": BI, "cross-encoder": CROSS}
    return [
        Cell(row, "BM25", lambda seed: tell(by_words(test())), (0,)),
        Cell(row, "MiniLM as it is", lambda seed: tell(by_vectors(test(), embedder(places.english))), (0,)),
        Cell(row, "minibert, bi-encoder", lambda seed: tell(bi(seed)), note=note, recipe=BI),
        Cell(row, "minibert, cross-encoder", lambda seed: tell(cross(seed)), note=more, recipe=CROSS),
        Cell(row, "minibert, both, ranks fused", both, note=more, recipe=recipes),
        Cell(row, "sentence-transformers, MultipleNegativesRankingLoss", st, note=note, recipe=BI),
    ]


def some_wrong(pairs: Sequence[Any], most: int) -> list[Any]:
    """Keep all right pairs, and the first few wrong ones of each right one's question."""
    right = [pair for pair in pairs if pair.label == "1"]
    asked = {pair.text for pair in right}
    wrong: dict[str, list[Any]] = {}
    for pair in pairs:
        if pair.label == "0" and pair.text in asked:
            wrong.setdefault(pair.text, []).append(pair)
    return [*right, *(pair for kept in wrong.values() for pair in kept[:most])]


def dialogue_cells(places: Places, row: str, folder: Path) -> list[Cell]:
    """Find the next turn of a dialogue among ten."""
    chinese = row == "crosswoz"
    read = chinese_dialogues if chinese else english_dialogues

    @cache
    def test() -> Problem:
        return next_turns(read(places.data, "test"), cases=CASES)

    def tell(rankings: dict[str, list[str]]) -> dict[str, float]:
        return measured(test(), rankings, "recall@1", "mrr@10")

    def rows(count: int) -> list[Any]:
        return pairs_of_turns(read(places.data, "train" if chinese else "part1k"), count=count)

    recipe = {**BI, "train.num_train_epochs": 1}
    if chinese:  # an encoder that has never been told which texts are alike
        recipe = {**BI, "train.num_train_epochs": 3, "train.learning_rate": 5e-4}

    @cache
    def bi(seed: int) -> dict[str, list[str]]:
        output = places.scratch / f"{row}-bi"
        tuned(folder, "retrieval", rows(TURNS[row]), output, seed=seed, recipe=recipe)
        return by_vectors(test(), embedder(output))

    @cache
    def cross(seed: int) -> dict[str, list[str]]:
        pairs, output = labelled_turns(rows(PAIRS), wrong=2), places.scratch / f"{row}-cross"
        judge = tuned(folder, "classification", pairs, output, seed=seed, recipe=CROSS)
        return reranked(test(), by_words(test()), judge, depth=10)

    def both(seed: int) -> dict[str, float]:
        return tell(fused(bi(seed), cross(seed)))

    def st(seed: int) -> dict[str, float]:
        return tell(by_vectors(test(), theirs(folder, rows(TURNS[row]), seed=seed, recipe=recipe)))

    name = "the Chinese encoder" if chinese else "MiniLM"
    read_only = f"{CASES} of the test turns"
    note = f"{read_only}, training on {TURNS[row]} turns"
    more = f"{read_only}, training on {PAIRS} turns, each beside 2 wrong ones"
    recipes = {"bi-encoder": recipe, "cross-encoder": CROSS}
    found = [
        Cell(row, "BM25", lambda seed: tell(by_words(test())), (0,), read_only),
        Cell(
            row, f"{name} as it is", lambda seed: tell(by_vectors(test(), embedder(folder))), (0,), read_only
        ),
        Cell(row, "minibert, bi-encoder", lambda seed: tell(bi(seed)), note=note, recipe=recipe),
        Cell(row, "minibert, cross-encoder", lambda seed: tell(cross(seed)), note=more, recipe=CROSS),
        Cell(row, "minibert, both, ranks fused", both, note=f"{note}; {more}", recipe=recipes),
    ]
    if not chinese:
        name = "sentence-transformers, MultipleNegativesRankingLoss"
        found.append(Cell(row, name, st, note=note, recipe=recipe))
    return found


def summaries(places: Places) -> list[Cell]:
    """Take sentences of news articles for their summaries."""
    note = f"the first {READ} articles of test"

    def cell(ratio: float, name: str, run: Run, seeds: Sequence[int] = (0,), **more: Any) -> Cell:
        row = "bbc_news_summary, " + ("40 % of the characters" if ratio else "3 sentences")
        return Cell(row, name, run, seeds, **{"note": note, **more})

    def test() -> list[Any]:
        return articles(places.data, "test", READ)

    def ours(ratio: float) -> Run:
        def run(seed: int) -> dict[str, float]:
            model = summarizer(places, seed)
            model.task.options = replace(model.task.options, ratio=ratio)
            return judged([answer.summary for answer in model.predict(test())], test())

        return run

    def central_ones(ratio: float) -> Run:
        return lambda seed: extracts(test(), central(embedder(places.english)), ratio=ratio)

    def any_ones(ratio: float) -> Run:
        return lambda seed: extracts(test(), drawn(seed), ratio=ratio)

    def first_ones(ratio: float) -> Run:
        return lambda seed: extracts(test(), lead, ratio=ratio)

    found = []
    for ratio in (0.0, RATIO):
        trained = {"note": f"{note}, training on {ARTICLES}", "recipe": SUMMARY}
        found += [
            cell(ratio, "the first sentences", first_ones(ratio)),
            cell(ratio, "any sentences", any_ones(ratio), (0, 1, 2)),
            cell(ratio, "the most central, MiniLM as it is", central_ones(ratio)),
            cell(ratio, "minibert", ours(ratio), (0, 1, 2), **trained),
        ]
    return found


def abstracts(places: Places) -> list[Cell]:
    """Find the abstracts of Cranfield that are relevant to a query; nobody learns from its judgements."""

    @cache
    def problem() -> Problem:
        return cranfield(places.data)

    @cache
    def vectors() -> dict[str, list[str]]:
        return by_vectors(problem(), embedder(places.english))

    def tell(rankings: dict[str, list[str]]) -> dict[str, float]:
        return measured(problem(), rankings, "ndcg@10", "mrr@10", "map", "recall@100")

    once = {**BI, "train.num_train_epochs": 1}

    def by_titles(seed: int) -> dict[str, float]:
        output = places.scratch / "cranfield-bi"
        tuned(places.english, "retrieval", titles(problem(), places.data), output, seed=seed, recipe=once)
        return tell(by_vectors(problem(), embedder(output)))

    def ordered_anew(seed: int) -> dict[str, float]:
        return tell(reranked(problem(), vectors(), judge_of_answers(places, seed), depth=10))

    row = "cranfield"
    return [
        Cell(row, "BM25", lambda seed: tell(by_words(problem())), (0,)),
        Cell(row, "MiniLM as it is", lambda seed: tell(vectors()), (0,)),
        Cell(
            row,
            "BM25 and MiniLM, ranks fused",
            lambda seed: tell(fused(by_words(problem()), vectors())),
            (0,),
        ),
        Cell(
            row,
            "minibert, trained on title and abstract",
            by_titles,
            note="1 epoch, abstracts cut at 128 tokens",
            recipe=once,
        ),
        Cell(
            row,
            "MiniLM, then a cross-encoder of trecqa",
            ordered_anew,
            note="the first 10 are ordered anew",
            recipe=CROSS,
        ),
    ]
