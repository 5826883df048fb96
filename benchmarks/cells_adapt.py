"""How much of an encoder has to be trained, in every way that there is: MiniLM on three data sets, and the
Chinese encoder (four layers) on titles of news.

    full                  everything is trained
    head only             the encoder reads each text once, the head learns from what it said
    lowest half frozen    embeddings and the lower half of the layers stay as they are
    gradual unfreezing    one layer after the other thaws in the first half of the run
    lora, bottleneck, bitfit, prompt, prefix
    peft lora             transformers' Trainer and `peft`, the same rows, epochs, layers, rank and rate; its
                          own head
    ..., twice as long    the same with twice the epochs, of sst2 alone: few weights have a longer way to go

The epoch that is best on a tenth of the training rows is kept; peft's is its last, and its head (and BERT's
pooler) is trained too. Beside the score: how many weights are trained, and by how much the process grew at
most, in MB; each run has a process of its own. Rows are capped so that a cell is a matter of minutes on one
thread. One run each on that tenth chose the rate of lora, of 1e-3 and 4e-3, and of bottleneck, of 4e-3 and
1e-2; bitfit and peft have lora's. For twice the epochs it was of 1e-3 and 2e-3, on other rows. The Chinese
encoder has the same rates, but 5e-4 where layers of its own are trained.
"""

import random
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cells import Cell, Places
from quality_cells import ROWS, Row, numbers, read
from quality_trainer import train_and_score
from resident import Peak, in_own_process, resident

import minibert as mb
from minibert.checkpoint import read_json

DATA = ("sst2", "banking77", "conll2003")
CHINESE = Row(
    "thucnews_titles", "thucnews_titles/train.jsonl", "thucnews_titles/test.jsonl", {}, {}, max_length=32
)
CAPS = {"sst2": 2000, "banking77": 2500, "conll2003": 1200, "thucnews_titles": 2500}
HELD_CAP = 1500
EPOCHS = {"sst2": 3.0, "banking77": 5.0, "conll2003": 8.0, "thucnews_titles": 5.0}
CHEAP_EPOCHS = 30.0  # of a head on features that are there already
RANK, ALPHA = 8, 16
FULL_RATE, SMALL_RATE, HEAD_RATE = 2e-4, 5e-4, 1e-3
ADAPTER_RATE, BOTTLENECK_RATE, PROMPT_RATE = 4e-3, 1e-2, 1e-2
SHARED: dict[str, Any] = {
    "train.train_batch_size": 32,
    "train.warmup_ratio": 0.1,
    "train.precision": "bf16",
    "data.progress": False,
}
LORA: dict[str, Any] = {
    "adapt.adapter": "lora",
    "adapt.lora_rank": RANK,
    "adapt.lora_alpha": float(ALPHA),
    "adapt.lora_target_modules": "query,key,value,attention.output,feed_forward.input,feed_forward.output",
}

LONGER: dict[str, Any] = {"train.learning_rate": 1e-3, "train.precision": "fp32"}


def ways(epochs: float, layers: int = 6) -> dict[str, dict[str, Any]]:
    """Return what each contestant says beside the shared settings, for an encoder of so many layers."""
    rate = {"train.learning_rate": ADAPTER_RATE}
    frozen = {"train.freeze": "encoder", "adapt.cache_features": True, "train.num_train_epochs": CHEAP_EPOCHS}
    return {
        "full": {},
        "head only": {**frozen, "train.learning_rate": HEAD_RATE},
        "lowest half frozen": {"train.freeze": layers // 2},
        "gradual unfreezing": {"train.gradual_unfreezing": epochs / (2 * layers + 2)},  # embeddings as well
        "lora": {**LORA, **rate},
        "bottleneck": {"adapt.adapter": "bottleneck", "train.learning_rate": BOTTLENECK_RATE},
        "bitfit": {"adapt.adapter": "bitfit", **rate},
        "prompt": {"adapt.adapter": "prompt", "train.learning_rate": PROMPT_RATE},
        "prefix": {"adapt.adapter": "prefix", "train.learning_rate": PROMPT_RATE},
    }


def cells(places: Places) -> list[Cell]:
    """Return the cells, ours before peft's, English before Chinese."""
    rows = [row for row in ROWS if row.name in DATA]
    known = [ours(row, name, places) for row in rows for name in ways(1.0)] + [
        peft(row, places) for row in rows
    ]
    known += longer(next(row for row in rows if row.name == "sst2"), places)
    of_chinese = [name for name in ways(1.0) if name != "bitfit"]  # the modern recipe has no biases
    return known + ([ours(CHINESE, name, places) for name in of_chinese] if places.chinese else [])


def longer(row: Row, places: Places) -> list[Cell]:
    """Return LoRA with twice the epochs, ours and peft's, and beside it whole fine-tuning as long."""
    twice = {"train.num_train_epochs": 2 * EPOCHS[row.name]}
    whole = {**twice, "train.precision": "fp32"}
    made = [
        ours(row, "lora", places, {**twice, **LONGER}),
        peft(row, places, {**twice, **LONGER}),
        ours(row, "full", places, whole),
    ]
    return [replace(cell, contestant=f"{cell.contestant}, twice as long") for cell in made]


def recipe_of(row: Row, way: dict[str, Any]) -> dict[str, Any]:
    """Return all settings of a contestant on a data set."""
    rate = SMALL_RATE if row is CHINESE else FULL_RATE
    own = {"train.num_train_epochs": EPOCHS[row.name], "train.learning_rate": rate}
    pooling = {} if row.task == "tagging" else {"task.pooling": "mean"}
    return {**SHARED, **own, **pooling, "task.max_length": row.max_length, **way}


def note(row: Row, recipe: dict[str, Any]) -> str:
    """Say what the record must not hide."""
    return (
        f"{CAPS[row.name]:,} training rows, at most {HELD_CAP:,} scored, "
        f"{recipe['train.num_train_epochs']:g} epochs, at most {row.max_length} tokens"
        + (", float32" if recipe["train.precision"] == "fp32" else "")
    )


def parts(row: Row, data: Path) -> tuple[list[Any], list[Any], list[Any]]:
    """Return rows for training, for choosing the epoch, and for the score."""
    train, held = read(row, data)
    draw = random.Random(0)
    train = draw.sample(train, min(len(train), CAPS[row.name]))
    tenth = len(train) // 10
    return train[tenth:], train[:tenth], draw.sample(held, min(len(held), HELD_CAP))


def ours(row: Row, name: str, places: Places, changed: dict[str, Any] | None = None) -> Cell:
    """Return the cell of a way of adapting, some of its settings changed."""
    chinese = row is CHINESE
    way = ways(EPOCHS[row.name], 4 if chinese else 6)[name]
    recipe = recipe_of(row, {**way, **(changed or {})})
    encoder = places.chinese if chinese else places.english
    assert encoder is not None

    def run(seed: int) -> dict[str, float]:
        train, chosen, held = parts(uncapped(row), places.data)
        with tempfile.TemporaryDirectory(dir=places.scratch) as scratch:
            folder, before = Path(scratch) / "model", resident()
            with Peak() as peak:
                model = mb.finetune(
                    encoder,
                    task=row.task,
                    train=train,
                    validation=chosen,
                    output_dir=folder,
                    settings={**recipe, "train.seed": seed},
                )
            trained = read_json(folder / "run.json")["trained"]
        return told(numbers(model.evaluate(held)), trained, peak.bytes - before)

    return Cell(row.name, name, in_own_process(run), note=note(row, recipe), recipe=recipe)


def peft(row: Row, places: Places, changed: dict[str, Any] | None = None) -> Cell:
    """Return the cell of peft's LoRA, some of its settings changed."""
    recipe = recipe_of(row, {**LORA, "train.learning_rate": ADAPTER_RATE, **(changed or {})})

    def run(seed: int) -> dict[str, float]:
        train, _, held = parts(uncapped(row), places.data)
        counts: list[int] = []
        before = resident()
        with Peak() as peak:
            scores = train_and_score(
                places.english, row.task, train, held,
                recipe=recipe, seed=seed, scratch=places.scratch, wrap=with_lora(row.task, counts),
            )  # fmt: skip
        return told(scores, counts[0], peak.bytes - before)

    return Cell(row.name, "peft lora", in_own_process(run), note=note(row, recipe), recipe=recipe)


def with_lora(task: str, counts: list[int]) -> Callable[[Any], Any]:
    """Return what gives a model of theirs peft's LoRA; how many weights are trained goes into `counts`."""

    def wrap(model: Any) -> Any:
        import peft as library

        config = library.LoraConfig(
            task_type="TOKEN_CLS" if task == "tagging" else "SEQ_CLS",
            r=RANK,
            lora_alpha=ALPHA,
            target_modules=r".*encoder\.layer\..*(query|key|value|dense)",
            modules_to_save=["classifier"] if task == "tagging" else ["classifier", "pooler"],
        )
        wrapped = library.get_peft_model(model, config)
        counts.append(trained_of(wrapped.parameters()))
        return wrapped

    return wrap


def trained_of(weights: Iterable[Any]) -> int:
    """Count the numbers that are trained."""
    return sum(weight.numel() for weight in weights if weight.requires_grad)


def uncapped(row: Row) -> Row:
    """Return a row of the race with all its examples: the caps here are others."""
    return replace(row, cap=0, held_cap=0, join_words=0)


def told(scores: dict[str, float], trained: int, grown: int) -> dict[str, float]:
    """Return the scores with the weights that were trained and the growth of the process in MB."""
    return {**scores, "trained weights": float(trained), "peak MB": round(grown / 1e6)}
