"""The whole life of an encoder in a few minutes, on text that every machine with Python and PyTorch has.

collect -> tokenizer and pretraining -> two tasks, each with and without pretraining -> report -> predictions
"""

import json
import math
from pathlib import Path
from typing import Any

from minibert.data.corpus import Corpus
from minibert.demo.compare import (
    METRICS,
    compare_encoders,
    format_table,
    gain,
    table,
    tag_baselines,
    text_baselines,
)
from minibert.demo.docstrings import EmbeddedData, collect
from minibert.demo.pace import FULL, QUICK, Pace, Stages
from minibert.demo.splits import (
    Splits,
    classification_splits,
    pretraining_documents,
    tagging_splits,
    texts_by_file,
)
from minibert.inspect import attention_maps
from minibert.output import claimed
from minibert.pretrain import pretrain
from minibert.report.html import write_report
from minibert.tasks.model import Model
from minibert.training.journal import machine
from minibert.training.log import read_log

MASKED = (
    "Return the [MASK] of the list.",
    "Raise an [MASK] if the file does not exist.",
    "If the argument is None, the [MASK] value is used.",
    "Return True if the object is an [MASK] of the class.",
)
NEW_TEXTS = (
    "Open a TCP connection to the server and return the socket.",
    "Start a new thread and wait until it has finished.",
    "Return the square root of a rational number, rounded.",
    "Parse an XML document and return its root element.",
    "Remove a directory and all the files in it.",
)
DESCRIPTIONS = {
    "classification": "Which chapter of the library reference does a docstring belong to? Split by file.",
    "tagging": "What is the role of each name in a few lines of source code? Split by source file.",
}


def run_demo(
    output_dir: str | Path, *, quick: bool = False, overwrite_output_dir: bool = False
) -> dict[str, Any]:
    """Run the demo into a folder and return what its last line says."""
    pace, stages = QUICK if quick else FULL, Stages()
    with claimed(output_dir, overwrite=overwrite_output_dir) as output, stages.stage("collect text"):
        data = collect()
        texts = classification_splits(data, limits=pace.rows)
        code = tagging_splits(data, limits=pace.code_rows)
        documents = pretraining_documents(data, texts, code, limit=pace.texts)
        corpus = write_corpus(texts_by_file(documents), output / "corpus.jsonl")
    with stages.stage("train a vocabulary and pretrain"):
        folder, settings = output / "encoder", pace.pretraining_settings()
        encoder = pretrain([corpus], folder, size=pace.size, budget=pace.pretraining, settings=settings)
    tasks, models = {}, {}
    for task, splits in (("classification", texts), ("tagging", code)):
        with stages.stage(f"fine-tune: {task}"):
            models[task], tasks[task] = task_section(output, task, splits, pace=pace)
        print(format_table(tasks[task]["table"]))
    with stages.stage("report"):
        report = {
            "title": "minibert demo",
            "summary": summary(tasks),
            "command": f"minibert demo{' --quick' * quick}",
            "machine": machine(),
            "corpus": corpus_facts(data, corpus),
            "stages": stages.listed(),
            "pretraining": pretraining_facts(encoder, folder),
            "tasks": tasks,
            "attention": attention_picture(encoder, "Return the number of items in the list."),
            "filled": filled(encoder),
            "predictions": predicted(models["classification"]),
        }
        page = write_report(report, output)
    show(report, page)
    return last_line(report, page)


def write_corpus(texts: list[str], path: Path) -> Path:
    """Write the pretraining texts as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    return path


def task_section(output: Path, task: str, splits: Splits[Any], *, pace: Pace) -> tuple[Model, dict[str, Any]]:
    """Fine-tune both arms, score the baselines, and return the pretrained model and the report's section."""
    model, scores, curves = compare_encoders(output / "encoder", task, splits, output=output, pace=pace)
    baselines = text_baselines(splits) if task == "classification" else tag_baselines(splits)
    named = {"pretrained encoder": scores["pretrained"], "same encoder, not pretrained": scores["scratch"]}
    section = {
        "title": task.capitalize(),
        "description": DESCRIPTIONS[task],
        "rows": {part: len(getattr(splits, part)) for part in ("train", "validation", "test")},
        "metrics": list(METRICS),
        "table": table({**named, **baselines}),
        "curves": curves,
        "confusion": model.evaluate(splits.test)["confusion"],
        "gains": {metric: gain(scores, metric) for metric in METRICS},
    }
    if task == "classification":
        section["errors"] = confident_errors(model, splits.test)
    return model, section


def confident_errors(model: Model, examples: list[Any], *, count: int = 8) -> list[dict[str, Any]]:
    """Return the wrong answers of which the model was surest."""
    rows = [
        {
            "text": example.text[:200],
            "gold": example.label,
            "predicted": answer.label,
            "probability": answer.probabilities[answer.label],
        }
        for example, answer in zip(examples, model.predict(examples), strict=True)
        if example.label != answer.label
    ]
    return sorted(rows, key=lambda row: -row["probability"])[:count]


def pretraining_facts(encoder: Model, folder: Path) -> dict[str, Any]:
    """Read the curves of pretraining from its log, and the two losses that they are held against."""
    train, validation = read_log(folder, "train"), read_log(folder, "validation")
    vocab_size = encoder.task.tokenizer.vocab_size
    corpus = Corpus.open(folder / "corpus")
    return {
        "steps": [line["step"] for line in train],
        "loss": [line["loss"] for line in train],
        "learning_rate": [line["learning_rate"] for line in train],
        "validation_steps": [line["step"] for line in validation],
        "validation_loss": [line["loss"] for line in validation],
        "first_loss": train[0]["loss"],
        "ln_vocab": math.log(vocab_size),
        "unigram_entropy": corpus.unigram_entropy(vocab_size),
        "corpus_tokens": corpus.tokens,
        "tokens_per_second": round(train[-1]["tokens"] / train[-1]["seconds"]),
    }


def corpus_facts(data: EmbeddedData, path: Path) -> dict[str, Any]:
    """Say what the corpus is made of."""
    return {
        "megabytes": round(path.stat().st_size / 1e6, 2),
        "documents": len(data.documents),
        "sha256": data.sha256,
        "packages": data.versions,
    }


def attention_picture(model: Model, text: str) -> dict[str, Any]:
    """Return the attention map of the last layer's first head over one sentence."""
    ids = model.task.encode(text)[0].tokens.ids
    maps = attention_maps(model.encoder, ids.tolist())
    return {
        "tokens": model.task.tokenizer.tokens(ids),
        "layer": len(maps) - 1,
        "head": 0,
        "weights": maps[-1][0].tolist(),
    }


def filled(model: Model) -> list[dict[str, Any]]:
    """Fill in the masked sentences."""
    answers = model.predict(list(MASKED))
    return [{"text": text, "answers": answer[0]} for text, answer in zip(MASKED, answers, strict=True)]


def predicted(model: Model) -> list[dict[str, Any]]:
    """Classify the new sentences."""
    return [
        {"text": text, "label": answer.label, "probability": answer.probabilities[answer.label]}
        for text, answer in zip(NEW_TEXTS, model.predict(list(NEW_TEXTS)), strict=True)
    ]


def summary(tasks: dict[str, Any]) -> str:
    """Say in a sentence what pretraining gave, by every measure."""
    parts = []
    for task, found in tasks.items():
        gains = (f"{name.replace('_', '-')} {100 * found['gains'][name]['gain']:+.1f}" for name in METRICS)
        parts.append(f"{task} {' and '.join(gains)}")
    return f"What pretraining adds to the same encoder, in points: {'; '.join(parts)}."


def show(report: dict[str, Any], page: Path) -> None:
    """Print the filled masks, the new predictions and where the page is."""
    print("\n== masks filled in")
    for row in report["filled"]:
        print(f"   {row['text']:<56} {', '.join(piece.lstrip('▁') for piece, _ in row['answers'])}")
    print("\n== new sentences classified")
    for row in report["predictions"]:
        print(f"   {row['text']:<64} {row['label']} ({row['probability']:.2f})")
    print(f"\n{report['summary']}\nThe report: {page}")


def last_line(report: dict[str, Any], page: Path) -> dict[str, Any]:
    """Return the object that the command prints last."""
    facts = report["pretraining"]
    line: dict[str, Any] = {name: facts[name] for name in ("first_loss", "ln_vocab", "unigram_entropy")}
    line["validation_loss"] = facts["validation_loss"][-1]
    for task, section in report["tasks"].items():
        first, second = section["table"][:2]
        line[task] = {
            "pretrained": {metric: first["scores"][metric]["mean"] for metric in METRICS},
            "scratch": {metric: second["scores"][metric]["mean"] for metric in METRICS},
            "gains": section["gains"],
        }
    line["seconds"] = round(sum(stage["seconds"] for stage in report["stages"]), 1)
    line["report"] = str(page)
    return line
