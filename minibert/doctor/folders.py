"""Whether what lies in a model's folder belongs together: tokenizer, config.json and weights."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from minibert.checkpoint import WEIGHTS
from minibert.doctor.findings import Finding
from minibert.durable import verify
from minibert.errors import InputError
from minibert.interop.adapted import read_adapter
from minibert.interop.checkpoints import read_config, read_encoder
from minibert.interop.kinds import is_encoder, is_peft
from minibert.interop.opening import load
from minibert.interop.peft_folders import base_of
from minibert.interop.tensors import GRAPH
from minibert.model.config import EncoderConfig
from minibert.tasks.model import check_size
from minibert.text.loading import load_tokenizer
from minibert.text.tokenizer import Tokenizer

SPARE_ROWS = 0.05  # share of a table that no piece uses, as a multiple of 64 or a few reserved rows leave
FEW_ROWS = 300


def folder_findings(folder: Path, *, quick: bool) -> list[Finding]:
    """Check the folder of a model, ours or Hugging Face's; without `quick` its weights are read as well."""
    try:
        config = read_config(folder)
        tokenizer = load_tokenizer(folder)
    except InputError as error:
        return [Finding("model-folder", "error", str(error), "give the folder of a whole checkpoint")]
    found = [*_vocabulary(tokenizer, config, folder), *_weights(folder, config)]
    return found if quick or found else [*_contents(folder, config)]


def adapter_findings(folder: Path, *, quick: bool) -> list[Finding]:
    """Check the folder of an adapter, and that of its base; without `quick` the two are opened together."""
    try:
        base = Path(base_of(folder) if is_peft(folder) else read_adapter(folder)[0]["folder"])
        if not base.is_dir():
            seen = f"{folder} is an adapter, and its base {base} is not there"
            return [Finding("base", "warning", seen, "tell the commands that use it where it is: --base DIR")]
        found = folder_findings(base, quick=quick)
        if quick or found:
            return found
        model: nn.Module = read_encoder(base) if is_encoder(folder) else load(folder)
    except InputError as error:
        return [Finding("damaged-weights", "error", str(error), "train the adapter anew on this base")]
    return [*_infinite(folder, model)]


def _vocabulary(tokenizer: Tokenizer, config: EncoderConfig, folder: Path) -> Iterator[Finding]:
    pieces, rows = tokenizer.vocab_size, config.vocab_size
    highest = max(map(int, tokenizer.special_ids))
    if pieces > rows or highest >= rows:
        seen = f"{folder}: the tokenizer has {max(pieces, highest + 1):,} pieces, the encoder {rows:,} rows"
        advice = "tokenizer and weights are not of one model: fetch the whole folder again"
        yield Finding("vocabulary-mismatch", "error", seen, advice)
    elif rows - pieces > max(FEW_ROWS, SPARE_ROWS * rows):
        seen = f"{folder}: the encoder has {rows:,} rows for tokens and the tokenizer only {pieces:,} pieces"
        advice = "look whether tokenizer and weights are of one model"
        yield Finding("vocabulary-mismatch", "warning", seen, advice)


def _weights(folder: Path, config: EncoderConfig) -> Iterator[Finding]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        seen = f"{folder}: there is no {WEIGHTS}"
        advice = "fetch the weights as safetensors"
        if (folder / GRAPH).is_file():
            advice = "give the folder that the graph was made from"
        yield Finding("model-folder", "error", seen, advice)
        return
    try:
        check_size(config, files)
    except InputError as error:
        yield Finding("damaged-weights", "error", f"{folder}: {error}", "fetch the folder again")


def _contents(folder: Path, config: EncoderConfig) -> Iterator[Finding]:
    """Read all weights: they are those of the manifest, fit the config, and are finite."""
    try:
        verify(folder)
        with torch.random.fork_rng(devices=[]):  # weights are drawn before they are read
            encoder = read_encoder(folder, config)
    except InputError as error:
        yield Finding("damaged-weights", "error", str(error), "fetch the folder again, or train it anew")
        return
    yield from _infinite(folder, encoder)


def _infinite(folder: Path, module: nn.Module) -> Iterator[Finding]:
    bad = [name for name, weight in module.named_parameters() if not bool(weight.isfinite().all())]
    if bad:
        seen = f"{folder}: {len(bad)} tensors hold infinite numbers or none, such as {bad[0]}"
        yield Finding("damaged-weights", "error", seen, "take an earlier checkpoint: training had diverged")
