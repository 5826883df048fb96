"""Several processes that train together, as torchrun would start them, for tests.

Importing torch takes seconds, a small run does not: one process imports the libraries once and forks the
others. A job is one line of JSON on stdin, the ends of its processes one line on stdout:

    {"size": 2, "call": "test_ranks:numbers", "given": [...]}
    {"statuses": [0, 0], "results": [..., ...], "told": ["...", "..."], "seconds": 0.4}

`call` names a function of a module in the tests' folders; each process calls it with what is given and its
rank. Used by `Together`; nothing here runs when it is imported.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forked_runs import leave_with

TESTS = Path(__file__).resolve().parent


class Together:
    """The process that forks, from the side of a test."""

    def __init__(self) -> None:
        paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        )

    def run(self, size: int, function: Callable[..., Any], *given: Any) -> dict[str, Any]:
        """Call a function in `size` processes, as function(rank, *given); return how they ended."""
        call = [sys.modules[function.__module__].__file__, function.__name__]
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"size": size, "call": call, "given": given}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def results(self, size: int, function: Callable[..., Any], *given: Any) -> list[Any]:
        """Call a function in `size` processes, all of which must end well; return what they return."""
        ended = self.run(size, function, *given)
        assert ended["statuses"] == [0] * size, "\n".join(ended["told"])
        results: list[Any] = ended["results"]
        return results

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def child(rank: int, job: dict[str, Any], port: int, folder: Path) -> None:
    """Become a process of a job; never returns."""
    told = os.open(folder / f"told-{rank}", os.O_CREAT | os.O_WRONLY)
    os.dup2(told, 1)
    os.dup2(told, 2)
    size = str(job["size"])
    place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": size, "MASTER_PORT": str(port)}
    os.environ.update({**place, "MASTER_ADDR": "127.0.0.1"})

    def work() -> int:
        path, name = job["call"]
        spec = importlib.util.spec_from_file_location(Path(path).stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        value = getattr(module, name)(rank, *job["given"])
        (folder / f"result-{rank}").write_text(json.dumps(value), "utf-8")
        return 0

    leave_with(work)


def serve() -> None:
    """Fork the processes of each job on stdin until it is closed."""
    import torch
    import torch.distributed.fsdp

    import minibert.cli  # noqa: F401 - so that no child has to import it

    torch.set_num_threads(1)
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(run_job(json.loads(line), Path(folder))), flush=True)


def run_job(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fork the processes of one job and wait for them."""
    port, start, pids = free_port(), time.perf_counter(), []
    for rank in range(job["size"]):
        pid = os.fork()
        if pid == 0:
            child(rank, job, port, folder)
        pids.append(pid)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    seconds = time.perf_counter() - start
    told = [(folder / f"told-{rank}").read_text("utf-8", "replace") for rank in range(job["size"])]
    places = [folder / f"result-{rank}" for rank in range(job["size"])]
    results = [json.loads(place.read_text("utf-8")) if place.exists() else None for place in places]
    return {"statuses": statuses, "results": results, "told": told, "seconds": seconds}


if __name__ == "__main__":
    serve()
