"""Which tokens of a long text a model is shown."""

import re

import numpy as np
import pytest
from check_task import shape
from fakes import FakeTokenizer

from minibert.data.examples import (
    ChoiceExample,
    GoldAnswer,
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
)
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.model import TASKS, Model
from minibert.tasks.windows import fit_text, fit_words

BERT, MODERN = shape("bert", 500), shape("modernbert", 500)


@pytest.mark.parametrize("pair", [None, "a b c"])
def test_the_head_and_the_tail_of_a_long_text_stay(english, pair):
    text = " ".join(f"word{number}" for number in range(40))
    whole = english.encode(text)
    room = (
        20 - english.special_count(pair=pair is not None) - (0 if pair is None else len(english.encode(pair)))
    )
    [window] = fit_text(english, text, pair, max_length=20, on_long="head_tail")
    assert len(window) == 20
    mine = window[(window.words >= 0) & (window.segments == 0)]
    kept = [*range(room // 4), *range(len(whole) - room + room // 4, len(whole))]
    assert mine.ids.tolist() == whole.ids[kept].tolist()
    assert mine.offsets.tolist() == whole.offsets[kept].tolist()
    assert mine.offsets[-1, 1] == len(text)
    if pair is not None:
        second = window[(window.words >= 0) & (window.segments == 1)]
        assert second.ids.tolist() == english.encode(pair).ids.tolist()


@pytest.mark.parametrize("on_long", ["truncate", "head_tail"])
def test_a_text_that_just_fits_is_left_alone(english, on_long):
    text = "alpha beta gamma delta"
    longest = len(english.encode(text)) + english.special_count()
    [window] = fit_text(english, text, None, max_length=longest, on_long=on_long)
    assert window.ids.tolist() == english.build(english.encode(text)).ids.tolist()


@pytest.mark.parametrize("on_long", ["truncate", "head_tail", "split"])
@pytest.mark.parametrize("pair", [None, "a pair of words"])
def test_a_window_without_room_for_its_texts_is_refused(english, on_long, pair):
    fewest = english.special_count(pair=pair is not None) + (1 if pair is None else 2)
    for length in range(fewest):
        with pytest.raises(InputError, match=rf"max_length {length} has no room .* use {fewest} or more"):
            fit_text(english, "a text of words", pair, max_length=length, on_long=on_long)
    for window in fit_text(english, "a text of words", pair, max_length=fewest, on_long=on_long):
        assert len(window) == fewest


def test_a_window_without_room_for_a_word_is_refused(english):
    given = {"labels": np.zeros(2, np.int64), "on_long": "split"}
    for length in (-5, 1, 2):
        with pytest.raises(InputError, match=f"max_length {length} has no room"):
            fit_words(english, "two words", [(0, 3), (4, 9)], max_length=length, **given)
    windows = fit_words(english, "two words", [(0, 3), (4, 9)], max_length=3, **given)
    assert sum(len(window.rows) for window in windows) == 2


EXAMPLES = {
    "classification": [TextExample("a list", label="a"), TextExample("an error", label="b")],
    "multi_label": [MultiLabelExample("a list", labels=("a",))],
    "regression": [NumberExample("a list", label=1.0), NumberExample("an error", label=2.0)],
    "similarity": [NumberExample("a list", "a", 1.0), NumberExample("an error", "a", 2.0)],
    "retrieval": [SearchExample("a list", "an error")],
    "extractive_summary": [SummaryExample("A list. An error.", "A list.")],
    "seq2seq": [ParallelExample("a list", "an error")],
    "multiple_choice": [ChoiceExample("a list", ("a", "an error"), 1)],
    "tagging": [TaggedExample("a list", ((0, 1), (2, 6)), ("B-X", "O"))],
    "intent_slots": [
        IntentExample("a list", ((0, 1), (2, 6)), ("B-X", "O"), intent) for intent in ("one", "other")
    ],
    "relations": [RelationExample("a list", (0, 1), (2, 6), label) for label in ("one", "other")],
    "cloze": [TextExample("a list", label="the"), TextExample("an error", label="a")],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_length_that_the_encoder_has_no_positions_for_is_refused_unless_they_are_rotary(english, name):
    own = {"template": "{text} [MASK]"} if name == "cloze" else {}
    for length, message in ((62, "max_length 62 is more than the 61 tokens"), (-5, "max_length -5")):
        with pytest.raises(InputError, match=message):
            TASKS[name].build(english, BERT, EXAMPLES[name], {"max_length": length, **own})
    for config, length in ((BERT, 61), (MODERN, 500)):
        task = TASKS[name].build(english, config, EXAMPLES[name], {"max_length": length, **own})
        assert task.max_length == length
    assert TASKS[name].build(english, MODERN, EXAMPLES[name], own).max_length == 61


ALL = {
    **EXAMPLES,
    "question_answering": [QuestionExample("what", "a list of an error", (GoldAnswer("list", 2),))],
    "masked_lm": ["a [MASK] of an error"],
    "replaced_tokens": ["a list of an error"],
}


@pytest.mark.parametrize("name", ALL)
def test_an_example_that_just_fits_is_not_told_as_cut(english, name):
    own = {"template": "{text} [MASK]"} if name == "cloze" else {}
    task = TASKS[name].build(english, BERT, ALL[name], own)
    longest = max(len(window.tokens) for window in task.encode(ALL[name][0]))
    limit = {} if name in ("masked_lm", "replaced_tokens") else {"max_length": longest}
    exact, short = (
        TASKS[name].build(english, BERT, ALL[name], {**own, **{key: n - less for key, n in limit.items()}})
        for less in (0, 1)
    )
    if not limit:  # their windows are as long as the encoder allows
        exact.max_length, short.max_length = longest, longest - 1
    assert exact.fit_of(exact.encode(ALL[name][0])) == "whole"
    assert short.fit_of(short.encode(ALL[name][0])) in ("cut", "split")


class WithoutJoiners(FakeTokenizer):
    def encode(self, text, boundaries=()):
        tokens = super().encode(text, boundaries)
        return tokens[np.array([text[start:end] != "\u200d" for start, end in tokens.offsets], bool)]


@pytest.mark.parametrize("on_long", ["split", "truncate"])
@pytest.mark.parametrize("text", ["a \u200d b", "\u200d a b \u200d", "a \u200d", "\u200d"])
def test_a_word_without_a_token_is_not_asked_and_takes_no_neighbours_token(on_long, text):
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    windows = fit_words(
        WithoutJoiners(61), text, spans, labels=np.arange(len(spans)), max_length=20, on_long=on_long
    )
    asked = {
        int(row): int(unit) for window in windows for row, unit in zip(window.rows, window.units, strict=True)
    }
    heard = [n for n, (start, end) in enumerate(spans) if text[start:end] != "\u200d"]
    assert asked == {1 + place: unit for place, unit in enumerate(heard)}


def test_a_part_that_is_lost_is_told_although_the_rest_is_split(english):
    options = {"max_length": 24, "max_question_length": 4}
    task = TASKS["question_answering"].build(english, BERT, ALL["question_answering"], options)
    windows = task.encode(QuestionExample("a list of errors " * 9, "a list of an error " * 30))
    assert len(windows) > 1 and task.fit_of(windows) == "cut"
    assert task.fit_of(task.encode(QuestionExample("a", "a list of an error " * 30))) == "split"


def test_a_pair_whose_second_text_alone_is_cut_is_told_as_cut(english):
    [window] = fit_text(english, "a", "a list of an error " * 5, max_length=16, on_long="split")
    assert window.cut
    assert not fit_text(english, "a", "a list", max_length=16, on_long="split")[0].cut


def test_what_predict_cuts_is_told_on_stderr(english, capsys):
    task = TASKS["classification"].build(english, BERT, EXAMPLES["classification"], {"max_length": 8})
    model = Model(Encoder(BERT), task)
    model.predict(["a list", "a list of an error " * 5])
    assert capsys.readouterr().err == "1 of 2 examples were cut off at 8 tokens\n"
    model.predict(["a list"])
    assert capsys.readouterr().err == ""
