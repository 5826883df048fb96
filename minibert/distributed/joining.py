"""How a process becomes one of several that train together, and how they end together.

`torchrun` starts the processes and tells each by environment variables who it is: RANK of WORLD_SIZE, on its
machine LOCAL_RANK, and where to meet, MASTER_ADDR and MASTER_PORT. Nothing else of the environment is read.
On CPUs they talk through gloo, on GPUs through NCCL; plain numbers go through gloo everywhere.

A process that fails leaves its last words where all can read them. The others notice: a gloo connection
breaks at once; whoever waits for a GPU is ended by a thread that looks for last words every second.
"""

import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from minibert.distributed.ranks import Ranks
from minibert.errors import InputError, ProcessLost

# The first process may tokenize for hours while the others wait; deaths are noticed without this.
PATIENCE = timedelta(hours=12)
LOOK_EVERY = 1.0  # seconds between two looks for last words
GRACE = 5.0  # seconds in which a process may end by itself once it has been told
WORDS, HEARD = "minibert/last words", "minibert/heard"
LOST, BAD_INPUT = 1, 2  # exit statuses


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that torchrun has started, for the length of a block; alone without torchrun.

    Inside the block only the first process prints. Raises ProcessLost where another one has failed, with what
    it said. A block inside such a block joins nothing anew.

    >>> with joined() as ranks:
    ...     ranks.size
    1
    """
    if Ranks.here().size > 1 or _started() == 1:
        yield Ranks.here()
        return
    store, ranks = _meet()
    words = LastWords(store, ranks)
    with words:
        try:
            with _quiet(ranks):
                yield ranks
                ranks.gather(None)  # nobody leaves before all are done: the first holds what they meet at
        except Exception as error:
            better = words.explained(error)
            if better is error:
                raise
            raise better from error
        finally:
            dist.destroy_process_group()


def check_alone(what: str) -> None:
    """Raise InputError if torchrun has started several processes for work that one does."""
    if _started() > 1:
        raise InputError(
            f"{what} is the work of one process, and torchrun started {_started()}; leave out torchrun "
            "(pretrain and finetune are what several do together)"
        )


def _started() -> int:
    """Return how many processes torchrun says that there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _meet() -> tuple[dist.Store, Ranks]:
    """Wait until all processes are there, and connect them."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus and local >= gpus:
        raise InputError(
            f"LOCAL_RANK {local}: this machine has {gpus} GPUs; start torchrun with --nproc-per-node {gpus}"
        )
    if gpus:
        torch.cuda.set_device(local)
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=PATIENCE))
    except ValueError as error:
        raise InputError(f"WORLD_SIZE is set, but {error}; start with torchrun, which sets all") from error
    backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    return store, Ranks(rank, size)


@contextmanager
def _quiet(ranks: Ranks) -> Iterator[None]:
    """Let the first process alone speak; errors leave the block, and are told outside."""
    with ExitStack() as stack:
        if not ranks.first:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        yield


class LastWords:
    """What the first process that failed said; used in a `with` block, in which a thread looks for them."""

    def __init__(self, store: dist.Store, ranks: Ranks) -> None:
        self.store, self.ranks = store, ranks
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "LastWords":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()

    def _look(self) -> None:
        """End this process if another has failed and this one cannot end by itself."""
        while not self.ended.wait(LOOK_EVERY):
            told = self._read()
            if told and not self.ended.wait(GRACE):
                print(f"minibert: error: {self._sentence(told)}", file=sys.__stderr__, flush=True)
                os._exit(LOST)

    def _read(self) -> dict[str, Any]:
        """Return who failed and how, {} if nobody has said so."""
        try:
            if not self.store.check([WORDS]):
                return {}
            told: dict[str, Any] = json.loads(self.store.get(WORDS))
        except (RuntimeError, ValueError):  # the first process, which holds the words, has ended
            return {}
        return told

    def _sentence(self, told: dict[str, Any]) -> str:
        who = f"process {told['rank']} of {self.ranks.size} on {told['host']}"
        return f"{who} failed: {told['text']}"

    def explained(self, error: Exception) -> BaseException:
        """Return what this process should end with: its own error, or that of the one that failed first."""
        if isinstance(error, ProcessLost):
            return ProcessLost(self._wait_for_words() or self._silent())
        text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        mine = json.dumps({"rank": self.ranks.rank, "host": platform.node(), "text": text})
        try:
            first = json.loads(self.store.compare_set(WORDS, "", mine))
            self._let_others_hear()
        except (RuntimeError, ValueError):
            return error
        same = first["rank"] != self.ranks.rank and first["text"] == text
        # What all of them find wrong with what they were given is told once.
        return SystemExit(BAD_INPUT) if same and isinstance(error, InputError) else error

    def _let_others_hear(self) -> None:
        """Keep the first process, which holds the words, until all have heard them, but not for long."""
        self.store.add(HEARD, 1)
        end = time.monotonic() + 2 * LOOK_EVERY
        while self.ranks.first and self.store.add(HEARD, 0) < self.ranks.size and time.monotonic() < end:
            time.sleep(0.02)

    def _wait_for_words(self) -> str:
        end = time.monotonic() + 2 * LOOK_EVERY
        while not (told := self._read()) and time.monotonic() < end:
            time.sleep(0.1)
        return self._sentence(told) if told else ""

    def _silent(self) -> str:
        return (
            f"another of the {self.ranks.size} processes ended without a word; was it killed, or out of "
            "memory? torchrun tells which one"
        )
