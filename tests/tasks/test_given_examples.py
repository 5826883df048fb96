"""What is no example is refused in one sentence, with its place in a training set, and what would be one."""

from dataclasses import fields

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
from minibert.errors import InputError
from minibert.tasks.classification import Classification
from minibert.tasks.model import TASKS

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
