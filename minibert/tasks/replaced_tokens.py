"""Replaced-token detection: a small generator fills the masks, the encoder tells what is not original.

ELECTRA (Clark et al., 2020): every token gives a signal, not only the hidden ones, which pays for small
models::

    loss = MLM(generator) + 50 * mean over all tokens of BCE(score(hidden), was the token replaced?)

The generator is one or more blocks of the encoder's width behind the encoder's own embeddings. Its guesses
are sampled and no gradient flows through them; a guess that hits the original counts as original.

Letters: T tokens, M masked tokens, D hidden size, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from minibert.model.linear import Linear, activation, initialize
from minibert.packed import Packed
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.masking import Masking
from minibert.tasks.task import Loss, Targets, Task, Window
from minibert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class ReplacedTargets:
    """What masked language modelling asks, and how many tokens the detection is a mean over."""

    masked: Targets
    tokens: int

    @property
    def counts(self) -> dict[str, int]:
        return {"generator": self.masked.labels.shape[0], "detection": self.tokens}

    def to(self, device: torch.device | str) -> "ReplacedTargets":
        return ReplacedTargets(self.masked.to(device), self.tokens)


class ReplacedTokens(Task):
    """The second pretraining task; the encoder is the discriminator."""

    name: ClassVar[str] = "replaced_tokens"

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        *,
        masking: Masking,
        generator_layers: int = 1,
        detection_weight: float = 50.0,
    ) -> None:
        super().__init__(tokenizer, config.longest_text)
        self.generator_layers, self.detection_weight = generator_layers, detection_weight
        self.masked_lm = MaskedLM(tokenizer, config, masking=masking)
        self.generator = Encoder(replace(config, num_hidden_layers=generator_layers))
        del self.generator.embeddings  # it reads the encoder's
        self.act = config.hidden_act
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.score_layer = Linear(config.hidden_size, 1)
        for part in (self.dense, self.score_layer):
            initialize(part, config.initializer_range)

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[TextExample]:
        return read_texts(path, **columns or {})

    @classmethod
    def build(
        cls, tokenizer: Tokenizer, config: EncoderConfig, examples: Sequence[Any], options: dict[str, Any]
    ) -> "ReplacedTokens":
        return cls(tokenizer, config, masking=from_dict(Masking, options, where="masking"))

    def settings(self) -> dict[str, Any]:
        return {
            "generator_layers": self.generator_layers,
            "detection_weight": self.detection_weight,
            "masking": to_dict(self.masked_lm.masking),
        }

    @classmethod
    def reopen(
        cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]
    ) -> "ReplacedTokens":
        return cls(
            tokenizer,
            config,
            masking=from_dict(Masking, settings["masking"], where="task.json"),
            generator_layers=settings["generator_layers"],
            detection_weight=settings["detection_weight"],
        )

    def encode(self, example: Any) -> list[Window]:
        """Return one window; every token of it is judged."""
        text = as_example(TextExample, example).text
        room = self.max_length - self.tokenizer.special_count()
        return [Window(self.tokenizer.build(self.tokenizer.encode(text).kept(slice(room))))]

    def collate_ids(
        self, sequences: Sequence[np.ndarray], seed: int, step: int, progress: float
    ) -> tuple[Packed, ReplacedTargets]:
        """Hide tokens for the generator, anew in every step."""
        batch, targets = self.masked_lm.collate_ids(sequences, seed, step, progress)
        return batch, ReplacedTargets(targets, batch.layout.tokens)

    def loss(self, encoder: Encoder, batch: Packed, targets: ReplacedTargets) -> Loss:  # type: ignore[override]
        masked = targets.masked
        guesses_M, generator_loss = self._generate(encoder, batch, masked)
        corrupted = replace(batch, ids=batch.ids.scatter(0, masked.positions, guesses_M))
        replaced_T = torch.zeros_like(batch.ids, dtype=torch.float32)
        replaced_T[masked.positions] = (guesses_M != masked.labels).float()
        detection = nn.functional.binary_cross_entropy_with_logits(
            self.judge(encoder(corrupted)), replaced_T, reduction="sum"
        )
        return Loss(
            {"generator": generator_loss, "detection": detection},
            targets.counts,
            {"detection": self.detection_weight},
        )

    def _generate(self, encoder: Encoder, batch: Packed, masked: Targets) -> tuple[Tensor, Tensor]:
        """Return a sampled token for every mask, and the generator's own loss."""
        hidden_TD = self.generator.contextualize(encoder.embeddings(batch, encoder.dtype), batch.layout)
        hidden_MD = self.masked_lm.head(hidden_TD[masked.positions])
        table_VD, bias_V = self.masked_lm.table(encoder), self.masked_lm.bias
        with torch.no_grad():
            logits_MV = (hidden_MD @ table_VD.to(hidden_MD.dtype).T).float() + bias_V
            noise_MV = torch.empty_like(logits_MV).exponential_().log_()
            guesses_M = (logits_MV - noise_MV).argmax(-1)  # the Gumbel trick: a sample of the softmax
        return guesses_M, linear_cross_entropy(hidden_MD, table_VD, bias_V, masked.labels)

    def judge(self, hidden_TD: Tensor) -> Tensor:
        """Return a score (T,) in float32 for every token: above zero means replaced."""
        scores_T: Tensor = self.score_layer(activation(self.act, self.dense(hidden_TD))).squeeze(-1).float()
        return scores_T

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the probability (n,) that each token of a window was replaced."""
        return [part.cpu().numpy() for part in batch.layout.split(self.judge(encoder(batch)).sigmoid())]

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Any:
        """Return each token with the probability that it was replaced."""
        tokens = self.tokenizer.tokens(windows[0].tokens.ids)
        return [(token, float(p)) for token, p in zip(tokens, predictions[0], strict=True)]

    def score(self, answers: Sequence[Any], examples: Sequence[Any]) -> dict[str, Any]:
        raise InputError("replaced-token detection is scored by its loss; use `evaluate_loss`")
