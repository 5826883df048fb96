"""Rows of data sets that are in memory, with and without names of their classes."""

import sys
from types import SimpleNamespace

import pytest

from minibert.data.examples import TextExample
from minibert.data.hugging_face import read_datasets, read_tagged_datasets
from minibert.errors import InputError, MissingExtra


class Rows(list):
    """A list of rows that knows the names of its classes, as `datasets` does."""

    def __init__(self, rows, **features):
        super().__init__(rows)
        self.features = features


def class_label(*names):
    return SimpleNamespace(names=list(names))


def test_any_iterable_of_dicts_will_do():
    rows = ({"sentence1": "a", "sentence2": letter, "label": 0} for letter in "xy")
    assert read_datasets(rows) == [TextExample("a", "x", "0"), TextExample("a", "y", "0")]


def test_class_numbers_become_names():
    rows = Rows([{"text": "a", "label": 1}], label=class_label("negative", "positive"))
    assert read_datasets(rows) == [TextExample("a", None, "positive")]


def test_secret_labels_are_none_but_a_gap_among_labels_is_an_error():
    names = class_label("negative", "positive")
    secret = Rows([{"text": "a", "label": -1}, {"text": "b", "label": -1}], label=names)
    assert [example.label for example in read_datasets(secret)] == [None, None]
    with pytest.raises(InputError, match="row 1: no value for 'label'"):
        read_datasets(Rows([{"text": "a", "label": 1}, {"text": "b", "label": -1}], label=names))
    assert read_datasets([{"text": "a", "label": -1}])[0].label == "-1"


def test_tag_numbers_become_names():
    rows = Rows(
        [{"tokens": ["Anna", "lives"], "ner_tags": [1, 0]}],
        ner_tags=SimpleNamespace(feature=class_label("O", "B-PER")),
    )
    assert read_tagged_datasets(rows)[0].tags == ("B-PER", "O")


def test_one_of_several_splits_must_be_named():
    splits = {"train": [{"text": "a"}], "test": [{"text": "b"}]}
    assert read_datasets(splits, split="test") == [TextExample("b")]
    assert read_datasets({"train": splits["train"]}) == [TextExample("a")]
    with pytest.raises(InputError, match="split None is not in the data set; choose one of train, test"):
        read_datasets(splits)
    with pytest.raises(InputError, match="split 'dev'"):
        read_datasets({"train": splits["train"]}, split="dev")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "the data set is empty"),
        (["a"], "row 0: 'a' is not a dict"),
        ([{"text": "a"}, {"text": ""}], "row 1: the text is empty"),
        (Rows([{"text": "a", "label": 7}], label=class_label("x")), "class 7 has no name"),
    ],
)
def test_bad_rows_are_named(rows, message):
    with pytest.raises(InputError, match=message):
        read_datasets(rows)


def test_a_name_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        MissingExtra, match=r"'glue' needs datasets: pip install 'minibert-encoder\[datasets\]'"
    ):
        read_datasets("glue")


def test_a_name_is_opened_by_datasets(monkeypatch):
    fake = SimpleNamespace(load_dataset=lambda name: {"train": [{"text": name}]})
    monkeypatch.setitem(sys.modules, "datasets", fake)
    assert read_datasets("imdb", split="train") == [TextExample("imdb")]
