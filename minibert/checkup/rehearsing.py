"""The rehearsal of a fine-tuning run, and that of a pretraining run."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minibert.adapt.features import kept_features
from minibert.data.batches import CorpusBatches, ExampleBatches
from minibert.data.corpus import Corpus
from minibert.doctor.examples import row_of, sample
from minibert.doctor.findings import Finding
from minibert.doctor.numbers import Course
from minibert.doctor.rehearsal import (
    by_heart_findings,
    first_loss,
    first_loss_findings,
    learn_by_heart,
    shown,
    speed_findings,
    timed,
    told,
)
from minibert.errors import InputError
from minibert.finetune import open_for_task
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.pretrain import continued_model, task_of
from minibert.tasks.model import Model
from minibert.tasks.task import Task
from minibert.text.tokenizer import Tokenizer
from minibert.training.finetuning import Settings
from minibert.training.precision import choose_device
from minibert.training.pretraining import Settings as PretrainSettings

WITH_CLASSES = ("classification", "tagging")  # whose new head begins by guessing
BATCH = 16  # texts that are learnt by heart
ROWS = 2000  # that batches are made of
Told = tuple[list[Finding], dict[str, Any]]


def rehearse_finetuning(
    folder: Path, kind: type[Task], rows: Sequence[Any], *, settings: Settings, course: Course
) -> Told:
    """Open the model, let it learn one batch by heart, and time a few steps; return findings and facts."""
    device = choose_device(settings.train.device)
    model = open_for_task(folder, kind, rows, settings=plain(settings, kind)).to(device)
    some = sample(rows, ROWS)
    found: list[Finding] = []
    facts: dict[str, Any] = {}
    if kind.name in WITH_CLASSES and settings.adapt.adapter == "none":
        micro = batch_of(model, some)
        loss = first_loss(model, micro)
        classes = len(getattr(model.task, "labels", ()))
        found += first_loss_findings(loss, classes, "classes")
        found += by_heart_findings(*learn_by_heart(model, micro))
        facts["first_loss"] = told(loss)
    windows = [window for row in some for window in model.task.encode(row) if len(window.rows)]
    batches = ExampleBatches(
        windows,
        model.task.collate,
        settings.train.train_batch_size,
        settings.train.gradient_accumulation_steps,
        settings.train.seed,
    )
    try:
        with kept_features(model, windows, (), settings.adapt, progress=False) as learn:
            slow, times = timing(learn(model), batches, course)
    except InputError as error:
        return [*found, Finding("task", "error", str(error), "mend that first")], facts
    return found + slow, {**facts, **times}


def plain(settings: Settings, kind: type[Task]) -> Settings:
    """Return the settings without what keeps a loss above nothing: smoothed labels, weighed classes."""
    names = {field.name for field in fields(kind.Options)} if kind.Options else set()
    without = {"label_smoothing": 0.0, "class_weights": "none"}
    task = {**settings.task, **{name: value for name, value in without.items() if name in names}}
    return replace(settings, task=task)


def batch_of(model: Model, rows: Sequence[Any]) -> tuple[Any, Any]:
    """Return a batch of different texts, evenly spaced, with what is right."""
    different = list({row_of(row).key: row for row in rows}.values())
    windows = [window for row in sample(different, BATCH) for window in model.task.encode(row)]
    micro = model.task.collate([window for window in windows if len(window.rows)][:BATCH], 0, 0, 0.0)
    device = next(model.parameters()).device
    return micro[0].to(device), micro[1].to(device)


def timing(model: Model, batches: Any, course: Course) -> Told:
    """Time a few steps; return what is to be said of them."""
    speed = timed(model, batches, course)
    facts = {
        "precision": str(speed.dtype).removeprefix("torch."),
        "seconds_per_step": round(speed.seconds_per_step, 3),
        "time": shown(speed.seconds_per_step * course.steps),
    }
    return list(speed_findings(speed, course)), facts


def rehearse_pretraining(
    documents: Sequence[str],
    tokenizer: Tokenizer,
    shape: EncoderConfig,
    *,
    model: str | Path | None,
    settings: PretrainSettings,
    course: Course,
) -> Told:
    """Compare the first loss with guessing and with the tokens' frequencies, and time a few steps."""
    torch.manual_seed(settings.train.seed)
    made = continued_model(model, settings) if model else new_model(tokenizer, shape, settings)
    task: Any = made.task
    made.to(choose_device(settings.train.device))
    corpus = corpus_of(documents, tokenizer)
    batches = packs_of(corpus, task, settings)
    bar = corpus.unigram_entropy()
    found: list[Finding] = []
    facts: dict[str, Any] = {"unigram_entropy": round(bar, 3)}
    if settings.data.objective == "masked_lm":
        loss = first_loss(made, batches.at(0, 0.0)[0])
        facts["first_loss"] = told(loss)
        found += first_loss_findings(loss, shape.vocab_size, "pieces")
        if model and loss > bar:
            seen = f"the first loss of {model} is {loss:.3f}; the tokens' frequencies alone give {bar:.3f}"
            advice = "it knows less than that: is its tokenizer its own, and did it ever fill masks?"
            found.append(Finding("unigram-bar", "warning", seen, advice))
    slow, times = timing(made, batches, course)
    return found + slow, {**facts, **times}


def packs_of(corpus: Corpus, task: Any, settings: PretrainSettings) -> CorpusBatches[Any]:
    """Return the batches of a corpus, none of it held out."""
    return CorpusBatches(
        corpus,
        np.arange(len(corpus)),
        collate=task.collate_ids,
        around=(task.tokenizer.cls_id, task.tokenizer.sep_id),
        max_length=settings.data.max_seq_length,
        tokens_per_batch=settings.data.tokens_per_batch,
        accumulate=settings.train.gradient_accumulation_steps,
        seed=settings.train.seed,
    )


def new_model(tokenizer: Tokenizer, shape: EncoderConfig, settings: PretrainSettings) -> Model:
    """Return an encoder that has learnt nothing, with its pretraining task."""
    return Model(Encoder(shape), task_of(tokenizer, shape, settings))


def corpus_of(documents: Sequence[str], tokenizer: Tokenizer) -> Corpus:
    """Return documents as a corpus in memory."""
    ids = tokenizer.encode_ids(documents)
    bounds = np.cumsum([0, *map(len, ids)])
    return Corpus(np.concatenate([*ids, np.zeros(0, np.int32)]), bounds)
