"""The commands under torchrun: one run, one folder, one voice; and one end for all."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import tiny_runs
import torch

from minibert.cli import main
from minibert.tasks.model import load
from minibert.training.log import read_log
from minibert.training.loop import Run

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


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("encoder") / "enc")


def test_finetuning_on_two_processes_is_the_run_of_one(together, encoder, tmp_path):
    train, held = (tiny_runs.write_table(tmp_path / f"{name}.csv", rows=22) for name in ("train", "held"))
    argv = ["finetune", "--task", "classification", "--model", str(encoder), "--train-file", str(train)]
    argv += ["--validation-file", str(held), "--num-train-epochs", "3", "--train-batch-size", "9", "--fp32"]
    argv += ["--gradient-accumulation-steps", "2", "--logging-steps", "1", "--no-progress", "--no-doctor"]
    for size in (1, 2):
        ended = together.run(size, command, *argv, "--output-dir", str(tmp_path / str(size)))
        assert ended["statuses"] == [0] * size, ended["told"]
    one, two = tmp_path / "1", tmp_path / "2"
    assert losses_of(two) == pytest.approx(losses_of(one), rel=1e-5) and len(losses_of(two)) == 9
    scores = [[line["accuracy"] for line in read_log(folder, "validation")] for folder in (one, two)]
    assert scores[0] == scores[1] and len(scores[0]) == 3
    assert json.loads(ended["told"][0].splitlines()[-1])["accuracy"] == max(scores[0])
    assert ended["told"][1] == ""


def test_a_run_goes_on_in_other_numbers_of_processes(together, corpus, tmp_path):
    argv = ["pretrain", str(corpus), *PRETRAIN, "--no-doctor", "--save-steps", "1"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    together.run(1, command, *argv, "--output-dir", str(whole))
    for size, steps in ((2, 2), (1, 3), (2, 4)):
        more = ["--output-dir", str(parts), "--max-steps", str(steps), *(["--resume"] if steps > 2 else [])]
        ended = together.run(size, command, *argv, *more)
        assert ended["statuses"] == [0] * size, ended["told"]
    assert losses_of(parts) == pytest.approx(losses_of(whole), rel=1e-5)
    assert len(losses_of(parts)) == 4
    assert json.loads((parts / "run.json").read_text())["processes"] == 2


def test_too_many_processes_for_the_parts_of_a_step_are_refused_once(together, corpus, tmp_path):
    argv = ["pretrain", str(corpus), *PRETRAIN, "--no-doctor", "--gradient-accumulation-steps", "1"]
    ended = together.run(2, command, *argv, "--output-dir", str(tmp_path / "out"))
    assert ended["statuses"] == [2, 2]
    told = "".join(ended["told"])
    assert told.count("a step has 1 micro-batches, too few for 2 processes") == 1, told
    assert "gradient_accumulation_steps to 2" in told
    assert not (tmp_path / "out").exists()


def dying(rank: int, how: str, *argv: str) -> None:
    """Let the second process fail in its third step."""
    whole = Run._step

    def step(run: Run):
        if rank == 1 and run.done == 2:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise MemoryError("there is no room for 7 GB")
        return whole(run)

    Run._step = step
    command(rank, *argv)


@pytest.mark.parametrize("how", ["killed", "raised"])
def test_a_process_that_dies_ends_the_others_and_nothing_is_lost(together, corpus, tmp_path, how):
    out = tmp_path / "out"
    argv = ["pretrain", str(corpus), *PRETRAIN, "--no-doctor", "--output-dir", str(out)]
    start = time.perf_counter()
    ended = together.run(2, dying, how, *argv)
    assert ended["statuses"] == [1, -9 if how == "killed" else 70], ended["told"]
    wanted = {"killed": "ended without a word", "raised": "process 1 of 2 on"}
    assert wanted[how] in ended["told"][0] and time.perf_counter() - start < 40
    assert how == "killed" or "MemoryError: there is no room for 7 GB" in ended["told"][0]
    assert [path.name for path in out.glob("checkpoint-*")] == ["checkpoint-2"]
    ended = together.run(2, command, *argv, "--resume")
    assert ended["statuses"] == [0, 0], ended["told"]
    assert len(losses_of(out)) == 4


def asked(rank: int, *argv: str) -> None:
    """Ask the second process alone to stop, in its second step."""
    whole = Run._step

    def step(run: Run):
        if rank == 1 and run.done == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole(run)

    Run._step = step
    command(rank, *argv)


def test_whoever_is_asked_to_stop_all_stop_after_the_same_step(together, corpus, tmp_path):
    argv = ["pretrain", str(corpus), *PRETRAIN, "--no-doctor", "--output-dir", str(tmp_path / "out")]
    ended = together.run(2, asked, *argv)
    assert ended["statuses"] == [143, 143], ended["told"]
    assert "stopped at step 2" in ended["told"][0]
    assert (tmp_path / "out" / "checkpoint-2").is_dir()


def test_a_model_in_pieces_learns_the_same_and_goes_on_whole(together, corpus, tmp_path):
    argv = ["pretrain", str(corpus), *PRETRAIN, "--no-doctor", "--ema-decay", "0.5"]
    one, two, rest = (tmp_path / name for name in ("one", "two", "rest"))
    for size, out, more in (
        (1, one, ()),
        (2, two, ("--fsdp", "--save-steps", "2")),
        (1, rest, ("--resume",)),
    ):
        if out == rest:  # what the pieces saved is taken up by one process
            shutil.copytree(two / "checkpoint-2", rest / "checkpoint-2")
        ended = together.run(size, command, *argv, *more, "--output-dir", str(out))
        assert ended["statuses"] == [0] * size, ended["told"]
    for out in (two, rest):
        assert losses_of(out)[-2:] == pytest.approx(losses_of(one)[-2:], rel=1e-5)
        assert losses_of(out, "validation")[-1] == pytest.approx(losses_of(one, "validation")[-1], rel=1e-5)
        difference = weights_of(out) - weights_of(one)
        assert difference.norm() < 1e-4 * weights_of(one).norm()


def weights_of(folder: Path) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in load(folder).state_dict().values()])


@pytest.mark.slow
def test_pieces_go_on_from_what_pieces_saved(together, corpus, tmp_path):
    argv = ["pretrain", str(corpus), *PRETRAIN, "--no-doctor", "--fsdp", "--ema-decay", "0.5"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for out, more in (
        (whole, ()),
        (parts, ("--max-steps", "2", "--save-steps", "1")),
        (parts, ("--resume",)),
    ):
        ended = together.run(2, command, *argv, *more, "--output-dir", str(out))
        assert ended["statuses"] == [0, 0], ended["told"]
    assert losses_of(parts) == pytest.approx(losses_of(whole), rel=1e-5) and len(losses_of(parts)) == 4


def test_pieces_ask_for_as_many_passes_of_every_process(together, corpus, tmp_path):
    argv = [
        "pretrain",
        str(corpus),
        *PRETRAIN,
        "--no-doctor",
        "--output-dir",
        str(tmp_path / "out"),
        "--fsdp",
    ]
    ended = together.run(2, command, *argv, "--gradient-accumulation-steps", "3")
    assert ended["statuses"] == [2, 2]
    assert "".join(ended["told"]).count("a step has 3 micro-batches, which 2 processes cannot share") == 1
    ended = together.run(1, command, *argv)
    assert ended["statuses"] == [2] and "this is one; start several with torchrun" in ended["told"][0]


@pytest.mark.parametrize("line", ["fill-mask [MASK] --model enc", "rerun enc --output-dir again", "demo"])
def test_what_one_process_does_is_refused_to_several(monkeypatch, capsys, line):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(line.split()) == 2
    assert "the work of one process, and torchrun started 2" in capsys.readouterr().err
