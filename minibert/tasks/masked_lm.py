"""Masked language modelling: hide some tokens, ask the encoder for them (Devlin et al., 2019, section 3.1).

Which tokens are hidden, and how, is `masking`. The loss is the cross-entropy at the hidden places alone,
through a small head and the embedding table itself (Press and Wolf, 2017)::

    logits = norm(act(hidden W + b)) Table' + c

A config with tie_word_embeddings False gives the head a table of its own.
Nothing of the size (tokens x vocabulary) ever exists: see `kernels/cross_entropy`.

Letters: T tokens, M masked tokens, D hidden size, V vocabulary.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from minibert.config import from_dict, to_dict
from minibert.data.examples import TextExample, as_example
from minibert.data.readers import read_texts
from minibert.errors import InputError
from minibert.kernels.cross_entropy import linear_cross_entropy
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Linear, activation, initialize, make_norm
from minibert.packed import Packed
from minibert.tasks.masking import Masker, Masking
from minibert.tasks.task import Loss, Targets, Task, Window
from minibert.text.tokenizer import Tokenizer


class MaskedLM(Task):
    """The pretraining task, and fill-mask afterwards."""

    name: ClassVar[str] = "masked_lm"

    def __init__(
        self, tokenizer: Tokenizer, config: EncoderConfig, *, masking: Masking | None = None
    ) -> None:
        super().__init__(tokenizer, config.longest_text)
        self.masking = masking or Masking()
        self.masker = Masker(tokenizer, self.masking)
        self.top_k = 5  # guesses for each mask
        self.act = config.hidden_act
        width, tied = config.embedding_width, config.tie_word_embeddings
        self.dense = Linear(config.hidden_size, width, bias=config.bias)
        self.norm = make_norm(config.norm, width, config.layer_norm_eps, config.bias)
        self.own_table = None if tied else nn.Embedding(config.vocab_size, width)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        initialize(self, config.initializer_range)

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[TextExample]:
        return read_texts(path, **columns or {})

    @classmethod
    def build(
        cls, tokenizer: Tokenizer, config: EncoderConfig, examples: Sequence[Any], options: dict[str, Any]
    ) -> "MaskedLM":
        return cls(tokenizer, config, masking=from_dict(Masking, options, where="masking"))

    def settings(self) -> dict[str, Any]:
        return to_dict(self.masking)

    @classmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "MaskedLM":
        return cls.build(tokenizer, config, [], settings)

    def encode(self, example: Any) -> list[Window]:
        """Return one window; [MASK], or the tokenizer's own name for it, becomes the mask token."""
        text = as_example(TextExample, example).text
        tokens = self.tokenizer.encode_with_masks(text)
        window = self.tokenizer.build(tokens.kept(slice(self.max_length - self.tokenizer.special_count())))
        return [Window(window, rows=np.flatnonzero(window.ids == self.tokenizer.mask_id))]

    def collate(
        self, windows: Sequence[Window], seed: int, step: int, progress: float
    ) -> tuple[Packed, Targets]:
        return self.collate_ids([window.tokens.ids for window in windows], seed, step, progress)

    def collate_ids(
        self, sequences: Sequence[np.ndarray], seed: int, step: int, progress: float
    ) -> tuple[Packed, Targets]:
        """Hide tokens anew in every step: dynamic masking (Liu et al., 2019, "RoBERTa")."""
        ids_T = np.concatenate(sequences).astype(np.int64)
        random = np.random.Generator(np.random.Philox(key=[seed, step]))
        hidden_T, places_M = self.masker(ids_T, random, self.masking.rate(progress))
        batch = Packed.of(np.split(hidden_T, np.cumsum([len(ids) for ids in sequences])[:-1]))
        return batch, Targets(torch.from_numpy(places_M), torch.from_numpy(ids_T[places_M]))

    def head(self, hidden_MD: Tensor) -> Tensor:
        """Return the vectors that are compared with every row of the embedding table."""
        output: Tensor = self.norm(activation(self.act, self.dense(hidden_MD)))
        return output

    def table(self, encoder: Encoder) -> Tensor:
        """Return the vectors (V, D) of the vocabulary that the head compares with."""
        return (encoder.embeddings.token if self.own_table is None else self.own_table).weight

    def loss(self, encoder: Encoder, batch: Packed, targets: Targets) -> Loss:
        hidden_MD = self.head(encoder(batch)[targets.positions])
        total = linear_cross_entropy(hidden_MD, self.table(encoder), self.bias, targets.labels)
        return Loss({"loss": total}, targets.counts)

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the probabilities (m, V) of every piece at each window's masks."""
        starts = np.cumsum([0, *map(len, windows)])
        hidden_TD = encoder(batch)
        table_VD = self.table(encoder)
        predictions = []
        for start, window in zip(starts, windows, strict=False):
            rows = torch.from_numpy(start + window.rows).to(hidden_TD.device)
            hidden_MD = self.head(hidden_TD[rows]).to(table_VD.dtype)
            predictions.append((hidden_MD @ table_VD.T + self.bias).softmax(-1).float().cpu().numpy())
        return predictions

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Any:
        """Return, for each mask, the `top_k` likeliest pieces and their probabilities; [] without a mask."""
        answers = []
        for row in predictions[0]:
            row = np.where(self.masker.special_V, 0.0, row[: len(self.masker.special_V)])
            best = np.argsort(-row)[: self.top_k]
            answers.append(
                [(piece, float(row[i])) for piece, i in zip(self.tokenizer.tokens(best), best, strict=True)]
            )
        return answers

    def score(self, answers: Sequence[Any], examples: Sequence[Any]) -> dict[str, Any]:
        raise InputError("masked language modelling is scored by its loss; use `evaluate_loss`")
