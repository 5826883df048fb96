"""Questions on the command line: fine-tuned, evaluated, asked; and what cannot be asked."""

import json

import pytest
import tiny_runs
from tiny_runs import PASSAGE, write_questions

from minibert.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    tiny_runs.make_encoder(folder / "enc")
    train = write_questions(folder / "train.json")
    flags = ("--max-steps", "3", "--no-progress", "--fp32", "--doc-stride", "5", "--max-seq-length", "40")
    assert main(["finetune", "--task", "question_answering", "--model", str(folder / "enc"),
                 "--train-file", str(train), "--validation-file", str(train),
                 "--output-dir", str(folder / "qa"), *flags]) == 0  # fmt: skip
    (folder / "page.txt").write_bytes(PASSAGE.replace("\n", "\r\n").encode())
    tiny_runs.write_table(folder / "train.csv")
    assert main(["finetune", "--task", "classification", "--model", str(folder / "enc"), *flags[:4],
                 "--train-file", str(folder / "train.csv"),
                 "--output-dir", str(folder / "clf")]) == 0  # fmt: skip
    return folder


def test_a_run_keeps_its_options_and_the_threshold_of_its_validation_data(folder, capsys):
    settings = json.loads((folder / "qa" / "task.json").read_text("utf-8"))
    assert (settings["doc_stride"], settings["max_length"], settings["refuses"]) == (5, 40, True)
    assert main(["evaluate", "--model", str(folder / "qa"), "--precision", "fp32",
                 "--file", str(folder / "train.json")]) == 0  # fmt: skip
    scores = tiny_runs.last_line(capsys.readouterr().out)
    assert scores["best_f1_threshold"] == pytest.approx(settings["threshold"], abs=1e-4)
    assert scores["f1"] == pytest.approx(scores["best_f1"])
    assert scores["examples"] == 6


def predict(folder, capsys, *more):
    assert main(["predict", "--model", str(folder / "qa"), *map(str, more)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_typed_questions_are_asked_about_the_passage_of_a_file(folder, capsys):
    rows = predict(
        folder, capsys, "--question", "Who?", "--question", "What?", "--passage-file", folder / "page.txt"
    )
    assert [row["question"] for row in rows] == ["Who?", "What?"]
    for row in rows:
        assert "id" not in row
        for candidate in (row, *row["candidates"]):
            assert candidate["text"] == PASSAGE[candidate["start"] : candidate["end"]]


def test_the_questions_of_a_file_are_asked_whether_they_have_answers_or_not(folder, tmp_path, capsys):
    files = [folder / "train.json", write_questions(tmp_path / "bare.json", answered=False)]
    flat = [{"id": f"q{n}", "question": "Who takes it?", "context": PASSAGE} for n in range(2)]
    (tmp_path / "flat.jsonl").write_text("\n".join(map(json.dumps, flat)), "utf-8")
    with_answers, without = (predict(folder, capsys, "--file", file) for file in files)
    assert with_answers == without
    rows = predict(folder, capsys, "--file", tmp_path / "flat.jsonl")
    assert [row["id"] for row in rows] == ["q0", "q1"]
    assert rows[0]["text"] == without[2]["text"]


@pytest.mark.parametrize(
    ("model", "more", "message"),
    [
        ("qa", ("Who sees?",), "'Who sees?': a question is typed as --question, beside --passage-file"),
        ("qa", ("--question", "Who sees?"), "a question needs a passage"),
        ("qa", ("--passage-file", "{page}"), "a question needs a passage"),
        ("qa", ("--question", " ", "--passage-file", "{page}"), "--question: there are no words in it"),
        ("qa", ("--question", "Who?", "--passage-file", "{empty}"), "--passage-file: there are no words"),
        ("qa", ("--question", "Who?", "--passage-file", "{gone}"), "no such file"),
        ("qa", ("--file", "{train}", "--text-column", "x"), "--text-column: question_answering has no such"),
        ("qa", (), "nothing to predict"),
        ("clf", ("--question", "Who?", "--passage-file", "{page}"), "classification reads texts"),
    ],
)
def test_what_cannot_be_asked_is_said(folder, tmp_path, capsys, model, more, message):
    (tmp_path / "empty.txt").write_text(" \n", "utf-8")
    places = {"page": folder / "page.txt", "empty": tmp_path / "empty.txt",
              "gone": tmp_path / "gone.txt", "train": folder / "train.json"}  # fmt: skip
    arguments = [word.format(**places) for word in more]
    assert main(["predict", "--model", str(folder / model), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_file_without_answers_cannot_be_trained_on(folder, tmp_path, capsys):
    bare = write_questions(tmp_path / "bare.json", answered=False)
    assert main(["evaluate", "--model", str(folder / "qa"), "--file", str(bare)]) == 2
    assert "bare.json: example 1 has no label" in capsys.readouterr().err
