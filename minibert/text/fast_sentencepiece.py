"""Our SentencePiece models as a `tokenizer.json`, which other people's tools read.

The steps are SentencePiece's own, said in the words of the `tokenizers` library: the table of normalised
characters, single spaces, the mark for each space and before the text, pieces by Unigram or by merges,
and bytes for what no piece covers. An ideograph that is a piece loses the mark at a text's start, as in
`SentencePieceTokenizer`.

Control tokens and bytes are pieces too; their scores are too low to be chosen where the letters that spell
them are pieces. By default other tools read a control token that is typed as that token, whatever its score.
Two ways to cut a text that are equally probable ("9 99", "99 9") are told apart by rounding, here and there
not alike.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

from minibert.text.alignment import MARK
from minibert.text.sentencepiece import SentencePieceTokenizer

NEVER = -1000.0  # a score that no way of cutting a text can win with
BPE = 2
# Fields of SentencePiece's model file, by their numbers in its protocol buffer.
TRAINER, NORMALIZER, MODEL_TYPE, CHARACTERS = 2, 3, 3, 2


def tokenizer_json(tokenizer: SentencePieceTokenizer) -> dict[str, Any]:
    """Return what the tokenizer.json of a trained model holds.

    >>> sorted(tokenizer_json(tokenizer)["model"])
    ['byte_fallback', 'type', 'unk_id', 'vocab']
    """
    fields = dict(_fields(tokenizer.model))
    pieces = tokenizer.tokens(range(tokenizer.vocab_size))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(number, pieces[number]) for number in tokenizer.special_ids.tolist()],
        "normalizer": {"type": "Sequence", "normalizers": _normalizers(tokenizer, fields)},
        "pre_tokenizer": {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "never", "split": True},
        "post_processor": _template(pieces, tokenizer.cls_id, tokenizer.sep_id),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": MARK}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": _model(tokenizer, pieces, is_bpe=dict(_fields(fields[TRAINER])).get(MODEL_TYPE) == BPE),
    }


def _model(tokenizer: SentencePieceTokenizer, pieces: Sequence[str], *, is_bpe: bool) -> dict[str, Any]:
    ordinary = [tokenizer.is_ordinary(number) for number in range(len(pieces))]
    scores = [tokenizer.score(number) if usual else NEVER for number, usual in enumerate(ordinary)]
    if is_bpe:
        return {
            "type": "BPE",
            "unk_token": pieces[tokenizer.unknown_id],
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": {piece: number for number, piece in enumerate(pieces)},
            "merges": _merges(pieces, scores, ordinary),
        }
    return {
        "type": "Unigram",
        "unk_id": tokenizer.unknown_id,
        "byte_fallback": True,
        "vocab": list(map(list, zip(pieces, scores, strict=True))),
    }


def _normalizers(tokenizer: SentencePieceTokenizer, fields: dict[int, Any]) -> list[dict[str, Any]]:
    characters = dict(_fields(fields[NORMALIZER])).get(CHARACTERS, b"")
    table = (
        [{"type": "Precompiled", "precompiled_charsmap": b64encode(characters).decode()}]
        if characters
        else []
    )
    steps = [
        *table,
        _replace(" {2,}", " "),
        _replace("^ | $", ""),
        {"type": "Replace", "pattern": {"String": " "}, "content": MARK},
        {"type": "Prepend", "prepend": MARK},
    ]
    alone = "".join(sorted(tokenizer.ideographs))
    if alone:
        steps.append(_replace(f"^{MARK}(?=[{re.escape(alone)}])", ""))
    return steps


def _replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _added(number: int, piece: str) -> dict[str, Any]:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": piece, **plain, "special": True}


def _template(pieces: Sequence[str], cls: int, sep: int) -> dict[str, Any]:
    def special(number: int, segment: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": pieces[number], "type_id": segment}}

    def text(name: str, segment: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": segment}}

    single = [special(cls, 0), text("A", 0), special(sep, 0)]
    tokens = {
        pieces[number]: {"id": pieces[number], "ids": [number], "tokens": [pieces[number]]}
        for number in (cls, sep)
    }
    pair = [*single, text("B", 1), special(sep, 1)]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


def _merges(pieces: Sequence[str], scores: Sequence[float], ordinary: Sequence[bool]) -> list[list[str]]:
    """Return every pair of pieces that makes a piece, the best piece first: what BPE joins, in its order."""
    numbers = {piece: number for number, piece in enumerate(pieces) if ordinary[number]}
    found = []
    for piece, number in numbers.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in numbers and right in numbers:
                found.append((-scores[number], numbers[left], numbers[right], [left, right]))
    return [pair for *_, pair in sorted(found)]


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Read the fields of a protocol buffer: numbers, and bytes that may be messages themselves."""
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(message):
        key = number()
        kind = key & 7
        if kind == 0:
            yield key >> 3, number()
            continue
        size = {1: 8, 2: 0, 5: 4}[kind] or number()
        yield key >> 3, message[place : place + size]
        place += size
