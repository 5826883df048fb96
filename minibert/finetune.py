"""Fine-tuning on one page: a pretrained encoder and labelled examples in, a model and its scores out.

examples -> windows -> batches -> the task's loss -> validation after every epoch -> the best model is kept
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from minibert.adapt.build import put_adapter
from minibert.adapt.features import kept_features
from minibert.config import to_dict
from minibert.data.batches import ExampleBatches
from minibert.distributed.joining import joined
from minibert.distributed.ranks import Ranks
from minibert.errors import InputError
from minibert.interop.checkpoints import check_vocabulary, read_config, read_encoder
from minibert.interop.language_models import load_language_model
from minibert.interop.opening import load
from minibert.interop.starting import starting_folder, with_usual_head
from minibert.model.encoder import Encoder
from minibert.output import Drive, allowed, claimed, describe_data, locked, nothing_left, start_record
from minibert.output.record import describe_model
from minibert.tasks.from_scratch import fresh_encoder, is_size
from minibert.tasks.given import read_answered, read_held
from minibert.tasks.model import TASKS, Model
from minibert.tasks.task import Task, Window
from minibert.tasks.windows import long_ones, tell_long, windows_of
from minibert.text.loading import load_tokenizer
from minibert.training.best import Best, check_choice
from minibert.training.config import TrainingConfig
from minibert.training.degenerate import diagnose, may_redraw, refuse_lonely
from minibert.training.finetuning import HIGHEST_RATE, Settings, usual_rate
from minibert.training.fresh_layers import redraw_top
from minibert.training.held_out import HeldOut
from minibert.training.journal import describe, header
from minibert.training.loop import Run, place
from minibert.training.plan import Budget


def finetune(
    model: str | Path,
    *,
    task: str,
    train: str | Path | Sequence[Any],
    validation: str | Path | Sequence[Any] | None = None,
    output_dir: str | Path,
    budget: Budget = None,
    settings: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite_output_dir: bool = False,
) -> Model:
    """Fine-tune the encoder in folder `model` on a task and leave the model in `output_dir`.

    model              a folder; or, for seq2seq, a size ("mini"): vocabulary and weights begin from nothing
    task               a name of `minibert.tasks.model.TASKS`
    train, validation  files, or lists of examples
    budget             at most so long ("90s"): fewer epochs on a slow machine; or an earlier run's plan
    settings           dotted keys such as {"train.num_train_epochs": 5, "task.pooling": "mean"}; without
                       "train.learning_rate" the encoder's width decides (`usual_rate`)
    resume             go on from the newest checkpoint in `output_dir`; start afresh where there is none

    Returns the model of the best validation epoch (of the last one without validation data). Raises
    InputError for unusable input, before anything is trained.
    """
    model, kind = starting_folder(model), task_class(task)
    chosen = Settings.of(settings or {}, learning_rate=first_rate(model))
    rows, held = read_answered(kind, train), read_held(kind, validation, options=chosen.task)
    made = open_for_task(model, kind, rows, settings=chosen)
    batches = batches_of(made.task, rows, chosen.train)
    with kept_features(made, batches.windows, held, chosen.adapt, progress=chosen.data.progress) as learn:
        return train_into(
            output_dir,
            lambda: learn(Run(made, batches, chosen.train, budget=budget)),
            held,
            settings=chosen,
            data={"model": describe_model(model), "train": describe_data(rows)},
            free=allowed(resume, overwrite_output_dir, [model, train, validation]),
        )


def train_into(
    output_dir: str | Path,
    begin: Callable[[], Run],
    held: Sequence[Any],
    *,
    settings: Settings,
    data: dict[str, Any],
    free: dict[str, Any],
    own: dict[str, Any] | None = None,
) -> Model:
    """Drive the run that `begin` makes to its end in an output folder and return its model.

    held  examples to validate on after every epoch, none for no validation
    data  what the record says of the model and the rows that it learns from
    free  what `allowed` returns: what may be done to a folder that is not empty
    own   a group of settings that the record keeps beside those of training, {"distill": {...}}
    Whatever is raised before the first step leaves the folder as it was.
    """
    if settings.train.fsdp:
        raise InputError(
            "fsdp is for pretraining; leave it out: the processes of torchrun share a step without"
        )
    with joined() as ranks, locked(output_dir, **free, writes=ranks.first) as output:
        told, resume = {**to_dict(settings), **(own or {})}, free["resume"]
        data = {**data, "validation": describe_data(held)}
        if nothing_left(output, told, lambda: data, resume=resume, overwrite=free["overwrite"]):
            return reopened(output, settings.train)
        with claimed(output, **free, writes=ranks.first):
            run = begin()
            ranks.need(len(run.batches.at(0, 0.0)))
            drive = ready(run, held, output, settings=settings, told=told, data=data, resume=resume)
        drive.follow(report_to=settings.data.report_to, progress=settings.data.progress)
    return run.model.eval()


def reopened(folder: Path, config: TrainingConfig) -> Model:
    """Open a model that was trained to its end as training left it: on its device, in its precision."""
    model = load(folder)
    place(model, config, Ranks.here())
    return model


def first_rate(model: str | Path) -> float:
    """Return the learning rate for whoever names none: by the encoder's width, or that of a new encoder."""
    return HIGHEST_RATE if is_size(str(model)) else usual_rate(read_config(Path(model)).hidden_size)


def task_class(name: str) -> type[Task]:
    """Return the class of a task by its name."""
    if name not in TASKS:
        raise InputError(f"task {name!r} is unknown; use one of {', '.join(TASKS)}")
    return TASKS[name]


def open_for_task(folder: Path, kind: type[Task], examples: Sequence[Any], *, settings: Settings) -> Model:
    """Join the encoder in a folder, or a new one of a named size, with a new head."""
    check_adapting(folder, settings)
    torch.manual_seed(settings.train.seed)
    if not folder.exists() and is_size(str(folder)):
        texts = [text for example in examples for text in kind.texts(example)]
        vocab_size = settings.data.vocab_size
        encoder, tokenizer = fresh_encoder(str(folder), texts, vocab_size=vocab_size, changes=settings.model)
        return Model(encoder, kind.build(tokenizer, encoder.config, examples, settings.task))
    config = read_config(folder).changed(settings.model, trained=not settings.data.from_scratch)
    tokenizer = load_tokenizer(folder)
    check_vocabulary(tokenizer, config, folder)
    encoder = Encoder(config) if settings.data.from_scratch else read_encoder(folder, config)
    redraw_top(encoder, settings.data.reinit_layers, frozen=settings.train.freeze)
    made = kind.build(tokenizer, config, examples, with_usual_head(folder, kind, settings.task))
    if kind.grows_on_masks and not settings.data.from_scratch:
        made.inherit(load_language_model(folder).task)
    model = Model(encoder, made)
    put_adapter(model, settings.adapt, base=folder)
    return model


def check_adapting(folder: Path, settings: Settings) -> None:
    """Raise InputError for an adapter on an encoder that nobody will find again."""
    if settings.adapt.adapter == "none":
        return
    new = {
        f"a new encoder of the size {folder}": not folder.exists() and is_size(str(folder)),
        "from_scratch": settings.data.from_scratch,
        f"reinit_layers {settings.data.reinit_layers}": settings.data.reinit_layers,
    }
    for what, asked in new.items():
        if asked:
            raise InputError(
                f"adapter {settings.adapt.adapter} keeps the encoder of a folder as it is, and {what} makes "
                "another one; use adapter none"
            )


def batches_of(task: Task, examples: Sequence[Any], config: TrainingConfig) -> ExampleBatches[Window, Any]:
    """Encode the examples once and make their batches."""
    windows = windows_of(task, examples)
    refuse_lonely(task, [window for parts in windows for window in parts], config)
    return batches_from(windows, task, config)


def batches_from(
    windows: Sequence[Sequence[Window]], task: Task, config: TrainingConfig
) -> ExampleBatches[Window, Any]:
    """Make batches of the windows of examples; say how many did not fit whole."""
    tell_long(long_ones(windows, task), task.max_length)
    return ExampleBatches(
        [window for parts in windows for window in parts if len(window.rows)],
        task.collate,
        config.train_batch_size,
        config.gradient_accumulation_steps,
        config.seed,
    )


def ready(
    run: Run,
    held: Sequence[Any],
    output: Path,
    *,
    settings: Settings,
    told: dict[str, Any],
    data: dict[str, Any],
    resume: bool,
) -> Drive:
    """Say on stderr what is about to run, and return the run as something that drives to its end."""
    task = run.model.task
    validation = HeldOut(run.model, held, run.ranks)
    check_choice(settings.train, held, lambda some: HeldOut(run.model, some, run.ranks).scores())
    facts = describe(run, task.max_length, run.config.train_batch_size * task.max_length)
    print(header({task.name: str(output), **facts}), file=sys.stderr)
    usual = usual_rate(run.model.encoder.config.hidden_size) * settings.adapt.rate_factor
    redraws = may_redraw(run.model, settings)
    drive = Drive(
        run,
        output,
        record=start_record("finetune", told, data=data, facts={"task": task.name, **facts}),
        validate=validation.scores if held else None,
        every=lambda: settings.train.eval_steps or run.batches.steps_per_epoch,
        best=Best(settings.train.metric_for_best_model),
        last_word=lambda losses: diagnose(
            losses, validation.choices, run.config, usual=usual, redraws=redraws
        ),
    )
    if resume:
        drive.resume()
    return drive
