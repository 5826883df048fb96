"""The demo from end to end, on the real standard library, with hardly any training."""

import json
import math

import pytest

from minibert.demo import compare, run
from minibert.demo.pace import FULL, QUICK, Pace
from minibert.tasks.model import load


@pytest.fixture
def hurried(monkeypatch, standard_library_data):
    """Let the quick demo run on little text and for seconds."""
    pace = Pace(
        size="modern-tiny",
        layers=2,
        vocab_size=1200,
        tokens_per_batch=512,
        pretraining=2.0,
        finetuning={"classification": 1.0, "tagging": 1.0},
        epochs=1,
        seeds=(0, 1),
        texts=1500,
        rows=(120, 40, 40),
        code_rows=(60, 20, 20),
    )
    monkeypatch.setattr(run, "QUICK", pace)
    monkeypatch.setattr(run, "collect", lambda: standard_library_data)


def test_the_demo_leaves_a_report_and_models_that_open(hurried, tmp_path, capsys):
    output = tmp_path / "demo"
    line = run.run_demo(output, quick=True)
    json.dumps(line)
    assert line["ln_vocab"] == pytest.approx(math.log(1200))
    assert line["first_loss"] == pytest.approx(line["ln_vocab"], rel=0.02)
    assert 0 < line["unigram_entropy"] < line["ln_vocab"]
    for task in ("classification", "tagging"):
        for arm in ("pretrained", "scratch"):
            assert set(line[task][arm]) == {"accuracy", "macro_f1"}
            assert load(output / f"{task}-{arm}-1").task.name == task
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    systems = [row["system"] for row in report["tasks"]["classification"]["table"]]
    assert systems[:3] == ["pretrained encoder", "same encoder, not pretrained", "majority class"]
    assert systems[3].startswith("bag of words")
    tagging = [row["system"] for row in report["tasks"]["tagging"]["table"]]
    assert tagging[2:] == ["majority role", "most frequent role of the word"]
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 5
    assert "Return the [MASK] of the list." in capsys.readouterr().out


def test_the_gain_is_held_against_the_pooled_spread():
    scores = {
        "pretrained": {"accuracy": [0.6, 0.7, 0.8]},
        "scratch": {"accuracy": [0.5, 0.5, 0.5]},
    }
    found = compare.gain(scores, "accuracy")
    assert found["gain"] == pytest.approx(0.2)
    assert found["pooled_spread"] == pytest.approx(math.sqrt((0.1**2 + 0) / 2))


def test_the_two_arms_differ_in_their_weights_alone():
    settings = [compare.recipe("tagging", FULL, 0, from_scratch=scratch) for scratch in (False, True)]
    assert {key for key in settings[0] if settings[0][key] != settings[1][key]} == {"data.from_scratch"}


def test_the_whole_demo_is_planned_for_eight_minutes_and_the_quick_one_for_ninety_seconds():
    arms = 2
    for pace, most in ((FULL, 480), (QUICK, 90)):
        assert pace.pretraining + arms * len(pace.seeds) * sum(pace.finetuning.values()) < 0.9 * most
