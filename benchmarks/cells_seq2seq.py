"""Texts out of texts: translation, headlines and replies, beside baselines that copy what is there.

    multi30k de-en    29,000 captions, from nothing; sacrebleu's BLEU (13a, cased), chrF; test2016, test2017
    tatoeba en-zh     19,583 sentences, from nothing; BLEU with sacrebleu's zh tokenizer
    bbc titles        headlines of 1,673 articles, MiniLM's encoder and a new decoder that may copy; ROUGE
    financial titles  headlines of 1,900 reports, from nothing: those of the test file, cut 1,900 / 100 / 400
    xdailydialog      the next turn of a dialogue, MiniLM's encoder and a new decoder that may copy; BLEU,
                      distinct; of the test's turns 1,000, for beams take their time

Baselines: the source itself, the target of the nearest training source (TF-IDF), and the first sentence.
"""

import json
import lzma
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import sacrebleu
from cells import Cell, Places

import minibert as mb
from minibert.data.parallel import read_parallel
from minibert.tasks.rouge import rouge_scores
from minibert.tasks.text_metrics import distinct, mostly_han

Pairs = list[mb.ParallelExample]
Split = tuple[Pairs, Pairs, dict[str, Pairs]]  # training, validation, tests by name
SENTENCE = re.compile(r".+?(?:[.!?](?=\s)|[。！？]|$)", re.DOTALL)
REPLIES = 1000
LABELS = re.compile(r"\d+\t")  # xdailydialog's files end each dialogue with a line of its labels
FROM_NOTHING: dict[str, Any] = {
    "train.learning_rate": 1e-3,
    "train.warmup_ratio": 0.08,
    "train.train_batch_size": 64,
    "train.weight_decay": 0.01,
    "train.precision": "bf16",
    "model.num_hidden_layers": 3,
    "model.hidden_size": 256,
    "model.intermediate_size": 512,
    "model.gated_mlp": False,
    "model.global_attn_every_n_layers": 1,
    "model.global_rope_theta": 10_000.0,
    "model.hidden_dropout_prob": 0.1,
    "model.attention_probs_dropout_prob": 0.0,
    "task.label_smoothing": 0.1,
    "task.max_target_length": 64,
    "data.progress": False,
}


def multi30k(data: Path) -> Split:
    """Return the captions of task 1, raw."""
    folder = data / "multi30k"

    def read(name: str, suffix: str = "") -> Pairs:
        return read_parallel(f"{folder}/{name}.de{suffix},{folder}/{name}.en{suffix}")

    tests = {"": read("test_2016_flickr"), "test2017 ": read("test_2017_flickr")}
    return read("train", ".xz"), read("val"), tests


def tatoeba(data: Path) -> Split:
    """Return sentences of learners, English to Chinese."""
    files = (data / "tatoeba_en_zh" / f"{name}.jsonl" for name in ("train", "dev", "test"))
    train, dev, test = (
        read_parallel(path if path.exists() else f"{path}.xz", source_column="en", target_column="zh")
        for path in files
    )
    return train, dev, {"": test}


def bbc_titles(data: Path) -> Split:
    """Return articles and their titles."""
    train, dev, test = (
        [mb.ParallelExample(row["text"], row["title"]) for row in rows(data / "bbc_news_summary" / name)]
        for name in ("train.jsonl.xz", "dev.jsonl", "test.jsonl")
    )
    return train, dev, {"": test}


def financial_titles(data: Path) -> Split:
    """Return reports and their titles: only the test file has reports, so it is cut (seed 0)."""
    found = rows(data / "zh_financial_news" / "test.jsonl.xz")
    pairs = [mb.ParallelExample(row["body"], row["title"]) for row in found if row["body"].strip()]
    random.Random(0).shuffle(pairs)
    return pairs[500:], pairs[400:500], {"": pairs[:400]}


def dialogues(data: Path) -> Split:
    """Return replies after up to three turns, of 1,000 labelled and 995 further dialogues."""
    folder = data / "xdailydialog"
    train, dev, test = (
        [pair for row in rows(folder / name) for pair in replies(row["en"])]
        for name in ("part1k.jsonl", "dev.jsonl.xz", "test.jsonl.xz")
    )
    return train + dev[500:], dev[:500], {"": random.Random(0).sample(test, REPLIES)}


def replies(turns: Sequence[str]) -> Pairs:
    """Return each turn after the first with what was said before it."""
    said = [turn for turn in turns if not LABELS.match(turn) and turn.strip()]
    return [mb.ParallelExample(" / ".join(said[max(0, at - 3) : at]), said[at]) for at in range(1, len(said))]


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a .jsonl, packed or not."""
    with (
        lzma.open(path, "rt", encoding="utf-8")
        if path.suffix == ".xz"
        else path.open(encoding="utf-8") as file
    ):
        return [json.loads(line) for line in file]


def translation_scores(written: Sequence[str], pairs: Pairs, name: str = "") -> dict[str, float]:
    """Return BLEU and chrF in 0..1, as sacrebleu counts them."""
    wanted = [str(pair.target) for pair in pairs]
    tokenize = "zh" if mostly_han(wanted) else "13a"
    bleu = sacrebleu.corpus_bleu(list(written), [wanted], tokenize=tokenize).score
    return {
        f"{name}bleu": bleu / 100,
        f"{name}chrf": sacrebleu.corpus_chrf(list(written), [wanted]).score / 100,
    }


def summary_scores(written: Sequence[str], pairs: Pairs, name: str = "") -> dict[str, float]:
    """Return ROUGE-L first, and the others."""
    scores = rouge_scores(written, [str(pair.target) for pair in pairs])
    return {name + key: scores[key] for key in ("rougeL", "rouge1", "rouge2")}


def reply_scores(written: Sequence[str], pairs: Pairs, name: str = "") -> dict[str, float]:
    """Return BLEU, and how many of the runs of words differ."""
    scores = translation_scores(written, pairs, name)
    return {**scores, "distinct1": distinct(written, 1), "distinct2": distinct(written, 2)}


Score = Callable[..., dict[str, float]]
Baseline = Callable[[Pairs, Pairs], list[str]]


def source_itself(train: Pairs, pairs: Pairs) -> list[str]:
    return [pair.source for pair in pairs]


def first_sentence(train: Pairs, pairs: Pairs) -> list[str]:
    found = [SENTENCE.match(pair.source.strip()) for pair in pairs]
    return [match[0].strip() if match else "" for match in found]


def nearest_target(train: Pairs, pairs: Pairs) -> list[str]:
    """Return the target of the training source that shares most words, by TF-IDF: a translation memory."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True)
    known = vectorizer.fit_transform([pair.source for pair in train])
    nearest = (vectorizer.transform([pair.source for pair in pairs]) @ known.T).argmax(axis=1)
    return [str(train[int(row)].target) for row in np.asarray(nearest).ravel()]


def baseline(split: Callable[[], Split], answer: Baseline, score: Score) -> Callable[[int], dict[str, float]]:
    """Return a cell's run: no training, the same for every seed."""

    def run(seed: int) -> dict[str, float]:
        train, _, tests = split()
        return scored(lambda pairs: answer(train, pairs), tests, score)

    return run


def scored(
    answer: Callable[[Pairs], Sequence[str]], tests: dict[str, Pairs], score: Score
) -> dict[str, float]:
    """Return the scores of every test."""
    return {
        key: value
        for name, pairs in tests.items()
        for key, value in score(answer(pairs), pairs, name).items()
    }


def trained(
    split: Callable[[], Split],
    model: str | Path,
    score: Score,
    scratch: Path,
    settings: dict[str, Any],
    beams: int,
) -> Callable[[int], dict[str, float]]:
    """Return a cell's run: train, keep the best epoch on 100 validation pairs, write with a beam."""

    def run(seed: int) -> dict[str, float]:
        train, held, tests = split()
        start = time.process_time()
        given = {key: value for key, value in settings.items() if key != "budget"}
        output = scratch / f"seq2seq-{score.__name__}-{seed}"
        made = mb.finetune(
            model,
            task="seq2seq",
            train=train,
            validation=held[:100],
            output_dir=output,
            budget=settings.get("budget"),
            settings={**given, "train.seed": seed},
            overwrite_output_dir=True,
        )
        minutes = (time.process_time() - start) / 60
        steps = json.loads((output / "run.json").read_text("utf-8"))["steps_done"]
        made.task.options = replace(made.task.options, num_beams=beams)

        def answer(pairs: Pairs) -> list[str]:
            return [one.target for one in made.predict([pair.source for pair in pairs], 4096)]

        return {**scored(answer, tests, score), "steps": steps, "cpu_minutes_of_training": minutes}

    return run


def cells(places: Places) -> list[Cell]:
    """Return the cells: rows with an aim first."""
    data, english, scratch = places.data, places.english, places.scratch
    table: list[
        tuple[str, Callable[[Path], Split], Score, str | Path, dict[str, Any], int, tuple[Baseline, ...]]
    ] = [
        (
            "multi30k de-en",
            multi30k,
            translation_scores,
            "modern-mini",
            {**FROM_NOTHING, "train.num_train_epochs": 12, "data.vocab_size": 6000, "budget": "75m"},
            5,
            (source_itself, nearest_target),
        ),
        (
            "tatoeba en-zh",
            tatoeba,
            translation_scores,
            "modern-mini",
            {**FROM_NOTHING, "train.num_train_epochs": 6, "data.vocab_size": 6000, "budget": "8m"},
            5,
            (source_itself, nearest_target),
        ),
        (
            "bbc titles",
            bbc_titles,
            summary_scores,
            english,
            {
                "train.learning_rate": 3e-4,
                "train.num_train_epochs": 8,
                "train.train_batch_size": 16,
                "task.copy_attention": True,
                "task.max_length": 128,
                "task.max_target_length": 24,
                "task.decoder_layers": 2,
                "task.no_repeat_ngram_size": 3,
                "data.progress": False,
            },
            4,
            (first_sentence, nearest_target),
        ),
        (
            "financial titles",
            financial_titles,
            summary_scores,
            "modern-mini",
            {
                **FROM_NOTHING,
                "train.num_train_epochs": 20,
                "train.train_batch_size": 32,
                "task.max_length": 128,
                "data.vocab_size": 5000,
            },
            4,
            (first_sentence, nearest_target),
        ),
        (
            "xdailydialog replies",
            dialogues,
            reply_scores,
            english,
            {
                "train.learning_rate": 3e-4,
                "train.num_train_epochs": 3,
                "train.train_batch_size": 32,
                "task.copy_attention": True,
                "task.max_length": 64,
                "task.max_target_length": 40,
                "task.decoder_layers": 2,
                "data.progress": False,
            },
            4,
            (nearest_target,),
        ),
    ]
    found = []
    for row, read, score, model, settings, beams, baselines in table:

        def split(read: Callable[[Path], Split] = read) -> Split:
            return read(data)

        run = trained(split, model, score, scratch, settings, beams)
        note = f"; {REPLIES:,} turns of test" if read is dialogues else ""
        found.append(
            Cell(row, "minibert", run, note=f"beam {beams}{note}", recipe={**settings, "num_beams": beams})
        )
        found += [
            Cell(row, answer.__name__.replace("_", " "), baseline(split, answer, score), (0,), note=note[2:])
            for answer in baselines
        ]
    return found
