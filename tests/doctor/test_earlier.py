"""What is said of the folder of an earlier run."""

import json

import numpy as np
import pytest
import tiny_runs

from minibert.checkup import check_path
from minibert.data.corpus import build_corpus
from minibert.text.loading import load_tokenizer


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("earlier") / "enc")


def look(folder):
    return {finding.name: finding for finding in check_path(folder, quick=True).findings}


def write(folder, record, lines=()):
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"kind": "finetune", "state": "finished", **record}), "utf-8")
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"state": "running"}, "unfinished-run"),
        ({"state": "stopped"}, "unfinished-run"),
        ({"state": "not finite"}, "diverged"),
        ({"warning": "all 40 answers are 'a'"}, "degenerate-run"),
        ({"steps_done": 100, "best": {"step": 100}}, "still-learning"),
    ],
)
def test_a_record_tells_how_the_run_ended(tmp_path, record, name):
    assert set(look(write(tmp_path / "run", record))) == {name}


def test_a_run_that_ended_well_has_no_finding(tmp_path):
    assert look(write(tmp_path / "run", {"steps_done": 100, "best": {"step": 60}})) == {}


def test_a_run_without_a_log_or_with_several_seeds_is_no_trouble(tmp_path):
    folder = write(tmp_path / "run", {"seeds": 3})
    (folder / "log.jsonl").unlink()
    assert look(folder) == {}


def test_batches_that_were_passed_over_are_counted(tmp_path):
    skipped = [{"event": "skipped", "step": step, "reason": "not finite"} for step in (3, 9)]
    found = look(write(tmp_path / "run", {}, skipped))
    assert "2 batches" in found["bad-batches"].seen


def pretrained(folder, encoder, losses):
    lines = [{"event": "validation", "step": step, "loss": loss} for step, loss in enumerate(losses, 1)]
    write(folder, {"kind": "pretrain"}, lines)
    corpus = tiny_runs.write_corpus(folder / "corpus.txt")
    return build_corpus([corpus], load_tokenizer(encoder), folder / "corpus", workers=1, progress=False)


def test_pretraining_has_to_get_below_the_entropy_of_the_tokens(tmp_path, encoder):
    corpus = pretrained(tmp_path / "bad", encoder, [5.0, 4.9])
    shares = np.unique(corpus.ids, return_counts=True)[1] / corpus.tokens
    bar = -(shares * np.log(shares)).sum()
    assert 1.0 < bar < 4.9
    assert f"{bar:.3f}" in look(tmp_path / "bad")["unigram-bar"].seen
    pretrained(tmp_path / "good", encoder, [5.0, 0.9 * bar])
    assert look(tmp_path / "good") == {}


def test_pretraining_that_gets_worse_again_is_told(tmp_path, encoder):
    pretrained(tmp_path / "run", encoder, [2.0, 1.0, 1.5])
    assert set(look(tmp_path / "run")) == {"overfitted"}
