"""Other people's tokenizers, by the `tokenizers` library: WordPiece, byte-level BPE and Unigram.

WordPiece: Schuster and Nakajima, 2012 (BERT). BPE: Sennrich, Haddow and Birch, 2016 (RoBERTa,
ModernBERT). Unigram: Kudo, 2018 (XLM-RoBERTa). A folder's `tokenizer.json` says all of it; `vocab.txt`,
or `vocab.json` with `merges.txt`, is enough.

The control tokens around a text, and the segments of a pair, are whatever the file's template puts there,
found by trying it once. A text that spells a control token, "[SEP]" or "</s>", is ordinary characters
here. Spans point into the original text and leave white space out; words are those of the tokenizer's own
first cut, so punctuation stands alone.

Left out: the truncation and padding that a file may ask for. Texts are cut where they are packed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from minibert.errors import InputError
from minibert.text.alignment import MARK, with_marks, without_surrogates
from minibert.text.boundaries import cut_at
from minibert.text.encoded import Encoded, concatenate
from minibert.text.scripts import without_gaps
from minibert.text.tokenizer import SETTINGS_FILE, Tokenizer
from minibert.text.vocabularies import open_engine, special_tokens

BYTE_SPACE = "\u0120"  # how byte-level vocabularies show a space; those of SentencePiece use MARK
_FEWEST_WORD_STARTS = 0.1  # of the pieces; a vocabulary with fewer does not tell words apart


@dataclass(frozen=True)
class Template:
    """The control tokens of one text or of a pair: a run before, between (in a pair) and after the texts.

    runs      ids of each run, and their segments
    segments  segment of each text
    """

    runs: tuple[tuple[np.ndarray, np.ndarray], ...]
    segments: tuple[int, ...]

    @staticmethod
    def of(engine: Any, texts: int) -> "Template":
        """Find out what the engine puts around one text, or around two."""
        for probe in "a1.\u4e2d":
            encoding = engine.encode(*[probe] * texts)
            owners = [-1 if owner is None else owner for owner in encoding.sequence_ids]
            if set(owners) >= set(range(texts)):
                break
        else:
            raise InputError("the tokenizer makes no token of a letter, a digit, a full stop; is it damaged?")
        ids, types = np.array(encoding.ids, np.int32), np.array(encoding.type_ids, np.int8)
        places = [np.flatnonzero(np.array(owners) == text) for text in range(texts)]
        edges = [0, *(edge for at in places for edge in (at[0], at[-1] + 1)), len(ids)]
        runs = tuple((ids[a:b], types[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True))
        return Template(runs, tuple(int(types[at[0]]) for at in places))

    def __len__(self) -> int:
        return sum(len(ids) for ids, _ in self.runs)

    def run(self, number: int) -> Encoded:
        """Return one run of control tokens."""
        ids, segments = self.runs[number]
        return Encoded(ids, np.zeros((len(ids), 2), np.int32), np.full(len(ids), -1, np.int32), segments)


@final
class HuggingFaceTokenizer(Tokenizer):
    """A tokenizer of the `tokenizers` library behind the same few methods as our own.

    engine    a `tokenizers.Tokenizer`
    settings  what the folder's tokenizer_config.json held; `save` writes it again
    Raises InputError where the vocabulary lacks a control token.
    """

    def __init__(self, engine: Any, settings: dict[str, Any]) -> None:
        engine.no_truncation()
        engine.no_padding()
        engine.encode_special_tokens = True
        self._engine = engine
        self.settings = settings
        vocabulary = engine.get_vocab(with_added_tokens=True)
        self.vocab_size = max(vocabulary.values()) + 1
        self._pieces = [""] * self.vocab_size
        for piece, number in vocabulary.items():
            self._pieces[number] = piece
        names = special_tokens(settings, vocabulary)
        self.pad_id, self.unknown_id, self.cls_id, self.sep_id, self.mask_id = (
            vocabulary[names[kind]] for kind in ("pad", "unk", "cls", "sep", "mask")
        )
        # The pieces of a Unigram model are matched in the text whatever they stand for.
        self._spellable = self.special_ids[self.special_ids != self.unknown_id]
        self._spellable = self._spellable if type(engine.model).__name__ == "Unigram" else self._spellable[:0]
        self.single, self.pair = Template.of(engine, 1), Template.of(engine, 2)
        self._space = next((space for space in (BYTE_SPACE, MARK) if self._shows(space)), None)
        continues = getattr(engine.model, "continuing_subword_prefix", None) or "##"
        self.word_starts = np.array(
            [
                piece.startswith(self._space) if self._space else not piece.startswith(continues)
                for piece in self._pieces
            ]
        )
        self.tells_words = bool(self.word_starts.mean() >= _FEWEST_WORD_STARTS)
        self.word_starts[self.special_ids] = True

    def _shows(self, space: str) -> bool:
        return sum(piece.startswith(space) for piece in self._pieces) > 0.01 * self.vocab_size

    @classmethod
    def open(cls, folder: Path, settings: dict[str, Any]) -> "HuggingFaceTokenizer":
        """Open the files of a folder; settings are its tokenizer_config.json, {} where it has none."""
        engine, found = open_engine(folder, settings)
        try:
            return cls(engine, found)
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error

    def save(self, folder: Path) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._engine.save(str(folder / "tokenizer.json"))
        text = json.dumps({"kind": "tokenizers", **self.settings}, indent=2, ensure_ascii=False)
        (folder / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")

    def encode(self, text: str, boundaries: Sequence[int] = ()) -> Encoded:
        text = without_surrogates(text)
        encoded = self._whole(text)
        return cut_at(text, encoded, boundaries, self._part) if len(boundaries) else encoded

    def encode_ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        clean = [without_surrogates(text) for text in texts]
        encodings = self._engine.encode_batch_fast(clean, add_special_tokens=False)
        rows = [np.array(encoding.ids, np.int32) for encoding in encodings]
        if len(self._spellable):
            return [
                self.encode(text).ids if np.isin(row, self._spellable).any() else row
                for text, row in zip(clean, rows, strict=True)
            ]
        return rows

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        self.tokens(ids)
        text: str = self._engine.decode([int(token) for token in ids], skip_special_tokens=True)
        return text if self._space else without_gaps(text)  # WordPiece knows no spaces and writes them all

    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        numbers = [int(token) for token in ids]
        for token in numbers:
            if not 0 <= token < self.vocab_size:
                raise InputError(
                    f"token id {token} is not in this vocabulary; ids are 0 .. {self.vocab_size - 1}"
                )
        return [self._pieces[token] for token in numbers]

    def build(self, first: Encoded, second: Encoded | None = None) -> Encoded:
        """Add the control tokens of the file's template; see `Tokenizer.build`."""
        template = self.single if second is None else self.pair
        parts, words = [template.run(0)], 0
        for number, text in enumerate((first, second)):
            if text is not None:
                parts += [text.moved(words, template.segments[number]), template.run(number + 1)]
                words = int(text.words.max(initial=-1)) + 1
        return concatenate(parts)

    def special_count(self, *, pair: bool = False) -> int:
        return len(self.pair if pair else self.single)

    def around(self) -> tuple[np.ndarray, np.ndarray]:
        return self.single.runs[0][0], self.single.runs[1][0]

    def _whole(self, text: str) -> Encoded:
        """Encode a text; where it spells a control token, cut the spelling after its first letter."""
        encoded = self._align(text)
        spelt = np.isin(encoded.ids, self._spellable)
        if not spelt.any():
            return encoded
        return cut_at(text, encoded, encoded.offsets[spelt, 0] + 1, self._part)

    def _align(self, text: str) -> Encoded:
        encoding = self._engine.encode(text, add_special_tokens=False)
        spans = [_without_space(text, start, end) for start, end in encoding.offsets]
        spans = spans if text.isascii() else with_marks(text, spans)
        return Encoded(
            np.array(encoding.ids, np.int32),
            np.array(spans, np.int32).reshape(-1, 2),
            np.array([-1 if word is None else word for word in encoding.word_ids], np.int32),
            np.zeros(len(encoding.ids), np.int8),
        )

    def _part(self, text: str, first: int | None) -> Encoded:
        """Encode a part of a text; where its first token showed the space before it, a space is put there."""
        if self._space != BYTE_SPACE or first is None or not self._pieces[first].startswith(BYTE_SPACE):
            return self._align(text)
        part = self._align(" " + text)
        return Encoded(part.ids, np.maximum(part.offsets - 1, 0), part.words, part.segments)


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    """Shrink a span by the white space at its edges; a span of white space alone becomes empty."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
