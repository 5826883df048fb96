"""A SentencePiece model of ours as tokenizer.json: the same ids in the hands of others."""

import json
import lzma
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minibert.text.fast_sentencepiece import tokenizer_json
from minibert.text.sentencepiece import SentencePieceTokenizer, train_sentencepiece

library = pytest.importorskip("tokenizers", reason="tokenizers is not installed")

ODD = [
    "",
    " ",
    "  two  spaces  ",
    "\ufb01ne \u337f \u2168 \uff21\uff22\uff23 e\u0301 \u200d x",
    "\u6e21\u8239 a19 \u6e2f\u53e3",
    "\t tab\r\nline",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u6e21",
    " \u6e21",
    "\u9f98\u9f98 a \u9f98 b",
    "\u2026\u2025 \ufdfa \ud55c\uad6d\uc5b4 \u0915\u094d\u0937\u093f",
]


def rewritten(tokenizer: SentencePieceTokenizer) -> Any:
    """Open the tokenizer.json as a `tokenizers.Tokenizer`."""
    return library.Tokenizer.from_str(json.dumps(tokenizer_json(tokenizer)))


def test_the_ids_are_ours(any_tokenizer, corpus):
    engine = rewritten(any_tokenizer)
    for text in [*corpus, *ODD]:
        assert engine.encode(text, add_special_tokens=False).ids == any_tokenizer.encode(text).ids.tolist()


def test_identity_is_no_normalisation(corpus):
    tokenizer = train_sentencepiece(corpus, 430, normalization="identity")
    engine = rewritten(tokenizer)
    for text in [*corpus, *ODD]:
        assert engine.encode(text, add_special_tokens=False).ids == tokenizer.encode(text).ids.tolist()


def test_control_tokens_stand_around_and_decoding_takes_them_away(tokenizer):
    engine = rewritten(tokenizer)
    pair = tokenizer.build(tokenizer.encode("the river"), tokenizer.encode("bees"))
    found = engine.encode("the river", "bees")
    assert found.ids == pair.ids.tolist() and found.type_ids == pair.segments.tolist()
    assert engine.decode(found.ids) == "the river bees"


def test_control_tokens_that_are_typed_are_letters_where_the_letters_are_pieces(corpus):
    tokenizer = train_sentencepiece([*corpus, *["[ C L S ] < 0 x 4 1 > M A K"] * 9], 435)
    engine = rewritten(tokenizer)
    engine.encode_special_tokens = True
    text = "[CLS] <0x41> [MASK]"
    assert engine.encode(text, add_special_tokens=False).ids == tokenizer.encode(text).ids.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_ten_thousand_real_lines_are_cut_alike(shared_data, model_type):
    lines = [
        *read(shared_data / "en_wiki" / "en_wiki.txt.xz", 6000),
        *read(next((shared_data / "zh_wiki").glob("*.xz")), 6000),
    ]
    tokenizer = train_sentencepiece(lines, 8000, max_characters=800_000, model_type=model_type)
    found = rewritten(tokenizer).encode_batch(lines, add_special_tokens=False)
    pairs = zip(tokenizer.encode_ids(lines), found, strict=True)
    different = [(ours, np.array(theirs.ids)) for ours, theirs in pairs if ours.tolist() != theirs.ids]
    # Two ways of equal probability, "9 99" and "99 9", are told apart by rounding alone.
    assert len(different) <= (0 if model_type == "bpe" else len(lines) // 1000)
    for ours, theirs in different:
        ours_score, theirs_score = (sum(map(tokenizer.score, ids.tolist())) for ids in (ours, theirs))
        assert abs(ours_score - theirs_score) < 1e-3


def read(path: Path, count: int) -> list[str]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        return list(islice((line.rstrip("\n") for line in lines if line.strip()), count))
