"""What a tokenizer makes of a text: ids, and where each of them came from."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Encoded:
    """The n tokens of one text.

    ids       (n,) int32, row numbers of the embedding table
    offsets   (n, 2) int32, [start, end) in characters of the *original* text; (0, 0) for a special token
    words     (n,) int32, number of the word that the token belongs to; -1 for a special token
    segments  (n,) int8, 0 for the first text and its special tokens, 1 for the second
    cut       whether tokens of the text were left away for want of room
    """

    ids: np.ndarray
    offsets: np.ndarray
    words: np.ndarray
    segments: np.ndarray
    cut: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice | np.ndarray) -> "Encoded":
        """Cut out a run of tokens, or those at some places; offsets keep pointing into the whole text."""
        return Encoded(
            self.ids[part], self.offsets[part], self.words[part], self.segments[part], cut=self.cut
        )

    def kept(self, part: slice | np.ndarray) -> "Encoded":
        """Cut out the tokens that there is room for, and remember whether others were left away."""
        tokens = self[part]
        return replace(tokens, cut=self.cut or len(tokens) < len(self))

    def moved(self, words_before: int, segment: int) -> "Encoded":
        """Return the same tokens in a segment, their words counted from `words_before` on."""
        words = np.where(self.words < 0, self.words, self.words + words_before).astype(np.int32)
        return replace(self, words=words, segments=np.full(len(self), segment, np.int8))


def concatenate(parts: list[Encoded]) -> Encoded:
    """Lay encoded texts end to end."""
    return Encoded(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.offsets for part in parts]),
        np.concatenate([part.words for part in parts]),
        np.concatenate([part.segments for part in parts]),
        cut=any(part.cut for part in parts),
    )
