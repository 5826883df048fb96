"""BM25 by hand, and against the equation written another way."""

import math
from collections import Counter

import numpy as np
import pytest

from minibert.embedding.bm25 import BM25, words
from minibert.errors import InputError

TEXTS = ["the cat sat on the mat", "the dog ran", "a cat and a dog and a cat", "信息检索很有用"]


def test_one_score_by_hand():
    """Three texts of 2, 2 and 2 words: length is no matter, tf of "cat" is 1, n = 1 of N = 3."""
    index = BM25(["cat sat", "dog sat", "dog ran"], k1=1.5)
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    assert index.scores("cat").tolist() == pytest.approx([idf * 1 * 2.5 / (1 + 1.5), 0, 0])


def test_all_scores_are_those_of_the_equation():
    index = BM25(TEXTS, k1=0.9, b=0.4)
    bags = [Counter(words(text)) for text in TEXTS]
    mean = np.mean([bag.total() for bag in bags])
    for query in ("the cat", "dog dog mat", "信息", "nothing here"):
        for number, bag in enumerate(bags):
            total = 0.0
            for word in words(query):
                n = sum(word in other for other in bags)
                idf = math.log(1 + (len(bags) - n + 0.5) / (n + 0.5))
                tf = bag[word]
                total += idf * tf * 1.9 / (tf + 0.9 * (1 - 0.4 + 0.4 * bag.total() / mean))
            assert index.scores(query)[number] == pytest.approx(total)


def test_one_han_character_is_found_wherever_it_stands_and_half_width_as_full():
    index = BM25(["小猫在沙发上睡觉", "狗", "ｉＰｈｏｎｅ１５手机"])
    assert [number for number, _ in index.search("猫")] == [0]
    assert [number for number, _ in index.search("狗")] == [1]
    assert [number for number, _ in index.search("iPhone15")] == [2]
    plain = BM25(["小猫在沙发上睡觉", "小猫"])
    assert plain.scores("小猫").tolist() == BM25(["小猫在沙发上睡觉", "小猫"]).scores("小猫").tolist()
    idf = math.log(1 + (2 - 2 + 0.5) / (2 + 0.5))  # both hold the pair; 7 pairs and 1, 4 on the average
    damped = [1 + 1.2 * (1 - 0.75 + 0.75 * length / 4) for length in (7, 1)]
    assert plain.scores("小猫").tolist() == pytest.approx([idf * 2.2 / part for part in damped])


def test_only_texts_that_share_a_word_are_found_the_best_first():
    index = BM25(TEXTS)
    assert [number for number, _ in index.search("cat")] == [2, 0]
    assert [number for number, _ in index.search("dog", top_k=1)] == [1]
    assert index.search("zebra") == []
    assert [number for number, _ in index.search("检索")] == [3]


def test_han_characters_are_taken_in_pairs():
    assert words("GPT很有用,北 x_y") == ["gpt", "很有", "有用", "北", "x", "y"]


def test_no_texts_are_refused_and_empty_ones_are_never_found():
    with pytest.raises(InputError, match="no texts"):
        BM25([])
    assert BM25(["", "..."]).search("a") == []
