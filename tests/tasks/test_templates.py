"""What is said of a word that does not fit into a gap."""

import pytest
from fakes import FakeTokenizer

from minibert.errors import InputError
from minibert.tasks.templates import Template, word_numbers


def test_near_words_are_no_shorter_than_half_of_the_word():
    tokenizer = FakeTokenizer(61, ["c", "t", "at", "cab"])
    with pytest.raises(InputError, match=r"'cat' is unknown .*; near words that are one: at, cab$"):
        word_numbers(tokenizer, Template.of("{text} [MASK]"), {"animal": ("cat",)})


def test_where_only_letters_are_near_another_word_is_asked_for():
    with pytest.raises(InputError, match=r"'cat' is unknown .*; choose another word$"):
        word_numbers(FakeTokenizer(61, ["c", "t"]), Template.of("{text} [MASK]"), {"animal": ("cat",)})


def test_of_a_chinese_word_the_characters_that_are_one_token_are_named():
    tokenizer = FakeTokenizer(61, ["满", "意"])
    with pytest.raises(InputError, match=r"'满意的' is unknown .*; near words that are one: 满, 意, 的$"):
        word_numbers(tokenizer, Template.of("{text} [MASK]"), {"good": ("满意的",)})
