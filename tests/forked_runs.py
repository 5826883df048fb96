"""A process that runs commands of minibert in children, each of which can be killed at a chosen moment.

Importing torch takes seconds, a small run does not: the libraries are imported once, and every command gets a
fork. Moments are counted: before each step, each line of the log, each sync, rename and removal of a file,
and half-way through each file of tensors. Instead of being killed a child can find the disk full from that
moment on. A job is one line of JSON on stdin, its end one line on stdout:

    {"argv": [...], "kill_at": 17, "full_at": null, "user": null}
    {"status": -9, "moments": [...], "told": "..."}

Used by `Forks`, from which tests start it; nothing here runs when it is imported.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
WRITING = ("fsync", "half", "mkdir")  # moments at which a disk can be found full


class Forks:
    """The process, from the side of a test."""

    def __init__(self) -> None:
        surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=surroundings,
        )

    def run(
        self,
        *argv: object,
        kill_at: int | None = None,
        full_at: int | None = None,
        user: int | None = None,
    ) -> dict[str, Any]:
        """Run a command to its end, or to the moment at which it is killed or finds the disk full."""
        self.begin(*argv, kill_at=kill_at, full_at=full_at, user=user)
        return self.end()

    def begin(
        self,
        *argv: object,
        kill_at: int | None = None,
        full_at: int | None = None,
        user: int | None = None,
    ) -> None:
        """Start a command; the number of its process is then in `pid`."""
        job = {"argv": [str(word) for word in argv], "kill_at": kill_at, "full_at": full_at, "user": user}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        self.pid = self._read()["pid"]

    def end(self) -> dict[str, Any]:
        """Wait for the command."""
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


class Moments:
    """Counts moments in a child and ends it at one of them, as a power cut would, or fills its disk there."""

    def __init__(self, kill_at: int | None, full_at: int | None, log: int) -> None:
        self.kill_at, self.full_at, self.log, self.count = kill_at, full_at, log, 0

    def __call__(self, name: str, half: Callable[[], object] | None = None) -> None:
        os.write(self.log, (name + "\n").encode())
        is_full = self.full_at is not None and self.count >= self.full_at and name.split()[0] in WRITING
        if half is not None and (is_full or self.count == self.kill_at):
            half()
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1
        if is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def watch(self, owner: Any, name: str) -> None:
        """Make every call of a function a moment."""
        function = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            told = arguments[0] if arguments and isinstance(arguments[0], str | Path) else ""
            self(f"{name} {Path(told).name}".strip())
            return function(*arguments, **options)

        setattr(owner, name, watched)


def install(moments: Moments) -> None:
    """Put the moments into this process."""
    from minibert import checkpoint
    from minibert.training.journal import Journal
    from minibert.training.loop import Run

    for name in ("fsync", "rename", "replace", "unlink", "mkdir"):
        moments.watch(os, name)
    moments.watch(Run, "_step")
    save, write = checkpoint.save_file, Journal.write

    def saved(tensors: Any, path: Path) -> None:
        def half() -> None:
            save(tensors, path)
            os.truncate(path, path.stat().st_size // 2)

        moments(f"half of {path.name}", half)
        save(tensors, path)

    def written(journal: Journal, event: str, step: int, values: dict[str, Any]) -> None:
        def half() -> None:
            journal.log.file.write('{"event": "train", "lo')
            journal.log.file.flush()

        moments(f"half a line of {event} {step}", half)
        write(journal, event, step, values)

    checkpoint.save_file, Journal.write = saved, written  # type: ignore[method-assign]


def child(job: dict[str, Any], told: int, log: int) -> None:
    """Become a command; never returns."""
    from minibert.cli import main

    os.dup2(told, 1)
    os.dup2(told, 2)
    if job["user"] is not None:
        os.setgid(job["user"])
        os.setuid(job["user"])
    sys.argv = ["minibert", *job["argv"]]

    def work() -> int:
        install(Moments(job["kill_at"], job["full_at"], log))
        return main(job["argv"])

    leave_with(work)


def leave_with(work: Callable[[], int]) -> NoReturn:
    """Do a forked child's work and end it with the status, past whatever its parent would still do."""
    status = 70
    try:
        status = work()
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - whatever it is, the test must see it
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def serve() -> None:
    """Fork for each job on stdin until it is closed."""
    import torch

    import minibert.cli
    import minibert.text.hugging_face  # noqa: F401 - so that no child has to import anything

    torch.set_num_threads(1)
    for line in sys.stdin:
        job = json.loads(line)
        with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as log:
            pid = os.fork()
            if pid == 0:
                child(job, told.fileno(), log.fileno())
            print(json.dumps({"pid": pid}), flush=True)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            told.seek(0)
            log.seek(0)
            answer = {
                "status": status,
                "moments": log.read().decode().splitlines(),
                "told": told.read().decode("utf-8", "replace"),
            }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
