"""Marked texts, heads and tails, and SemEval's own files: to pairs of mentions."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.data.examples import RelationExample
from minibert.data.relations import find_mentions, parse_marked, read_relations
from minibert.errors import InputError

PLAIN = "The ear of the elephant"
PAIR = RelationExample(PLAIN, (4, 7), (15, 23), "Component-Whole(e1,e2)")
SEMEVAL = """1\t"The <e1>ear</e1> of the <e2>elephant</e2>"
Component-Whole(e1,e2)
Comment: no <b>comment</b>

2\t"A <e2>child</e2> is told a "<e1>lie</e1>"."
Other
Comment:

"""


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "text": "The <e1>ear</e1> of the <e2>elephant</e2>", "relation": PAIR.label},
        {"sentence": "The <e1> ear </e1>of the<e2> elephant</e2>", "label": PAIR.label},
        {"text": PLAIN, "head": "ear", "tail": "elephant", "relation": PAIR.label},
        {"text": PLAIN, "head": [4, 7], "tail": [15, 23], "relation": PAIR.label},
        {
            "text": PLAIN,
            "head": {"start": 4, "end": 7},
            "tail": {"start": 15, "end": 23},
            "label": PAIR.label,
        },
    ],
)
def test_every_way_of_saying_a_pair_is_the_same_pair(tmp_path, row):
    (example,) = read_relations(write(tmp_path / "a.jsonl", row))
    assert (example.text.replace("  ", " "), example.label) == (PLAIN, PAIR.label)
    assert example.text[slice(*example.head)] == "ear"
    assert example.text[slice(*example.tail)] == "elephant"
    (unlabelled,) = read_relations(
        write(tmp_path / "b.jsonl", {key: row[key] for key in row if key not in ("label", "relation")})
    )
    assert unlabelled.label is None


def test_a_table_of_strings_is_read(tmp_path):
    path = write(tmp_path / "a.csv", "what,head,tail,how\nAnn saw Bob,Bob,Ann,seen-by\n")
    (example,) = read_relations(path, text_column="what", label_column="how")
    assert example == RelationExample("Ann saw Bob", (8, 11), (0, 3), "seen-by")


def test_the_files_of_semeval_are_read_as_they_are(tmp_path):
    first, second = read_relations(write(tmp_path / "TRAIN.TXT", SEMEVAL))
    assert first == PAIR
    assert second == RelationExample('A child is told a "lie".', (19, 22), (2, 7), "Other")
    lines = "\n".join(line for line in SEMEVAL.splitlines() if "<e1>" in line)
    assert [row.label for row in read_relations(write(tmp_path / "TEST.txt", lines))] == [None, None]


def test_mentions_may_lie_inside_each_other():
    text, head, tail = parse_marked("the <e1>university of <e2>Oslo</e2></e1>", where="x")
    assert (text[slice(*head)], text[slice(*tail)]) == ("university of Oslo", "Oslo")


@given(
    parts=st.lists(st.text(st.sampled_from("ab <>/e1中"), min_size=1, max_size=6), min_size=5, max_size=5),
    swapped=st.booleans(),
)
def test_markers_come_out_where_they_went_in(parts, swapped):
    before, first, between, second, after = (part.replace("<", "(") for part in parts)
    first, second = f"x{first}x", f"y{second}y"
    a, b = ("e2", "e1") if swapped else ("e1", "e2")
    marked = f"{before}<{a}>{first}</{a}>{between}<{b}>{second}</{b}>{after}"
    text, head, tail = parse_marked(marked, where="x")
    assert text == before + first + between + second + after
    mentions = (text[slice(*head)], text[slice(*tail)])
    assert mentions == ((second, first) if swapped else (first, second))
    assert (head if not swapped else tail)[0] == len(before)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no markers", "<e1> is missing: 'no markers'"),
        ("only <e1>one</e1>", "<e2> is missing"),
        ("<e1>a</e1> <e2>b", "<e2> is never closed"),
        ("<e1>a <e2>b</e1> c</e2>", "</e1> where <e2> is open"),
        ("a</e1> <e2>b</e2>", "</e1> where no <e1> is open"),
        ("<e1>a</e1> <e1>b</e1> <e2>c</e2>", "<e1> is there twice"),
        ("<e1></e1> <e2>b</e2>", "<e1> is empty: ''"),
        ("<e1>a</e1> <e2> </e2>", "<e2> is empty: ' '"),
        ("<e1><e2>b</e2></e1>", "head and tail are both 'b'"),
    ],
)
def test_markers_that_make_no_sense_are_named_with_the_text(tmp_path, text, message):
    with pytest.raises(InputError, match=f"a.jsonl, line 1.*{message}"):
        read_relations(write(tmp_path / "a.jsonl", {"text": text, "relation": "x"}))
    with pytest.raises(InputError, match=f"a.txt, line 1.*{message}|a.txt.*sentence with <e1>"):
        read_relations(write(tmp_path / "a.txt", text))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": PLAIN, "head": "ear", "relation": "x"}, "only one mention, head 'ear'; give head and tail"),
        ({"text": PLAIN, "head": "ear", "tail": "cat"}, "the tail 'cat' is not in the text 'The ear"),
        ({"text": PLAIN, "head": "", "tail": "ear"}, "the head '' is not in the text"),
        ({"text": PLAIN, "head": "ear", "tail": "ear"}, "'ear' and 'ear' have no places of their own"),
        ({"text": PLAIN, "head": [4, 7], "tail": [15, 99]}, r"the tail \(15, 99\) is no stretch .* 23"),
        ({"text": PLAIN, "head": [7, 7], "tail": [0, 3]}, r"the head \(7, 7\) is no stretch"),
        ({"text": PLAIN, "head": [3, 4], "tail": [0, 3]}, "the head is empty: ' '"),
        ({"text": PLAIN, "head": [0, 3], "tail": [0, 3]}, "head and tail are both 'The'"),
        ({"text": PLAIN, "head": [0], "tail": "ear"}, r"head is \[0\]; \[start, end\]"),
        ({"text": PLAIN, "head": "ear", "tail": "The", "relation": 3.5}, "the relation is 3.5; one word"),
        ({"text": " ", "head": "ear", "tail": "The"}, "the text is ' '"),
        ({"words": PLAIN}, "no column 'text' or 'sentence'; there are words"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_value(tmp_path, row, message):
    with pytest.raises(InputError, match=f"a.jsonl, line 1: {message}"):
        read_relations(write(tmp_path / "a.jsonl", row))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Other\n", "line 1: 'Other'; a sentence with <e1> and <e2>"),
        ('1\t"<e1>a</e1> <e2>b</e2>"\nOther\nOther\n', "line 3: 'Other'; a sentence"),
        ("\n", "no pair of mentions"),
    ],
)
def test_a_bad_line_of_semeval_is_named(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_relations(write(tmp_path / "a.txt", content))


def test_a_named_column_that_is_not_there_is_named(tmp_path):
    path = write(tmp_path / "a.jsonl", {"text": "a b", "head": "a", "tail": "b", "relation": "x"})
    with pytest.raises(InputError, match="no column 'kind'; there are text, head, tail, relation"):
        read_relations(path, label_column="kind")


@pytest.mark.parametrize(
    ("text", "head", "tail", "places"),
    [
        ("Ann saw Bob. Bob saw Ann.", "Ann", "Bob", ((0, 3), (8, 11))),  # the first of two that are as close
        ("Bob, Bob and Ann", "Ann", "Bob", ((13, 16), (5, 8))),  # the closer one
        ("白雪仙和白雪", "白雪", "白雪仙", ((4, 6), (0, 3))),  # one name inside the other
        ("Ann met Annie", "Ann", "Annie", ((0, 3), (8, 13))),
        ("Annie met Ann", "Ann", "met", ((10, 13), (6, 9))),  # a whole word before a part of one
        ("aaa", "a", "a", ((0, 1), (1, 2))),
    ],
)
def test_strings_are_found_where_they_stand_closest_together(text, head, tail, places):
    assert find_mentions(text, head, tail, where="x") == places


def test_numbers_and_truth_values_are_words(tmp_path):
    marked = {"text": "A <e1>cat</e1> sees a <e2>dog</e2>."}
    lines = [json.dumps({**marked, "relation": label}) + "\n" for label in (0, 3, True, "Other ")]
    path = write(tmp_path / "a.jsonl", "".join(lines))
    assert [example.label for example in read_relations(path)] == ["0", "3", "true", "Other"]
