"""The commands under torchrun: one run, one folder, one voice; and one end for all."""

import json
import sys
from pathlib import Path

import pytest
import tiny_runs

from minibert.cli import main
from minibert.training.log import read_log

PRETRAIN = ["--size", "tiny", "--tokens-per-batch", "256", "--vocab-size", str(tiny_runs.VOCABULARY)]
PRETRAIN += ["--gradient-accumulation-steps", "4", "--max-steps", "4", "--fp32", "--logging-steps", "1"]
PRETRAIN += ["--eval-steps", "2", "--no-progress", "--lr-scheduler-type", "constant"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_runs.write_corpus(tmp_path_factory.mktemp("text") / "corpus.txt", documents=120)


def command(rank: int, *argv: str) -> None:
    sys.argv = ["minibert", *argv]
    sys.exit(main(argv))


def losses_of(folder: Path, event: str = "train") -> list[float]:
    return [line["loss"] for line in read_log(folder, event)]


def test_pretraining_on_two_processes_is_the_run_of_one(together, corpus, tmp_path):
    argv = ["pretrain", str(corpus), *PRETRAIN]
    for size in (1, 2):
        ended = together.run(size, command, *argv, "--output-dir", str(tmp_path / str(size)))
        assert ended["statuses"] == [0] * size, ended["told"]
    one, two = tmp_path / "1", tmp_path / "2"
    assert losses_of(two) == pytest.approx(losses_of(one), rel=1e-5)
    assert losses_of(two, "validation") == pytest.approx(losses_of(one, "validation"), rel=1e-5)
    assert len(losses_of(two)) == 4 and len(losses_of(two, "validation")) == 2
    record = json.loads((two / "run.json").read_text())
    assert record["state"] == "finished" and record["processes"] == 2
    assert json.loads(ended["told"][0].splitlines()[-1])["steps"] == 4
    assert ended["told"][1] == "", "the second process is not silent"
