"""Texts with several labels, texts with numbers, and texts with choices, from files of every kind."""

import json

import pytest

from minibert.data.choices import read_choices
from minibert.data.examples import ChoiceExample, MultiLabelExample, NumberExample
from minibert.data.labelled import read_multi_label, read_numbers
from minibert.errors import InputError


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write(text, name="data.csv"):
        (tmp_path / name).write_text(text, "utf-8")
        return tmp_path / name

    return write


def lines(*rows):
    return "\n".join(json.dumps(row) for row in rows)


def test_several_labels_stand_in_one_cell(write):
    path = write('text,labels\na,war|love\nb,\nc,"[""war"", 7]"\nd, war | war \n')
    assert [row.labels for row in read_multi_label(path)] == [("war", "love"), (), ("war", "7"), ("war",)]


def test_several_labels_are_lists_in_json_lines(write):
    rows = (
        {"sentence": "a", "labels": ["x", 2]},
        {"sentence": "b", "labels": []},
        {"sentence": "c", "labels": "x"},
    )
    path = write(lines(*rows), "data.jsonl")
    assert read_multi_label(path) == [
        MultiLabelExample("a", labels=("x", "2")),
        MultiLabelExample("b", labels=()),
        MultiLabelExample("c", labels=("x",)),
    ]
    assert read_multi_label(write(lines({"text": "a", "labels": 3}), "one.jsonl"))[0].labels == ("3",)


def test_each_label_may_have_a_column_of_0_and_1(write):
    path = write("text,toxic,insult\na,1,0\nb,0,0\nc,true,1.0\n")
    found = read_multi_label(path, label_column="toxic,insult")
    assert [row.labels for row in found] == [("toxic",), (), ("toxic", "insult")]
    assert read_multi_label(path)[0].labels is None
    with pytest.raises(InputError, match="no column 'threat'; there are text, toxic, insult"):
        read_multi_label(path, label_column="toxic,threat")


def test_pairs_and_named_columns(write):
    path = write("premise,hypothesis,genres,score\na,b,x|y,0.5\n")
    assert read_multi_label(path) == [MultiLabelExample("a", "b", ("x", "y"))]
    assert read_numbers(path) == [NumberExample("a", "b", 0.5)]
    assert read_numbers(path, text_column="hypothesis", label_column="score") == [
        NumberExample("b", label=0.5)
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "text,labels\na,[1\n", r"line 2: 'labels' is '\[1': no list in JSON"),
        (
            "a.jsonl",
            lines({"text": "a", "labels": {"x": 1}}),
            r"line 1: 'labels' is \{'x': 1\}; labels are a\|b",
        ),
        ("a.jsonl", lines({"text": "a", "labels": ["x", ""]}), r"line 1: 'labels' is \['x', ''\]"),
        ("a.jsonl", lines({"text": "a", "labels": None}), "line 1: 'labels' is None"),
        ("a.jsonl", lines({"text": "a", "labels": True}), "line 1: 'labels' is True"),
        ("a.csv", "text,tags,genres\na,x,y\n", "the label may be tags or genres"),
        ("a.csv", "", "empty; a file of examples"),
    ],
)
def test_unreadable_label_sets_are_named_with_file_and_line(write, name, text, message):
    with pytest.raises(InputError, match=message):
        read_multi_label(write(text, name))


@pytest.mark.parametrize(
    "cells", [([1, 0, 1], [0, 0, 0]), ("[0.0, 1.0]", "[1, 0]"), (["1", "0"], ["0", "1"])]
)
def test_places_of_0_and_1_are_no_names_of_labels(write, cells):
    rows = [{"text": "a", "labels": cell} for cell in cells]
    with pytest.raises(InputError, match="numbers of 0 and 1 in every row, and labels have names"):
        read_multi_label(write(lines(*rows), "data.jsonl"))
    named = write(lines(*rows, {"text": "b", "labels": ["x"]}), "named.jsonl")
    assert read_multi_label(named)[-1].labels == ("x",)


def test_one_column_of_0_and_1_is_one_label(write):
    rows = read_multi_label(write("text,toxic\na,1\nb,0\n"), label_column="toxic")
    assert [row.labels for row in rows] == [("toxic",), ()]


def test_a_column_of_a_label_holds_0_or_1(write):
    with pytest.raises(InputError, match="line 3: 'toxic' is '2'"):
        read_multi_label(write("text,toxic,insult\na,1,0\nb,2,0\n"), label_column="toxic,insult")


def test_numbers_are_found_by_their_usual_names(write):
    assert read_numbers(write("text,label\na,-3\nb,1e-3\n")) == [
        NumberExample("a", label=-3.0),
        NumberExample("b", label=0.001),
    ]
    both = write(lines({"a": "x", "b": "y", "score": 3.6, "label": "NEUTRAL"}), "sick.jsonl")
    assert read_numbers(both) == [NumberExample("x", "y", 3.6)]
    assert read_numbers(write("text,stars\na,4\n")) == [NumberExample("a", label=4.0)]
    assert read_numbers(write("text\na\n")) == [NumberExample("a")]


@pytest.mark.parametrize("value", ["high", "3,5", "nan", "inf", "-inf", "", "1_0x"])
def test_a_number_that_is_none_is_named_with_file_and_line(write, value):
    path = write(f'text,score\na,1\nb,"{value}"\n')
    with pytest.raises(InputError, match=rf"data.csv, line 3: 'score' is '{value}'; a finite number"):
        read_numbers(path)


@pytest.mark.parametrize("value", [True, None, [1], {"x": 1}])
def test_what_is_no_number_in_json_is_refused(write, value):
    with pytest.raises(InputError, match="line 1: 'score'"):
        read_numbers(write(lines({"text": "a", "score": value}), "data.jsonl"))


def test_columns_of_choices_are_named_by_their_ends(write):
    path = write("text,choice_0,choice_1,choice_2,label\nt,a,b,c,2\nu,a,b,,0\nv,a,b,c,b\n")
    assert read_choices(path) == [
        ChoiceExample("t", ("a", "b", "c"), 2),
        ChoiceExample("u", ("a", "b"), 0),
        ChoiceExample("v", ("a", "b", "c"), 1),
    ]
    counted_from_1 = write("sentence,option1,option2,answer\nt,a,b,2\n")
    assert read_choices(counted_from_1) == [ChoiceExample("t", ("a", "b"), 1)]
    letters = write("article,question,A,B,C,D,answer\nt,q?,a,b,c,d,C\n")
    assert read_choices(letters) == [ChoiceExample("t", ("a", "b", "c", "d"), 2, "q?")]
    swag = write("sent1,sent2,ending0,ending1,label\nt,q,a,b,1\n")
    found = read_choices(swag, text_column="sent1", question_column="sent2")
    assert found == [ChoiceExample("t", ("a", "b"), 1, "q")]


def test_lists_of_choices_are_counted_from_0_or_lettered_from_a(write):
    rows = [{"question": "q", "choices": ["x", "y", 3], "label": label} for label in (2, "B", "x")]
    found = read_choices(write(lines(*rows), "data.jsonl"))
    assert [row.label for row in found] == [2, 1, 0]
    assert found[0] == ChoiceExample("q", ("x", "y", "3"), 2)
    assert read_choices(write('text,options\nt,"[""a"", ""b""]"\n')) == [ChoiceExample("t", ("a", "b"))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "text,choice_0,choice_1,label\nt,a,b,2\n",
            "line 2: 'label' is '2', which names no choice; there are 0, 1",
        ),
        ("text,choice_0,choice_1,label\nt,a,b,\n", "line 2: 'label' is '', which names no choice"),
        ("text,choice_0,choice_1,label\nt,1,0,1\n", "names one choice and is the text of another"),
        ("text,choice_0,choice_1,label\nt,a,,0\n", "line 2: 1 choices in choice_0, choice_1; at least 2"),
        ("text,choice_0,choice_1,label\n,a,b,0\n", "line 2: 'text' is ''; a text is wanted"),
        ("text,label\nt,0\n", "no columns choice_0, choice_1"),
        ("text,choices,options,label\nt,a,b,0\n", "the choices may be choices or options"),
        ("text,choices,label\nt,a b,0\n", "line 2: 'choices' is 'a b': no list in JSON"),
        ('text,choices,label\nt,"[""a"", """"]",0\n', "none of them empty"),
        ("text,article,A,B,label\nt,u,a,b,A\n", "the text may be text or article"),
        ("headline,A,B,label\nt,a,b,A\n", "the text is in no column that is known"),
        ("", "empty; a file of examples"),
    ],
)
def test_unreadable_choices_are_named_with_file_and_line(write, text, message):
    with pytest.raises(InputError, match=message):
        read_choices(write(text))


def test_a_column_that_is_not_there_is_named(write):
    path = write("text,A,B\nt,a,b\n")
    with pytest.raises(InputError, match="no column 'gold'; there are text, A, B"):
        read_choices(path, label_column="gold")
    with pytest.raises(InputError, match="no column 'gold'"):
        read_numbers(path, label_column="gold")
