"""Asked to end, as before an allocation is over: everything is saved, the status says why, and it goes on."""

import hashlib
import os
import signal
import time

import pytest

STEPS = 120


def command(given, output):
    settings = (
        "--max-steps",
        STEPS,
        "--logging-steps",
        1,
        "--fp32",
        "--no-progress",
        "--train-batch-size",
        6,
    )
    files = ("--train-file", given / "train.csv", "--output-dir", output)
    return ("finetune", "--task", "classification", "--model", given / "enc", *files, *settings)


def weights(output):
    return hashlib.sha256((output / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_run_that_is_asked_to_stop_saves_everything_and_goes_on(given, forks, tmp_path, name):
    number = getattr(signal, name)
    forks.begin(*command(given, tmp_path / "asked"))
    log = tmp_path / "asked" / "log.jsonl"
    deadline = time.monotonic() + 60
    while (not log.is_file() or log.read_text("utf-8").count("\n") < 3) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(forks.pid, number)
    ended = forks.end()
    assert ended["status"] == 128 + number, ended["told"]
    assert "go on with --resume" in ended["told"]
    [checkpoint] = (tmp_path / "asked").glob("checkpoint-*")
    assert 3 <= int(checkpoint.name.rpartition("-")[2]) < STEPS

    assert forks.run(*command(given, tmp_path / "asked"), "--resume")["status"] == 0
    assert forks.run(*command(given, tmp_path / "whole"))["status"] == 0
    assert weights(tmp_path / "asked") == weights(tmp_path / "whole")
