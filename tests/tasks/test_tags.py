"""Words and tags, as all tasks that tag words share them."""

import numpy as np
import pytest
from fakes import FakeTokenizer
from hypothesis import given
from hypothesis import strategies as st

from minibert.errors import InputError
from minibert.tasks.spans import spans_of
from minibert.tasks.tags import entities_of, spell_tags, tag_labels, words_of
from minibert.tasks.windows import fit_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 3.5 km", ["It", "'", "s", "3", ".", "5", "km"]),
        ("A股在涨", ["A", "股", "在", "涨"]),
        ("  ", []),
    ],
)
def test_a_bare_text_is_cut_into_words(text, words):
    assert [text[start:end] for start, end in words_of(text).spans] == words


@pytest.mark.parametrize(
    ("sequences", "labels", "scheme"),
    [
        ([["I-PER", "O"]], ["B-PER", "I-PER", "O"], "IOB1"),
        ([["B-PER"], ["S-LOC"]], ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"], "BIOES"),
        ([["NOUN", "VERB"]], ["NOUN", "VERB"], None),
        ([], [], None),
    ],
)
def test_the_labels_hold_both_letters_of_every_type(sequences, labels, scheme):
    assert tag_labels(iter(sequences)) == (labels, scheme)


@given(words=st.integers(1, 40), limit=st.integers(4, 20), split=st.booleans())
def test_every_word_gets_the_tag_that_was_predicted_where_it_was_asked(words, limit, split):
    text, spans = "x " * words, [(2 * n, 2 * n + 1) for n in range(words)]
    labels = np.arange(words) % 3
    windows = fit_words(
        FakeTokenizer(61),
        text,
        spans,
        labels=labels,
        max_length=limit,
        on_long="split" if split else "truncate",
    )
    names = ["O", "B-x", "I-x"]
    tags = spell_tags(words, windows, [window.labels for window in windows], labels=names)
    asked = words if split else min(words, limit - 2)
    assert tags == [names[label] for label in labels[:asked]] + ["O"] * (words - asked)


def test_without_an_outside_tag_a_word_that_was_cut_off_gets_the_first():
    assert spell_tags(2, [], [], labels=["NOUN", "VERB"]) == ["NOUN", "NOUN"]


@given(st.lists(st.sampled_from(["O", "B-a", "I-a", "I-b"]), max_size=9))
def test_entities_are_the_spans_in_characters(tags):
    text, spans = "xy " * len(tags), [(3 * n, 3 * n + 2) for n in range(len(tags))]
    entities = entities_of(text, spans, tags)
    assert [(e.start // 3, e.end // 3 + 1, e.label) for e in entities] == [
        (span.start, span.end, span.label) for span in spans_of(tags)
    ]
    assert all(text[e.start : e.end] == e.text for e in entities)


def test_labels_for_other_words_than_there_are_are_refused():
    with pytest.raises(InputError, match="2 words but 3 tags: 'a b'; each word needs one"):
        fit_words(
            FakeTokenizer(61),
            "a b",
            [(0, 1), (2, 3)],
            labels=np.zeros(3, np.int64),
            max_length=9,
            on_long="split",
        )
