"""The whole evaluation, from a model to a page, through the command line where a person would."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import tiny_runs
from small_models import classifier, texts
from tiny_runs import last_line

from minibert.cli import main
from minibert.data.examples import TextExample
from minibert.evaluation.arithmetic import check_report
from minibert.evaluation.bootstrap import intervals, scores_of
from minibert.evaluation.claims import claims_of
from minibert.evaluation.class_report import class_report
from minibert.evaluation.examine import examine, faults
from minibert.evaluation.in_words import confusion, in_words
from minibert.evaluation.mistakes import surest_mistakes
from minibert.evaluation.outcomes import of_choices, of_relations
from minibert.evaluation.printed_report import parse_report
from minibert.tasks.classification import Classified
from minibert.tasks.metrics import calibration_error
from minibert.tasks.relation_scores import relation_scores

FAST = ("--no-progress", "--fp32", "--max-steps", "3")


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A classifier, a tagger and a model of several labels that have hardly learnt anything, and files."""
    folder = tmp_path_factory.mktemp("evaluated")
    encoder = tiny_runs.make_encoder(folder / "enc")
    tiny_runs.write_table(folder / "train.csv")
    tiny_runs.write_columns(folder / "train.conll")
    (folder / "sets.csv").write_text(
        "text,labels\nthe cat,animal|small\nthe road,\nthe dog,animal\n", "utf-8"
    )
    for task, file in (
        ("classification", "train.csv"),
        ("tagging", "train.conll"),
        ("multi_label", "sets.csv"),
    ):
        assert run("finetune", "--task", task, "--model", encoder, "--train-file", folder / file,
                   "--output-dir", folder / task, *FAST) == 0  # fmt: skip
    return folder


@pytest.mark.parametrize(
    ("task", "file", "systems"),
    [
        ("classification", "train.csv", ["most frequent label", "bag of words"]),
        ("multi_label", "sets.csv", ["most frequent label", "bag of words"]),
        ("tagging", "train.conll", ["most frequent tag", "most frequent tag of the word"]),
    ],
)
def test_evaluate_tells_everything_and_its_report_passes_check_report(
    folder, tmp_path, capsys, task, file, systems
):
    assert run("evaluate", "--model", folder / task, "--file", folder / file, "--train-file", folder / file,
               "--output-dir", tmp_path, "--draws", 50) == 0  # fmt: skip
    out = capsys.readouterr().out
    result = last_line(out)
    assert [one["system"] for one in result["baselines"]] == systems
    assert result["intervals"].keys() == {"accuracy", "micro_f1", "macro_f1", "weighted_f1"}
    for low, high in result["intervals"].values():
        assert 0 <= low <= high <= 1
    assert "findings" not in result
    kept = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert kept["evaluation"]["report"] == result["report"]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert systems[0] in page and "weighted avg" in page and "95 % interval of macro F1" in page
    assert run("check-report", tmp_path / "report.json") == 0
    (tmp_path / "printed.txt").write_text(out, "utf-8")
    assert run("check-report", tmp_path / "printed.txt") == 0


def test_json_alone_is_one_line(folder, capsys):
    assert (
        run("evaluate", "--model", folder / "classification", "--file", folder / "train.csv", "--json") == 0
    )
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["report"]["weighted avg"]["support"] == 16


def test_finetune_writes_the_evaluation_of_what_it_keeps(folder, tmp_path, capsys):
    assert run("finetune", "--task", "classification", "--model", folder / "enc", "--train-file",
               folder / "train.csv", "--validation-file", folder / "train.csv",
               "--output-dir", tmp_path / "out", *FAST) == 0  # fmt: skip
    out = capsys.readouterr().out
    assert "which also chose the best model" in out
    assert "macro avg" in out and "bag of words" in out
    assert run("check-report", tmp_path / "out/report.json") == 0
    assert (tmp_path / "out/report.html").is_file()


def test_groups_are_scored_by_themselves(folder, tmp_path, capsys):
    rows = (folder / "train.csv").read_text("utf-8").splitlines()
    lines = [f"{row},{'site' if at == 0 else 'web' if at < 11 else 'shop'}" for at, row in enumerate(rows)]
    (tmp_path / "groups.csv").write_text("\n".join(lines) + "\n", "utf-8")
    asked = ("evaluate", "--model", folder / "classification", "--file", tmp_path / "groups.csv")
    assert run(*asked, "--group-column", "site", "--draws", 20) == 0
    result = last_line(capsys.readouterr().out)
    assert [(one["name"], one["examples"]) for one in result["groups"]] == [("web", 10), ("shop", 6)]
    mean = sum(one["examples"] * one["scores"]["accuracy"] for one in result["groups"]) / 16
    assert mean == pytest.approx(result["accuracy"])
    assert run(*asked, "--group-column", "region") == 2
    assert "no column 'region' (--group-column); there are text, label, site" in capsys.readouterr().err


def test_numbers_have_intervals_and_a_flag_without_an_answer_is_refused(folder, tmp_path, capsys):
    rows = ["text,label,site", *(f"the cat {at},{at},{'web' if at % 2 else 'shop'}" for at in range(8))]
    (tmp_path / "numbers.csv").write_text("\n".join(rows) + "\n", "utf-8")
    assert run("finetune", "--task", "regression", "--model", folder / "enc", "--train-file",
               tmp_path / "numbers.csv", "--output-dir", tmp_path / "out", *FAST) == 0  # fmt: skip
    asked = ("evaluate", "--model", tmp_path / "out", "--file", tmp_path / "numbers.csv")
    assert run(*asked, "--group-column", "site", "--draws", 9, "--output-dir", tmp_path / "page") == 0
    result = last_line(capsys.readouterr().out)
    assert result["draws"] == 9 and "spearman" in result["intervals"]
    assert [(one["name"], one["examples"]) for one in result["groups"]] == [("shop", 4), ("web", 4)]
    assert run(*asked, "--train-file", tmp_path / "numbers.csv") == 2
    assert "--train-file: evaluate has no simple system for regression" in capsys.readouterr().err


def test_a_group_column_needs_a_table(folder, capsys):
    assert run("evaluate", "--model", folder / "tagging", "--file", folder / "train.conll",
               "--group-column", "x") == 2  # fmt: skip
    assert "unknown kind of file '.conll'" in capsys.readouterr().err


@pytest.mark.parametrize(("flag", "value"), [("--draws", 0), ("--errors", -1)])
def test_numbers_that_make_no_sense_are_refused_before_the_model_is_opened(folder, capsys, flag, value):
    assert run("evaluate", "--model", "nowhere", "--file", "none.csv", flag, value) == 2
    assert f"{flag} {value}" in capsys.readouterr().err


def test_rejections_alone_have_no_calibration():
    model = classifier()
    options = replace(model.task.options, reject_label="oos", reject_below=1.0)
    model.task.options, model.task.threshold = options, 1.0
    told = examine(model, [TextExample("w7 w8", label="oos")] * 3, draws=5)
    assert told.scores["accuracy"] == 1.0
    assert told.calibration_error is None and not told.mistakes


def test_an_evaluation_in_python():
    model, examples = classifier(), texts(30)
    told = examine(model, examples, train=texts(10), groups=["x", "y"] * 15, draws=30, mistakes=2)
    assert told.report.accuracy == told.scores["accuracy"]
    assert told.calibration_error == told.scores["calibration_error"]
    assert len(told.mistakes) == 2
    words = in_words(told)
    for part in ("macro avg", "95 % of 30 draws of the 30 examples: accuracy", "calibration error",
                 "most frequent label", "surest mistakes", "gold \\ predicted", "group"):  # fmt: skip
        assert part in words
    json.dumps(told.to_dict())
    with pytest.raises(ValueError, match="1 groups but 30 examples"):
        examine(model, examples, groups=["x"])


def test_the_surest_mistake_comes_first():
    answers = [
        Classified(label, {"a": share, "b": 1 - share})
        for label, share in (("a", 0.7), ("a", 0.99), ("b", 0.4))
    ]
    examples = [*texts(4)[1::2], texts(1)[0]]  # b, b, a
    claims = [claims_of(classifier().task, *pair) for pair in zip(answers, examples, strict=True)]
    found = surest_mistakes(claims, examples, 5)
    assert [(one.predicted, one.gold, one.probability) for one in found] == [
        ("a", "b", 0.99), ("a", "b", 0.7), ("b", "a", 0.6),
    ]  # fmt: skip


def test_calibration_of_several_labels_counts_each_yes_and_no(folder):
    from minibert.tasks.model import load

    model = load(folder / "multi_label")
    examples = model.task.read(folder / "sets.csv")
    answers = model.predict(examples)
    sure, right = [], []
    for answer, example in zip(answers, examples, strict=True):
        for label, share in answer.probabilities.items():
            sure.append([1 - share, share])
            right.append(int(label in example.labels))
    assert examine(model, examples, draws=5).calibration_error == calibration_error(np.array(sure), right)


def test_weights_that_have_blown_up_are_told_and_do_not_stop_the_evaluation(folder):
    from minibert.tasks.model import load

    for task, file in (("multi_label", "sets.csv"), ("classification", "train.csv")):
        model = load(folder / task)
        next(model.task.classifier.parameters()).data.fill_(float("nan"))
        told = examine(model, model.task.read(folder / file), draws=5)
        assert told.calibration_error is None
        assert in_words(told)


def test_of_many_labels_the_commonest_confusions_are_told():
    labels = [f"c{number}" for number in range(25)]
    counts = (np.eye(25, dtype=int) * 9).tolist()
    counts[3][17] = 8
    told = confusion({"labels": labels, "counts": counts})
    assert told.splitlines() == ["confused most often:", "      8  c3 taken for c17"]


def test_a_report_that_minibert_counted_wrongly_would_be_told():
    report = examine(classifier(), texts(9), draws=5).report
    assert faults(report) == []
    report.classes["a"]["recall"] = 0.123
    assert faults(report)


@pytest.mark.parametrize(
    "name",
    ["report", "evaluation", "macro", "micro", "Accuracy", "accuracy", "Macro avg", "precision", "class 2"],
)
def test_a_report_is_right_whatever_its_classes_are_called(name):
    report = class_report(of_choices([[name], ["letter"]], [[name], ["letter"]], [name, "letter"]))
    assert faults(report) == []
    for table in (report.to_dict(), {"accuracy": 1.0, "evaluation": {"report": report.to_dict()}}):
        read = parse_report(json.dumps(table))
        assert len(read.classes) == 2
        assert check_report(read) == []
    report.classes[name]["recall"] = 0.123
    assert faults(report)[0].startswith(f"{name}: ")


def test_the_report_of_relations_counts_what_their_scores_count():
    draw = random.Random(3)
    labels = ["A(e1,e2)", "A(e2,e1)", "B(e1,e2)", "B(e2,e1)", "Other"]
    for negative in ("Other", None):
        for _ in range(20):
            gold = [*labels, *draw.choices(labels, k=30)]
            answers = [label if draw.random() < 0.6 else draw.choice(labels) for label in gold]
            scores = relation_scores(gold, answers, negative=negative)
            outcomes = of_relations(gold, answers, negative)
            for name in ("macro_f1", "micro_f1", "accuracy"):
                assert scores_of(outcomes)[name] == pytest.approx(scores[name]), name
                low, high = intervals(outcomes)[name]
                assert low < scores[name] < high
            report = class_report(outcomes).to_dict()
            assert report["macro avg"]["f1-score"] == pytest.approx(scores["macro_f1"])
            assert report["micro avg"]["f1-score"] == pytest.approx(scores["micro_f1"])
            assert "Other" not in report or negative is None
            assert report["A"]["support"] == sum(label.startswith("A") for label in gold)
            assert "samples avg" not in report
