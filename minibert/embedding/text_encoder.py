"""A tokenizer and an encoder together: texts in, vectors out. What a person loads who has no task.

    embed    one vector for each text: its first token's, or the mean of all (Reimers and Gurevych, 2019)
    hidden   one vector for each token, and the characters that the token stands for

Vectors are float32 whatever the encoder computes in. Texts longer than the checkpoint allows are cut, and
how many is said on stderr.

Letters: N texts, T tokens, n tokens of one text, D hidden size.
"""

import copy
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch
from tqdm import tqdm

from minibert.checkpoint import published
from minibert.embedding.chunks import Chunk, chunks
from minibert.embedding.rows import embed_chunk, usual_tokens
from minibert.errors import InputError
from minibert.interop.export import write_pretrained
from minibert.interop.graphs import Exported, export_source
from minibert.interop.padded import Source
from minibert.interop.prompts import NO_PROMPTS, Prompts, write_prompts
from minibert.interop.sentence_transformers import write_habits
from minibert.model.device import choose_device
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.given import listed
from minibert.text.tokenizer import Tokenizer
from minibert.training.precision import choose_dtype

Pooling = Literal["mean", "first"]
Precision = Literal["fp32", "bf16", "auto"]
SECONDS_BEFORE_THE_BAR = 3


@dataclass(frozen=True)
class HiddenText:
    """The tokens of one text.

    tokens     the n pieces, control tokens included
    spans      (n, 2) int32, [start, end) in characters of the text; (0, 0) for a control token
    hidden_nD  (n, D) float32
    """

    tokens: list[str]
    spans: np.ndarray
    hidden_nD: np.ndarray


@final
class TextEncoder:
    """An encoder that takes texts.

    max_length  tokens at which a text is cut, control tokens included
    pooling     how `embed` makes one vector where it is not told: "mean" or "first"
    prompts     what may be put before a text, by name, as the checkpoint says
    pooler      weights that a checkpoint has behind its encoder; nothing here uses them but `save_pretrained`
    unit_length whether `save_pretrained` adds the step that makes vectors one long, as `embed` does by itself

    >>> from minibert.embedding.loading import load_encoder
    >>> encoder = load_encoder("runs/clf")
    >>> encoder.embed(["a wonderful film", ""]).shape
    (2, 128)
    """

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: Tokenizer,
        *,
        max_length: int,
        pooling: str = "mean",
        prompts: Prompts = NO_PROMPTS,
        pooler: Mapping[str, torch.Tensor] | None = None,
        unit_length: bool = True,
    ) -> None:
        self.encoder = encoder.eval()
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.pooling = _checked(pooling)
        self.prompts = prompts
        self.pooler = pooler
        self.unit_length = unit_length
        self._narrow: tuple[Any, Encoder] | None = None

    def to(self, device: torch.device | str) -> "TextEncoder":
        """Move the encoder to a device; raises InputError where that is not here."""
        self.encoder.to(choose_device(device))
        return self

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that `transformers` and `sentence_transformers` open, and `load_encoder` too.

        The folder is whole or absent; an older one of ours there is replaced. Raises InputError where
        something else stands there, and where no family of theirs has the encoder's parts.
        """
        with published(folder) as beside:
            write_pretrained(
                self.encoder, self.tokenizer, beside, max_length=self.max_length, pooler=self.pooler
            )
            size = self.encoder.config.hidden_size
            write_habits(beside, self.pooling, self.max_length, size, unit_length=self.unit_length)
            write_prompts(beside, self.prompts)

    def export(self, folder: str | Path, *, format: str = "onnx", quantize: str = "none") -> Exported:
        """Write a graph whose outputs are last_hidden_state and embeddings; see `interop.graphs.export`."""
        source = Source(self.encoder, self.tokenizer, self.max_length, pooling=self.pooling)
        return export_source(source, folder, format=format, quantize=quantize)

    def embed(
        self,
        texts: Iterable[str],
        pooling: Pooling | None = None,
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize: bool = True,
        dtype: Precision = "fp32",
        batch_tokens: int = 0,
        progress: bool = True,
    ) -> np.ndarray:
        """Return one float32 row for each text, (N, D), in the order in which the texts came.

        texts         any iterable; only the rows are held, not the texts
        prompt        words put before each text, or prompt_name, by which the checkpoint has some
        normalize     make every row one long
        dtype         "fp32"; "bf16"; "auto" is bf16 where it is faster
        batch_tokens  tokens computed at once; 0 suits the device
        Raises InputError for a text that is no string, and for a prompt_name that the checkpoint has not.

        >>> from minibert.embedding.loading import load_encoder
        >>> rows = load_encoder("runs/clf").embed(["a film", "a wonderful film", "a film"])
        >>> bool((rows[0] == rows[2]).all()), float((rows[0] ** 2).sum().round(3))
        (True, 1.0)
        """
        total = len(texts) if isinstance(texts, Sequence) else None
        texts = _with_bar(texts, total, progress)
        before = self.prompts.chosen(prompt, prompt_name)
        parts = self.embed_chunks(
            texts, pooling, prompt=before, normalize=normalize, dtype=dtype, batch_tokens=batch_tokens
        )
        size = self.encoder.config.hidden_size
        if total is None:
            return np.concatenate([np.zeros((0, size), np.float32), *parts])
        rows_ND, done = np.empty((total, size), np.float32), 0
        for part in parts:
            rows_ND[done : done + len(part)] = part
            done += len(part)
        return rows_ND

    def embed_chunks(
        self,
        texts: Iterable[str],
        pooling: Pooling | None = None,
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize: bool = True,
        dtype: Precision = "fp32",
        batch_tokens: int = 0,
    ) -> Iterator[np.ndarray]:
        """Yield the rows of `embed` some thousands at a time, for streams without an end."""
        how, before = _checked(pooling or self.pooling), self.prompts.chosen(prompt, prompt_name)
        if isinstance(texts, str):
            raise InputError(f"texts is one string, {texts[:40]!r}; give a list or an iterator of strings")
        encoder = self._in(dtype)
        budget = batch_tokens or usual_tokens(encoder)
        cut = count = 0
        for chunk in chunks(texts, self.tokenizer, self.max_length, prompt=before):
            yield embed_chunk(encoder, chunk, how, normalize=normalize, budget=budget)
            cut, count = cut + chunk.cut, count + len(chunk.order_N)
        if cut:
            print(f"{cut:,} of {count:,} texts were cut at {self.max_length} tokens", file=sys.stderr)

    @torch.inference_mode()
    def hidden(
        self, texts: Sequence[str], *, dtype: Precision = "fp32", batch_tokens: int = 0
    ) -> list[HiddenText]:
        """Return the tokens of each text with their vectors and spans; no prompt stands before it.

        >>> from minibert.embedding.loading import load_encoder
        >>> [text] = load_encoder("runs/clf").hidden(["A list."])
        >>> text.tokens, text.spans.tolist(), text.hidden_nD.shape
        (['[CLS]', '▁A', '▁list', '.', '[SEP]'], [[0, 0], [0, 1], [2, 6], [6, 7], [0, 0]], (5, 128))
        """
        encoder, room = self._in(dtype), max(0, self.max_length - self.tokenizer.special_count())
        device = next(encoder.parameters()).device
        budget = batch_tokens or usual_tokens(encoder)
        encoded = [
            self.tokenizer.build(self.tokenizer.encode(text).kept(slice(room))) for text in listed(texts)
        ]
        lengths = np.array([len(tokens) for tokens in encoded], np.int64)
        order = np.argsort(lengths, kind="stable")
        sorted_texts = Chunk(np.zeros(0, np.int64), lengths[order], order, 0)
        found: list[np.ndarray] = [np.zeros(0)] * len(encoded)
        for texts_of, _ in sorted_texts.batches(budget):
            numbers = order[texts_of].tolist()
            batch = Packed.of([encoded[number].ids for number in numbers]).to(device)
            parts = batch.layout.split(encoder(batch).float().cpu())
            for number, part in zip(numbers, parts, strict=True):
                found[number] = part.numpy()
        cut = sum(tokens.cut for tokens in encoded)
        if cut:
            print(f"{cut:,} of {len(encoded):,} texts were cut at {self.max_length} tokens", file=sys.stderr)
        return [
            HiddenText(self.tokenizer.tokens(tokens.ids), tokens.offsets, part)
            for tokens, part in zip(encoded, found, strict=True)
        ]

    def _in(self, precision: str) -> Encoder:
        """Return the encoder in a precision: itself in fp32, else a copy whose blocks are cast.

        The copy shares the tables, and is kept until the weights change.
        """
        if precision not in ("fp32", "bf16", "auto"):
            raise InputError(f"dtype {precision!r} is unknown; use fp32, bf16 or auto")
        self.encoder.eval()
        dtype = choose_dtype(precision, next(self.encoder.parameters()).device)
        if dtype == torch.float32:
            return self.encoder
        weights = [(id(weight), weight._version, weight.device) for weight in self.encoder.parameters()]
        if self._narrow is None or self._narrow[0] != (dtype, weights):
            shared = {id(self.encoder.embeddings): self.encoder.embeddings}
            narrow = copy.deepcopy(self.encoder, shared)
            narrow.blocks.to(dtype)
            narrow.dtype = dtype
            self._narrow = (dtype, weights), narrow
        return self._narrow[1]


def _with_bar(texts: Iterable[str], total: int | None, progress: bool) -> Iterable[str]:
    """Show on stderr how many texts were taken, once it takes longer than a few seconds."""
    if isinstance(texts, str):
        return texts  # an error that `embed_chunks` explains
    return tqdm(texts, "embed", total, unit="text", delay=SECONDS_BEFORE_THE_BAR, disable=not progress)


def _checked(pooling: str) -> str:
    if pooling not in ("mean", "first"):
        raise InputError(f"pooling {pooling!r} is unknown; use mean or first")
    return pooling
