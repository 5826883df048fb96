"""What pretraining leaves: a language model that fills masks, whose encoder embeds texts."""

from collections.abc import Iterable, Sequence
from typing import Self, final

import numpy as np
import torch

from minibert.adapt.merging import shared
from minibert.embedding.text_encoder import HiddenText, Pooling, TextEncoder
from minibert.tasks.model import Model


@final
class Pretrained(Model):
    """A model fresh from pretraining; its folder opens with `load` or, without the head, `load_encoder`.

    predict  fills the [MASK]s of texts
    embed    one vector for each text
    hidden   one vector for each token, and the characters that it stands for
    """

    @classmethod
    def of(cls, model: Model) -> Self:
        """Return a model with the same encoder and task, for use."""
        return cls(model.encoder, model.task).eval()

    def text_encoder(self) -> TextEncoder:
        """Return the encoder, the same weights, and its tokenizer: what `load_encoder` would open."""
        encoder = shared(self.encoder)
        encoder.dtype = torch.float32  # whatever the run computed in
        return TextEncoder(encoder, self.task.tokenizer, max_length=self.task.max_length)

    def embed(
        self,
        texts: Iterable[str],
        pooling: Pooling | None = None,
        *,
        normalize: bool = True,
        progress: bool = True,
    ) -> np.ndarray:
        """Return one float32 row for each text, (N, D), in order; see `TextEncoder.embed`, which has more."""
        return self.text_encoder().embed(texts, pooling, normalize=normalize, progress=progress)

    def hidden(self, texts: Sequence[str]) -> list[HiddenText]:
        """Return the tokens of each text with their vectors and spans; see `TextEncoder.hidden`."""
        return self.text_encoder().hidden(texts)
