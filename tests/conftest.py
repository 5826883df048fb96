"""What every test may rely on: the same random numbers each time, and the real data where it is there."""

import builtins
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

os.environ["TRITON_INTERPRET"] = "1"  # read by Triton when a kernel is defined: the tests run it in numpy

ROOT = Path(__file__).resolve().parent.parent
# What makes modules and classes out of the source of installed packages.
MACHINERY = {"importlib", "dataclasses", "collections", "typing", "_pytest", "hypothesis", "inspect"}

settings.register_profile(
    "minibert",
    derandomize=True,
    deadline=None,
    max_examples=30,
    database=None,
    # The autouse seed below runs once per test, not once per example: hypothesis derandomizes its own draws.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("minibert")


@pytest.fixture(autouse=True)
def seed() -> int:
    """Start every test from the same state of torch's global generator."""
    torch.manual_seed(0)
    return 0


@pytest.fixture(autouse=True)
def allocator_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep commands that run in this process from changing its allocator, which is for good."""
    monkeypatch.setattr("minibert.commands.memory.keep_freed_memory", lambda: False)


@pytest.fixture
def nothing_executes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make whatever could run the contents of a file fail; Python's own imports and classes may go on."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a file must not be unpickled or evaluated")

    def guard(function: Callable[..., object]) -> Callable[..., object]:
        def guarded(*arguments: object) -> object:
            caller = sys._getframe(1).f_globals
            if caller["__name__"].partition(".")[0] not in MACHINERY:
                raise AssertionError("a file must not be unpickled or evaluated")
            return function(*arguments) if len(arguments) > 1 else function(*arguments, caller)

        return guarded

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    for name in ("eval", "exec"):
        monkeypatch.setattr(builtins, name, guard(getattr(builtins, name)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets, `../shared/data`; skip where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets are not beside the project (../shared/data)")
    return folder


torch.set_num_threads(1)  # the models of the tests are too small to share between cores


@pytest.fixture(autouse=True, scope="session")
def signals_are_heard() -> Iterator[None]:
    """A shell lets its background ignore SIGINT, nohup SIGHUP; runs under test must hear both."""
    heard = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    earlier = {number: signal.signal(number, handler) for number, handler in heard.items()}
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)
