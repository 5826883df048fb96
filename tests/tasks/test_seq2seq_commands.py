"""Translation from the command line: two files of lines in, a model and its translations out."""

import json
import random

import pytest

from minibert.cli import main

WORDS = "zero one two three four five six seven eight nine".split()
FAST = ("--no-progress", "--fp32", "--max-steps", "4", "--vocab-size", "290", "--set", "model.hidden_size=64")


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with number words in t.words, their digits in t.digits, and a model of them."""
    folder = tmp_path_factory.mktemp("numbers")
    draw = random.Random(0)
    rows = [[draw.randrange(10) for _ in range(draw.randint(1, 6))] for _ in range(200)]
    (folder / "t.words").write_text("".join(" ".join(WORDS[d] for d in row) + "\n" for row in rows), "utf-8")
    (folder / "t.digits").write_text("".join(" ".join(map(str, row)) + "\n" for row in rows), "utf-8")
    pair = f"{folder / 't.words'},{folder / 't.digits'}"
    assert run("finetune", "--task", "seq2seq", "--model", "tiny", "--train-file", pair,
               "--output-dir", folder / "run", "--max-target-length", "9", *FAST) == 0  # fmt: skip
    return folder


def test_lines_that_were_typed_and_lines_of_a_file_are_translated(folder, capsys):
    for given in (["one two", "nine"], ["--file", folder / "t.words"]):
        assert run("predict", "--model", folder / "run", *given) == 0
        rows = [
            json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"source"')
        ]
        assert len(rows) == (2 if given[0] == "one two" else 200)
        assert list(rows[0]) == ["source", "target", "score"]
    assert rows[0]["source"] == (folder / "t.words").read_text("utf-8").splitlines()[0]


def test_a_file_of_pairs_is_scored(folder, capsys):
    pair = f"{folder / 't.words'},{folder / 't.digits'}"
    assert run("evaluate", "--model", folder / "run", "--file", pair) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["examples"] == 200
    assert 0 <= last["chrf"] <= 1


def test_columns_are_named_by_flags(folder, tmp_path, capsys):
    path = tmp_path / "t.jsonl"
    path.write_text('{"words": "one", "digits": "1"}\n', "utf-8")
    named = ("--source-column", "words", "--target-column", "digits")
    assert run("evaluate", "--model", folder / "run", "--file", path, *named) == 0
    assert run("evaluate", "--model", folder / "run", "--file", path) != 0
    assert "words, digits" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, told",
    [
        (("--model", "huge"), "huge"),
        (("--model", "tiny", "--text-column", "x"), "--text-column"),
        (("--model", "tiny", "--metric", "meteor"), "metric"),
        (("--model", "tiny", "--num-beams", "0"), "num_beams 0"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_folder(folder, tmp_path, capsys, flags, told):
    pair = f"{folder / 't.words'},{folder / 't.digits'}"
    output = tmp_path / "run"
    assert run("finetune", "--task", "seq2seq", "--train-file", pair, "--output-dir", output, *flags,
               "--vocab-size", "290") != 0  # fmt: skip
    assert told in capsys.readouterr().err
    assert not output.exists()


def test_a_side_that_is_shorter_is_told_with_both_lengths(folder, tmp_path, capsys):
    (tmp_path / "short").write_text("1\n", "utf-8")
    pair = f"{folder / 't.words'},{tmp_path / 'short'}"
    assert run("evaluate", "--model", folder / "run", "--file", pair) != 0
    assert "has 200 lines" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--metric", "foo"), "--metric: metric is 'foo'"),
        (("--length-penalty", "nan"), "length_penalty is nan, expected a finite number"),
        (("--num-beams", "0"), "num_beams 0 must be at least 1"),
    ],
)
def test_what_cannot_be_for_once_is_refused_before_anything_is_written(folder, capsys, flags, told):
    pair = f"{folder / 't.words'},{folder / 't.digits'}"
    assert run("evaluate", "--model", folder / "run", "--file", pair, *flags) == 2
    assert told in capsys.readouterr().err


def test_answers_are_written_otherwise_for_once(folder, capsys):
    kept = (folder / "run" / "task.json").read_bytes()

    def targets(*flags):
        assert run("predict", "--model", folder / "run", "one two three", *flags) == 0
        [row] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return row

    assert targets("--min-target-length", "8") != targets("--max-target-length", "3")
    short = targets("--max-target-length", "3")
    assert len(short["target"]) < len(targets("--min-target-length", "8")["target"])
    greedy, beam = (targets("--num-beams", str(n), "--length-penalty", "0")["score"] for n in (1, 4))
    assert beam >= greedy
    pair = f"{folder / 't.words'},{folder / 't.digits'}"
    assert run("evaluate", "--model", folder / "run", "--file", pair, "--metric", "rougeL", "--json") == 0
    told = list(json.loads(capsys.readouterr().out))
    assert told.index("rougeL") < told.index("chrf")
    assert (folder / "run" / "task.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--num-beams", "0"), "num_beams 0"),
        (("--min-target-length", "99"), "min"),
        (("--num-beams", "two"), "invalid int value: 'two'"),
    ],
)
def test_a_way_of_writing_that_cannot_be_is_refused(folder, capsys, flags, told):
    assert run("predict", "--model", folder / "run", "one", *flags) == 2
    assert told in capsys.readouterr().err
