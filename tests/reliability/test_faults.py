"""Damaged files, full disks, missing rights, two runs at once, jumping clocks: what is saved stays saved."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_runs

from minibert.cli import main
from minibert.durable import MANIFEST, replace_text, seal, verify
from minibert.embedding.loading import load_encoder
from minibert.errors import InputError
from minibert.output import claimed, locked, newest_whole
from minibert.output.checkpoints import is_whole
from minibert.tasks.model import load

pytestmark = pytest.mark.usefixtures("nothing_executes")

NOBODY = 65534
SMALL = "800k"  # a checkpoint has 530


def line(given: Path, output: Path, *more: object, steps: int = 6) -> list[str]:
    train = given / "train.csv"
    words = ("finetune", "--task", "classification", "--model", given / "enc", "--train-file", train,
             "--output-dir", output, "--train-batch-size", 6, "--max-steps", steps, "--logging-steps", 1,
             "--save-steps", 2, "--save-total-limit", 3, "--fp32", "--no-progress", *more)  # fmt: skip
    return [str(word) for word in words]


def weights(output: Path) -> str:
    return hashlib.sha256((output / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def finished(given, tmp_path_factory):
    """A run with checkpoints after 2 and 4 of its 6 steps; to be copied, not changed."""
    output = tmp_path_factory.mktemp("finished") / "run"
    assert main(line(given, output)) == 0
    assert sorted(path.name for path in output.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    return output


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def cut_short(path: Path, random: np.random.Generator) -> None:
    os.truncate(path, int(random.integers(path.stat().st_size)))


def flip_a_bit(path: Path, random: np.random.Generator) -> None:
    data = bytearray(path.read_bytes())
    data[random.integers(len(data))] ^= 1 << random.integers(8)
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit])
def test_any_damage_to_any_file_of_a_checkpoint_is_found(run, damage):
    random = np.random.default_rng(0)
    checkpoint = run / "checkpoint-4"
    assert len(files_of(checkpoint)) == 8
    for path in files_of(checkpoint):
        for _ in range(5):
            before = path.read_bytes()
            assert is_whole(checkpoint)
            damage(path, random)
            with pytest.raises(InputError, match=r"checkpoint-4"):
                verify(checkpoint, required=True)
            path.write_bytes(before)


def test_a_damaged_checkpoint_is_passed_over_for_the_newest_whole_one(given, run, finished, capsys):
    flip_a_bit(run / "checkpoint-4" / "training_state.safetensors", np.random.default_rng(1))
    assert newest_whole(run) == run / "checkpoint-2"
    assert main(line(given, run, "--resume")) == 0
    told = capsys.readouterr().err
    assert "checkpoint-4 is passed over" in told
    assert "training_state.safetensors" in told
    assert "going on from" in told and "checkpoint-2" in told
    assert is_whole(run / "checkpoint-4")  # written anew
    assert weights(run) == weights(finished)


def test_where_no_checkpoint_is_whole_the_run_says_so_and_touches_nothing(given, run, capsys):
    for checkpoint in run.glob("checkpoint-*"):
        (checkpoint / MANIFEST).unlink()
    before = {path: path.read_bytes() for path in files_of(run) if path.name != ".minibert"}
    assert main(line(given, run, "--resume")) == 2
    assert "no checkpoint" in capsys.readouterr().err.splitlines()[-1]
    assert before == {path: path.read_bytes() for path in files_of(run) if path.name != ".minibert"}


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit])
def test_a_damaged_model_is_refused_and_its_file_named(run, damage):
    random = np.random.default_rng(2)
    for name in json.loads((run / MANIFEST).read_text("utf-8"))["files"]:
        before = (run / name).read_bytes()
        damage(run / name, random)
        for opener in (load, load_encoder):
            with pytest.raises(InputError):
                opener(run)
        with pytest.raises(InputError, match=name):
            load(run)
        (run / name).write_bytes(before)
    load(run)


def test_a_model_without_a_manifest_is_opened_as_it_is(run):
    (run / MANIFEST).unlink()
    assert load(run).task.labels == ("animal", "thing")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 1}', '{"format": 2, "files": {}}', '{"format": 1, "files": {"a": 3}}',
     '{"format": 1, "files": {"../a": {"size": 1, "sha256": ""}}}', "[" * 100_000,
     '{"format": 1, "files": 7}',
     '{"format": 1, "files": {"/etc/passwd": {"size": 1, "sha256": ""}}}'],
)  # fmt: skip
def test_a_manifest_that_is_none_is_refused(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="manifest"):
        verify(tmp_path)


def test_a_sealed_folder_may_grow_but_not_change(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.bin").write_bytes(b"seven")
    seal(tmp_path)
    (tmp_path / "more.txt").touch()
    verify(tmp_path, required=True)
    (tmp_path / "inner" / "a.bin").write_bytes(b"eleven")
    with pytest.raises(InputError, match=r"6 bytes, 5 were written; .*on purpose, delete .*manifest\.json"):
        verify(tmp_path)
    (tmp_path / "inner" / "a.bin").unlink()
    with pytest.raises(InputError, match=r"inner/a\.bin is missing"):
        verify(tmp_path)


def test_a_replaced_text_is_the_old_one_or_the_new_one(tmp_path, monkeypatch):
    place = tmp_path / "run.json"
    replace_text(place, "old")
    monkeypatch.setattr(os, "replace", lambda *names: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        replace_text(place, "new")
    assert place.read_text("utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def moments_of(forks, given, output) -> list[str]:
    ended = forks.run(*line(given, output))
    assert ended["status"] == 0, ended["told"]
    return ended["moments"]


def check_full_disk(forks, given, output, full_at, expected):
    """Fill the disk at a moment; what was saved before is whole, and with room the run comes to its end."""
    ended = forks.run(*line(given, output), full_at=full_at)
    assert ended["status"] == 2, ended["told"]
    assert "disk is full" in ended["told"].splitlines()[-1]
    assert all(is_whole(path) for path in output.glob("checkpoint-*"))
    ended = forks.run(*line(given, output, "--resume"))
    assert ended["status"] == 0, ended["told"]
    assert weights(output) == expected


def test_a_disk_that_fills_up_costs_nothing_that_was_saved(given, forks, finished, tmp_path):
    moments = moments_of(forks, given, tmp_path / "whole")
    half = [at for at, name in enumerate(moments) if name == "half of training_state.safetensors"]
    check_full_disk(forks, given, tmp_path / "run", half[1], weights(finished))


@pytest.mark.slow
def test_a_disk_that_fills_up_at_any_moment_costs_nothing_that_was_saved(given, forks, finished, tmp_path):
    moments = moments_of(forks, given, tmp_path / "whole")
    writing = [at for at, name in enumerate(moments) if name.split()[0] in ("half", "fsync")]
    for full_at in writing[::4]:
        check_full_disk(forks, given, tmp_path / str(full_at), full_at, weights(finished))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, which holds one checkpoint and not two; a function gives it room."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a file system")
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(place), "-o"]
    if subprocess.run([*mount, f"size={SMALL}"], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place, lambda: subprocess.run([*mount, "remount,size=100m"], check=True)
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_really_full_costs_nothing_that_was_saved(given, forks, finished, small_disk):
    place, give_room = small_disk
    ended = forks.run(*line(given, place / "run", "--no-doctor"))  # who would have seen it
    assert ended["status"] == 2, ended["told"]
    assert "disk is full" in ended["told"].splitlines()[-1]
    assert [path.name for path in (place / "run").glob("checkpoint-*") if is_whole(path)] == ["checkpoint-2"]
    give_room()
    ended = forks.run(*line(given, place / "run", "--resume"))
    assert ended["status"] == 0, ended["told"]
    assert weights(place / "run") == weights(finished)


@pytest.fixture
def public(given, finished):
    """A folder that other users may look into, with the files of a run and a finished run."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        shutil.copytree(given, Path(place) / "given")
        shutil.copytree(finished, Path(place) / "run")
        yield Path(place)


@pytest.mark.parametrize("more", ["--resume", "--overwrite-output-dir"])
def test_without_the_right_to_write_nothing_is_touched(forks, public, more):
    before = {path: path.read_bytes() for path in files_of(public)}
    ended = forks.run(*line(public / "given", public / "run", more), user=NOBODY)
    assert ended["status"] == 2, ended["told"]
    assert "not allowed" in ended["told"].splitlines()[-1]
    assert before == {path: path.read_bytes() for path in files_of(public)}


def test_a_new_folder_in_a_read_only_one_is_refused(forks, public):
    ended = forks.run(*line(public / "given", public / "new" / "run"), user=NOBODY)
    assert ended["status"] == 2
    assert "not allowed" in ended["told"].splitlines()[-1]
    assert not (public / "new").exists()


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_a_second_run_in_a_folder_is_refused_until_the_first_is_gone(given, forks, tmp_path, capsys):
    output = tmp_path / "run"
    forks.begin(*line(given, output, steps=100_000))
    wait_for(lambda: (output / "checkpoint-4").exists())
    for more in ("--resume", "--overwrite-output-dir"):
        assert main(line(given, output, more)) == 2
        assert f"in use by process {forks.pid} on " in capsys.readouterr().err
    os.kill(forks.pid, signal.SIGKILL)
    assert forks.end()["status"] == -9
    assert main(line(given, output, "--resume", steps=8)) == 0
    assert f"process {forks.pid} on " in (told := capsys.readouterr().err)
    assert "taken over" in told
    assert (output / ".minibert").read_text("utf-8") == ""


def test_a_lock_leaves_no_trace_where_nothing_was_made(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        locked(tmp_path / "deep" / "run"),
        claimed(tmp_path / "deep" / "run"),
    ):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / "run") as output:
        (output / "a.txt").touch()
    assert sorted(path.name for path in output.iterdir()) == [".minibert", "a.txt"]


def test_a_mark_that_cannot_be_read_does_not_close_a_folder(tmp_path):
    (tmp_path / ".minibert").write_text("[" * 100_000, encoding="utf-8")
    with locked(tmp_path):
        pass


def test_a_wall_clock_that_jumps_changes_nothing(given, finished, tmp_path, monkeypatch):
    jumps = iter(range(10**9, 0, -(10**5)))
    monkeypatch.setattr(time, "time", lambda: float(next(jumps)))
    monkeypatch.setattr(time, "time_ns", lambda: next(jumps) * 10**9)
    assert main(line(given, tmp_path / "run", "--budget", "1h")) == 0
    assert weights(tmp_path / "run") == weights(finished)


def test_a_stopwatch_that_jumps_ends_the_run_early_and_saves_it(given, tmp_path, monkeypatch):
    clock = [0.0]

    def jumping() -> float:
        clock[0] += 1e4 if clock[0] > 0.5 else 0.01
        return clock[0]

    monkeypatch.setattr(time, "perf_counter", jumping)
    assert main(line(given, tmp_path / "run", "--budget", "1h", steps=1000)) == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert 1 <= record["steps_done"] < 50
    load(tmp_path / "run")


def test_what_a_killed_process_had_set_aside_is_put_back(tmp_path):
    for name in (".moving-x", ".earlier-x"):
        output = tmp_path / name.strip(".")
        (output / name).mkdir(parents=True)
        (output / ".minibert").touch()
        (output / name / "old.txt").write_text("old", encoding="utf-8")
        (output / "beside.txt").write_text("old if it was not moved yet, else new", encoding="utf-8")
        (output / ".checkpoint-7-abc").mkdir()
        with claimed(output, resume=True):
            assert (output / "old.txt").is_file()
            assert (output / "beside.txt").is_file() == (name == ".moving-x")
            assert not (output / ".checkpoint-7-abc").exists()


def test_an_overwriting_run_that_was_killed_is_taken_up_again_as_one(tmp_path):
    (tmp_path / ".earlier-x").mkdir()
    (tmp_path / ".minibert").touch()
    (tmp_path / ".earlier-x" / "old.txt").touch()
    (tmp_path / "corpus.bin").touch()
    with pytest.raises(ZeroDivisionError), claimed(tmp_path, resume=True, overwrite=True):
        assert (tmp_path / "corpus.bin").is_file()
        raise ZeroDivisionError
    assert (tmp_path / "old.txt").is_file()
    (tmp_path / ".earlier-y").mkdir()
    (tmp_path / "old.txt").rename(tmp_path / ".earlier-y" / "old.txt")
    with claimed(tmp_path, resume=True, overwrite=True):
        (tmp_path / "new.txt").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".minibert", "new.txt"]


def test_data_that_changed_are_not_resumed_on(given, run, tmp_path, capsys):
    other = tiny_runs.write_table(tmp_path / "other.csv", rows=20)
    words = [str(other) if word.endswith("train.csv") else word for word in line(given, run, "--resume")]
    assert main(words) == 2
    assert "train is not what the run began with" in capsys.readouterr().err
    assert main(line(given, run, "--resume", "--learning-rate", "1e-4")) == 0
    assert "train.learning_rate was 0.0003 and is 0.0001" in capsys.readouterr().err


def test_a_finished_run_without_checkpoints_is_left_as_it_is(given, run, tmp_path, capsys):
    for checkpoint in run.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    before = {path: path.read_bytes() for path in files_of(run)}
    assert main(line(given, run, "--resume", "--no-doctor")) == 0
    assert "holds a finished run: nothing is left to do" in capsys.readouterr().err
    other = tiny_runs.write_table(tmp_path / "other.csv", rows=20)
    words = [str(other) if word.endswith("train.csv") else word for word in line(given, run, "--resume")]
    assert main(words) == 2
    assert "train is not what the run began with" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in files_of(run)} == before


def test_a_finished_pretraining_without_checkpoints_is_left_as_it_is(tmp_path, capsys):
    corpus = tiny_runs.write_corpus(tmp_path / "corpus.txt")
    words = ["pretrain", corpus, "--output-dir", tmp_path / "enc", "--size", "tiny", "--vocab-size",
             tiny_runs.VOCABULARY, "--max-steps", 2, "--no-progress", "--no-doctor"]  # fmt: skip
    assert main(list(map(str, words))) == 0
    before = {path: path.read_bytes() for path in files_of(tmp_path / "enc")}
    assert main(list(map(str, [*words, "--resume"]))) == 0
    assert "holds a finished run: nothing is left to do" in capsys.readouterr().err
    other = tiny_runs.write_corpus(tmp_path / "other.txt", documents=90)
    words_of_other = [other if word == corpus else word for word in words]
    assert main(list(map(str, [*words_of_other, "--resume"]))) == 2
    assert "corpus is not what the run began with" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in files_of(tmp_path / "enc")} == before
    longer = [3 if word == 2 else word for word in words]
    assert main(list(map(str, [*longer, "--resume"]))) == 2, "more steps are another run"
    assert "(train.max_steps was 2 and is 3) and no checkpoint to go on from" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in files_of(tmp_path / "enc")} == before
    assert main(list(map(str, [*longer, "--resume", "--overwrite-output-dir"]))) == 0
    assert json.loads((tmp_path / "enc" / "run.json").read_text("utf-8"))["steps_done"] == 3


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--optim", "muon"), "train.optim was 'adamw' and is 'muon'"),
        (("--freeze", "encoder"), "train.freeze was"),
        (("--pooling", "mean"), "task.pooling was"),
    ],
)
def test_a_run_that_cannot_go_on_with_other_settings_names_them(given, run, capsys, flags, told):
    before = {path: path.read_bytes() for path in files_of(run)}
    assert main(line(given, run, "--resume", *flags)) == 2
    err = capsys.readouterr().err
    assert "cannot be gone on from" in err and told in err
    assert {path: path.read_bytes() for path in files_of(run)} == before
