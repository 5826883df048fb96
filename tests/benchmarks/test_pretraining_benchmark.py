"""The pretraining benchmark runs, checks before it times, and counts what it says it counts."""

import importlib.util
import json
import math
import re
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.task import Targets

NEEDS_TRANSFORMERS = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None,
    reason="transformers is not installed: pip install 'minibert-encoder[benchmark]'",
)
NAMES = {  # ours -> torch's
    "encoder.embeddings.": "",
    "encoder.blocks": "encoder.layers",
    "attention.qkv.": "self_attn.in_proj_",
    "attention.output": "self_attn.out_proj",
    "attention_norm": "norm1",
    "feed_forward.input": "linear1",
    "feed_forward.output": "linear2",
    "feed_forward_norm": "norm2",
    "task.norm": "head_norm",
    "task.": "",
}


@pytest.fixture
def measure(benchmark) -> ModuleType:
    return benchmark("measure")


@pytest.fixture
def workload(benchmark) -> ModuleType:
    return benchmark("pretraining_workload")


@pytest.fixture
def dry(workload):
    """The small plan of the first shape."""
    return workload.small(workload.FULL["4x256"])


def test_a_dry_run_measures_both_workloads_and_ends_in_one_json_line(dry_run, tmp_path):
    file = tmp_path / "results" / "dry.json"
    record, tables = dry_run("pretraining", "--allocator", "keep", "--output", str(file))
    assert record == json.loads(file.read_text("utf-8"))
    even, ragged = record["results"]
    assert (even["workload"], even["padding"], ragged["workload"]) == ("even", 0.0, "ragged")
    assert 0.3 < ragged["padding"] < 0.8
    for result in (even, ragged):
        ours, modern, torchs, shipped, best = result["rows"]
        assert (ours["name"], modern["name"]) == ("minibert 2x128", "minibert modern-tiny")
        assert ours["weights"] == torchs["weights"] == shipped["weights"] == best["weights"]
        assert best["name"] in result["ways_to_run_transformers"]
        assert torchs["name"] == f"torch.nn.TransformerEncoder {best['precision']}"
        assert shipped["over_shipped"]["median"] == best["over_best"]["median"] == 1.0
        assert torchs["over_torch"]["median"] == 1.0
        for row in result["rows"]:
            assert abs(row["first_loss"] / math.log(512) - 1) < 0.04
            assert row["last_loss"] < row["first_loss"]
            assert row["name"] in tables
        # One step does one number of products: in one precision, shares of the ceiling are as speeds are.
        for precision in {row["precision"] for row in result["rows"]}:
            alike = [row for row in (ours, torchs, shipped, best) if row["precision"] == precision]
            shares = [row["ceiling"] / row["tokens_per_second"]["median"] for row in alike]
            assert all(0 < share == pytest.approx(shares[0]) for share in shares)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "workloads"), [("6x384", ["even", "ragged"]), ("12x768", ["even"])])
def test_the_larger_shapes_leave_out_the_modern_recipe_and_the_other_allocator(dry_run, shape, workloads):
    results = dry_run("pretraining", "--shape", shape)[0]["results"]
    assert [result["workload"] for result in results] == workloads
    assert all(result["allocator"] == "keep" and len(result["rows"]) == 4 for result in results)


@NEEDS_TRANSFORMERS
def test_an_unknown_recipe_is_refused_by_name(run):
    done = run("pretraining", "--dry-run", "--allocator", "keep", "--only", "magic")
    assert done.returncode != 0
    assert "'magic'" in done.stderr and "transformers sdpa fp32" in done.stderr


@pytest.mark.parametrize("loss", [26.8, math.nan])
def test_nothing_is_timed_where_the_first_loss_is_not_that_of_guessing(benchmark, dry, loss):
    contestant = SimpleNamespace(name="odd", losses=[loss], step=lambda: None)
    with pytest.raises(RuntimeError, match=f"odd: the first loss {loss:.3f} is not within 3 %"):
        benchmark("pretraining").warm_up(contestant, dry)


def test_useful_operations_are_those_counted_by_hand(workload):
    config = EncoderConfig(
        vocab_size=11, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    linear = 6 * (3 + 2) * (4 * 4 * 4 + 2 * 4 * 8)
    head = 6 * 2 * (4 * 4 + 4 * 11)
    attention = 3 * 2 * 2 * 4 * (9 + 4)
    assert workload.useful_flops(config, [3, 2], 2) == linear + head + attention


def test_visible_pairs_are_those_that_one_finds_by_looking(workload):
    for length in range(1, 8):
        for window in (None, 0, 1, 2, 5, 11):
            seen = sum(
                window is None or abs(query - key) <= window
                for query in range(length)
                for key in range(length)
            )
            assert workload.visible_pairs(length, window) == seen, (length, window)


def test_what_transformers_gets_is_the_packed_batch_padded(benchmark):
    batch = Packed.of([[2, 7, 3], [2, 9, 4, 8, 3]])
    targets = Targets(torch.tensor([1, 5]), torch.tensor([17, 19]))
    ids, labels, mask = benchmark("pretraining_contestants").padded(batch, targets)
    assert ids.tolist() == [[2, 7, 3, 0, 0], [2, 9, 4, 8, 3]]
    assert labels.tolist() == [[-100, 17, -100, -100, -100], [-100, -100, 19, -100, -100]]
    assert mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_texts_of_one_length_need_no_mask(benchmark):
    targets = Targets(torch.tensor([1]), torch.tensor([17]))
    assert benchmark("pretraining_contestants").padded(Packed.of([[2, 3], [2, 3]]), targets)[2] is None


def test_the_encoder_built_from_torchs_parts_computes_what_ours_does(benchmark, dry):
    """Both get the same weights; without dropout their losses agree to the float32 of one's logits."""
    config = replace(dry.classic, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    task = MaskedLM(benchmark("pretraining_workload").Numbers(config.vocab_size), config)
    model = Model(Encoder(config), task).double().eval()
    model.encoder.dtype = torch.float64
    other = benchmark("torch_encoder").TorchMaskedLM(config).double().eval()
    weights = dict(other.named_parameters())
    for name, ours in model.named_parameters():
        theirs = weights.pop(re.sub("|".join(map(re.escape, NAMES)), lambda match: NAMES[match[0]], name))
        theirs.data = ours.data = ours.data + torch.randn_like(ours) / 16  # norms and biases too
    assert not weights
    batch = Packed.of([[2, 7, 31, 11, 3], [2, 9, 4, 8, 13, 17, 3]])
    targets = Targets(torch.tensor([1, 6, 9]), torch.tensor([17, 19, 23]))
    with torch.no_grad():
        ids, labels, mask = benchmark("pretraining_contestants").padded(batch, targets)
        theirs = other(ids, mask, labels).loss.item()
        ours = model(batch, targets).mean(targets.counts).item()
    assert ours == pytest.approx(theirs, abs=1e-6) and abs(ours - math.log(config.vocab_size)) > 0.01


def test_every_step_has_the_same_lengths_and_a_seventh_of_its_tokens_masked(workload, dry):
    plan, config = dry, dry.classic
    lengths = plan.lengths("ragged")
    assert max(lengths) == plan.sequence and plan.tokens <= sum(lengths) < plan.tokens + plan.sequence
    task = MaskedLM(workload.Numbers(plan.vocab_size), config)
    batches = workload.masked_batches(task, lengths, 3)
    for batch, targets in batches:
        assert sorted(batch.layout.lengths) == sorted(lengths)
        assert len(targets.labels) == round(0.15 * (sum(lengths) - 2 * len(lengths)))
    assert not torch.equal(batches[0][0].ids, batches[1][0].ids)


def test_a_slow_hour_for_all_leaves_the_ratios_alone(measure):
    random = np.random.default_rng(0)
    ours, drift = random.uniform(1, 2, (5, 3)), np.array([1, 1, 7, 30, 1])[:, None]
    found = measure.ratios((ours * drift).tolist(), (3 * ours * drift).tolist())
    assert (found.low, found.median, found.high) == pytest.approx((3, 3, 3))


def test_contestants_take_turns_and_each_begins_a_round(measure):
    order: list[str] = []
    contestants = [lambda name=name: order.append(name) for name in "abc"]
    seconds = measure.alternate(contestants, rounds=3, steps=2)
    assert "".join(order) == "aabbcc" + "bbccaa" + "ccaabb"
    assert np.array(seconds).shape == (3, 3, 2) and np.array(seconds).min() >= 0


def test_the_machine_is_described_down_to_the_versions(measure):
    facts = measure.machine()
    assert facts["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert facts["cores"] >= 1 and facts["processor"]
