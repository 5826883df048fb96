"""SentencePiece: subword pieces learnt from raw text, without a word list or a language.

Kudo and Richardson, 2018: SentencePiece, a simple and language independent subword tokenizer. The unigram
model is Kudo, 2018: Subword Regularization; byte-pair encoding is Sennrich, Haddow and Birch, 2016.

SentencePiece normalises a text (NFKC, white space collapsed), puts the mark U+2581 for each space and one
before the text, and cuts the result into pieces; what no piece covers is spelt in UTF-8 bytes. Offsets
point into the original text. All bytes, or pieces, that one character became share the span of that
character. The mark is not part of a span: a piece that is only the mark has the empty span at its word's
start.

With `cjk_characters` every ideograph (Han; not kana, not hangul) is a token and a word by itself, as in
BERT's Chinese models, so that tags on characters line up; the mark before a text that begins with one is
dropped.

Left out: sampling of segmentations.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, final

import numpy as np
import sentencepiece

from minibert.errors import InputError
from minibert.text.alignment import MARK, locate_pieces, without_surrogates
from minibert.text.boundaries import cut_at
from minibert.text.encoded import Encoded
from minibert.text.scripts import IDEOGRAPH
from minibert.text.sentencepiece_training import (
    learn_model,
    normalize_lines,
    sample_lines,
    take_out_ideographs,
)
from minibert.text.tokenizer import SETTINGS_FILE, Tokenizer

MODEL_FILE = "spiece.model"
_FEWEST_WORD_STARTS = 0.1  # of the pieces; a vocabulary with fewer does not tell words apart
# Two runs of protocol-buffer bytes add up field by field, so this suffix resets one field of a model:
# normalizer_spec (3) { add_dummy_prefix (3): false }.
_NO_MARK_BEFORE_THE_TEXT = b"\x1a\x02\x18\x00"


@final
class SentencePieceTokenizer(Tokenizer):
    """A trained SentencePiece model.

    >>> tokenizer = SentencePieceTokenizer(Path("tokenizer/spiece.model").read_bytes())
    >>> tokenizer.encode("A list.").offsets.tolist()
    [[0, 1], [2, 6], [6, 7]]
    """

    def __init__(self, model: bytes, *, cjk_characters: bool = True) -> None:
        """Open a model file's bytes; cjk_characters must be what it was trained with."""
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
            self._inside = sentencepiece.SentencePieceProcessor(model_proto=model + _NO_MARK_BEFORE_THE_TEXT)
            self.vocab_size = self._processor.get_piece_size()
            self._pieces = [self._processor.id_to_piece(i) for i in range(self.vocab_size)]
        except (RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"these {len(model)} bytes are not a SentencePiece model: {error}") from error
        self.model = model
        self.cjk_characters = cjk_characters
        self.pad_id = self._processor.pad_id()
        self.unknown_id = self._processor.unk_id()
        self.cls_id, self.sep_id, self.mask_id = (
            self._processor.piece_to_id(piece) for piece in ("[CLS]", "[SEP]", "[MASK]")
        )
        specials = {
            "padding": self.pad_id,
            "[CLS]": self.cls_id,
            "[SEP]": self.sep_id,
            "[MASK]": self.mask_id,
        }
        missing = [name for name, token in specials.items() if token in (-1, self.unknown_id)]
        if missing:
            raise InputError(
                f"the SentencePiece model has no piece for {', '.join(missing)}; train one with them"
            )
        mark = self._processor.piece_to_id(MARK)
        self._mark_id = -1 if mark == self.unknown_id else mark
        ideographs = (i for i, piece in enumerate(self._pieces) if IDEOGRAPH.fullmatch(piece))
        self._ideograph_ids = frozenset(ideographs if cjk_characters else ())
        is_byte = np.array([self._processor.is_byte(i) for i in range(self.vocab_size)])
        self._widths = np.where(is_byte, 1, [len(piece.encode()) for piece in self._pieces])
        self.word_starts = np.array([piece.startswith(MARK) for piece in self._pieces])
        self.word_starts[[*self._ideograph_ids, *self.special_ids]] = True
        learnt = np.delete(self.word_starts, np.union1d(np.flatnonzero(is_byte), self.special_ids))
        self.tells_words = bool(learnt.mean() >= _FEWEST_WORD_STARTS)

    @classmethod
    def open(cls, folder: Path, settings: dict[str, object]) -> "SentencePieceTokenizer":
        """Open what `save` wrote; settings are those of its JSON file."""
        path, cjk_characters = folder / MODEL_FILE, settings.get("cjk_characters")
        if not isinstance(cjk_characters, bool):
            raise InputError(
                f"{folder / SETTINGS_FILE}: cjk_characters is {cjk_characters!r}; write true or false"
            )
        try:
            model = path.read_bytes()
        except OSError as error:
            raise InputError(f"the tokenizer's model {path} cannot be read: {error}") from error
        try:
            return cls(model, cjk_characters=cjk_characters)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def save(self, folder: Path) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MODEL_FILE).write_bytes(self.model)
        settings = {"kind": "sentencepiece", "cjk_characters": self.cjk_characters}
        (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    def encode(self, text: str, boundaries: Sequence[int] = ()) -> Encoded:
        text = without_surrogates(text)
        encoded = self._align(text, self._processor)
        if len(boundaries):
            encoded = cut_at(text, encoded, boundaries, self._part)
        return encoded[self._idle_marks(encoded.ids[:2].tolist()) :]

    def encode_ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        rows = self._processor.encode([without_surrogates(text) for text in texts], num_threads=-1)
        return [np.array(row[self._idle_marks(row) :], np.int32) for row in rows]

    @property
    def ideographs(self) -> list[str]:
        """The ideographs that are pieces by themselves; none without `cjk_characters`."""
        return [self._pieces[number] for number in self._ideograph_ids]

    def is_ordinary(self, token: int) -> bool:
        """Tell whether a piece stands for letters: no control token, not unknown, no single byte."""
        processor = self._processor
        return not (processor.is_control(token) or processor.is_unknown(token) or processor.is_byte(token))

    def score(self, token: int) -> float:
        """Return a piece's logarithm of its probability (Unigram), or minus its rank (BPE)."""
        score: float = self._processor.get_score(token)
        return score

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        return self._processor.decode(self._checked(ids))

    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        return [self._pieces[token] for token in self._checked(ids)]

    def _checked(self, ids: Sequence[int] | np.ndarray) -> list[int]:
        numbers = [int(token) for token in ids]
        for token in numbers:
            if not 0 <= token < self.vocab_size:
                raise InputError(
                    f"token id {token} is not in this vocabulary; ids are 0 .. {self.vocab_size - 1}"
                )
        return numbers

    def _idle_marks(self, ids: list[int]) -> int:
        """Count the marks at a text's start that begin no spelt word: 0 or 1."""
        if not ids or ids[0] != self._mark_id:
            return 0
        return int(len(ids) == 1 or ids[1] in self._ideograph_ids)

    def _align(self, text: str, processor: sentencepiece.SentencePieceProcessor) -> Encoded:
        ids = np.array(processor.encode(text), np.int32)
        normalized, origins = processor.normalize(text, with_offsets=True)
        widths = self._widths[ids]
        if self.unknown_id in ids:  # an unknown piece is as wide as what it stands for
            surfaces = [len(piece.encode()) for piece in processor.encode(text, out_type=str)]
            widths = np.where(ids == self.unknown_id, surfaces, widths)
        offsets, words = locate_pieces(
            widths, normalized, origins=origins, ideographs_alone=self.cjk_characters
        )
        return Encoded(ids, offsets, words, np.zeros(len(ids), np.int8))

    def _part(self, text: str, first: int | None) -> Encoded:
        """Encode a part of a text, with the mark before it only where the token that it begins has one."""
        begins_word = first is not None and self._pieces[first].startswith(MARK)
        return self._align(text, self._processor if begins_word else self._inside)


def train_sentencepiece(
    texts: Iterable[str],
    vocab_size: int = 8192,
    *,
    model_type: Literal["unigram", "bpe"] = "unigram",
    cjk_characters: bool = True,
    normalization: Literal["nmt_nfkc", "nfkc", "identity"] = "nmt_nfkc",
    lowercase: bool = False,
    seed: int = 0,
    max_characters: int = 5_000_000,
) -> SentencePieceTokenizer:
    """Learn the pieces of a corpus.

    texts           read once; a sample of at most max_characters is kept, drawn by the seed
    normalization   nmt_nfkc also turns tabs and line ends into spaces and drops control characters
    Raises InputError if the corpus is empty, or too small or too varied for vocab_size.

    >>> tokenizer = train_sentencepiece(open("corpus.txt", encoding="utf-8"), 1000)
    >>> tokenizer.tokens(tokenizer.encode("A list.").ids)
    ['▁A', '▁list', '.']
    """
    _check_choice("model_type", model_type, ("unigram", "bpe"))
    _check_choice("normalization", normalization, ("nmt_nfkc", "nfkc", "identity"))
    if lowercase and normalization == "identity":
        raise InputError(
            "normalization 'identity' cannot be combined with lowercase; use 'nmt_nfkc' or 'nfkc'"
        )
    rule = f"{normalization}_cf" if lowercase else normalization
    lines, ideographs = normalize_lines(sample_lines(texts, max_characters, seed=seed), rule), ""
    if not lines:
        raise InputError("the corpus holds no text: every line is empty; give at least some sentences")
    if cjk_characters:
        lines, ideographs = take_out_ideographs(lines)
    model = learn_model(lines, vocab_size, model_type=model_type, rule=rule, ideographs=ideographs)
    return SentencePieceTokenizer(model, cjk_characters=cjk_characters)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} {value!r} is unknown; choose one of {', '.join(choices)}")
