"""Several labels, numbers, choices and texts of no class, through the command line, from file to answers."""

import json

import pytest
import tiny_runs
from tiny_runs import last_line

from minibert.cli import main
from minibert.tasks.model import load

FAST = ("--no-progress", "--fp32", "--max-steps", "3")
FILES = {
    "multi_label": 'text,labels\nthe cat,animal|small\nthe road,\n"the dog, large",animal\nthe stone,small\n',
    "regression": "text,pair,score\nthe cat,a cat,5\nthe road,a cat,0.5\nthe dog,a dog,4\na dog,a road,1\n",
    "multiple_choice": "text,A,B,C,label\nthe cat,sees,holds,,A\na dog,takes,sees,finds,C\n",
    "classification": "text,label\nthe cat,animal\nthe road,thing\nthe dog,animal\na stone,thing\nhm,none\n",
}
MORE = {"classification": ("--reject-label", "none", "--calibrate"), "multi_label": ("--threshold", "0"),
        "regression": ("--regression-loss", "ordinal")}  # fmt: skip
MEASURE = {"multi_label": "micro_f1", "regression": "spearman", "multiple_choice": "accuracy",
           "classification": "out_of_scope_recall"}  # fmt: skip


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("labels") / "enc")


@pytest.mark.parametrize("task", FILES)
def test_a_task_goes_from_a_file_to_answers(task, encoder, tmp_path, capsys):
    data = tmp_path / "data.csv"
    data.write_text(FILES[task], "utf-8")
    assert run("finetune", "--task", task, "--model", encoder, "--train-file", data,
               "--validation-file", data, "--output-dir", tmp_path / "out",
               *FAST, *MORE.get(task, ())) == 0  # fmt: skip
    assert MEASURE[task] in last_line(capsys.readouterr().out)
    assert run("evaluate", "--model", tmp_path / "out", "--file", data, "--precision", "fp32") == 0
    scores = last_line(capsys.readouterr().out)
    assert MEASURE[task] in scores
    assert run("predict", "--model", tmp_path / "out", "--file", data, "--precision", "fp32") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == FILES[task].count("\n") - 1
    assert rows[0]["text"] == "the cat"
    examples = load(tmp_path / "out").task.read(data)
    assert load(tmp_path / "out").evaluate(examples)[MEASURE[task]] == pytest.approx(scores[MEASURE[task]])


def test_texts_typed_are_answered_where_a_text_is_enough(encoder, tmp_path, capsys):
    for task in ("multi_label", "multiple_choice"):
        (tmp_path / f"{task}.csv").write_text(FILES[task], "utf-8")
        assert run("finetune", "--task", task, "--model", encoder, "--train-file", tmp_path / f"{task}.csv",
                   "--output-dir", tmp_path / task, *FAST) == 0  # fmt: skip
    capsys.readouterr()
    assert run("predict", "--model", tmp_path / "multi_label", "the cat") == 0
    assert set(json.loads(capsys.readouterr().out)["probabilities"]) == {"animal", "small"}
    assert run("predict", "--model", tmp_path / "multiple_choice", "the cat") == 2
    assert "give a file" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["classification", "multi_label", "regression"])
def test_what_is_predicted_needs_no_labels_and_any_may_stand_there(task, encoder, tmp_path, capsys):
    data, asked = tmp_path / "data.csv", tmp_path / "asked.csv"
    data.write_text(FILES[task], "utf-8")
    out = tmp_path / "out"
    assert run("finetune", "--task", task, "--model", encoder, "--train-file", data, "--output-dir", out,
               *FAST) == 0  # fmt: skip
    found = []
    for labels in ("label", "label,intent", "score"):
        pair = "pair," if task == "regression" else ""
        kinds = {"label": ("", "?"), "label,intent": (",", "x,y"), "score": ("high", "")}[labels]
        cells = [("the cat", "a cat,", kinds[0]), ("the dog", "a dog,", kinds[1])]
        rows = "".join(f"{text},{other if pair else ''}{label}\n" for text, other, label in cells)
        asked.write_text(f"text,{pair}{labels}\n{rows}", "utf-8")
        capsys.readouterr()
        assert run("predict", "--model", out, "--file", asked, "--precision", "fp32") == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1] == found[2] and len(found[0].splitlines()) == 2


def test_columns_of_labels_are_named_with_commas(encoder, tmp_path, capsys):
    data = tmp_path / "toxic.csv"
    data.write_text("comment,toxic,insult\na,1,0\nb,1,1\nc,0,0\n", "utf-8")
    assert run("finetune", "--task", "multi_label", "--model", encoder, "--train-file", data,
               "--text-column", "comment", "--label-column", "toxic,insult", "--output-dir", tmp_path / "out",
               *FAST) == 0  # fmt: skip
    assert load(tmp_path / "out").task.labels == ("insult", "toxic")


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        ("regression", "text,score\na,1\nb,high\n", "line 3: 'score' is 'high'"),
        ("regression", "text,score\na,1\nb,1\n", "at least two different numbers"),
        ("multi_label", "text,labels\na,\nb,\n", "at least one label"),
        ("multiple_choice", "text,A,B,label\na,x,y,C\n", "'C', which names no choice"),
        ("multiple_choice", "text\na\n", "no columns choice_0"),
    ],
)
def test_unusable_files_leave_nothing_behind(encoder, tmp_path, capsys, task, text, message):
    (tmp_path / "data.csv").write_text(text, "utf-8")
    assert run("finetune", "--task", task, "--model", encoder, "--train-file", tmp_path / "data.csv",
               "--output-dir", tmp_path / "out", *FAST) == 2  # fmt: skip
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_of_several_seeds_the_one_with_the_lowest_error_is_kept(encoder, tmp_path, capsys):
    data = tmp_path / "data.csv"
    data.write_text(FILES["regression"], "utf-8")
    assert run("finetune", "--task", "regression", "--model", encoder, "--train-file", data,
               "--validation-file", data, "--output-dir", tmp_path / "out", "--seeds", 2,
               "--metric-for-best-model", "mean_squared_error", *FAST) == 0  # fmt: skip
    result = last_line(capsys.readouterr().out)
    errors = result["scores"]["mean_squared_error"]["values"]
    assert errors[result["best_seed"]] == min(errors)
    assert errors[0] != errors[1]


def test_an_older_report_is_replaced_only_when_that_is_said(encoder, tmp_path, capsys):
    data, out, page = tmp_path / "data.csv", tmp_path / "out", tmp_path / "why.html"
    data.write_text(FILES["classification"], "utf-8")
    assert run("finetune", "--task", "classification", "--model", encoder, "--train-file", data,
               "--validation-file", data, "--output-dir", out, *FAST) == 0  # fmt: skip
    before = (out / "report.html").read_bytes()
    evaluate = ("evaluate", "--model", out, "--file", data, "--output-dir", out)
    explain = ("explain", "--model", out, "the cat", "--steps", "2", "--output", page)
    assert run(*evaluate) == 2
    assert "report.html is there already; choose another place, or --overwrite" in capsys.readouterr().err
    assert (out / "report.html").read_bytes() == before
    assert run(*evaluate, "--overwrite") == 0
    assert (out / "report.html").read_bytes() != before
    page.write_text("mine")
    assert run(*explain) == 2
    assert page.read_text() == "mine"
    assert run(*explain, "--overwrite") == 0
    assert page.read_text() != "mine"
