"""Queries and passages from every kind of file; what is wrong in one is said with its place."""

import json

import pytest

from minibert.data.dialogues import read_dialogues, responses
from minibert.data.examples import SearchExample, TextExample
from minibert.data.searches import gather, read_all_texts, read_judgements, read_queries, read_searches
from minibert.errors import InputError


def write(path, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_triplets_of_sentence_transformers(tmp_path):
    path = write(
        tmp_path / "t.jsonl",
        {"anchor": "q", "positive": "p", "negative": "n"},
        {"query": "r", "positive": "s", "negatives": ["n1", "n2"], "negative_3": "n3"},
        {"anchor": "t", "positive": "u", "negative": None},
    )
    assert read_searches(path) == [
        SearchExample("q", "p", ("n",)),
        SearchExample("r", "s", ("n1", "n2", "n3")),
        SearchExample("t", "u"),
    ]


def test_labelled_pairs_are_gathered_by_query(tmp_path):
    path = write(
        tmp_path / "t.csv",
        "qtext,label,atext",
        "who?,0,a cat",
        "who?,1,Ada",
        "who?,1,Ada Lovelace",
        "who?,0,a dog",
        "why?,0,never",
    )
    wrong = ("a cat", "a dog")
    assert read_searches(path) == [
        SearchExample("who?", "Ada", wrong),
        SearchExample("who?", "Ada Lovelace", wrong),
    ]


def test_queries_come_once_and_all_texts_with_their_passages(tmp_path):
    (tmp_path / "a.csv").write_text("question,answer,label\nwho?,Ada,1\nwho?,cat,0\nwhat?,dog,0\n", "utf-8")
    (tmp_path / "b.jsonl").write_text('{"query": "q", "positive": "p", "negative": "n"}\n', "utf-8")
    (tmp_path / "c.txt").write_text("one\n\ntwo\n", "utf-8")
    queries = {
        name: [one.text for one in read_queries(tmp_path / name)] for name in ("a.csv", "b.jsonl", "c.txt")
    }
    assert queries == {"a.csv": ["who?"], "b.jsonl": ["q"], "c.txt": ["one", "two"]}
    assert read_all_texts(tmp_path / "a.csv") == ["who?", "Ada", "who?", "cat", "what?", "dog"]
    assert read_all_texts(tmp_path / "b.jsonl") == ["q", "p", "n"]
    assert read_all_texts(tmp_path / "c.txt") == ["one", "two"]
    assert read_all_texts(tmp_path / "a.csv", {"text_column": "answer"}) == ["Ada", "cat", "dog"]


def test_bare_pairs_and_named_columns(tmp_path):
    path = write(tmp_path / "t.tsv", "question\tanswer", "who?\tAda")
    assert read_searches(path) == [SearchExample("who?", "Ada")]
    path = write(tmp_path / "u.tsv", "ask\ttell", "who?\tAda")
    named = {"text_column": "ask", "pair_column": "tell"}
    assert read_searches(path, named) == [SearchExample("who?", "Ada")]


def test_dialogues_are_searches_for_the_next_turn(tmp_path):
    path = write(tmp_path / "d.jsonl", {"turns": ["a", {"role": "x", "text": "b"}, "c"]}, {"turns": ["d"]})
    assert read_dialogues(path) == [("a", "b", "c"), ("d",)]
    assert read_searches(path) == [SearchExample("a", "b"), SearchExample("a\nb", "c")]
    assert responses([("a", "b", "c", "d")], context=2)[-1] == SearchExample("b\nc", "d")
    path = write(tmp_path / "e.jsonl", {"en": ["a", "b"]})
    assert read_dialogues(path, turns_column="en") == [("a", "b")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"anchor": "q", "positive": " "}], "line 1: ' ' stands where a text is wanted"),
        ([{"positive": "p"}], r"line 1: no column of queries \(anchor or"),
        ([{"text": "one"}], r"one text in each row \(text\)"),
        ([{"question": "q", "answer": "a", "label": "maybe"}], "example 1: the label is 'maybe'"),
        ([{"turns": ["a", ""]}], "line 1, turn 2: ''"),
        ([{"turns": "a"}], "line 1: no list of turns under 'turns'"),
        ([""], "empty; a file of queries"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(tmp_path, rows, message):
    path = write(tmp_path / "bad.jsonl", *rows)
    with pytest.raises(InputError, match=message) as error:
        read_searches(path)
    assert "bad.jsonl" in str(error.value)


def test_a_context_of_no_turns_is_refused():
    with pytest.raises(InputError, match="context is 0"):
        responses([("a", "b")], context=0)


def test_a_passage_that_stands_twice_comes_once():
    pairs = [TextExample("q", "p", "1"), TextExample("q", "p", "1.0"), TextExample("q", "n", "false")]
    assert gather(pairs) == [SearchExample("q", "p", ("n",))]


def test_judgements_of_beir_and_of_trec(tmp_path):
    wanted = {"1": {"184": 2, "29": -1}, "2": {"a b": 3}}
    beir = write(tmp_path / "qrels.tsv", "query-id\tcorpus-id\tscore", "1\t184\t2", "1\t29\t-1", "2\ta b\t3")
    assert read_judgements(beir) == wanted
    trec = write(tmp_path / "qrels.txt", "1 0 184 2", "1 0 29 -1", "", "2 0 ab 3")
    assert read_judgements(trec) == {"1": wanted["1"], "2": {"ab": 3}}
    for line in ("1 184", "1\t184\thigh", "1 0 184 2 5"):
        with pytest.raises(InputError, match=r"bad\.txt, line 2: '1"):
            read_judgements(write(tmp_path / "bad.txt", "1 0 184 2", line))


def test_grades_are_not_taken_for_right_answers(tmp_path):
    path = tmp_path / "graded.csv"
    path.write_text("sentence1,sentence2,score\na,b,4.5\nc,d,0.2\n", "utf-8")
    with pytest.raises(InputError, match=r"'score' looks like grades.*the task"):
        read_searches(path)
    path.write_text("sentence1,sentence2,score,right\na,b,4.5,1\nc,d,0.2,1\n", "utf-8")
    assert [row.positive for row in read_searches(path, {"label_column": "right"})] == ["b", "d"]


def test_queries_without_a_right_passage_are_counted(tmp_path, capsys):
    path = tmp_path / "qa.csv"
    path.write_text("question,answer,label\nwho?,Ada,1\nwhere?,a cat,0\nwhen?,a dog,0\n", "utf-8")
    assert [row.text for row in read_searches(path)] == ["who?"]
    assert "2 queries of" in capsys.readouterr().err
