"""Sentences end at their punctuation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.text.sentences import sentence_spans


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("It costs 3.5 euros. 7 left.", ["It costs 3.5 euros.", "7 left."]),
        ("Use it, e.g. here.", ["Use it, e.g. here."]),
        ("他来了。她走了！“真的？”是", ["他来了。", "她走了！", "“真的？”", "是"]),
        ("A title\nand a text", ["A title", "and a text"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_at_their_punctuation(text, sentences):
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


@given(st.text(st.sampled_from('aB1 .!?\n。”" ')))
def test_no_character_but_white_space_is_lost(text):
    spans = sentence_spans(text)
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
    assert all(b <= c for (_, b), (c, _) in zip(spans, spans[1:], strict=False))
