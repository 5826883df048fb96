"""A tokenizer without a model: one token for each word of a small list."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minibert.text.encoded import Encoded
from minibert.text.tokenizer import Tokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


class FakeTokenizer(Tokenizer):
    """Words parted by white space; ids 0 .. 4 are control tokens, the rest `words` and then nameless fillers.

    word_starts  one bool for each id; None says that every piece begins a word
    tells_words  whether ids show where words begin
    """

    pad_id, unknown_id, cls_id, sep_id, mask_id = range(5)

    def __init__(
        self,
        vocab_size: int,
        words: Sequence[str] = (),
        *,
        word_starts: np.ndarray | None = None,
        tells_words: bool = True,
    ) -> None:
        named = [*SPECIALS, *words]
        self.vocab_size = vocab_size
        self.tells_words = tells_words
        self.pieces = [*named, *(f"w{number}" for number in range(len(named), vocab_size))]
        self.numbers = {piece: number for number, piece in enumerate(self.pieces)}
        self.word_starts = np.ones(vocab_size, bool) if word_starts is None else word_starts

    def encode(self, text: str, boundaries: Sequence[int] = ()) -> Encoded:
        spans = [match.span() for match in re.finditer(r"\S+", text)]
        ids = [self.numbers.get(text[start:end], self.unknown_id) for start, end in spans]
        offsets = np.array(spans, np.int32).reshape(-1, 2)
        words = np.arange(len(ids), dtype=np.int32)
        return Encoded(np.array(ids, np.int32), offsets, words, np.zeros(len(ids), np.int8))

    def encode_ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [self.encode(text).ids for text in texts]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        return " ".join(self.tokens(ids))

    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        return [self.pieces[int(token)] for token in ids]

    def save(self, folder: Path) -> None:
        raise NotImplementedError("a fake is never saved")
