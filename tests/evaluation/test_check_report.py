"""Reports that add up are let through, whatever they hold; those that cannot be right are not."""

import itertools
import json

import numpy as np
import pytest

from minibert.cli import main
from minibert.errors import InputError
from minibert.evaluation.arithmetic import check_report
from minibert.evaluation.printed_numbers import printed
from minibert.evaluation.printed_report import Line, parse_report, parse_reports
from minibert.evaluation.whole_counts import counts_of

# The report that a tutorial prints for IMDB, 5,000 of whose reviews it tested on.
TUTORIAL = """
              precision    recall  f1-score   support

       negative       0.994     0.974     0.986      2500
       positive       0.985     0.970     0.978      2500

   micro avg      0.985     0.972     0.974     5000
   macro avg      0.985     0.972     0.974     5000
weighted avg      0.985     0.972     0.974     5000
"""
RIGHT = """
              precision    recall  f1-score   support

          no       0.67      0.50      0.57         4
         yes       0.50      0.67      0.57         3

    accuracy                           0.57         7
   macro avg       0.58      0.58      0.57         7
weighted avg       0.60      0.57      0.57         7
"""


CALLED_LIKE_AVERAGES = ["a", "micro", "macro", "weighted", "samples", "Macro", "z 1"]


def findings(text, **options):
    return [str(finding) for finding in check_report(parse_report(text), **options)]


def test_the_report_of_the_tutorial_is_refused_with_its_reasons():
    found = findings(TUTORIAL)
    assert found[0] == (
        "negative: f1 0.986 does not follow from precision 0.994 and recall 0.974, which give "
        "0.9834 .. 0.9844"
    )
    for line, score in [("macro avg", "precision 0.985"), ("macro avg", "f1 0.974"),
                        ("weighted avg", "precision 0.985"), ("weighted avg", "f1 0.974"),
                        ("micro avg", "f1 0.974"), ("micro avg", "precision 0.985")]:  # fmt: skip
        assert any(one.startswith(f"{line}: {score} ") for one in found), (line, score)
    assert not any(one.startswith("positive") for one in found)  # .978 may be, by rounding


@pytest.mark.parametrize("mark", [" ", ",", "\t"])
def test_averages_may_lack_the_support_that_the_classes_have(mark):
    """The same table as it is told elsewhere: three numbers of four in its last line."""
    rows = [
        "class precision recall f1 support",
        "negative .994 .974 .986 2500",
        "positive .985 .970 .978 2500",
        "micro .985 .972 .974",
    ]
    report = parse_report("\n".join(rows).replace(" ", mark))
    assert [line.support for line in report.classes] == [2500, 2500]
    micro = report.averages["micro avg"]
    assert (micro.precision.value, micro.f1.value, micro.support) == (0.985, 0.974, None)
    assert any(str(one).startswith("micro avg: f1 .974") for one in check_report(report))
    with pytest.raises(InputError, match="line 3"):
        parse_report("\n".join([*rows[:2], "positive .985 .970 .978"]).replace(" ", mark))


def test_an_accuracy_beside_three_columns_keeps_its_support():
    report = parse_report("class precision recall support\nno .5 .5 4\nyes .5 .5 4\naccuracy .5 8")
    assert (report.accuracy.f1.value, report.accuracy.support) == (0.5, 8)


def test_with_one_label_for_each_text_micro_precision_must_be_recall():
    assert not any("differs" in one for one in findings(TUTORIAL))
    found = findings(TUTORIAL, single_label=True)
    assert any("recall 0.972 differs from micro precision 0.985" in one for one in found)
    assert any("4914 answers or fewer, and 5000 examples" in one for one in found)


def test_a_report_that_is_right_passes_and_one_changed_digit_does_not():
    assert findings(RIGHT) == []
    changed = [
        ("0.67      0.50      0.57         4", "0.67      0.50      0.59         4", "no: f1 0.59"),
        (
            "0.67      0.50      0.57         4",
            "0.67      0.40      0.50         4",
            "no: recall 0.40 is no share",
        ),
        ("         3\n", "         5\n", "support 7, but the classes' supports sum to 9"),
        ("0.57         7\n   macro", "0.60         7\n   macro", "accuracy: 0.60 is not the share"),
        ("0.58      0.58", "0.58      0.61", "macro avg: recall 0.61"),
        ("0.60      0.57      0.57", "0.62      0.57      0.57", "weighted avg: precision 0.62"),
        ("0.67      0.50      0.57", "1.67      0.50      0.57", "precision 1.67 is not in 0..1"),
    ]
    for old, new, told in changed:
        assert old in RIGHT
        assert any(told in one for one in findings(RIGHT.replace(old, new))), (told, new)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a,0.50,0.93,0.65,7", "recall 0.93 is no share of 7 examples: 7 right answers give 1.0000"),
        ("a,0.99,0.50,0.66,4", "no whole numbers of right and given answers"),  # 2 of 2 is 1, 2 of 3 is 0.67
        ("a,0.00,0.30,0.00,0", "recall 0.30 of 0 examples"),
    ],
)
def test_scores_of_a_class_come_from_whole_numbers(row, told):
    (found,) = findings(f"class,precision,recall,f1,support\n{row}\n")
    assert told in found


@pytest.mark.parametrize("wanted", [1, 2, 3, 5])
def test_exactly_the_counts_that_exist_are_possible(wanted):
    """Precisions, recalls and F1 of so many examples, against a list of all that there are."""
    exist: dict[tuple[str, str], dict[str, set[tuple[int, int]]]] = {}
    for r in range(wanted + 1):
        for k in range(r, 2600):
            scores = (f"{r / k if k else 0:.2f}", f"{r / wanted:.2f}")
            f1 = f"{2 * r / (k + wanted):.2f}"
            exist.setdefault(scores, {}).setdefault(f1, set()).add((r, k))
    grid = sorted({f"{r / k:.2f}" for k in range(1, 12) for r in range(k + 1)} | {"0.99", "0.01"})
    for precision, share in itertools.product(grid, range(21)):
        recall = f"{share / 20:.2f}"
        possible = exist.get((precision, recall), {})
        for f1 in {"0.50", "0.67", *possible}:
            counts = counts_of(Line("a", printed(precision), printed(recall), printed(f1), float(wanted)))
            assert (counts is not None) == (f1 in possible), (precision, recall, f1)
            if counts and precision > "0.00":
                right, answers = zip(*possible[f1], strict=True)
                assert (counts.fewest_right, counts.most_right) == (min(right), max(right))
                # A ratio half-way between two printed numbers counts as either of them.
                assert min(answers) - 1 <= counts.fewest_answers <= min(answers)
                assert max(answers) <= counts.most_answers <= max(answers) + 1


def random_reports(count, seed):
    """Yield reports as scikit-learn prints them over random answers: text and dictionary."""
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(seed)
    for _ in range(count):
        classes, size = int(random.integers(2, 7)), int(random.choice([1, 3, 17, 200]))
        options = {"zero_division": [0, 1, np.nan][random.integers(3)]}
        if random.random() < 0.3:
            share = random.random(classes)
            gold, given = ((random.random((size, classes)) < share).astype(int) for _ in range(2))
        else:
            gold = random.integers(0, classes, size)
            given = np.where(random.random(size) < random.random(), gold, random.integers(0, classes, size))
            if random.random() < 0.4:
                some = random.choice(classes + 1, random.integers(1, classes + 2), replace=False)
                options["labels"] = [int(label) for label in some]
        labels = options.get("labels", range(classes) if gold.ndim == 2 else np.unique([gold, given]))
        names = random.permutation(CALLED_LIKE_AVERAGES)[: len(labels)].tolist()
        if random.random() < 0.5 and len(names) == len(labels):
            options["target_names"] = names
        digits = int(random.choice([1, 2, 3, 4, 6]))
        yield json.dumps(
            metrics.classification_report(gold, given, output_dict=True, **options), default=float
        )
        if "target_names" in options:  # in text these keep their lines, in the dictionary they do not
            options["target_names"] = ["accuracy", "macro avg", *names][: len(labels)]
        yield metrics.classification_report(gold, given, digits=digits, **options)


@pytest.mark.filterwarnings("ignore")
def test_whatever_scikit_learn_prints_passes():
    for text in random_reports(70, seed=0):
        assert findings(text) == [], text


def test_reports_with_sample_weights_pass_though_their_counts_are_not_whole():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(4)
    for kind in ("any", "balanced") * 15:
        gold = random.integers(0, 3, 30) if kind == "any" else np.repeat([0, 1, 2], [6, 10, 14])
        given = np.where(random.random(30) < 0.6, gold, random.integers(0, 3, 30))
        balanced = 30 / (3 * np.bincount(gold, minlength=3))
        weights = random.random(30) if kind == "any" else balanced[gold]  # supports 10.0, 10.0, 10.0
        text = metrics.classification_report(gold, given, sample_weight=weights, digits=6)
        assert findings(text) == [], text
        if kind == "any":
            table = metrics.classification_report(gold, given, sample_weight=weights, output_dict=True)
            assert findings(json.dumps(table)) == []
            lied = {**table, "1": {**table["1"], "f1-score": table["1"]["f1-score"] + 0.01}}
            assert findings(json.dumps(lied))


@pytest.mark.parametrize("name", ["micro", "macro", "weighted", "samples", "accuracy", "macro avg", "Micro"])
def test_a_class_called_like_an_average_is_a_class(name):
    text = RIGHT.replace("         yes ", f"{name:>12} ")
    assert [line.name for line in parse_report(text).classes] == ["no", name]
    assert findings(text) == []
    (found, *_) = findings(text.replace("0.50      0.67      0.57", "0.50      0.67      0.75"))
    assert found.startswith(f"{name}: f1 0.75 does not follow")


def test_a_short_name_is_that_of_an_average_where_none_is_spelled_out():
    table = "class precision recall f1 support\nno .67 .50 .57 4\nyes .50 .67 .57 3\n"
    assert parse_report(table + "macro .58 .58 .57 7\naccuracy .57 7\n").averages.keys() == {"macro avg"}
    assert parse_report(table.replace(" ", ",") + "macro,.58,.58,.57,7").averages.keys() == {"macro avg"}
    spelled = "class,precision,recall,f1\nno,1.,1.,1.\nmicro,.5,.5,.5\nmacro avg,.75,.75,.75\n"
    assert [line.name for line in parse_report(spelled).classes] == ["no", "micro"]


def test_the_accuracy_that_a_printed_data_frame_has_in_every_column_is_no_support():
    frame = """
              precision    recall  f1-score  support
0              0.666667  0.500000  0.571429  4.00000
1              0.500000  0.666667  0.571429  3.00000
accuracy       0.571429  0.571429  0.571429  0.57143
"""
    assert findings(frame.replace("0.57143", "0.571429")) == []
    (found,) = findings(frame.replace("0.57143", "6"))
    assert found.startswith("accuracy: support 6, but")


def test_every_report_of_a_text_is_read_and_knows_its_line():
    good, bad = parse_reports(f"epoch 1\n{RIGHT}\nepoch 2: precision 0.4 recall 0.5 f1 0.9\n{TUTORIAL}done")
    assert check_report(good) == []
    assert [line.name for line in bad.classes] == ["negative", "positive"]
    assert (good.start, bad.start) == (3, 14)
    with pytest.raises(InputError, match="2 reports, in lines 2, 11; read them with parse_reports"):
        parse_report(RIGHT + TUTORIAL)


@pytest.mark.parametrize(
    "header",
    [
        "INFO - 12:00:01 - the root logger - precision recall f1-score support",
        "class,precision,recall,f1,support",
    ],
)
def test_a_line_that_names_columns_begins_a_report_wherever_it_stands(header):
    row = "b,0.5,0.5,0.9,4" if "," in header else "b 0.5 0.5 0.9 4"
    _, second = parse_reports(f"{RIGHT}\n{header}\n{row}\n")
    assert str(check_report(second)[0]).startswith("b: f1 0.9")


def test_a_report_behind_another_that_cannot_be_read_is_an_error_that_names_it():
    with pytest.raises(InputError, match=r"^x\.txt, report of line 10, line 11: 'b 0.5 0.5 high 3' does not"):
        parse_reports(RIGHT + "precision recall f1 support\nb 0.5 0.5 high 3\n", where="x.txt")


def test_lies_about_random_data_are_found():
    """A score that moves by three of its last digits is found wherever it stands."""
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(1)
    lies = found = 0
    for _ in range(12):
        gold = random.integers(0, 3, 300)
        given = np.where(random.random(300) < 0.7, gold, random.integers(0, 3, 300))
        table = metrics.classification_report(gold, given, output_dict=True)
        for name, row in table.items():
            for score in ("precision", "recall", "f1-score") if isinstance(row, dict) else ():
                changed = {**row, score: round(row[score] + 0.003 * random.choice([-1, 1]), 6)}
                lies += 1
                found += bool(findings(json.dumps({**table, name: changed})))
    assert lies == 12 * 15
    assert found == lies


@pytest.mark.parametrize(
    "text",
    [
        "class,precision,recall,f1,support\nno,0.67,0.5,0.57,4\nyes,.5,.67,.57,3\nmacro average,,.58,.57,7",
        "class\tprecision\trecall\tF1 score\tsupport\nno\t67%\t50%\t57%\t4\nyes\t50%\t67%\t57%\t3\n",
        "| class | precision | recall | f1 | support |\n|---|---|---|---|---|\n| no | .67 | .50 | .57 | 4 |",
        "epoch 3, loss 0.4\n\nsupport recall precision f1\nno 4 .50 .67 .57\nmacro avg 4 .50 .67 .57\ndone.",
        '{"no": {"precision": 0.6666666666666666, "recall": 0.5, "f1-score": 0.5714285714285714}}',
        ",precision,recall,f1-score,support\nno,0.67,0.5,0.57,4\nyes,0.5,0.67,0.57,3\naccuracy,.57,.57,.57,.57\n",
    ],
)
def test_tables_of_many_hands_are_read(text):
    report = parse_report(text)
    assert report.classes[0].name == "no"
    assert report.classes[0].recall.value == pytest.approx(0.5)
    assert report.classes[0].precision.value == pytest.approx(0.667, abs=0.004)
    assert check_report(report) == []


def test_zeros_that_a_spreadsheet_drops_do_not_make_a_number_less_exact():
    assert printed("0.5").high == 0.55
    assert parse_report("class,precision,recall,f1\na,0.5,0.667,0.572\n").classes[0].precision.high == 0.5005
    assert findings("class,precision,recall,f1\na,0.5,0.667,0.572\n") == []
    (found,) = findings("class,precision,recall,f1\na,0.5,0.667,0.577\n")
    assert "f1 0.577 does not follow from precision 0.500" in found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        (
            "accuracy: 0.97\nloss: 0.1\n",
            "no report in its 2 lines, 'accuracy: 0.97' ...; a report has a line",
        ),
        ("{oops", "not JSON"),
        ('{"a": 3}', "'a' is '3'"),
        ('{"a": {"score": 1}}', "'a' has score"),
        ("precision recall f1-score support\n", "no class has a line"),
        (
            "precision recall f1-score support\na 0.5 0.5 high 3\n",
            "line 2: 'a 0.5 0.5 high 3' does not end in 4",
        ),
        ("class,precision,recall,f1,support\na,0.5,0.5,high,3\n", "'a': 'high' is no number"),
        ("class,precision,recall,f1,support\na,0.5,0.5,3\n", "line 2: 'a,0.5,0.5,3' has 4 cells"),
        ("class,precision,recall,f1,support\na,.5,.5,.5,3\na,.5,.5,.5,3\n", "'a' has 2 lines"),
        ("class,precision,recall,f1,support\na,.5,.5,.5,-3\n", "support -3 is no number of examples"),
    ],
)
def test_what_is_no_report_is_said_to_be_none(text, told):
    with pytest.raises(InputError) as error:
        parse_report(text, where="notes.txt")
    assert told in str(error.value)
    assert str(error.value).startswith("notes.txt")


def test_the_command_tells_findings_and_its_exit_status(tmp_path, capsys, monkeypatch):
    (tmp_path / "wrong.txt").write_text(TUTORIAL, "utf-8")
    assert main(["check-report", str(tmp_path / "wrong.txt")]) == 1
    out = capsys.readouterr().out.splitlines()
    assert "negative: f1 0.986 does not follow" in out[0]
    assert "note: micro precision 0.985 and recall 0.972 differ" in out[-3]
    assert json.loads(out[-1])["ok"] is False
    (tmp_path / "right.txt").write_text(RIGHT, "utf-8")
    assert main(["check-report", str(tmp_path / "right.txt"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(tmp_path / "right.txt"), "classes": 2, "ok": True, "findings": [],
    }  # fmt: skip
    (tmp_path / "both.txt").write_text(RIGHT + TUTORIAL, "utf-8")
    assert main(["check-report", str(tmp_path / "both.txt")]) == 1
    out = capsys.readouterr().out
    assert "both.txt, report of line 2: 2 classes; it adds up\n" in out
    assert "both.txt, report of line 11: 2 classes; 8 findings: it cannot be right\n" in out
    told = json.loads(out.splitlines()[-1])
    assert not told["ok"] and {one["report"] for one in told["findings"]} == {11}
    assert [(one["report"], one["ok"]) for one in told["reports"]] == [(2, True), (11, False)]
    assert main(["check-report", str(tmp_path / "none.txt")]) == 2
    assert "no such file" in capsys.readouterr().err
    (tmp_path / "model.safetensors").write_bytes(b"\0\1\2")
    assert main(["check-report", str(tmp_path / "model.safetensors")]) == 2
    assert "binary file" in capsys.readouterr().err
