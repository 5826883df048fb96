"""Signals are noted, not obeyed at once; the second Ctrl-C is; long runs do not grow."""

import signal
import threading
from pathlib import Path

import pytest
from small_models import language_model, masked_batches

from minibert.cli import main
from minibert.output.signals import Signals, Stopped
from minibert.training.config import TrainingConfig
from minibert.training.journal import Journal
from minibert.training.loop import Run

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", ASKING)
def test_a_signal_is_noted_and_looked_at_later(number):
    before = signal.getsignal(number)
    with Signals() as signals:
        signals.look()
        signal.raise_signal(number)
        assert signals.asked == number
        with pytest.raises(Stopped):
            signals.look()
    assert signal.getsignal(number) is before
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit) as left:
        signals.leave()
    assert number == signal.SIGINT or left.value.code == 128 + number


def test_ctrl_c_twice_does_not_wait():
    with Signals() as signals:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)  # the first Ctrl-C, whatever came before
        assert signals.asked == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with Signals(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_a_block_that_may_be_broken_off_is_and_the_others_are_not():
    done = []
    with Signals() as signals:
        with pytest.raises(Stopped), signals.breaking_off():
            signal.raise_signal(signal.SIGTERM)
            done.append("the rest of the block")
        with pytest.raises(Stopped), signals.breaking_off():
            done.append("a block that begins after the signal")
        signal.raise_signal(signal.SIGTERM)
        done.append("what must not be broken off")
    assert done == ["what must not be broken off"]


def test_what_is_ignored_outside_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            signal.raise_signal(signal.SIGHUP)
            assert signals.asked == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_than_the_main_one_may_run_too():
    seen = []

    def work() -> None:
        with Signals() as signals:
            seen.append(signals.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0]


def test_ctrl_c_twice_aborts_a_run_at_once_and_saves_nothing_half(given, tmp_path, monkeypatch, capsys):
    step = Run._step

    def interrupted(run: Run) -> object:
        if run.done == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return step(run)

    output = tmp_path / "run"
    line = ("finetune", "--task", "classification", "--model", given / "enc", "--output-dir", output,
            "--train-file", given / "train.csv", "--max-steps", 6, "--save-steps", 2, "--fp32")  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_step", interrupted)
        assert main([*map(str, line), "--no-progress"]) == 130
    assert [path.name for path in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-2"]
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert main([*map(str, line), "--no-progress", "--resume"]) == 0
    assert "checkpoint-2" in capsys.readouterr().err


def resident() -> int:
    """Return the memory that this process holds, in bytes."""
    return 4096 * int(Path("/proc/self/statm").read_text("ascii").split()[1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here to read the memory from")
def test_ten_thousand_steps_do_not_grow(tmp_path):
    model = language_model(dropout=0.1)
    config = TrainingConfig(precision="fp32", max_steps=10_000, logging_steps=10, skip_bad_batches=True)
    run = Run(model, masked_batches(model), config)
    held = {}
    with Journal(tmp_path, "test", every=10, progress=False) as journal:
        for step in run:
            journal.step(step)
            if step.index in (1000, 10_000):
                held[step.index] = resident()
    assert held[10_000] - held[1000] < 8 * 2**20
