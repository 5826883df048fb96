"""Watching long runs: what is made up, what is counted, and a short form of each part."""

import mmap
import os
from pathlib import Path

import pytest

from minibert.data.readers import read_documents

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="no /proc here to watch")


@pytest.fixture
def long_runs(benchmark):
    return benchmark("long_runs")


def test_made_up_text_has_documents_of_many_words_and_its_size(long_runs, tmp_path):
    path = long_runs.write_text(tmp_path / "a.txt", 3_000_000)
    assert 3_000_000 <= path.stat().st_size < 5_000_000
    documents = list(read_documents([path]))
    assert len(documents) > 1000
    assert len({word for document in documents[:500] for word in document.split()}) > 3000
    assert long_runs.write_text(tmp_path / "b.txt", 3_000_000).read_bytes() == path.read_bytes()


def test_memory_of_this_process_grows_by_what_it_takes(long_runs):
    before, _ = long_runs.memory_of(os.getpid())
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, 50_000_000, private) as block:  # new pages, whatever memory the process has kept
        block[:: mmap.PAGESIZE] = b"x" * len(range(0, len(block), mmap.PAGESIZE))
        after, _ = long_runs.memory_of(os.getpid())
    assert 45_000_000 < after - before < 60_000_000


def test_a_file_that_is_open_is_counted(long_runs, tmp_path):
    before = long_runs.open_files(os.getpid())
    with (tmp_path / "a").open("w"):
        assert long_runs.open_files(os.getpid()) == before + 1
    assert long_runs.open_files(os.getpid()) == before


def test_a_process_that_is_gone_has_no_memory_no_files_and_no_children(long_runs):
    nobody = 2**22 + 1  # above the highest number that Linux gives
    assert (long_runs.memory_of(nobody), long_runs.open_files(nobody), long_runs.children(nobody)) == (
        (0, 0),
        0,
        [],
    )


@pytest.mark.slow
def test_each_part_runs_in_small(long_runs, tmp_path):
    steps = long_runs.many_steps(tmp_path, 3000)
    assert steps["steps"] == 3000
    assert steps["open_files"][0] > 0
    (tmp_path / "large").mkdir()
    corpus = long_runs.large_corpus(tmp_path / "large", 25)
    assert corpus["tokens"] > 5_000_000
    assert 100 < corpus["most_mebibytes"] < 1500
    (tmp_path / "stop").mkdir()
    [run] = long_runs.stopping(tmp_path / "stop", 1)["runs"]
    assert run["status"] == 143
    assert run["saved"]
    assert run["seconds"] < 30
