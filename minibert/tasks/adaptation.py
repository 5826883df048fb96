"""A model that is the difference to a base: what of it is its own, and whose the rest is.

Only its own weights are saved, beside the name of the base and the hashes of the base's encoder and of its
vocabulary. A model without an adaptation is its own as a whole.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from minibert.text.tokenizer import Tokenizer

ADAPTER = "adapter.json"


@dataclass(frozen=True)
class Adaptation:
    """How a model differs from its base.

    base        the folder of the base
    sha256      that of the base's encoder (`hash_of`)
    vocabulary  that of the base's vocabulary (`vocabulary_hash`)
    options     what the adapter was told
    own         the names of the model's weights that the base does not have
    """

    base: str
    sha256: str
    vocabulary: str
    options: dict[str, Any]
    own: frozenset[str] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return what adapter.json keeps."""
        base = {"folder": self.base, "sha256": self.sha256, "vocabulary_sha256": self.vocabulary}
        return {"base": base, "options": self.options}


def hash_of(weights: dict[str, Tensor]) -> str:
    """Return the SHA-256 of named weights, whatever file they came from: names, shapes and float32 values.

    >>> hash_of({"w": torch.zeros(2)})[:12]
    '11bde26295ff'
    """
    digest = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        digest.update(f"{name} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().to("cpu", torch.float32).contiguous().numpy().data)
    return digest.hexdigest()


def vocabulary_hash(tokenizer: Tokenizer) -> str:
    """Return the SHA-256 of a vocabulary, whatever files it came from: its pieces, ordered by id."""
    pieces = tokenizer.tokens(range(tokenizer.vocab_size))
    return hashlib.sha256("\n".join(map(repr, pieces)).encode()).hexdigest()
