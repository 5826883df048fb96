"""Sentences by rules: English, Chinese, and what always holds."""

import random

import pytest

from minibert.text.sentences import sentence_spans


def sentences(text):
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "wanted",
    [
        ["It rained.", "We left!", "Why?", "Because…", "So."],
        ["Dr. Hall met Mr. J. Smith of the U.S. Army.", "They spoke."],
        ['"Go away!" he said.', '"No."', "(She stayed.)", "Then it was 3.5 degrees."],
        ["Apples, e.g. Golden ones, vs. Pears.", "No. 7 won."],
        ["he left. then came back."],
        ["No full stop at the end"],
        ["He works at Example Inc.", "The firm is new."],
    ],
)
def test_english(wanted):
    assert sentences(" ".join(wanted)) == wanted


def test_chinese_needs_no_space_after_a_sentence():
    assert sentences("天晴了。我们走吧！“为什么？”他问……好。") == [
        "天晴了。", "我们走吧！", "“为什么？”", "他问……", "好。"
    ]  # fmt: skip
    assert sentences("GDP增长3.5%。Next one.") == ["GDP增长3.5%。", "Next one."]


def test_half_width_marks_end_a_sentence_before_a_han_character():
    assert sentences("味道很好!下次还来!就是慢?还行") == ["味道很好!", "下次还来!", "就是慢?", "还行"]
    assert sentences("Yahoo!是公司。Wow!!'真好'") == ["Yahoo!", "是公司。", "Wow!!'", "真好'"]
    assert sentences("f(x)!=3?yes") == ["f(x)!=3?yes"]


def test_a_line_ends_a_sentence():
    assert sentences("A heading\nand a text\n\n  indented ") == ["A heading", "and a text", "indented"]


@pytest.mark.parametrize("text", ["", " \n ", "\u3000"])
def test_nothing_has_no_sentence(text):
    assert sentence_spans(text) == []


def test_spans_cover_all_that_is_not_white_space_in_order():
    draw = random.Random(0)
    for _ in range(300):
        text = "".join(draw.choices('aB .!?…。！\n"”)中 ', k=draw.randrange(40)))
        spans = sentence_spans(text)
        done = 0
        for start, end in spans:
            assert not text[done:start].strip()
            assert done <= start < end and text[start:end] == text[start:end].strip()
            done = end
        assert not text[done:].strip()
