"""Pairs of source and target, out of tables and of files of lines; what is said where they do not fit."""

import json
import lzma

import pytest

from minibert.data.examples import ParallelExample
from minibert.data.parallel import read_parallel
from minibert.data.searches import read_searches
from minibert.errors import InputError

WANTED = [ParallelExample("ein Hund", "a dog"), ParallelExample("zwei Katzen, müde", "two cats, tired")]


def write_lines(
    folder, german: str = "ein Hund\nzwei Katzen, müde\n", english: str = "a dog\ntwo cats, tired\n"
):
    (folder / "t.de").write_text(german, "utf-8")
    (folder / "t.en").write_text(english, "utf-8")
    return f"{folder / 't.de'},{folder / 't.en'}"


def write_jsonl(path, *rows: dict):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_two_files_of_lines_are_read_side_by_side(tmp_path):
    assert read_parallel(write_lines(tmp_path)) == WANTED


def test_one_of_the_files_may_be_compressed(tmp_path):
    write_lines(tmp_path)
    with lzma.open(tmp_path / "t.de.xz", "wt", encoding="utf-8") as file:
        file.write((tmp_path / "t.de").read_text("utf-8"))
    assert read_parallel(f"{tmp_path / 't.de.xz'}, {tmp_path / 't.en'}") == WANTED


def test_a_line_ends_at_a_line_feed_alone(tmp_path):
    path = write_lines(tmp_path, "ein\u2028Hund\r\nzwei\x85\r\n", "a\u2028dog\ntwo\x0c!\n")
    assert [example.source for example in read_parallel(path)] == ["ein\u2028Hund", "zwei\x85"]
    assert [example.target for example in read_parallel(path)] == ["a\u2028dog", "two\x0c!"]


def test_a_comma_in_the_name_of_a_file_that_is_there_is_part_of_its_name(tmp_path):
    path = write_jsonl(tmp_path / "a,b.jsonl", {"source": "ein Hund", "target": "a dog"})
    assert read_parallel(str(path)) == WANTED[:1]


@pytest.mark.parametrize(
    "columns, names",
    [
        (("source", "target"), {}),
        (("src", "tgt"), {}),
        (("text", "summary"), {}),
        (("de", "en"), {"source_column": "de", "target_column": "en"}),
        (("source", "en"), {"target_column": "en"}),
    ],
)
def test_columns_are_named_or_found(tmp_path, columns, names):
    rows = [{columns[0]: e.source, columns[1]: e.target, "note": "x"} for e in WANTED]
    assert read_parallel(write_jsonl(tmp_path / "t.jsonl", *rows), **names) == WANTED
    lines = ["\t".join([columns[0], columns[1]]), *("\t".join([e.source, str(e.target)]) for e in WANTED)]
    (tmp_path / "t.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    assert read_parallel(tmp_path / "t.tsv", **names) == WANTED


def test_rows_of_hugging_faces_translation_data_are_opened(tmp_path):
    rows = [{"translation": {"de": e.source, "en": e.target}} for e in WANTED]
    path = write_jsonl(tmp_path / "t.jsonl", *rows)
    assert read_parallel(path, source_column="de", target_column="en") == WANTED
    assert read_parallel(path, source_column="en", target_column="de")[0] == ParallelExample(
        "a dog", "ein Hund"
    )


def test_each_turn_of_a_dialogue_is_the_target_of_the_last_three(tmp_path):
    talk = ["Tea?", {"role": "b", "text": "Yes."}, "Milk?", "No.", "Here."]
    path = write_jsonl(tmp_path / "t.jsonl", {"turns": talk}, {"turns": ["alone"]})
    pairs = [
        ParallelExample("Tea?", "Yes."),
        ParallelExample("Tea?\nYes.", "Milk?"),
        ParallelExample("Tea?\nYes.\nMilk?", "No."),
        ParallelExample("Yes.\nMilk?\nNo.", "Here."),
    ]
    assert read_parallel(path) == pairs
    assert [(one.text, one.positive) for one in read_searches(path)] == [(e.source, e.target) for e in pairs]
    assert read_parallel(path, targets=False) == [ParallelExample(pair.source) for pair in pairs]


@pytest.mark.parametrize("turns", [["a", "b"], 2])
def test_turns_beside_source_and_target_are_no_dialogue(tmp_path, turns):
    path = write_jsonl(tmp_path / "t.jsonl", {"turns": turns, "source": "ein Hund", "target": "a dog"})
    assert read_parallel(path) == WANTED[:1]


def test_a_dialogue_that_cannot_be_read_is_refused(tmp_path):
    told = refusal(write_jsonl(tmp_path / "a.jsonl", {"turns": ["a", "b"]}, {"turns": ["a", ""]}))
    assert "a.jsonl, line 2, turn 2" in told
    assert "no dialogue has two turns" in refusal(write_jsonl(tmp_path / "b.jsonl", {"turns": ["a"]}))


def test_sources_alone_need_no_targets(tmp_path):
    write_lines(tmp_path)
    alone = [ParallelExample(example.source) for example in WANTED]
    assert read_parallel(tmp_path / "t.de", targets=False) == alone
    assert read_parallel(write_lines(tmp_path), targets=False) == alone
    assert (
        read_parallel(write_jsonl(tmp_path / "t.jsonl", {"source": "ein Hund"}), targets=False) == alone[:1]
    )


def refusal(path, **names) -> str:
    with pytest.raises(InputError) as error:
        read_parallel(path, **names)
    return str(error.value)


def test_files_of_different_lengths_are_refused_with_both_lengths(tmp_path):
    told = refusal(write_lines(tmp_path, german="ein Hund\n"))
    assert "t.de has 1 lines" in told and "t.en has 2" in told


@pytest.mark.parametrize("side", ["german", "english"])
def test_an_empty_line_is_refused_with_its_number(tmp_path, side):
    told = refusal(write_lines(tmp_path, **{side: "one\n \t\n"}))
    assert "line 2" in told and ("t.de" if side == "german" else "t.en") in told


def test_one_file_of_lines_is_refused_where_targets_are_wanted(tmp_path):
    write_lines(tmp_path)
    assert "train.de,train.en" in refusal(tmp_path / "t.de")
    three = ",".join([str(tmp_path / "t.de")] * 3)
    assert "3 file" in refusal(three)


def test_columns_of_files_of_lines_and_two_tables_are_refused(tmp_path):
    assert "no columns" in refusal(write_lines(tmp_path), source_column="de")
    path = write_jsonl(tmp_path / "t.jsonl", {"source": "a", "target": "b"})
    assert "one table" in refusal(f"{path},{path}")


@pytest.mark.parametrize(
    "row", [{"source": "a", "target": ""}, {"source": "a"}, {"source": "a", "target": None}]
)
def test_an_empty_or_missing_target_is_refused_with_its_line(tmp_path, row):
    path = write_jsonl(tmp_path / "t.jsonl", {"source": "a", "target": "b"}, row)
    told = refusal(path)
    assert "line 2" in told and "'target'" in told


def test_columns_in_doubt_are_asked_for(tmp_path):
    told = refusal(write_jsonl(tmp_path / "a.jsonl", {"de": "a", "en": "b"}))
    assert "de, en" in told and "--source-column" in told
    told = refusal(write_jsonl(tmp_path / "b.jsonl", {"source": "a", "target": "b", "src": "c", "tgt": "d"}))
    assert "--source-column" in told
    told = refusal(write_jsonl(tmp_path / "c.jsonl", {"source": "a", "en": "b"}), source_column="source")
    assert "--target-column" in told
    told = refusal(write_jsonl(tmp_path / "d.jsonl", {"en": "b"}), source_column="en", target_column="en")
    assert "'en' cannot be both" in told


def test_a_file_without_rows_is_refused(tmp_path):
    (tmp_path / "t.jsonl").write_text("\n", "utf-8")
    assert "empty" in refusal(tmp_path / "t.jsonl")
    assert "empty" in refusal(write_lines(tmp_path, "", ""))
    assert "no such file" in refusal(f"{tmp_path / 'no.de'},{tmp_path / 'no.en'}")


def test_a_table_of_one_column_lacks_a_side(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("source\na dog\n", "utf-8")
    with pytest.raises(InputError, match="has the column source alone; source and target are wanted"):
        read_parallel(path)
