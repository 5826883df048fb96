"""Rows to examples of texts, and files to documents."""

import csv
import gzip
import json
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.data.columns import Columns, choose_columns
from minibert.data.examples import TextExample
from minibert.data.readers import LONGEST_DOCUMENT, columns_of, read_documents, read_texts
from minibert.errors import InputError

CSV = 'id,text,label\n1,"The cat, ""Tom"", sat\non a mat",yes\n2,It ran,no\n'


def write(folder, name, content):
    opened = {"gz": gzip.open, "xz": lzma.open}.get(name.rsplit(".", 1)[-1], open)
    with opened(folder / name, "wb") as file:
        file.write(content.encode())
    return folder / name


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_a_quoted_field_holds_commas_quotes_and_line_ends(tmp_path, suffix):
    examples = read_texts(write(tmp_path, f"a.csv{suffix}", CSV))
    assert examples == [
        TextExample('The cat, "Tom", sat\non a mat', None, "yes"),
        TextExample("It ran", None, "no"),
    ]


def test_a_tsv_has_no_quotes(tmp_path):
    path = write(tmp_path, "a.tsv", 'text\tlabel\n"Tom sat\t1\nsaid "he"\t0\n')
    assert [example.text for example in read_texts(path)] == ['"Tom sat', 'said "he"']


def test_a_text_file_has_a_text_on_each_line_and_no_labels(tmp_path):
    path = write(tmp_path, "a.txt", "one\n\n two \n")
    assert read_texts(path) == [TextExample("one"), TextExample(" two ")]


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), st.sampled_from("ab")),
        min_size=1,
    )
)
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    assert [(example.text, example.label) for example in read_texts(path)] == rows


def test_a_field_longer_than_the_csv_modules_limit_is_read_and_the_limit_left_alone(tmp_path):
    path = write(tmp_path, "a.csv", f"text,label\n{'x' * 1001},1\n")
    before = csv.field_size_limit(1000)
    try:
        assert len(read_texts(path)[0].text) == 1001
        assert csv.field_size_limit() == 1000
    finally:
        csv.field_size_limit(before)


@pytest.mark.parametrize(
    ("value", "label"), [(1, "1"), (0.5, "0.5"), (True, "true"), (False, "false"), (" a ", "a"), (-1, "-1")]
)
def test_labels_become_words(tmp_path, value, label):
    path = write(tmp_path, "a.jsonl", json.dumps({"text": "t", "label": value}))
    assert read_texts(path)[0].label == label


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["label", "text"], Columns("text", None, "label")),
        (["cat", "label", "review"], Columns("review", None, "label")),
        (["text", "category"], Columns("text", None, "category")),
        (["text", "a", "b"], Columns("text")),
        (["text", "pair"], Columns("text", "pair")),
        (["text", "text_pair", "label"], Columns("text", "text_pair", "label")),
        (["text", "label", "text_b"], Columns("text", "text_b", "label")),
        (["sentence", "sentence2", "label"], Columns("sentence", "sentence2", "label")),
        (["a", "b", "label"], Columns("a", "b", "label")),
        (["question", "sentence", "label"], Columns("question", "sentence", "label")),
        (["qtext", "label", "atext"], Columns("qtext", "atext", "label")),
    ],
)
def test_usual_columns_are_found(names, columns):
    assert choose_columns("x.csv", names) == columns


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["id", "body"], "no column 'text'; there are id, body"),
        (["sentence", "review"], "the text may be sentence or review; there are sentence, review"),
        (["a", "b", "title"], r"the text may be a\+b or title"),
        (["text", "pair", "text_b"], r"the text may be text\+pair or text\+text_b"),
        (["text", "intent", "category"], "the label may be category or intent"),
    ],
)
def test_columns_in_doubt_are_asked_for(names, message):
    with pytest.raises(InputError, match=f"x.csv: {message}"):
        choose_columns("x.csv", names)


def test_named_columns_are_taken_as_they_are_named(tmp_path):
    path = write(
        tmp_path, "a.jsonl", '{"text": "t", "premise": "p", "hypothesis": "h", "label": 1, "gold": 2}'
    )
    named = {"text_column": "premise", "pair_column": "hypothesis", "label_column": "gold"}
    assert read_texts(path, **named) == [TextExample("p", "h", "2")]
    assert read_texts(path, text_column="premise") == [TextExample("p", None, "1")]
    assert columns_of(path, **named) == Columns("premise", "hypothesis", "gold")
    with pytest.raises(InputError, match=r"a\.jsonl: no column 'txet'; there are text, premise"):
        read_texts(path, text_column="txet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\nfine,1\none,two,3\n", "line 3: 3 fields, the header has 2 .*'one|two|3'"),
        ("a.csv", 'text,label\n"a\nb",1\nonly\n', "line 4: 1 fields"),
        ("a.csv", 'text,label\nfine,1\n"never closed,1\nx,2\n', "line 3: .* is a quotation mark not closed"),
        ("a.csv", "text,text\na,b\n", "the header names 'text' 2 times"),
        ("a.csv", "text,label\na,1\nb,\n", "line 3: the label in 'label' is empty"),
        ("a.csv", "text,label\n,1\na,1\n  ,1\n", r"line 2: the text is empty \(2 such rows\)"),
        ("a.csv", "text,label\n", "empty; a file of examples"),
        ("a.txt", "", "empty; a file of examples"),
        ("a.jsonl", '{"text": "a"}\n{"text": "b"\n', 'line 2: not JSON: .*\'{"text": "b"\''),
        ("a.jsonl", '["a"]', r"line 1: '\[\"a\"\]' is not an object"),
        ("a.jsonl", '{"text": "a", "label": 1}\n\n{"text": "b"}', "line 3: no value for 'label'"),
        ("a.jsonl", '{"text": ["a"]}', r"line 1: 'text' is \['a'\], of type list"),
        ("a.jsonl", '{"text": "a", "label": [1, 2]}', r"line 1: 'label' is \[1, 2\]"),
        ("a.jsonl", '{"text": "a", "label": NaN}', "line 1: 'label' is nan"),
        ("a.jsonl", '{"text": "a", "label": null}', "line 1: no value for 'label'"),
        ("a.jsonl", '{"a": "x", "b": " "}', "line 1: the text is empty"),
        ("a.docx", "x", "unknown kind of file '.docx'"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_value(tmp_path, name, content, message):
    with pytest.raises(InputError, match=f"{name}.*{message}".replace("|", r"\|")):
        read_texts(write(tmp_path, name, content))


def test_documents_are_parted_by_blank_lines_or_are_rows(tmp_path):
    text = write(tmp_path, "a.txt.gz", "\n\none\ntwo\n \n\nthree\n")
    rows = write(tmp_path, "b.jsonl", '{"text": "four\\n\\nfive"}\n{"text": " "}\n')
    table = write(tmp_path, "c.csv", "text\nsix\n")
    assert list(read_documents([text, rows, table])) == ["one\ntwo", "three", "four\n\nfive", "six"]


def test_a_file_without_blank_lines_is_cut_at_line_ends(tmp_path):
    line = "x" * 999
    lines = 5 * LONGEST_DOCUMENT // 2 // 1000
    documents = list(read_documents(write(tmp_path, "a.txt", (line + "\n") * lines)))
    assert len(documents) == 3
    assert max(map(len, documents)) <= LONGEST_DOCUMENT + 1000
    assert "\n".join(documents).split("\n") == [line] * lines


def test_a_corpus_row_without_the_column_is_named(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "a"}\n{"body": "b"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: no column 'text'; there are body"):
        list(read_documents([path]))


@pytest.mark.parametrize(
    "line", ['{"text": "a \\ud83d b", "label": "x"}', '{"text": "a", "label": "\\uDE00"}']
)
def test_half_of_a_surrogate_pair_is_refused_with_its_line(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "\\ud83d\\ude00", "label": "x"}\n' + line + "\n", "utf-8")
    with pytest.raises(InputError, match="line 2: half of a surrogate pair"):
        read_texts(path)
    path.write_text('{"text": "\\ud83d\\ude00 \\\\ud83d", "label": "x"}\n', "utf-8")
    assert read_texts(path) == [TextExample("\U0001f600 \\ud83d", None, "x")]
