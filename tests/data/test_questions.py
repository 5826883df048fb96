"""Questions are read from SQuAD's JSON and from flat rows; what is wrong is said with its place."""

import json
import lzma
import random
import re

import pytest

from minibert.data.examples import GoldAnswer, QuestionExample
from minibert.data.questions import nearest, read_questions
from minibert.errors import InputError

PASSAGE = "A cat sat. \U0001f600 The cat\tran."


def squad(*questions: dict, passage: str = PASSAGE) -> dict:
    paragraphs = [{"context": passage, "qas": list(questions)}]
    return {"version": "v2.0", "data": [{"title": "Cats", "paragraphs": paragraphs}]}


def asked(number: object = 1, **changes: object) -> dict:
    row = {"id": number, "question": "Who ran?", "answers": [{"text": "The cat", "answer_start": 13}]}
    return {**row, **changes}


def write(path, value) -> object:
    text = json.dumps(value) if not isinstance(value, str) else value
    if path.suffix == ".xz":
        path.write_bytes(lzma.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", ["squad.json", "squad.json.xz"])
def test_squads_nested_questions_are_read_with_their_answers(tmp_path, name, capsys):
    twice = [{"text": "The cat", "answer_start": 13}, {"text": "cat", "answer_start": 17}]
    path = write(tmp_path / name, squad(asked(), asked("b", answers=twice)))
    first, second = read_questions(path)
    assert first == QuestionExample("Who ran?", PASSAGE, (GoldAnswer("The cat", 13),), "1")
    assert [PASSAGE[gold.start :][: len(gold.text)] for gold in second.answers] == ["The cat", "cat"]
    assert capsys.readouterr().err == ""


def test_impossible_questions_have_no_answers_and_unasked_ones_none(tmp_path):
    impossible = asked(
        2, is_impossible=True, answers=[], plausible_answers=[{"text": "A", "answer_start": 0}]
    )
    bare = {"id": 3, "question": "Who?"}
    path = write(tmp_path / "a.json", squad(asked(is_impossible=False), impossible, bare))
    answers = [example.answers for example in read_questions(path)]
    assert answers == [(GoldAnswer("The cat", 13),), (), None]


FLAT = {"id": "x", "question": "Who ran?", "context": PASSAGE}


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        ({"text": ["The cat", "cat"], "answer_start": [13, 17]}, (("The cat", 13), ("cat", 17))),
        ({"text": [], "answer_start": []}, ()),
        ([{"text": "cat", "answer_start": 2}], (("cat", 2),)),
        ([], ()),
        ("cat", (("cat", 2),)),
        ("", ()),
        (None, None),
    ],
)
def test_every_form_of_a_flat_row_says_the_same(tmp_path, answers, wanted):
    row = {**FLAT, "answers": answers}
    files = [
        write(tmp_path / "rows.jsonl", json.dumps(row) + "\n\n" + json.dumps(row)),
        write(tmp_path / "lines.json", json.dumps(row) + "\n" + json.dumps(row)),
        write(tmp_path / "list.json", [row, row]),
        write(tmp_path / "data.json", json.dumps({"data": [row, row]}, indent=1)),
    ]
    golds = None if wanted is None else tuple(GoldAnswer(*pair) for pair in wanted)
    for path in files:
        assert read_questions(path) == [QuestionExample("Who ran?", PASSAGE, golds, "x")] * 2, path.name


def test_a_bare_answer_has_its_start_beside_it(tmp_path, capsys):
    head, row = "question,context,answer,answer_start\n", "Who?,a cat and a cat,cat"
    path = write(tmp_path / "a.csv", f"{head}{row},12\n{row},\n")
    assert [example.answers[0].start for example in read_questions(path)] == [12, 2]
    assert (
        "1 answers have no start and stand in several places, the first is taken" in capsys.readouterr().err
    )
    line = {"question": "Who?", "context": "a cat and a cat", "answer": "cat", "answer_start": 12}
    assert read_questions(write(tmp_path / "a.jsonl", json.dumps(line)))[0].answers[0].start == 12
    with pytest.raises(InputError, match="line 2: answer_start 'twelve' of 'cat' is no whole number"):
        read_questions(write(tmp_path / "b.csv", f"{head}{row},twelve\n"))


def test_a_table_may_hold_json_and_words_for_no_and_yes(tmp_path):
    answers = json.dumps({"text": ["The cat"], "answer_start": [13]}).replace('"', '""')
    head, row = "question,context,answers,is_impossible\n", f'Who ran?,"{PASSAGE}"'
    path = write(
        tmp_path / "a.csv",
        f'{head}{row},"{answers}",False\n{row},,True\n{row},[sic],0\n{row},[1990],0\n{row},,\n',
    )
    found = [example.answers for example in read_questions(path)]
    assert found == [
        (GoldAnswer("The cat", 13),),
        (),
        (GoldAnswer("[sic]", None),),
        (GoldAnswer("[1990]", None),),
        (),
    ]
    with pytest.raises(InputError, match="line 2: 'is_impossible' is 'perhaps'"):
        read_questions(write(tmp_path / "b.csv", f"{head}{row},,perhaps\n"))


def test_columns_of_a_table_are_found_or_named(tmp_path):
    path = write(tmp_path / "a.tsv", "question\tcontext\nWho ran?\tA cat ran.\n")
    assert read_questions(path) == [QuestionExample("Who ran?", "A cat ran.")]
    path = write(tmp_path / "b.csv", "ask,text,gold\nWho ran?,A cat ran.,cat\n")
    names = {"question_column": "ask", "passage_column": "text", "answers_column": "gold"}
    assert read_questions(path, **names)[0].answers == (GoldAnswer("cat", 2),)
    with pytest.raises(InputError, match=r"b.csv, line 2: no text in question; the row has ask, text, gold"):
        read_questions(path)
    with pytest.raises(InputError, match="no column 'right'; the row has ask, text, gold"):
        read_questions(path, **{**names, "answers_column": "right"})


def test_an_answer_that_stands_elsewhere_is_moved_to_the_nearest_place_and_counted(tmp_path, capsys):
    off = [{"text": "The cat", "answer_start": 15}, {"text": "cat", "answer_start": -1}]
    path = write(tmp_path / "a.json", squad(asked(answers=off), asked(2)))
    golds = read_questions(path)[0].answers
    assert golds == (GoldAnswer("The cat", 13), GoldAnswer("cat", 2))
    err = capsys.readouterr().err
    assert "2 answers moved" in err
    assert "a.json, passage 1, question 1: 'The cat' from 15 to 13" in err


def test_an_answer_that_stands_nowhere_is_kept_without_a_start_and_counted(tmp_path, capsys):
    path = write(tmp_path / "a.json", squad(asked(answers=[{"text": "a dog", "answer_start": 3}])))
    assert read_questions(path)[0].answers == (GoldAnswer("a dog", None),)
    err = capsys.readouterr().err
    assert "1 answers stand nowhere" in err and "question 1: 'a dog'" in err


def test_answers_that_stand_nowhere_are_listed_up_to_ten(tmp_path, capsys):
    lost = [asked(number, answers=[{"text": f"dog {number}", "answer_start": 0}]) for number in range(1, 13)]
    read_questions(write(tmp_path / "a.json", squad(*lost)))
    told, *listed = capsys.readouterr().err.splitlines()
    assert told.startswith("  12 answers stand nowhere") and told.endswith("; the first 10:")
    assert [line.rpartition(": ")[2] for line in listed] == [f"'dog {number}'" for number in range(1, 11)]


def test_the_nearest_place_is_the_nearest_of_all():
    draw = random.Random(0)
    for _ in range(300):
        passage = "".join(draw.choice("ab\u4e2d") for _ in range(draw.randint(1, 30)))
        text = "".join(draw.choice("ab\u4e2d") for _ in range(draw.randint(1, 2)))
        start = draw.randint(-3, 33)
        places = [place for place in range(len(passage)) if passage.startswith(text, place)]
        found = nearest(passage, text, start)
        if not places:
            assert found is None
        else:
            wanted = max(0, start)
            assert found in places
            assert abs(found - wanted) == min(abs(place - wanted) for place in places)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (squad(asked(7, question=" ")), r"bad.json, passage 1, question 7: no text in question; found ' '"),
        (squad(asked(7), passage="\n"), r"passage 1, question 7: no text in context or passage; found '\\n'"),
        (
            squad({"id": 7, "answers": []}),
            r"question 7: no text in question; the row has id, answers, context",
        ),
        (squad(asked(7, answers=[{"text": " ", "answer_start": 1}])), r"question 7: ' ' among the answers"),
        (squad(asked(7, answers=[{"text": "cat", "answer_start": "2"}])), r"answer_start '2' of 'cat'"),
        (squad(asked(7, answers=[{"text": "cat", "answer_start": True}])), r"answer_start True of 'cat'"),
        (
            squad(asked(7, answers=["cat"])),
            r"question 7: 'answers' must be a list of objects, found \"\['cat'",
        ),
        (squad(asked(7, answers={"text": ["cat"], "answer_start": []})), r"as many texts as starts"),
        (
            squad(asked(7, is_impossible=True)),
            r"question 7: is_impossible, and yet it has answers: 'The cat'",
        ),
        (
            {"data": [{"paragraphs": 3}]},
            r"bad.json, article 1: 'paragraphs' must be a list of objects, found '3'",
        ),
        (
            {"data": [{"paragraphs": [{"context": "x"}]}]},
            r"passage 1: 'qas' must be a list of objects, found",
        ),
        ({"data": [5]}, r"bad.json, entry 1: '5' is neither an article nor a row"),
        ({"data": []}, r"bad.json: holds no questions"),
        ({"data": 3}, r"bad.json: a list of articles under 'data' is wanted"),
        ('{"data": [', r"bad.json: not JSON: .*is the file cut short"),
        ("", r"bad.json: not JSON"),
        ("[" * 100_000, r"bad.json: not JSON"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path, value, message):
    with pytest.raises(InputError, match=message):
        read_questions(write(tmp_path / "bad.json", value))


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b'{"data": \x00}', b"\xe4"])
def test_bytes_that_are_no_text_are_refused(tmp_path, content):
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.json"):
        read_questions(tmp_path / "bad.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.json: no such file"):
        read_questions(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("name", "questions", "lost"),
    [("squad_dev_subset/dev.json", 939, 0), ("cmrc2018/dev.json", 649, 30), ("drcd/dev.json.xz", 3524, 0)],
)
def test_real_files_are_read_whole_and_every_start_is_right(shared_data, name, questions, lost, capsys):
    examples = read_questions(shared_data / name)
    golds = [(example, gold) for example in examples for gold in example.answers]
    assert len(examples) == questions
    assert sum(gold.start is None for _, gold in golds) == lost
    for example, gold in golds:
        assert gold.start is None or example.passage[gold.start :].startswith(gold.text)


def test_real_empty_questions_are_passed_over_and_told(shared_data, capsys):
    assert len(read_questions(shared_data / "cmrc2018" / "trial.json")) == 1_000
    assert re.search(r"2 questions are empty, and passed over:\n.*passage \d+", capsys.readouterr().err)


def test_an_empty_question_with_an_answer_is_passed_over_and_one_to_be_answered_refused(tmp_path, capsys):
    path = write(tmp_path / "a.json", squad(asked(), asked(2, question=" ")))
    assert [row.id for row in read_questions(path)] == ["1"]
    assert "1 questions are empty, and passed over" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"question '?2'?: no text in question; found ' '"):
        read_questions(write(tmp_path / "b.json", squad(asked(), {"id": 2, "question": " "})))
