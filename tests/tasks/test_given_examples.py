"""What is no example is refused in one sentence, with its place in a training set, and what would be one."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from check_task import shape

from minibert.data.examples import (
    ChoiceExample,
    IntentExample,
    MultiLabelExample,
    NumberExample,
    ParallelExample,
    QuestionExample,
    RelationExample,
    SearchExample,
    SummaryExample,
    TaggedExample,
    TextExample,
    as_example,
)
from minibert.data.readers import read_texts
from minibert.embedding.text_encoder import TextEncoder
from minibert.errors import InputError
from minibert.finetune import finetune
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.model import TASKS, Model

KINDS = {
    "classification": TextExample,
    "cloze": TextExample,
    "multi_label": MultiLabelExample,
    "regression": NumberExample,
    "similarity": NumberExample,
    "multiple_choice": ChoiceExample,
    "tagging": TaggedExample,
    "intent_slots": IntentExample,
    "relations": RelationExample,
    "question_answering": QuestionExample,
    "retrieval": SearchExample,
    "seq2seq": ParallelExample,
    "extractive_summary": SummaryExample,
}
STRANGE = [None, 5, ("a", "b"), {"text": "a"}, b"a"]
RATED = [TextExample("a list", label="a"), TextExample("an error", label="b")]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("strange", STRANGE, ids=repr)
def test_a_training_set_names_the_first_that_is_none(english, name, strange):
    config = shape("bert", english.vocab_size)
    with pytest.raises(InputError) as error:
        TASKS[name].build(
            english, config, [strange], {"template": "{text} [MASK]"} if name == "cloze" else {}
        )
    assert f"example 1 is {strange!r} ({type(strange).__name__})" in str(error.value)
    assert KINDS[name].__name__ in str(error.value)


@pytest.mark.parametrize(
    ("name", "field", "example"),
    [
        ("classification", "text", TextExample(" ", label="a")),
        ("seq2seq", "target", ParallelExample("the cat", "")),
        ("extractive_summary", "summary", SummaryExample("A cat. A dog.", "\n")),
        ("similarity", "pair", NumberExample("a", "", 1.0)),
    ],
)
def test_an_empty_text_is_nothing_to_learn_from(english, name, field, example):
    with pytest.raises(InputError, match=f"example 1: its {field} is empty, .*; leave the example out"):
        TASKS[name].build(english, shape("bert", english.vocab_size), [example], {})


@pytest.mark.parametrize("strange", STRANGE, ids=repr)
def test_what_is_asked_must_be_a_text_or_an_example(english, strange):
    task = Classification.build(english, shape("bert", english.vocab_size), RATED, {})
    with pytest.raises(InputError, match=r"a text or a TextExample\(text, pair, label\) is wanted") as error:
        task.encode(strange)
    assert repr(strange) in str(error.value)
    assert len(task.encode(NumberExample("a list"))) == 1  # the same fields


@pytest.mark.parametrize("kind", sorted({*KINDS.values()}, key=str))
def test_a_text_that_is_none_is_refused_when_the_example_is_made(kind):
    needed = [field.name for field in fields(kind) if field.type is str and field.default != ""]
    assert needed
    for strange in (None, 5, float("nan")):
        values = {name: "a text" for name in ("text", "source", "question", "passage") if name in needed}
        beside = {
            field.name: () for field in fields(kind) if field.name in ("spans", "choices", "head", "tail")
        }
        for name in needed:
            with pytest.raises(InputError, match=f"{kind.__name__}: {name} is {strange!r}"):
                kind(**{**values, **beside, name: strange})


def test_an_empty_cell_is_no_second_text_and_no_label():
    nan = float("nan")
    for make in (
        lambda: TextExample("a", nan),
        lambda: TextExample("a", label=nan),
        lambda: RelationExample("a b", (0, 1), (2, 3), nan),
        lambda: IntentExample("a", (), (), nan),
        lambda: SearchExample("a", nan),
        lambda: ParallelExample("a", nan),
    ):
        with pytest.raises(InputError, match="nan"):
            make()
    assert TextExample("a", label=3).label == 3
    assert as_example(SearchExample, "who?") == SearchExample("who?")


def rater(english) -> Model:
    config = shape("bert", english.vocab_size)
    return Model(Encoder(config), Classification.build(english, config, RATED, {}))


def test_whatever_holds_texts_is_a_list_of_them(english):
    model = rater(english)
    wanted = [answer.label for answer in model.predict(["a list", "an error"])]
    for held in (
        ("a list", "an error"),
        np.array(["a list", "an error"]),
        dict.fromkeys(["a list", "an error"]),
    ):
        assert [answer.label for answer in model.predict(held)] == wanted
    assert [answer.label for answer in model.predict(text for text in ("a list", "an error"))] == wanted
    assert model.evaluate(iter(RATED)) == model.evaluate(RATED)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a list", "'a list' came where a list is wanted; put it into one"),
        (Path("a.csv"), "'a.csv' came where a list is wanted"),
        (None, r"None \(NoneType\) came where a list of examples is wanted"),
        (5, r"5 \(int\) came where"),
    ],
)
def test_one_text_is_no_list_of_texts(english, given, message):
    model = rater(english)
    for ask in (model.predict, model.evaluate, model.encode):
        with pytest.raises(InputError, match=message):
            ask(given)


def test_only_what_says_what_is_right_is_evaluated(english):
    model = rater(english)
    for unknown in ("a list", TextExample("a list")):
        with pytest.raises(
            InputError, match=r"classification: example 2 does not say what is right: .*a list"
        ):
            model.evaluate([RATED[0], unknown])


def test_rows_without_a_label_are_refused_in_training(english, tmp_path):
    folder = tmp_path / "enc"
    TextEncoder(Encoder(shape("bert", english.vocab_size)), english, max_length=20).save_pretrained(folder)
    rows, bare = RATED * 3, [TextExample("a list")]
    free = {"task": "classification", "output_dir": tmp_path / "out"}
    with pytest.raises(InputError, match="training example 7 does not say what is right"):
        finetune(folder, train=rows + bare, **free)
    with pytest.raises(InputError, match="validation example 1 does not say what is right"):
        finetune(folder, train=rows, validation=bare, **free)
    assert not (tmp_path / "out").exists()


def test_true_and_false_are_labels_as_files_have_them(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a", "label": true}\n{"text": "b", "label": false}\n', "utf-8")
    made = [TextExample("a", label=True), TextExample("b", label=False)]
    assert read_texts(file) == made
    assert [example.label for example in made] == ["true", "false"]
