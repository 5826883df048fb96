"""What every tokenizer is: text in; ids, and where each of them came from, out.

A tokenizer owns five control tokens: padding, unknown, [CLS], [SEP] and [MASK]. The text that a person
gives never turns into one of them by accident: the nine letters and brackets of "[MASK]" are ordinary
characters to `encode`, and the mask token only to `encode_with_masks`.

Words are numbered, so that tags and whole-word masking know which pieces belong together: a word begins
after white space and, where the tokenizer keeps ideographs apart, at each ideograph and right after it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minibert.text.encoded import Encoded, concatenate

MASK_TEXT = "[MASK]"
SETTINGS_FILE = "tokenizer_config.json"


class Tokenizer(ABC):
    """Text to ids and back.

    pad_id, unknown_id, cls_id, sep_id, mask_id   the control tokens
    vocab_size    number of pieces, control tokens included
    word_starts   (vocab_size,) bool: this piece begins a word; true for control tokens, so that no word
                  reaches across them
    tells_words   whether bare ids show where words begin; not so for Chinese pieces of several ideographs
    """

    pad_id: int
    unknown_id: int
    cls_id: int
    sep_id: int
    mask_id: int
    vocab_size: int
    word_starts: np.ndarray
    tells_words: bool

    @abstractmethod
    def encode(self, text: str, boundaries: Sequence[int] = ()) -> Encoded:
        """Cut a text into tokens, without control tokens; none crosses a position listed in `boundaries`.

        boundaries  positions between characters, 0 .. len(text), in any order
        Raises InputError for a boundary outside the text.
        """

    @abstractmethod
    def encode_ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Make the int32 ids of many texts fast; the same ids as `encode` gives."""

    @abstractmethod
    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Turn ids back into normalised text; control tokens leave no trace."""

    @abstractmethod
    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """Spell out ids as the pieces that a person reads."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write everything that `load_tokenizer` needs into a folder, which is made if missing."""

    @property
    def special_ids(self) -> np.ndarray:
        """The ids of the control tokens, sorted."""
        return np.unique([self.pad_id, self.unknown_id, self.cls_id, self.sep_id, self.mask_id])

    def special_count(self, *, pair: bool = False) -> int:
        """Return how many control tokens `build` adds to one text, or to a pair."""
        return 3 if pair else 2

    def around(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids that `build` puts before and after one text."""
        return np.array([self.cls_id], np.int32), np.array([self.sep_id], np.int32)

    def second_text(self, pair: Encoded) -> int:
        """Return the place of the second text's first token in what `build` made of two.

        The segments do not tell: other people's tokenizers may give both texts the same.
        """
        before, after = map(len, self.around())
        between = self.special_count(pair=True) - before - after
        return before + int((pair.words[before:] < 0).argmax()) + between

    def encode_with_masks(self, text: str, boundaries: Sequence[int] = ()) -> Encoded:
        """Encode a text in which each "[MASK]" stands for the mask token, and so does the token's own name.

        Other people's tokenizers may have another name for it, such as "<mask>".

        >>> tokenizer.tokens(tokenizer.encode_with_masks("The [MASK] of a list.").ids)
        ['▁The', '[MASK]', '▁of', '▁a', '▁list', '.']
        """
        names = {MASK_TEXT, *self.tokens([self.mask_id])}
        spans = [match.span() for match in re.finditer("|".join(map(re.escape, names)), text)]
        return self.encode_masking(text, spans, boundaries=boundaries)

    def encode_masking(
        self, text: str, spans: Sequence[tuple[int, int]], *, boundaries: Sequence[int] = ()
    ) -> Encoded:
        """Encode a text in which the mask token stands for each stretch [start, end) of characters, in order.

        >>> tokenizer.tokens(tokenizer.encode_masking("The cat of a list.", [(4, 7)]).ids)[:3]
        ['▁The', '[MASK]', '▁of']
        """
        borders = [*boundaries, *(position for span in spans for position in span)]
        encoded = self.encode(text, borders)
        starts = encoded.offsets[:, 0]
        parts, done = [], 0
        for start, end in spans:
            first, stop = np.searchsorted(starts, [start, end])
            mask = Encoded(
                np.array([self.mask_id], np.int32),
                np.array([[start, end]], np.int32),
                encoded.words[first : first + 1],
                np.zeros(1, np.int8),
            )
            parts += [encoded[done:first], mask]
            done = stop
        return concatenate([*parts, encoded[done:]])

    def build(self, first: Encoded, second: Encoded | None = None) -> Encoded:
        """Add control tokens: [CLS] first [SEP], or [CLS] first [SEP] second [SEP].

        Offsets of the second text still count from its own start; its words continue the first's numbers.

        >>> tokenizer.tokens(tokenizer.build(tokenizer.encode("A list."), tokenizer.encode("An object.")).ids)
        ['[CLS]', '▁A', '▁list', '.', '[SEP]', '▁An', '▁object', '.', '[SEP]']
        """
        parts = [_control(self.cls_id, 0), first.moved(0, 0), _control(self.sep_id, 0)]
        if second is not None:
            words_before = int(first.words.max(initial=-1)) + 1
            parts += [second.moved(words_before, 1), _control(self.sep_id, 1)]
        return concatenate(parts)


def _control(token: int, segment: int) -> Encoded:
    return Encoded(
        np.array([token], np.int32),
        np.zeros((1, 2), np.int32),
        np.full(1, -1, np.int32),
        np.full(1, segment, np.int8),
    )
