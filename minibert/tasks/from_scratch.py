"""An encoder for a task out of nothing but its examples: a vocabulary learnt from them, weights drawn anew.

Translation has often no encoder to start from: one vocabulary has to know both languages, and few pretrained
ones do. Where a vocabulary is given, `check_known` says early if it was made for something else.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minibert.errors import InputError
from minibert.model.config import SIZES, EncoderConfig
from minibert.model.encoder import Encoder
from minibert.text.sentencepiece import train_sentencepiece
from minibert.text.tokenizer import Tokenizer

UNKNOWN_SHARE = 0.2
SAMPLE = 1000  # texts that are looked at


def is_size(name: str) -> bool:
    """Tell whether a name is that of a size, as tiny or modern-mini.

    >>> is_size("modern-mini"), is_size("runs/enc")
    (True, False)
    """
    return name.removeprefix("modern-") in SIZES


def fresh_encoder(
    size: str, texts: Sequence[str], *, vocab_size: int, changes: dict[str, Any]
) -> tuple[Encoder, Tokenizer]:
    """Learn a vocabulary from texts and draw an encoder of a named size; `changes` are fields of its config.

    Raises InputError where the texts are too few for so many pieces.
    """
    tokenizer = train_sentencepiece(texts, vocab_size)
    return Encoder(EncoderConfig.preset(size, tokenizer.vocab_size, changes=changes)), tokenizer


def check_known(tokenizer: Tokenizer, side: str, texts: Sequence[str]) -> None:
    """Raise InputError where more than a fifth of the pieces of `texts` are unknown to the vocabulary.

    A SentencePiece vocabulary spells what it does not know in bytes, and passes.
    """
    ids = [token for row in tokenizer.encode_ids(list(texts[:SAMPLE])) for token in row]
    share = float(np.mean(np.array(ids) == tokenizer.unknown_id)) if ids else 0.0
    if share > UNKNOWN_SHARE:
        raise InputError(
            f"{share:.0%} of the pieces of the {side} texts are unknown to this vocabulary: "
            f"{texts[0][:40]!r}; name a size (--model mini) instead of a folder: a vocabulary is then learnt "
            "from both sides"
        )
