"""Pretraining on one page: text files in, an encoder out.

files -> tokenizer -> token shards -> packs -> masked language modelling -> a checkpoint folder
"""

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minibert.checkpoint import read_table
from minibert.config import to_dict
from minibert.data.batches import CorpusBatches
from minibert.data.cooccurrence import cooccurrence_vectors
from minibert.data.corpus import Corpus, source_of
from minibert.data.files import expand
from minibert.distributed.joining import joined
from minibert.embedding.pretrained import Pretrained
from minibert.errors import InputError
from minibert.interop.hub import local_folder
from minibert.interop.language_models import open_for_pretraining
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.output import Drive, allowed, checkpoints, claimed, locked, nothing_left, start_record
from minibert.output.checkpoints import refuse_other_tokenizer
from minibert.output.record import describe_model
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model, load
from minibert.tasks.replaced_tokens import ReplacedTokens
from minibert.tasks.task import Task
from minibert.text.loading import load_tokenizer
from minibert.text.tokenizer import Tokenizer
from minibert.training.documents import lines_of, parted, too_few
from minibert.training.held_out import held_out_loss
from minibert.training.journal import describe, header
from minibert.training.loop import Run
from minibert.training.plan import Budget
from minibert.training.prepared import find_tokenizer, tokenized
from minibert.training.pretraining import Settings, refuse_spare, settings_for

USUAL_SIZE = "modern-mini"


def pretrain(
    corpus: str | Path | Sequence[str | Path],
    output_dir: str | Path,
    *,
    size: str | None = None,
    tokenizer: str | Path | None = None,
    model: str | Path | None = None,
    budget: Budget = None,
    settings: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite_output_dir: bool = False,
) -> Pretrained:
    """Pretrain an encoder on text files, leave it in `output_dir` and return it: it fills masks and embeds.

    corpus     files, folders or globs of .txt (documents parted by blank lines), .jsonl, .csv; one or several
    size       tiny, mini, small, medium, base, or one of them behind `modern-` (modern-mini)
    tokenizer  folder of a trained tokenizer; None trains one on the corpus
    model      folder of an encoder, ours or Hugging Face's, to go on with instead; its usual rate is 1e-4
    budget     seconds or "30m": as many steps as fit, at most `train.max_steps`; or an earlier run's plan
    settings   dotted keys such as {"train.learning_rate": 1e-3, "data.max_seq_length": 128}
    resume     go on from the newest checkpoint in `output_dir`; where nothing was saved, start afresh
    Raises InputError for unusable input, before anything is trained.
    """
    chosen = settings_for(settings or {}, model=model, budget=budget)
    refuse_spare(chosen, model=model, tokenizer=tokenizer, size=size)
    given = {"tokenizer": tokenizer, "model": local_folder(model) if model else None}
    free = allowed(resume, overwrite_output_dir, [*given.values(), corpus])
    with joined() as ranks, locked(output_dir, **free, writes=ranks.first) as output:
        if resume and over(corpus, output, chosen, given, looks=ranks.first, overwrite=overwrite_output_dir):
            return Pretrained.of(load(output))
        with claimed(output, **free, writes=ranks.first):
            with ranks.first_goes_ahead():
                files = expand(corpus) if ranks.first else []
                made = first_model(files, output, chosen, size=size, **given)
            shards = tokenized(files, made.task.tokenizer, output, settings=chosen)
            train, validation = batches_of(shards, made.task, chosen, files=files)
            run = begin(made, train, chosen, budget=budget, first=not checkpoints(output))
            drive = ready(run, validation, output, settings=chosen, model=given["model"], resume=resume)
        drive.follow(report_to=chosen.data.report_to, progress=chosen.data.progress)
        return Pretrained.of(load(output) if chosen.train.fsdp else made)


def over(
    corpus: str | Path | Sequence[str | Path],
    output: Path,
    settings: Settings,
    given: dict[str, Any],
    *,
    looks: bool,
    overwrite: bool,
) -> bool:
    """Tell whether the run in a folder is finished, by its settings; refuse it where its data were others.

    looks  whether this process is the one that reads the data, which are not tokenized once more
    """

    def data() -> dict[str, Any]:
        if not given["model"]:
            refuse_other_tokenizer(output, given["tokenizer"])
        begun = {"model": describe_model(given["model"])} if given["model"] else {}
        files, pieces = expand(corpus), load_tokenizer(given["tokenizer"] or output)
        return {**begun, "corpus": {"sha256": source_of(files, pieces, settings.data.text_column)}}

    return nothing_left(output, to_dict(settings), data if looks else None, resume=True, overwrite=overwrite)


def first_model(
    files: Sequence[Path],
    output: Path,
    settings: Settings,
    *,
    size: str | None,
    tokenizer: str | Path | None,
    model: str | Path | None,
) -> Model:
    """Return the model that the run begins with: a new one of a size, or the one of a folder."""
    if model:
        return continued_model(model, settings)
    refuse_other_tokenizer(output, tokenizer)  # which a run that is taken up again began with
    return build_model(size, find_tokenizer(files, tokenizer, output, settings=settings), settings)


def build_model(size: str | None, tokenizer: Tokenizer, settings: Settings) -> Model:
    """Make the encoder of a named size, with the settings' changes, and its pretraining task."""
    torch.manual_seed(settings.train.seed)
    config = EncoderConfig.preset(size or USUAL_SIZE, tokenizer.vocab_size, changes=settings.model)
    return Model(Encoder(config), task_of(tokenizer, config, settings))


def continued_model(folder: Any, settings: Settings) -> Model:
    """Open the encoder of a folder with its pretraining task: its own head, or a new one for want of it."""
    encoder, tokenizer, head = open_for_pretraining(folder, settings.model)
    torch.manual_seed(settings.train.seed)
    task = task_of(tokenizer, encoder.config, settings)
    if isinstance(task, MaskedLM) and head is not None:
        task.load_state_dict(head.state_dict())
    return Model(encoder, task)


def task_of(tokenizer: Tokenizer, config: EncoderConfig, settings: Settings) -> Task:
    """Make the task of the chosen objective."""
    kind = MaskedLM if settings.data.objective == "masked_lm" else ReplacedTokens
    return kind(tokenizer, config, masking=settings.masking)


def begin(model: Model, train: CorpusBatches[Any], settings: Settings, *, budget: Budget, first: bool) -> Run:
    """Return the run; a table of counted vectors, if wanted, is filled at its first start, on its time."""
    taken = start_table(model, train) if first and settings.data.token_vectors == "cooccurrence" else 0.0
    run = Run(model, train, settings.train, budget=budget)
    run.ranks.need(train.accumulate, even=run.config.fsdp)
    if run.clock:
        run.clock.spend(taken)
    return run


def start_table(model: Model, train: CorpusBatches[Any]) -> float:
    """Fill the token table with vectors counted from the training documents; return the seconds that it took.

    The vectors are centred and as long as the noise that they replace; tokens that were not met keep it.
    """
    start = time.perf_counter()
    table_VD = model.encoder.embeddings.token.weight
    vectors_VD = cooccurrence_vectors(train.corpus, *table_VD.shape, documents=train.documents)
    found_V = vectors_VD.any(1)
    found_ND = torch.nn.functional.normalize(vectors_VD[found_V] - vectors_VD[found_V].mean(0))
    length = model.encoder.config.initializer_range * math.sqrt(table_VD.shape[1])
    with torch.no_grad():
        table_VD[found_V] = found_ND * length
    return time.perf_counter() - start


def batches_of(
    corpus: Corpus, task: Any, settings: Settings, *, files: Sequence[Path] = ()
) -> tuple[CorpusBatches[Any], CorpusBatches[Any]]:
    """Return the batches for training and those for validation; no document is in both.

    files  what the corpus was made of, for the error that tells how many lines there are
    """
    documents, held = parted(np.diff(corpus.bounds), settings.data.validation_tokens)
    if not held:
        raise InputError(too_few(len(corpus), lines_of(files)))
    limit = settings.data.max_seq_length
    if limit > task.max_length:
        raise InputError(
            f"max_seq_length {limit} exceeds the model's max_position_embeddings {task.max_length}"
        )
    around = (task.tokenizer.cls_id, task.tokenizer.sep_id)
    train, validation = (
        CorpusBatches(
            corpus,
            rows,
            collate=task.collate_ids,
            around=around,
            max_length=limit,
            tokens_per_batch=settings.data.tokens_per_batch,
            accumulate=settings.train.gradient_accumulation_steps,
            seed=settings.train.seed,
        )
        for rows in (documents[held:], documents[:held])
    )
    return train, validation


def ready(
    run: Run,
    validation: CorpusBatches[Any],
    output: Path,
    *,
    settings: Settings,
    model: str | Path | None,
    resume: bool,
) -> Drive:
    """Say on stderr what is about to run, and return the run as something that drives to its end."""
    facts = describe(run, settings.data.max_seq_length, settings.data.tokens_per_batch)
    print(header({"pretraining": str(output), **facts}), file=sys.stderr)
    corpus = read_table(output / "corpus" / "corpus.json")
    begun = {"model": describe_model(Path(model))} if model else {}
    data = {**begun, "corpus": {"tokens": corpus["tokens"], "sha256": corpus["source"]}}
    train = settings.train
    drive = Drive(
        run,
        output,
        record=start_record("pretrain", to_dict(settings), data=data, facts=facts),
        validate=lambda: {"loss": held_out_loss(run.model, validation, run.ranks)},
        every=lambda: train.eval_steps or max(train.logging_steps, run.total // 8),
    )
    if resume:
        drive.resume()
    return drive
