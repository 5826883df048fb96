"""The attention benchmark runs on both devices, checks before it times, and knows its floors."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    """Return a function that imports a module of the benchmarks folder."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def dry_run(device: str, output: Path) -> tuple[dict, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "benchmarks/attention.py", "--device", device, "--dry-run"]
    done = subprocess.run(
        [*command, "--output", str(output)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stdout


def test_a_dry_run_on_the_cpu_times_everybody_and_a_second_one_goes_on_where_it_ended(tmp_path):
    file = tmp_path / "results" / "attention.json"
    record, shown = dry_run("cpu", file)
    assert record == json.loads(file.read_text("utf-8"))
    assert len(record["results"]) == 3 and not record["skipped"]
    names = [row["name"] for row in record["results"][0]["rows"]]
    assert names[0] == "minibert" and {"torch sdpa", "torch module", "minibert reference"} < {*names}
    for result in record["results"]:
        assert result["absent"] == {}
        for row in result["rows"]:
            assert max(row["error"].values()) < 1e-4
            assert all(row[part]["median"] > 0 for part in ("forward", "both"))
            assert row["name"] in shown.rpartition("{")[0]
        assert result["rows"][0]["both"]["ours_is_faster"]["median"] == 1.0
    again, _ = dry_run("cpu", file)
    assert again["results"] == record["results"]


def test_a_dry_run_for_a_gpu_names_those_who_need_one(tmp_path):
    pytest.importorskip("triton", reason="triton is not installed (it is made for Linux)")
    record, _ = dry_run("cuda", tmp_path / "attention.json")
    first = record["results"][0]
    assert first["rows"][0]["name"] == "minibert triton"
    assert "torch varlen" in first["absent"]
    assert "flex" in {*first["absent"], *(row["name"] for row in first["rows"])}


def test_the_twenty_shapes_of_the_gpu_fill_their_batches(benchmark):
    shapes = benchmark("attention_shapes").on_gpu()
    assert len({*shapes}) == 20
    for shape in shapes:
        lengths = shape.lengths()
        assert sum(lengths) == shape.tokens and max(lengths) == shape.longest and min(lengths) > 0


def test_floors_are_those_counted_by_hand(benchmark):
    shapes = benchmark("attention_shapes")
    shape = shapes.Shape("equal", 3, 6, heads=5, size=7, window=1)
    assert shape.operations("forward") == 5 * 2 * 7 * (
        2 * 7 * 2
    )  # 5 heads, 2 sequences of 7 pairs, 2 products
    assert shape.moved("both", torch.bfloat16) == 6 * 5 * 7 * 2 * 12
    assert shapes.floor(shape, "forward", torch.float32, {"operations": 1e3, "bytes": 1e9}) == (
        1.96,
        "arithmetic",
    )
    assert shapes.floor(shape, "forward", torch.float32, {"operations": 1e9, "bytes": 1e3}) == (
        3.36,
        "memory",
    )


@pytest.mark.parametrize("fault", ["output", "gradient"])
def test_nobody_is_timed_whose_output_or_gradient_is_wrong(benchmark, fault):
    contestants, shapes = benchmark("attention_contestants"), benchmark("attention_shapes")
    problem = contestants.Problem.of(shapes.DRY[1], torch.float32, "cpu")
    right = contestants.ours(problem, "reference")
    benchmark("attention").check(right, problem)

    def wrong(qkv):
        output = right.function(qkv)
        return output * 1.01 if fault == "output" else output + 0.01 * (qkv[:, 0] - qkv[:, 0].detach())

    with pytest.raises(RuntimeError, match="wrong by"):
        benchmark("attention").check(problem.ours("wrong", wrong), problem)
