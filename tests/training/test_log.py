"""The log of a run: full files are put aside, all are read, and a resumed run goes on where it was."""

import pytest

from minibert.errors import InputError
from minibert.training.log import LOG, Log, log_files, read_log


def train_line(step: int) -> dict:
    return {"event": "train", "step": step, "loss": 1.0 / step}


def write(folder, steps, **options) -> None:
    log = Log(folder, **options)
    for step in steps:
        log.append(train_line(step))
    log.close()


def steps_of(folder) -> list[int]:
    return [line["step"] for line in read_log(folder, "train")]


def test_a_full_log_is_put_aside_and_no_line_is_lost(tmp_path):
    write(tmp_path, range(1, 101), largest=200)
    names = [path.name for path in log_files(tmp_path)]
    assert names[:2] == ["log-1.jsonl", "log-2.jsonl"]
    assert names[-1] == LOG
    assert len(names) > 11, "ten come before two in the order of letters, not in ours"
    assert all(path.stat().st_size < 300 for path in log_files(tmp_path))
    assert steps_of(tmp_path) == list(range(1, 101))


@pytest.mark.parametrize("done", [0, 1, 17, 50, 99, 100])
def test_a_resumed_run_goes_on_after_its_step_whatever_file_that_is_in(tmp_path, done):
    write(tmp_path, range(1, 101), largest=200)
    write(tmp_path, range(done + 1, 121), largest=200, done=done)
    assert steps_of(tmp_path) == list(range(1, 121))


def test_a_small_log_stays_one_file(tmp_path):
    write(tmp_path, range(1, 101))
    assert [path.name for path in log_files(tmp_path)] == [LOG]


def test_a_line_that_was_cut_short_is_taken_out_when_the_run_goes_on(tmp_path):
    write(tmp_path, range(1, 4))
    with (tmp_path / LOG).open("a") as file:
        file.write('{"event": "train", "st')
    with pytest.raises(InputError, match=r"log\.jsonl"):
        read_log(tmp_path, "train")
    write(tmp_path, [4], done=3)
    assert steps_of(tmp_path) == [1, 2, 3, 4]
