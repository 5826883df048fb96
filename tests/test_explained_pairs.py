"""Each token of a pair is shown as a stretch of its own text, whatever segments a tokenizer gives."""

import pytest
import torch

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
import foreign_tokenizers

from minibert.attribution import explain
from minibert.data.examples import TextExample
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model
from minibert.text.loading import load_tokenizer
from minibert.text.sentencepiece import train_sentencepiece

TEXTS = ("The list holds numbers.", "an unnamed (empty) class")


@pytest.fixture(scope="module", params=[*foreign_tokenizers.KINDS, "sentencepiece"])
def model(request, tmp_path_factory):
    make = foreign_tokenizers.KINDS.get(request.param)
    if make is None:
        tokenizer = train_sentencepiece(
            [line for text in foreign_tokenizers.texts() for line in text.splitlines()], 500
        )
    else:
        tokenizer = load_tokenizer(make(tmp_path_factory.mktemp("pairs") / "t"))
    config = EncoderConfig(tokenizer.vocab_size, 12, 1, 2, 14, max_position_embeddings=64)
    torch.manual_seed(0)
    rows = [TextExample("a", "b", label) for label in "xy"]
    return Model(Encoder(config), Classification.build(tokenizer, config, rows, {})).eval()


def spelled(pieces, segment):
    return "".join(piece.text for piece in pieces if piece.segment == segment)


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[::-1], ("", TEXTS[1]), (TEXTS[0], "")])
def test_the_pieces_of_each_text_spell_it(model, texts):
    found = explain(model, TextExample(*texts), steps=1)
    for pieces in (found.pieces, found.by_words().pieces):
        for segment, text in enumerate(texts):
            assert spelled(pieces, segment) == text.replace(" ", "")


def test_a_text_alone_is_all_of_the_first(model):
    found = explain(model, TEXTS[0], steps=1)
    assert spelled(found.pieces, 0) == TEXTS[0].replace(" ", "")
    assert {piece.segment for piece in found.pieces} == {0}
