"""Keeping freed memory: only where it can be, and then it is really kept."""

import os
import platform
import resource
import subprocess
import sys

import pytest

from minibert import allocator

GLIBC = platform.libc_ver()[0] == "glibc"
BLOCK = 64 * 2**20  # bytes; above the largest size up to which glibc learns to keep memory by itself
COUNT_FAULTS = """
import resource, runpy, sys
how, path, size = sys.argv[1:]
if how == "keep":
    assert runpy.run_path(path)["keep_freed_memory"]()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
block = bytearray(int(size))
del block
before = faults()
for _ in range(8):
    block = bytearray(int(size))
    del block
print(faults() - before)
"""


def test_nothing_is_changed_without_glibc(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("the C library was opened"))
    assert allocator.keep_freed_memory() is False


def test_a_refusal_of_the_library_is_told(monkeypatch):
    class Library:
        @staticmethod
        def mallopt(name, value):
            return int(name != allocator.M_ARENA_MAX)

    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: Library)
    assert allocator.keep_freed_memory() is False


@pytest.mark.skipif(not GLIBC, reason="only glibc can be told")
def test_large_blocks_come_back_without_new_pages():
    # In processes of their own: what is told to the allocator cannot be taken back.
    faults = {}
    for how in ("keep", "plain"):
        command = [sys.executable, "-c", COUNT_FAULTS, how, allocator.__file__, str(BLOCK)]
        faults[how] = int(subprocess.run(command, capture_output=True, check=True).stdout)
    pages = 8 * BLOCK // resource.getpagesize()
    assert faults["plain"] > pages / 2, "the plain allocator keeps memory as well: nothing is tested here"
    assert faults["keep"] < pages / 10


SHAPES = """
import runpy, sys, torch
how, path = sys.argv[1:]
if how == "keep":
    runpy.run_path(path)["keep_freed_memory"]()
def resident():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1])
torch.set_num_threads(1)
weight = torch.ones(384, 384).bfloat16()
before = resident()
for rows in range(1, 1200):  # so many that their code outweighs what else is kept
    torch.ones(rows, 384).bfloat16() @ weight
print(resident() - before)
"""


@pytest.mark.skipif(not GLIBC, reason="only Linux tells what is resident")
def test_what_is_compiled_for_a_shape_is_not_kept_for_ever():
    name, _ = allocator.COMPILED_SHAPES
    pages, untold = {}, {key: value for key, value in os.environ.items() if key != name}
    for how in ("keep", "plain"):
        command = [sys.executable, "-c", SHAPES, how, allocator.__file__]
        pages[how] = int(subprocess.run(command, capture_output=True, check=True, env=untold).stdout)
    if pages["plain"] * resource.getpagesize() < 300e6:
        pytest.skip("this CPU's products of bfloat16 compile nothing by shape")
    assert pages["keep"] < 0.75 * pages["plain"]


def test_whoever_told_onednn_something_else_has_the_last_word(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    name, value = allocator.COMPILED_SHAPES
    monkeypatch.setenv(name, "7")
    allocator.keep_freed_memory()
    assert os.environ[name] == "7"
    monkeypatch.delenv(name)
    allocator.keep_freed_memory()
    assert os.environ[name] == value
