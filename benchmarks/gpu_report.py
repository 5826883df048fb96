"""A plugin for pytest: every outcome goes into a JSON file at once, and a second run takes up the rest.

    pytest -p gpu_report --report tests.json benchmarks/gpu_tests.py

A run that is cut off keeps what it had: tests that passed on this machine and commit are not run again.
"""

import json
from pathlib import Path

import pytest
import torch
from gpu_clock import describe


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--report", type=Path, required=True, help="file for the JSON")


def pytest_configure(config: pytest.Config) -> None:
    file, machine = config.getoption("report"), describe("cuda" if torch.cuda.is_available() else "cpu")
    known = json.loads(file.read_text("utf-8")) if file.exists() else {"machine": None}
    same = known["machine"] == machine
    config.stash[RECORD] = known if same else {"benchmark": "gpu_tests", "machine": machine, "tests": {}}
    config.pluginmanager.register(Reporter(config), "gpu-reporter")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests = config.stash[RECORD]["tests"]
    items[:] = [item for item in items if tests.get(item.nodeid, {}).get("outcome") != "passed"]


RECORD: pytest.StashKey[dict] = pytest.StashKey()


class Reporter:
    """Writes the file after every test."""

    def __init__(self, config: pytest.Config) -> None:
        self.record, self.file = config.stash[RECORD], config.getoption("report")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        row = {"outcome": report.outcome, "seconds": round(report.duration, 3)}
        if report.outcome != "passed":
            row["why"] = str(report.longrepr)[-2000:]
        self.record["tests"][report.nodeid] = row
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.record, indent=1) + "\n", encoding="utf-8")
