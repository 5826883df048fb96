"""Labels and numbers for texts and pairs: MiniLM with our heads, beside simpler ways and the Trainer.

    minibert               `mb.finetune` with the recipe below; the epoch that is best on validation is kept
    transformers Trainer   the same weights, rows, epochs and learning rate, its own head on the first token
    most frequent, mean    the same answer for every text
    bag of words           naive Bayes or logistic regression, the best on validation
    shared words           pairs: the share of words that both texts have, and the usual label of such a share
    cosine                 pairs with a score: of the two texts' vectors, nothing is learnt
    minibert, bi-encoder   the same after learning the order of the scores (task similarity)
    sentence-transformers  the same by its CoSENTLoss, in float32; of it too the best epoch counts

English rows start from all-MiniLM-L6-v2, Chinese ones from the encoder that `make zh-encoder` makes. Rows
and epochs are capped so that a run is a matter of minutes on one thread: classify_rows.py says how, and so
does the note of every line.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cells import Cell, Places
from classify_rows import ROWS, Parts, Row
from classify_trainer import train_theirs
from retrieval_contestants import Embed, embedder_theirs, opened_theirs, their_epochs

import minibert as mb
from minibert.data.examples import NumberExample, TextExample
from minibert.evaluation.baselines import WORD, LogisticRegression, Majority, NaiveBayes, strongest
from minibert.tasks.correlation import pearson, spearman
from minibert.tasks.label_sets import label_set_scores
from minibert.tasks.metrics import accuracy, macro_f1

RECIPE: dict[str, Any] = {
    "train.learning_rate": 2e-4,
    "train.train_batch_size": 32,
    "train.warmup_ratio": 0.1,
    "train.freeze": 2,  # embeddings and two layers stay as they are: a third fewer minutes on a CPU
    "task.pooling": "mean",
    "data.progress": False,
}
SMALL: dict[str, Any] = {"train.freeze": 0, "train.learning_rate": 5e-4}  # the Chinese encoder: four layers
MANY_CLASSES = 100  # from here on naive Bayes alone
TRAINER = ("clinc150, oos a class", "mrpc", "sick2014 entailment", "sts_semeval")
PAIRS = ("sts_semeval", "sick2014 relatedness", "sick2014 entailment", "mrpc", "rte123", "zh_stsb", "lcqmc",
         "afqmc", "zh_pawsx")  # fmt: skip
BI_ENCODER: dict[str, Any] = {"train.freeze": 0, "train.learning_rate": 5e-5}
OOS = "oos"


def cells(places: Places) -> Iterator[Cell]:
    """Yield the cells, those with an aim before the others."""
    for row in ROWS:
        if row.chinese and places.chinese is None:
            continue
        recipe = settings_of(row)
        yield Cell(row.name, "minibert", ours(row, places, recipe), note=row.note, recipe=recipe)
        if row.task == "regression" and row.name in PAIRS:
            recipe, apart = {**recipe, **BI_ENCODER}, replace(row, task="similarity")
            run = ours(apart, places, recipe)
            yield Cell(row.name, "minibert, bi-encoder", run, note=row.note, recipe=recipe)
            if not row.chinese:
                run = their_similarity(row, places, recipe)
                yield Cell(row.name, "sentence-transformers", run, note=row.note, recipe=recipe)
        for name, run in baselines(row, places):
            yield Cell(
                row.name, name, run, seeds=(0,), note=f"{row.rows:,} training rows" if row.rows else ""
            )
    for row in ROWS:
        if row.name in TRAINER:
            recipe = settings_of(row)
            run = theirs(row, places)
            yield Cell(row.name, "transformers Trainer", run, note=row.note, recipe=recipe)


def settings_of(row: Row) -> dict[str, Any]:
    """Return the recipe of a row."""
    own = {"train.num_train_epochs": float(row.epochs), "task.max_length": row.max_length}
    return {**RECIPE, **(SMALL if row.chinese else {}), **own, **dict(row.settings)}


def ours(row: Row, places: Places, recipe: dict[str, Any]) -> Any:
    """Return a function that fine-tunes with a seed and gives the scores on the test part."""

    def run(seed: int) -> dict[str, float]:
        parts = row.read(places.data)
        folder = places.chinese if row.chinese else places.english
        assert folder is not None
        model = mb.finetune(
            folder,
            task=row.task,
            train=parts.train,
            validation=parts.validation,
            output_dir=places.scratch / "model",
            settings={**recipe, "train.seed": seed},
            overwrite_output_dir=True,
        )
        answers = model.predict(parts.test)
        scores = model.task.score(answers, parts.test)
        found = {name: value for name, value in scores.items() if isinstance(value, float)}
        if row.name.startswith("clinc150"):
            labels = [answer.label for answer in answers]
            found = {**out_of_scope(labels, parts.test), "calibration_error": found["calibration_error"]}
        return {name: value for name, value in found.items() if not name.startswith("best_")}

    return run


def their_similarity(row: Row, places: Places, recipe: dict[str, Any]) -> Any:
    """Return a function that trains sentence-transformers' model on pairs with scores."""
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    def told(part: Sequence[NumberExample]) -> tuple[list[list[str]], torch.Tensor]:
        return [[r.text for r in part], [str(r.pair) for r in part]], torch.tensor([r.label for r in part])

    def run(seed: int) -> dict[str, float]:
        parts = row.read(places.data)
        torch.manual_seed(seed)
        model = opened_theirs(places.english)
        model.max_seq_length = row.max_length
        best: tuple[float, dict[str, float]] = (-1.0, {})
        for _ in their_epochs(model, CoSENTLoss(model), parts.train, told, seed=seed, recipe=recipe):
            embed = embedder_theirs(model)
            held, test = (
                number_scores(pair_cosines(embed, rows), rows) for rows in (parts.validation, parts.test)
            )
            best = max(best, (held["spearman"], test), key=lambda one: one[0])
        return best[1]

    return run


def out_of_scope(labels: Sequence[str], test: Sequence[TextExample]) -> dict[str, float]:
    """Score the texts of some class and those of none apart."""
    pairs = list(zip(labels, [str(row.label) for row in test], strict=True))
    inside = [label == gold for label, gold in pairs if gold != OOS]
    return {
        "in_scope_accuracy": float(np.mean(inside)),
        "out_of_scope_recall": float(np.mean([label == OOS for label, gold in pairs if gold == OOS])),
        "accuracy": float(np.mean([label == gold for label, gold in pairs])),
    }


def theirs(row: Row, places: Places) -> Any:
    """Return a function that fine-tunes with transformers' Trainer."""

    def run(seed: int) -> dict[str, float]:
        parts = row.read(places.data)
        found = train_theirs(places.english, parts, settings_of(row), seed=seed, scratch=places.scratch)
        if row.task == "regression":
            return number_scores(np.asarray(found, float), parts.test)
        return label_scores(row, [str(label) for label in found], parts.test)

    return run


def label_scores(row: Row, labels: Sequence[str], test: Sequence[TextExample]) -> dict[str, float]:
    """Return what is reported of labels."""
    if row.name.startswith("clinc150"):
        return out_of_scope(labels, test)
    gold = [str(example.label) for example in test]
    return {"accuracy": accuracy(gold, labels), "macro_f1": macro_f1(gold, labels)}


def number_scores(numbers: np.ndarray, test: Sequence[NumberExample]) -> dict[str, float]:
    """Return what is reported of numbers."""
    gold = np.array([example.label for example in test])
    return {"spearman": spearman(numbers, gold), "pearson": pearson(numbers, gold)}


def baselines(row: Row, places: Places) -> Iterator[tuple[str, Any]]:
    """Yield the name of each baseline of a row and what runs it."""
    if row.task == "classification":
        yield "most frequent", on_labels(row, places, bag=False)
        yield "bag of words", on_labels(row, places, bag=True)
    if row.task == "multi_label":
        yield "most frequent", with_parts(row, places, usual_set)
        yield "bag of words", with_parts(row, places, label_by_label)
    if row.name in PAIRS:
        yield "shared words", with_parts(row, places, shared_words)
    if row.task == "regression" and row.name in PAIRS and not row.chinese:
        yield "cosine", with_parts(row, places, lambda row, parts: cosine(places.english, parts))
    if row.task == "regression":
        yield "mean", with_parts(row, places, mean_number)
    if row.task == "multiple_choice":
        yield "shared words", with_parts(row, places, first_choice)


def with_parts(row: Row, places: Places, score: Any) -> Any:
    """Return a function that reads a row's parts and scores them."""
    return lambda seed: score(row, row.read(places.data))


def on_labels(row: Row, places: Places, *, bag: bool) -> Any:
    """Return a function that fits a baseline for labels."""

    def run(seed: int) -> dict[str, float]:
        parts = row.read(places.data)
        many = len({example.label for example in parts.train}) > MANY_CLASSES
        if bag and not many:
            fitted: Any = strongest(parts.train, parts.validation[:1000]).baseline
        else:
            fitted = NaiveBayes(0.1) if bag else Majority()
            fitted.fit(parts.train)
        return label_scores(row, fitted.predict(parts.test), parts.test)

    return run


def usual_set(row: Row, parts: Parts) -> dict[str, float]:
    """Answer the labels that come together most often."""
    usual = Counter(example.labels for example in parts.train).most_common(1)[0][0]
    return set_scores([usual] * len(parts.test), parts)


def label_by_label(row: Row, parts: Parts) -> dict[str, float]:
    """Ask a bag of words for each label by itself."""
    answers: list[list[str]] = [[] for _ in parts.test]
    for label in sorted({label for example in parts.train for label in example.labels}):
        bag = LogisticRegression()
        bag.fit([TextExample(one.text, label=str(label in one.labels)) for one in parts.train])
        for answer, said in zip(answers, bag.predict(parts.test), strict=True):
            if said == "True":
                answer.append(label)
    return set_scores(answers, parts)


def set_scores(answers: Sequence[Sequence[str]], parts: Parts) -> dict[str, float]:
    """Return what is reported of sets of labels."""
    labels = sorted({label for example in (*parts.train, *parts.test) for label in example.labels})
    scores = label_set_scores([example.labels for example in parts.test], answers, labels)
    return {name: value for name, value in scores.items() if isinstance(value, float)}


def mean_number(row: Row, parts: Parts) -> dict[str, float]:
    """Answer the mean of the training numbers."""
    mean = float(np.mean([example.label for example in parts.train]))
    gold = np.array([example.label for example in parts.test])
    error = {"mean_squared_error": float(np.square(gold - mean).mean())}
    return {**number_scores(np.full(len(parts.test), mean), parts.test), **error}


def overlap(text: str, pair: str | None) -> float:
    """Return the share of the words of two texts that stand in both.

    >>> overlap("a cat sat", "the cat sat")
    0.5
    """
    first, second = ({*WORD.findall(part.lower())} for part in (text, pair or ""))
    return len(first & second) / max(1, len(first | second))


def shared_words(row: Row, parts: Parts) -> dict[str, float]:
    """Answer by the words that both texts have."""
    tested = np.array([overlap(example.text, example.pair) for example in parts.test])
    if row.task == "regression":
        return number_scores(tested, parts.test)
    shares = np.array([overlap(example.text, example.pair) for example in parts.train])
    bins = np.linspace(0, 1, 11)[1:-1]
    usual: dict[int, str] = {}
    labels = [str(example.label) for example in parts.train]
    for place in range(10):
        inside = [label for label, at in zip(labels, np.digitize(shares, bins), strict=True) if at == place]
        usual[place] = max(sorted(set(inside or labels)), key=(inside or labels).count)
    return label_scores(row, [usual[int(place)] for place in np.digitize(tested, bins)], parts.test)


def first_choice(row: Row, parts: Parts) -> dict[str, float]:
    """Choose what shares most characters with the text; among equals, the first."""
    right = []
    for example in parts.test:
        shares = [len({*choice} & {*example.text}) / len({*choice}) for choice in example.choices]
        right.append(int(np.argmax(shares)) == example.label)
    chance = float(np.mean([1 / len(example.choices) for example in parts.test]))
    return {"accuracy": float(np.mean(right)), "chance": chance}


def cosine(folder: Path, parts: Parts) -> dict[str, float]:
    """Answer the cosine of two texts' vectors."""
    return number_scores(pair_cosines(mb.load_encoder(folder).embed, parts.test), parts.test)


def pair_cosines(embed: Embed, rows: Sequence[NumberExample]) -> np.ndarray:
    """Return the cosine of the two texts of each row; 0 for a vector without length."""
    first, second = (embed([getattr(row, side) or "" for row in rows]) for side in ("text", "pair"))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines: np.ndarray = (first * second).sum(axis=1) / np.maximum(lengths, math.ulp(1.0))
    return cosines
