"""Tagging on other people's tokenizers: no word loses its label or shares a token with its neighbour.

A word for which a tokenizer has no token, such as a joiner alone, is not asked.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
import foreign_tokenizers

from minibert.data.examples import TaggedExample
from minibert.model.config import EncoderConfig
from minibert.tasks.tagging import Tagging
from minibert.text.loading import load_tokenizer

LETTERS = st.sampled_from(
    ["a", "19", "list", "\u4e2d", "e\u0301", "\u00e9", "\ufb01", "\U0001f600", "un", "-", "'s"]
    + [
        "\ufe0f",
        "\u200d",
        "\ufffd",
        "\u0301",
        "\u200b",
    ]  # some tokenizers drop these, or join them to a letter
)
WORDS = st.lists(
    st.tuples(st.lists(LETTERS, min_size=1, max_size=3).map("".join), st.sampled_from(["", " ", "  ", "\t"])),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module", params=list(foreign_tokenizers.KINDS))
def task(request, tmp_path_factory) -> Tagging:
    tokenizer = load_tokenizer(foreign_tokenizers.KINDS[request.param](tmp_path_factory.mktemp("t") / "t"))
    config = EncoderConfig(tokenizer.vocab_size, 12, 1, 2, 14, max_position_embeddings=17)
    return Tagging.reopen(tokenizer, config, {"labels": ["O", "B-x", "I-x"], "scheme": "BIO"})


@given(words=WORDS)
def test_every_word_that_has_a_token_is_asked_once_and_there(task, words):
    text, spans = "", []
    for word, gap in words:
        spans.append((len(text), len(text) + len(word)))
        text += word + gap
    tags = tuple("B-x" if number % 2 else "O" for number in range(len(spans)))
    windows = task.encode(TaggedExample(text, tuple(spans), tags))
    asked = Counter(int(unit) for window in windows for unit in window.units)
    tokens = task.tokenizer.encode(text, sorted({border for span in spans for border in span}))
    assert asked == Counter(
        number
        for number, (start, end) in enumerate(spans)
        if any(start <= begin < stop <= end for begin, stop in tokens.offsets)
    )
    for window in windows:
        assert len(window) <= 17
        assert len(set(window.rows.tolist())) == len(window.rows)
        for row, unit, label in zip(window.rows, window.units, window.labels, strict=True):
            start, end = spans[unit]
            begin, stop = window.tokens.offsets[row]
            assert start <= begin < stop <= end
            assert task.labels[label] == tags[unit]


def test_digits_inside_chinese_can_each_have_a_tag(task):
    text = "\u4e2da19\u6587"
    spans = tuple((place, place + 1) for place in range(len(text)))
    [window] = task.encode(TaggedExample(text, spans, ("O",) * 5))
    assert np.diff(window.rows).min() > 0
    for row, (start, end) in zip(window.rows, spans, strict=True):
        assert window.tokens.offsets[row].tolist() == [start, end]
