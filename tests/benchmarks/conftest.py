"""What the tests of the benchmarks share: their modules, and their dry runs."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    """Return a function that imports a module of the benchmarks folder."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def run():
    """Return a function that runs a benchmark in a process of its own."""

    def start(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, f"benchmarks/{script}.py", *arguments]
        places = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    return start


@pytest.fixture
def dry_run(run):
    """Return a function that runs a benchmark on tiny shapes and gives its record and its tables."""

    def start(script: str, *arguments: str) -> tuple[dict[str, Any], str]:
        for package in ("transformers", "sklearn"):
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"{package} is not installed: pip install 'minibert-encoder[benchmark]'")
        done = run(script, "--dry-run", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stdout.rpartition("{")[0]

    return start
