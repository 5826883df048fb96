"""Opening files: what is found, what is dropped, and what is said about a file that cannot be read."""

import gzip
import lzma

import pytest

from minibert.data.files import expand, kind_of, open_text
from minibert.errors import InputError


@pytest.mark.parametrize(
    ("name", "opened"),
    [("a.txt", open), ("a.txt.gz", gzip.open), ("a.txt.xz", lzma.open), ("a.XZ", lzma.open)],
)
def test_lines_come_without_mark_and_ends_however_they_are_packed(tmp_path, name, opened):
    with opened(tmp_path / name, "wb") as file:
        file.write("\ufeffThe cat\r\n\n猫 \ufeff\nno end".encode())
    assert list(open_text(tmp_path / name)) == ["The cat", "", "猫 \ufeff", "no end"]


def test_an_empty_file_has_no_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"")
    assert list(open_text(tmp_path / "a.txt")) == []


def test_a_byte_that_is_not_utf8_is_named_with_line_and_column(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes("fine\n猫, caf".encode() + b"\xe9 au lait\n")
    with pytest.raises(InputError, match=r"data\.csv, line 2, byte 0xE9 at column 7: not UTF-8; save"):
        list(open_text(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text\n\x00\x01\x02", "line 2: a zero byte: this is a binary file"),
        ("The cat".encode("utf-16"), "0xFFFE: UTF-16; save it as UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(open_text(tmp_path / "a.txt"))


@pytest.mark.parametrize(("suffix", "module"), [(".gz", gzip), (".xz", lzma)])
def test_a_packed_file_that_is_cut_short_or_damaged_is_named(tmp_path, suffix, module):
    path = tmp_path / f"a.txt{suffix}"
    whole = module.compress(b"The cat sat.\n" * 1000)
    for content in (whole[: len(whole) // 2], whole[:20] + b"\xff" * 20 + whole[40:], b"no archive"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"a.txt{suffix}: cannot be read"):
            list(open_text(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.txt: no such file"):
        list(open_text(tmp_path / "gone.txt"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.csv", ".csv"), ("a.b.JSONL.gz", ".jsonl"), ("a.txt.xz", ".txt"), ("eng.testa", ".testa")],
)
def test_a_kind_is_the_suffix_below_the_compression(tmp_path, name, kind):
    assert kind_of(tmp_path / name) == kind


def test_folders_globs_and_files_expand_sorted_and_once(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    for name in ("b.txt", "inner/a.csv.xz", "c.log", "[1].txt"):
        (tmp_path / name).write_text("text")
    names = [path.relative_to(tmp_path).as_posix() for path in expand([tmp_path])]
    assert names == ["[1].txt", "b.txt", "inner/a.csv.xz"]
    assert expand([tmp_path / "*.txt"]) == [tmp_path / "[1].txt", tmp_path / "b.txt"]
    assert expand([str(tmp_path / "[1].txt")]) == [tmp_path / "[1].txt"]
    assert expand(tmp_path / "c.log") == [tmp_path / "c.log"]
    monkeypatch.chdir(tmp_path)
    assert len(expand(["b.txt", tmp_path / "b.txt", "./inner/../b.txt"])) == 1


def test_a_pattern_that_finds_nothing_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    for pattern in ("gone.txt", "*.csv", "empty"):
        with pytest.raises(InputError, match=pattern.replace("*", r"\*")):
            expand([tmp_path / pattern])
    with pytest.raises(InputError, match="no files are named"):
        expand([])
