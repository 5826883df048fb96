"""The baselines beside structures in text, by hand; and that every cell says what it caps."""

from pathlib import Path

import pytest

from minibert.data.examples import IntentExample, RelationExample
from minibert.data.tagged import from_words


@pytest.fixture
def contestants(benchmark):
    return benchmark("structure_contestants")


TRAIN = [
    from_words("Rome is far".split(), ["B-LOC", "O", "O"]),
    from_words("Rome is Rome".split(), ["B-LOC", "O", "B-PER"]),
]


def test_each_word_gets_its_most_frequent_tag_and_an_unknown_word_the_commonest(contestants):
    test = [from_words("is Oslo Rome".split(), ["O", "B-LOC", "B-LOC"])]
    assert contestants.guess_tags(TRAIN, test) == [["O", "O", "B-LOC"]]
    scores = contestants.frequent_tags(TRAIN, test)
    assert scores["f1"] == pytest.approx(2 / 3)
    assert scores["accuracy"] == pytest.approx(2 / 3)


def test_the_most_frequent_intent_is_scored_as_ours_is(contestants):
    train = [
        IntentExample(row.text, row.spans, row.tags, intent) for row, intent in zip(TRAIN, "pp", strict=True)
    ]
    test = [IntentExample("Rome", ((0, 4),), ("B-LOC",), intent) for intent in "pq"]
    scores = contestants.majority_intent(train, test)
    assert (scores["intent_accuracy"], scores["sentence_accuracy"], scores["slot_f1"]) == (0.5, 0.5, 1.0)


def test_words_between_tell_a_relation(contestants):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    train = [
        RelationExample(f"{a} {verb} {b}", (0, 1), (len(verb) + 3, len(verb) + 4), label)
        for a, b in ("xy", "yz", "zx", "yx")
        for verb, label in (("eats", "eats(e1,e2)"), ("flees", "eats(e2,e1)"), ("and", "Other"))
    ]
    assert contestants.words_between(train, train)["macro_f1"] == 1.0


def test_every_cell_says_what_it_caps_and_names_its_measure_first(benchmark):
    cells, structure = benchmark("cells"), benchmark("cells_structure")
    places = cells.Places(Path("data"), Path("english"), Path("chinese"), Path("scratch"))
    found = structure.cells(places)
    keys = [(cell.row, cell.contestant) for cell in found]
    assert len(set(keys)) == len(keys)
    for cell in found:
        if cell.contestant in ("minibert", "transformers Trainer"):
            assert "epoch" in cell.note
            assert cell.recipe["train.learning_rate"] > 0
    capped = {row.name for row in (*structure.ROWS, structure.SCIERC) if row.rows}
    assert {cell.row for cell in found if "training rows" in cell.note} == capped
    without = structure.cells(cells.Places(Path("data"), Path("english"), None, Path("scratch")))
    assert {cell.row for cell in without} == {row.name for row in structure.ROWS if not row.chinese} | {
        "scierc"
    }
