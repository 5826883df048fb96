"""Requests from JSON lines and from the three files of the slot-gated data."""

import json

import pytest

from minibert.data.examples import IntentExample
from minibert.data.intents import read_intents, read_unanswered_intents
from minibert.errors import InputError

PLAY = {"tokens": ["play", "new", "jazz"], "tags": ["O", "O", "B-genre"], "intent": "PlayMusic"}
SPANS = ((0, 4), (5, 8), (9, 13))
EXPECTED = IntentExample("play new jazz", SPANS, ("O", "O", "B-genre"), "PlayMusic")


def write_rows(path, *rows):
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def write_folder(folder, words, tags, intents):
    folder.mkdir()
    for name, lines in (("seq.in", words), ("seq.out", tags), ("label", intents)):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_row_and_a_line_of_three_files_are_the_same_request(tmp_path):
    assert read_intents(write_rows(tmp_path / "a.jsonl", PLAY)) == [EXPECTED]
    folder = write_folder(tmp_path / "train", ["play new jazz"], ["O O B-genre"], ["PlayMusic"])
    assert read_intents(folder) == [EXPECTED]


@pytest.mark.parametrize("key", ["intent", "label", "topic"])
def test_the_intent_is_found_by_its_usual_names_or_by_the_one_given(tmp_path, key):
    row = {**PLAY, key: 7} if key == "intent" else {"tokens": ["a"], "tags": ["O"], key: 7}
    named = "topic" if key == "topic" else None
    assert read_intents(write_rows(tmp_path / "a.jsonl", row), label_column=named)[0].intent == "7"


def test_rows_with_marked_entities_are_requests_too(tmp_path):
    row = {"text": "play jazz", "entities": [{"start": 5, "end": 9, "label": "genre"}], "intent": "Play"}
    (example,) = read_intents(write_rows(tmp_path / "a.jsonl", row))
    assert example == IntentExample("play jazz", ((0, 4), (5, 9)), ("O", "B-genre"), "Play")


def test_what_is_to_be_predicted_keeps_its_words_and_loses_its_answers(tmp_path):
    rows = write_rows(tmp_path / "a.jsonl", PLAY)
    folder = write_folder(tmp_path / "train", ["play new jazz"], ["O O B-genre"], ["PlayMusic"])
    (tmp_path / "a.txt").write_text("play jazz\n", encoding="utf-8")
    for path in (rows, folder):
        assert read_unanswered_intents(path) == [IntentExample("play new jazz", SPANS)]
    assert read_unanswered_intents(tmp_path / "a.txt") == ["play jazz"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**PLAY, "tags": ["O"]}, r"line 1: 3 tokens need as many tags, found \['O'\]"),
        ({**PLAY, "intent": ""}, "line 1: the intent is ''"),
        ({**PLAY, "intent": ["a", "b"]}, r"line 1: the intent is \['a', 'b'\]"),
        ({"tags": ["O"], "intent": "a"}, "line 1: no list of 'tokens' .* the row has tags, intent"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_value(tmp_path, row, message):
    with pytest.raises(InputError, match=f"a.jsonl, {message}"):
        read_intents(write_rows(tmp_path / "a.jsonl", row))


def test_a_named_key_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no key 'purpose'; the row has tokens, tags, intent"):
        read_intents(write_rows(tmp_path / "a.jsonl", PLAY), label_column="purpose")


@pytest.mark.parametrize(
    ("words", "tags", "intents", "message"),
    [
        (["a b", "c"], ["O O"], ["x", "y"], r"the files differ in lines \(seq.in 2, seq.out 1, label 2\)"),
        (["a b"], ["O"], ["x"], "seq.in, line 1: 2 words and 1 tags: 'a b'"),
        (["a"], ["O"], [" "], "line 1: the intent is ' '"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, words, tags, intents, message):
    with pytest.raises(InputError, match=message):
        read_intents(write_folder(tmp_path / "train", words, tags, intents))


def test_a_folder_without_one_of_the_files_names_it(tmp_path):
    folder = write_folder(tmp_path / "train", ["a"], ["O"], ["x"])
    (folder / "seq.out").unlink()
    with pytest.raises(InputError, match=r"seq\.out: no such file"):
        read_intents(folder)
