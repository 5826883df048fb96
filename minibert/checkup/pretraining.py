"""A look at a pretraining run before it begins: the corpus, its tokens, the numbers."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minibert.checkup.rehearsing import rehearse_pretraining
from minibert.data.files import COMPRESSED, expand
from minibert.data.readers import read_documents
from minibert.doctor.capacity import capacity_findings
from minibert.doctor.copies import copy_findings
from minibert.doctor.examples import sample
from minibert.doctor.findings import Checkup, Finding, unreadable
from minibert.doctor.folders import folder_findings
from minibert.doctor.memory import WIDE, Memory, Step, predict
from minibert.doctor.numbers import Course, attention_findings, course_findings
from minibert.doctor.tokens import Tokens, token_findings
from minibert.errors import InputError
from minibert.interop.checkpoints import read_config
from minibert.interop.hub import local_folder
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.pretrain import USUAL_SIZE
from minibert.text.loading import load_tokenizer
from minibert.text.tokenizer import Tokenizer
from minibert.training.documents import lines_of, parted, too_few
from minibert.training.plan import Budget
from minibert.training.precision import choose_device
from minibert.training.prepared import learn_vocabulary
from minibert.training.pretraining import FIRST_RATE, Settings, refuse_spare, settings_for
from minibert.training.pretraining import usual_rate as first_rate

QUICK_CHARACTERS, CHARACTERS = 500_000, 5_000_000  # of a corpus that are read
FILES = 50  # of it that are opened
UNPACKED = 3  # times the size of a compressed file
BYTES_PER_TOKEN = 4.0  # of English or Chinese text, where there is no tokenizer yet
WIDTH = 512  # up to which the usual learning rate is the same; above, it falls


def check_pretraining(
    corpus: str | Path | Sequence[str | Path],
    *,
    size: str | None = None,
    tokenizer: str | Path | None = None,
    model: str | Path | None = None,
    output_dir: str | Path | None = None,
    budget: Budget = None,
    settings: dict[str, Any] | None = None,
    quick: bool = False,
) -> Checkup:
    """Look at a pretraining run before it begins; the arguments are those of `pretrain`."""
    model = local_folder(model) if model else None
    chosen = settings_for(settings or {}, model=model, budget=budget)
    try:
        refuse_spare(chosen, model=model, tokenizer=tokenizer, size=size)
        files = expand(corpus)
        limit = QUICK_CHARACTERS if quick else CHARACTERS
        documents = list(beginning(files, chosen.data.text_column, limit))
        if model:
            read_config(Path(model))  # which tells an adapter's folder, before its tokenizer is missed
        pieces = load_tokenizer(folder) if (folder := model or tokenizer) else None
        shape = shape_of(model, size, pieces, chosen)
    except InputError as error:
        return unreadable(error)
    found, per_token = corpus_findings(documents, pieces, chosen.data.max_seq_length)
    found += whole_findings(documents, pieces, chosen, files, limit=limit)
    found += folder_findings(Path(model), quick=quick) if model else []
    tokens = round(sum(map(bytes_of, files)) / per_token)
    course = course_of(chosen, tokens, usual_rate(shape.hidden_size, first_rate(model)), budget)
    fits, told = run_findings(shape, chosen, course, output_dir, new=not model)
    facts = {"files": len(files), "tokens_about": tokens, "steps": course.steps, **told}
    checkup = Checkup.of(found + fits, facts)
    if quick or pieces is None or not checkup.healthy:
        return checkup
    with torch.random.fork_rng(devices=[]):
        tried, told = rehearse_pretraining(
            documents, pieces, shape, model=model, settings=chosen, course=course
        )
    return Checkup.of([*checkup.findings, *tried], {**facts, **told})


def whole_findings(
    documents: Sequence[str],
    tokenizer: Tokenizer | None,
    settings: Settings,
    files: Sequence[Path],
    *,
    limit: int,
) -> Iterator[Finding]:
    """Check a corpus that was read to its end: enough documents to hold some out, enough for a vocabulary."""
    if len(files) > FILES or sum(map(len, documents)) >= limit // len(files):
        return
    if tokenizer is None:
        sizes = np.array([len(text.encode()) / BYTES_PER_TOKEN for text in documents])
    else:
        sizes = np.array([len(ids) for ids in tokenizer.encode_ids(documents)])
    if not parted(sizes, settings.data.validation_tokens)[1]:
        seen, _, advice = too_few(len(documents), lines_of(files)).partition(": ")
        yield Finding("documents", "error", seen, advice or "give more documents, or shorter ones")
    if tokenizer is None:
        try:
            learn_vocabulary(documents, settings.tokenizer)
        except InputError as error:
            seen, _, advice = str(error).partition("; ")
            yield Finding("vocabulary", "error", seen, f"{advice}: --vocab-size")


def course_of(settings: Settings, tokens: int, rate: float, budget: Budget) -> Course:
    """Return how long the run is, and which learning rate is usual for it."""
    return Course(
        settings.train,
        units=tokens,
        units_per_step=settings.data.tokens_per_batch * settings.train.gradient_accumulation_steps,
        usual_rate=rate,
        unit="tokens",
        size_flag="--tokens-per-batch",
        budgeted=budget is not None,
    )


def run_findings(
    shape: EncoderConfig, settings: Settings, course: Course, output: str | Path | None, *, new: bool
) -> tuple[list[Finding], dict[str, Any]]:
    """Check the numbers of the run, and what it needs of memory and disk; return facts as well.

    new  whether the encoder is made for the run, and not taken from a folder
    """
    length = settings.data.max_seq_length
    found = [
        *_length(length, shape, new=new),
        *course_findings(course),
        *attention_findings(shape, settings.train, length),
    ]
    if any(finding.severity == "error" for finding in found):
        return found, {}
    tokens = course.units * (2 if shape.vocab_size <= 2**16 else 4)
    fits, facts = capacity_findings(memory_of_run(shape, settings), course, output, corpus=tokens)
    return found + fits, facts


def memory_of_run(shape: EncoderConfig, settings: Settings) -> Memory:
    """Return the memory of a step of masked language modelling over a full pack of the longest runs."""
    config, data, masking = settings.train, settings.data, settings.masking
    with torch.device("meta"):
        encoder = Encoder(shape)
    width, rows = shape.embedding_width, data.tokens_per_batch
    head = width * shape.hidden_size + shape.vocab_size * (1 if shape.tie_word_embeddings else width)
    weights = sum(weight.numel() for weight in encoder.parameters()) + head
    asked = max(masking.mlm_probability, masking.mlm_probability_end or 0.0)
    lengths = (data.max_seq_length,) * max(1, rows // data.max_seq_length)
    step = Step(
        lengths,
        round(asked * rows),
        table=shape.vocab_size,
        itemsize=2 if config.precision == "bf16" else WIDE,
        fused=choose_device(config.device).type != "cpu",
    )
    return predict(shape, step, config, weights=weights, trained=weights)


def corpus_findings(
    documents: Sequence[str], tokenizer: Tokenizer | None, max_length: int
) -> tuple[list[Finding], float]:
    """Check documents, and how they are tokenized if that is known; return also the bytes of a token."""
    found = copy_findings(documents, [], limit=len(documents))
    if tokenizer is None:
        return found, BYTES_PER_TOKEN
    tokens = Tokens.of_texts(tokenizer, documents, max_length)
    per_token = sum(len(text.encode()) for text in documents) / max(1, tokens.total)
    return [*found, *token_findings(tokens, tokenizer, max_length)], per_token


def shape_of(
    model: str | Path | None, size: str | None, tokenizer: Tokenizer | None, settings: Settings
) -> EncoderConfig:
    """Return the shape of the encoder: that of a folder, or of a named size, with the settings' changes."""
    vocab_size = settings.tokenizer.vocab_size if tokenizer is None else tokenizer.vocab_size
    if model:
        return read_config(Path(model)).changed(settings.model)
    return EncoderConfig.preset(size or USUAL_SIZE, vocab_size, changes=settings.model)


def usual_rate(width: int, highest: float = FIRST_RATE) -> float:
    """Return a usual learning rate of pretraining: that of the small encoders, and less for wide ones.

    >>> [f"{usual_rate(width):.1e}" for width in (256, 512, 1024)]
    ['1.0e-03', '1.0e-03', '5.0e-04']
    """
    return highest * min(1.0, WIDTH / width)


def beginning(files: Sequence[Path], text_column: str, characters: int) -> Iterator[str]:
    """Yield the first documents of some files, about so many characters in all."""
    files = sample(files, FILES)
    for path in files:
        left = max(1, characters // len(files))
        for document in read_documents(path, text_column=text_column):
            yield document[:left]
            left -= len(document)
            if left <= 0:
                break


def bytes_of(path: Path) -> int:
    """Return about how many bytes of text a file holds."""
    return path.stat().st_size * (UNPACKED if path.suffix.lower() in COMPRESSED else 1)


def _length(length: int, shape: EncoderConfig, *, new: bool) -> Iterator[Finding]:
    """A length that the encoder has no positions for; only a new one can be given more."""
    if length > shape.longest_text:
        seen = f"max_seq_length {length} is more than the encoder's {shape.longest_text} positions"
        advice = f"take --max-seq-length {shape.longest_text} or less"
        advice += f", or --set model.max_position_embeddings={length}" if new else ""
        yield Finding("length", "error", seen, advice)
