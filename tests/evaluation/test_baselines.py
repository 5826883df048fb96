"""Baselines against values worked out by hand, and against the optimum's own equation."""

import numpy as np
import pytest

from minibert.data.examples import TaggedExample, TextExample
from minibert.errors import InputError
from minibert.evaluation.baselines import (
    LogisticRegression,
    Majority,
    MostFrequentTag,
    NaiveBayes,
    label_rows,
    softmax,
    strongest,
    text_terms,
)
from minibert.evaluation.sparse import count_rows

ROWS = [TextExample("red", label="a"), TextExample("red", label="a"), TextExample("blue", label="b")]


def test_terms_are_words_and_their_pairs_and_a_chinese_character_is_a_word() -> None:
    assert text_terms(TextExample("Not bad!", pair="Go")) == ["not", "bad", "not bad", "go"]
    assert text_terms(TextExample("很好，OK吗")) == ["很", "好", "ok", "吗", "很 好", "好 ok", "ok 吗"]


def test_majority_answers_the_most_frequent_class() -> None:
    baseline = Majority()
    baseline.fit(ROWS)
    assert baseline.predict([TextExample("blue")]) == ["a"]


def test_naive_bayes_has_the_probabilities_worked_out_by_hand() -> None:
    baseline = NaiveBayes(alpha=1.0)
    baseline.fit(ROWS)
    # columns blue, red; class a: counts 0 + 1, 2 + 1 of 4; class b: 1 + 1, 0 + 1 of 3
    np.testing.assert_allclose(np.exp(baseline.weights), [[1 / 4, 2 / 3], [3 / 4, 1 / 3]])
    np.testing.assert_allclose(np.exp(baseline.prior), [2 / 3, 1 / 3])
    # unseen: the prior decides; blue: 2/3 * 1/4 < 1/3 * 2/3
    assert baseline.predict([TextExample("green"), TextExample("Blue!")]) == ["a", "b"]


def test_logistic_regression_stands_where_the_gradient_is_zero() -> None:
    words = np.array(["sun", "moon", "star", "sea", "sand", "rock"])
    random = np.random.default_rng(0)
    rows = [TextExample(" ".join(random.choice(words, 4)), label=str(random.integers(3))) for _ in range(40)]
    baseline = LogisticRegression(penalty=1.0)
    baseline.fit(rows)
    features = baseline.features([text_terms(row) for row in rows])
    wanted = np.eye(3)[label_rows(rows)[1]]
    gradient = (
        features.transposed_times(softmax(features.times(baseline.weights)) - wanted) + baseline.weights
    )
    assert np.abs(gradient).max() < 1e-4
    assert np.abs(baseline.weights).max() > 0.1


def test_sparse_products_equal_dense_ones() -> None:
    columns = {"a": 0, "b": 1, "c": 2}
    sparse = count_rows([["a", "c", "a"], [], ["unknown"], ["c"]], columns)
    dense = np.array([[2.0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 1]])
    other = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(sparse.times(other), dense @ other)
    np.testing.assert_array_equal(sparse.transposed_times(dense), dense.T @ dense)
    exact = np.linalg.norm(dense, 2)
    assert exact <= sparse.largest_singular_value() <= 1.06 * exact
    np.testing.assert_allclose(sparse.weighted(np.ones(3)).values, [2 / 5**0.5, 1 / 5**0.5, 1])


def test_the_strongest_is_chosen_on_validation() -> None:
    chosen = strongest(ROWS * 3, ROWS)
    assert chosen.validation_accuracy == 1.0
    assert chosen.name.startswith("naive Bayes")  # the first of equals


def test_integer_labels_are_right_where_their_spelling_is() -> None:
    rows = [TextExample(row.text, label=int(row.label == "b")) for row in ROWS]  # type: ignore[arg-type]
    assert strongest(rows * 3, rows).validation_accuracy == 1.0


def test_a_word_gets_its_most_frequent_tag_and_an_unseen_word_the_most_frequent_of_all() -> None:
    baseline = MostFrequentTag()
    baseline.fit(
        [
            TaggedExample("go go go", ((0, 2), (3, 5), (6, 8)), ("X", "Y", "Y")),
            TaggedExample("a b", ((0, 1), (2, 3)), ("X", "X")),
        ]
    )
    assert baseline.predict([TaggedExample("go new a", ((0, 2), (3, 6), (7, 8)))]) == [("Y", "X", "X")]


def test_examples_without_labels_are_an_error_that_says_which() -> None:
    with pytest.raises(InputError, match="example 1 has no label"):
        NaiveBayes().fit([ROWS[0], TextExample("red")])
    with pytest.raises(InputError, match="no tagged word"):
        MostFrequentTag().fit([TaggedExample("go", ((0, 2),))])
