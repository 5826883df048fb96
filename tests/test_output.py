"""The output folder: refused when used, given back as it was when a run cannot begin."""

import os
import tempfile

import pytest

from minibert.errors import InputError
from minibert.output import MARK, check_free, claimed, locked, replaced

pytestmark = pytest.mark.usefixtures("nothing_executes")


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def used(tmp_path):
    """A folder with an earlier run in it."""
    folder = tmp_path / "run"
    (folder / "corpus").mkdir(parents=True)
    (folder / MARK).touch()
    (folder / "corpus" / "ids.bin").write_bytes(b"old")
    (folder / "config.json").write_text("old", encoding="utf-8")
    return folder


def fail_in(output, **how):
    with pytest.raises(ZeroDivisionError), claimed(output, **how) as folder:
        (folder / "corpus").mkdir(exist_ok=True)
        (folder / "corpus" / "new.bin").write_bytes(b"new")
        (folder / "config.json").write_text("new", encoding="utf-8")
        raise ZeroDivisionError


def test_a_new_folder_is_made_and_is_gone_after_a_failure(tmp_path):
    output = tmp_path / "deep" / "run"
    with claimed(output) as folder:
        assert folder == output
    assert names(output) == [MARK]
    fail_in(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_an_earlier_run_gives_way_and_comes_back_after_a_failure(used):
    before = names(used)
    fail_in(used, overwrite=True)
    assert names(used) == before
    assert (used / "config.json").read_text("utf-8") == "old"
    assert (used / "corpus" / "ids.bin").read_bytes() == b"old"
    with claimed(used, overwrite=True) as folder:
        (folder / "new.txt").touch()
    assert names(used) == [MARK, "new.txt"]


@pytest.mark.parametrize("absolute", [False, True])
def test_a_folder_may_be_named_from_where_one_is(used, monkeypatch, absolute):
    """From Python 3.12 on, mkdtemp makes names absolute; those of the folder are not."""
    made = tempfile.mkdtemp

    def mkdtemp(**given):
        path = made(**given)
        return os.path.abspath(path) if absolute else os.path.relpath(path)

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    monkeypatch.chdir(used.parent)
    before = names(used)
    fail_in("run", overwrite=True)
    assert names(used) == before
    with claimed("run", overwrite=True):
        (used / "config.json").write_text("new", encoding="utf-8")
    assert names(used) == [MARK, "config.json"]


def test_the_block_sees_an_empty_folder(used):
    with claimed(used, overwrite=True) as folder:
        assert not (folder / "config.json").exists()
        assert not (folder / "corpus").exists()


def test_a_resumed_run_keeps_its_files_whatever_happens(used):
    before = names(used)
    with claimed(used, resume=True):
        assert set(before) <= set(names(used))
    assert names(used) == before
    with pytest.raises(ZeroDivisionError), claimed(used, resume=True):
        raise ZeroDivisionError
    assert names(used) == before


def test_an_empty_folder_that_was_there_stays_empty(tmp_path):
    fail_in(tmp_path)
    assert [name for name in names(tmp_path) if name != MARK] == []
    with claimed(tmp_path):
        pass


def test_a_used_folder_is_refused(used, tmp_path):
    with pytest.raises(InputError, match="not empty"), claimed(used):
        pass
    (used / MARK).unlink()
    with pytest.raises(InputError, match="not made by minibert"), claimed(used, overwrite=True):
        pass
    with pytest.raises(InputError, match="is a file"), claimed(used / "config.json"):
        pass


@pytest.mark.parametrize("inside", ["", "model", "corpus/ids.bin", "../run", "corpus/*.bin"])
def test_what_a_run_reads_is_never_overwritten(used, inside):
    before = names(used)
    read = [None, ["elsewhere.csv", used / inside], 7]
    with pytest.raises(InputError, match=r"lies in the output folder .*run, which is to be"):
        check_free(used, overwrite=True, inputs=read)
    for door in (claimed, locked, replaced):
        with pytest.raises(InputError, match="lies in the output"), door(used, overwrite=True, inputs=read):
            pass
    assert names(used) == before
    check_free(used, overwrite=True, inputs=[used.parent / "train.csv", used.parent / "running", None])


def test_a_folder_that_is_written_anew_is_locked_and_marked(used, tmp_path):
    with replaced(tmp_path / "new", overwrite=False) as output:
        assert (output / MARK).read_text("utf-8")  # who holds it
        (output / "model.onnx").touch()
    assert names(tmp_path / "new") == [MARK, "model.onnx"]
    with pytest.raises(ZeroDivisionError), replaced(tmp_path / "none", overwrite=False):
        raise ZeroDivisionError
    assert not (tmp_path / "none").exists()
