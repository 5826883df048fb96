"""The four stages for a GPU run to their end on a CPU; a second run takes up where the first one ended."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="triton is not installed (it is made for Linux)")

ROOT = Path(__file__).resolve().parents[2]
FILES = {"tests": "tests", "tune": "table", "attention": "attention", "training": "training"}


def check(stage: str, out: Path, *flags: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OUT": str(out), "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", "benchmarks/gpu_check.sh", stage, *flags],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip


def outcome(stage: str, out: Path) -> dict:
    done = check(stage, out, "--dry-run")
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return json.loads((out / f"{FILES[stage]}.json").read_text("utf-8"))


@pytest.mark.slow
def test_the_tests_write_down_every_outcome_and_do_not_run_twice(tmp_path):
    first = outcome("tests", tmp_path)
    assert {test["outcome"] for test in first["tests"].values()} == {"passed", "skipped"}
    again = outcome("tests", tmp_path)
    passed = {name: row for name, row in first["tests"].items() if row["outcome"] == "passed"}
    assert len(passed) > 40 and passed.items() <= again["tests"].items()


@pytest.mark.slow
def test_the_table_keeps_the_rows_that_nobody_has_timed_and_goes_on_with_them(tmp_path):
    counts = []
    for _ in range(2):
        rows = outcome("tune", tmp_path)["rows"]
        counts.append(sum("microseconds" in row for row in rows))
    ours = json.loads((ROOT / "minibert/kernels/attention/fused/table.json").read_text("utf-8"))
    assert len(rows) == len(ours["rows"])
    assert 0 < counts[0] < counts[1]


@pytest.mark.slow
def test_attention_and_training_are_measured(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    assert len(outcome("attention", tmp_path)["results"]) == 3
    rows = outcome("training", tmp_path)["rows"]
    assert {row["name"] for row in rows} == {"minibert auto", "minibert sdpa", "transformers"}
    assert all(row["tokens_per_second"]["median"] > 0 for row in rows)


@pytest.mark.parametrize("words", [("speed",), ("tests", "--fast")])
def test_what_it_does_not_know_it_names(tmp_path, words):
    done = check(words[0], tmp_path, *words[1:])
    assert done.returncode == 2 and f"'{words[-1]}'" in done.stderr
