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

from minibert.checkpoint import write_json
from minibert.config import from_dict, parse_seconds, to_dict
from minibert.data.batches import CorpusBatches
from minibert.data.cooccurrence import cooccurrence_vectors
from minibert.data.corpus import Corpus, build_corpus
from minibert.data.files import expand
from minibert.data.readers import read_documents
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.output import claimed, latest_checkpoint, publish_checkpoint, publish_model
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.replaced_tokens import ReplacedTokens
from minibert.text.loading import load_tokenizer
from minibert.text.sentencepiece import train_sentencepiece
from minibert.text.tokenizer import Tokenizer
from minibert.training.journal import Journal, describe, header, machine
from minibert.training.loop import NotFinite, Run
from minibert.training.pretraining import Settings, TokenizerOptions
from minibert.training.state import load_state


def pretrain(
    corpus: Sequence[str | Path],
    output_dir: str | Path,
    *,
    size: str = "modern-mini",
    tokenizer: str | Path | None = None,
    budget: str | float | None = None,
    settings: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite_output_dir: bool = False,
) -> Model:
    """Pretrain an encoder on text files and leave it in `output_dir`.

    corpus     files, folders or globs of .txt (documents parted by blank lines), .jsonl, .csv
    size       tiny, mini, small, medium, base, or one of them behind `modern-`
    tokenizer  folder of a trained tokenizer; None trains one on the corpus
    budget     seconds or "30m": as many steps as fit, at most `train.max_steps`
    settings   dotted keys such as {"train.learning_rate": 1e-3, "data.max_seq_length": 128}

    Raises InputError for unusable input, before anything is trained.
    """
    unlimited = {} if budget is None else {"train.max_steps": 1_000_000}
    chosen = Settings.of({**unlimited, **(settings or {})})
    files = expand([str(path) for path in corpus])
    seconds = None if budget is None else parse_seconds(budget)
    with claimed(output_dir, resume=resume, overwrite=overwrite_output_dir) as output:
        pieces, shards = prepare(files, tokenizer, output, settings=chosen)
        model, task = build_model(size, pieces, chosen)
        train, validation = batches_of(shards, task, chosen)
        if chosen.data.token_vectors == "cooccurrence" and not resume:
            taken = start_table(model, train)
            seconds = None if seconds is None else max(0.0, seconds - taken)
        run = Run(model, train, chosen.train, budget=seconds)
        if resume:
            load_state(run, latest_checkpoint(output, model))
    follow(run, validation, output, settings=chosen)
    return model.eval()


def prepare(
    files: Sequence[Path], tokenizer: str | Path | None, output: Path, *, settings: Settings
) -> tuple[Tokenizer, Corpus]:
    """Return the tokenizer and the tokenized corpus, made now or found where an earlier start left them."""
    data = settings.data
    pieces = find_tokenizer(
        files, tokenizer, output, options=settings.tokenizer, text_column=data.text_column
    )
    corpus = build_corpus(
        files,
        pieces,
        output / "corpus",
        workers=data.workers or None,
        text_column=data.text_column,
        progress=data.progress,
    )
    return pieces, corpus


def build_model(
    size: str, tokenizer: Tokenizer, settings: Settings
) -> tuple[Model, MaskedLM | ReplacedTokens]:
    """Make the encoder of a named size, with the settings' changes, and its pretraining task."""
    torch.manual_seed(settings.train.seed)
    shape = {**EncoderConfig.preset(size, tokenizer.vocab_size).to_dict(), **settings.model}
    config = from_dict(EncoderConfig, shape, where="model")
    kind = MaskedLM if settings.data.objective == "masked_lm" else ReplacedTokens
    task = kind(tokenizer, config, masking=settings.masking)
    return Model(Encoder(config), task), task


def find_tokenizer(
    files: Sequence[Path],
    folder: str | Path | None,
    output: Path,
    *,
    options: TokenizerOptions,
    text_column: str,
) -> Tokenizer:
    """Open the tokenizer in `folder`, or the one of an earlier start, or train one on the corpus."""
    if folder is not None:
        return load_tokenizer(folder)
    place = output / "tokenizer"
    if place.exists():
        return load_tokenizer(place)
    tokenizer = train_sentencepiece(
        read_documents(files, text_column=text_column),
        options.vocab_size,
        model_type=options.model_type,
        lowercase=options.lowercase,
        cjk_characters=options.cjk_characters,
    )
    tokenizer.save(place)
    return tokenizer


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
    corpus: Corpus, task: MaskedLM | ReplacedTokens, settings: Settings
) -> tuple[CorpusBatches[Any], CorpusBatches[Any]]:
    """Return the batches for training and those for validation; no document is in both."""
    documents = np.random.default_rng(0).permutation(len(corpus))
    sizes = np.diff(corpus.bounds)[documents]
    held = int(np.searchsorted(np.cumsum(sizes), min(settings.data.validation_tokens, corpus.tokens // 20)))
    if not 0 < held < len(corpus):
        raise InputError(
            f"the corpus has {len(corpus)} documents, too few to hold some out for validation; "
            "part them by blank lines, one document after another"
        )
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


def follow(run: Run, validation: CorpusBatches[Any], output: Path, *, settings: Settings) -> None:
    """Drive a run to its end: log, validate, save; lose nothing on Ctrl-C or a loss that is not finite."""
    facts = describe(run, settings.data.max_seq_length, settings.data.tokens_per_batch)
    print(header({"pretraining": str(output), **facts}), file=sys.stderr)
    train = settings.train
    record = {"kind": "pretrain", "settings": to_dict(settings), "machine": machine(), **facts}
    with Journal(
        output,
        "pretrain",
        every=train.logging_steps,
        report_to=settings.data.report_to,
        progress=settings.data.progress,
    ) as journal:
        try:
            for step in run:
                journal.step(step)
                last = step.index >= run.total
                if last or step.index % (train.eval_steps or max(train.logging_steps, run.total // 8)) == 0:
                    with run.average.applied():
                        loss = run.model.evaluate_loss(validation_batches(validation))
                    journal.write("validation", step.index, {"loss": loss})
                if train.save_steps and step.index % train.save_steps == 0 and not last:
                    publish_checkpoint(run, output)
        except NotFinite as error:
            finish(run, output, record)
            raise InputError(f"{error}; the weights before that step are in {output}") from error
        except KeyboardInterrupt:
            publish_checkpoint(run, output)
            finish(run, output, record)
            print(
                f"\nstopped at step {run.done}; everything is in {output}; go on with --resume",
                file=sys.stderr,
            )
            raise
        finish(run, output, record)


def finish(run: Run, output: Path, record: dict[str, Any]) -> None:
    """Leave the model (its averaged weights, if some are kept) and the record of its run in the folder."""
    run.average.settle()
    publish_model(run.model, output)
    write_json(output / "run.json", {**record, "plan": run.plan.entries, "steps_done": run.done})


def validation_batches(batches: CorpusBatches[Any]) -> list[Any]:
    """Return all validation micro-batches, masked alike every time."""
    return [micro for step in range(batches.steps_per_epoch) for micro in batches.at(step, 1.0)]
