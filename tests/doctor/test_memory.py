"""The memory that is predicted is the memory that is taken."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import memory_of_steps as steps
import pytest
import torch

from minibert.doctor.capacity import disk_needed, memory_findings, memory_of
from minibert.doctor.memory import Memory, Step, activations, buckets, heavy_batch, logits, predict
from minibert.doctor.numbers import Course
from minibert.model.config import EncoderConfig
from minibert.training.config import TrainingConfig

capacity = sys.modules["minibert.doctor.capacity"]  # `minibert.doctor` is the function
SCRIPT = Path(steps.__file__)
BERT = EncoderConfig(997, hidden_size=96, num_hidden_layers=3, num_attention_heads=6, intermediate_size=352)
MODERN = replace(
    BERT, model_type="modernbert", gated_mlp=True, bias=False, hidden_dropout_prob=0.0, type_vocab_size=0,
    attention_probs_dropout_prob=0.0, global_attn_every_n_layers=3, intermediate_size=224,
)  # fmt: skip
CPU = torch.device("cpu")


def saved_bytes(model, micro, precision):
    """Return what autograd keeps of one forward pass, in bytes, each storage once and no weight."""
    model.train()
    model.encoder.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(*micro)
    assert loss.counts
    return sum(kept.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("task", ["masked_lm", "classification"])
@pytest.mark.parametrize(
    ("shape", "lengths"),
    [
        (BERT, [67] * 19),
        (BERT, [130, 90, 61, 60, 59, 13, 12, 5]),
        (MODERN, [67] * 19),
        (replace(MODERN, local_attention=16), [211] * 7),  # layers along a band keep no weights
        (replace(MODERN, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1), [67] * 19),
        (replace(MODERN, norm="rmsnorm"), [67] * 19),
    ],
)  # fmt: skip
def test_activations_are_what_autograd_keeps(shape, lengths, task, precision):
    model, micro = steps.make(task, shape), steps.batch_of(task, lengths, shape.vocab_size)
    memory = steps.prediction(model, micro[1], lengths, TrainingConfig(precision=precision))
    # The second of the table's two gradients is made in the backward pass.
    second = 4 * shape.vocab_size * shape.embedding_width if task == "masked_lm" else 0
    measured = saved_bytes(model, micro, precision)
    assert memory.activations + memory.logits - second == pytest.approx(measured, rel=0.06)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc, as on Linux")
@pytest.mark.parametrize(
    "words",
    ["masked_lm modern-mini 16 96 fp32", "masked_lm mini 16 96 bf16", "classification small 8 96 fp32"],
)
def test_the_peak_of_training_is_predicted_within_a_fifth(words):
    path = os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parent.parent)])
    command = [sys.executable, str(SCRIPT), *words.split()]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["before"] + told["predicted"] == pytest.approx(told["peak"], rel=0.2)
    assert told["predicted"] == pytest.approx(told["peak"] - told["before"], rel=0.25), "without the imports"


def test_weights_states_and_copies_are_counted_in_float32():
    config = TrainingConfig(optim="adamw", ema_decay=0.9)
    step = Step((11, 7), 2)
    memory = predict(BERT, step, config, weights=1000, trained=600, validation=step)
    assert (memory.weights, memory.gradients, memory.optimizer) == (4000, 2400, 4800)
    assert memory.copies == 4 * (1000 + 600)  # the best weights, and the mean of those that are trained
    assert predict(BERT, step, TrainingConfig(optim="sgd"), weights=9, trained=9).optimizer == 36


def test_a_frozen_encoder_keeps_no_activations():
    step = Step((64,) * 8, 8)
    whole, frozen = (
        predict(BERT, step, TrainingConfig(), weights=9, trained=9, lowest=lowest).activations
        for lowest in (0, BERT.num_hidden_layers + 1)
    )
    assert whole > 0 == frozen


def test_attention_grows_with_the_square_of_the_length_and_the_rest_does_not():
    short, long = (
        activations(replace(MODERN, num_hidden_layers=1), Step((length,) * count, 1))[0]
        for length, count in ((64, 8), (128, 4))
    )
    assert long - short == 4 * 6 * (4 * 128**2 - 8 * 64**2)  # heads, squares, bytes; kept once


def test_a_fused_attention_keeps_no_weights():
    fused, stored = (sum(activations(BERT, Step((97,) * 3, 3, fused=fused))) for fused in (True, False))
    assert stored - fused == 3 * 6 * 3 * 97**2 * 4 * 2  # layers, heads, squares, bytes, kept twice: dropout


def test_rectangles_are_those_of_the_layout():
    assert buckets([16, 15, 3]) == [(3, 16)]
    assert buckets([100, 20, 19]) == [(2, 32), (1, 112)]
    assert buckets([100, 100]) == [(2, 100)]


def test_a_small_head_has_no_logits_to_speak_of():
    assert logits(BERT, Step((9,), 1)) == 0


def test_a_heavy_batch_is_one_of_the_data_and_heavier_than_most(seed):
    lengths = list(range(10, 110))
    batch = heavy_batch(lengths, 16)
    assert len(batch) == 16 and set(batch) <= set(lengths)
    assert sum(batch) > 16 * 60
    assert heavy_batch(lengths, 16) == batch


def test_a_run_that_fits_nowhere_is_an_error_and_a_tight_one_a_warning(monkeypatch):
    memory = Memory(4 * 10**9, 8 * 10**9, 0, 0, 0, 0, 0)
    for there, severity in (((8e9, 4e9), "error"), ((16e9, 12e9), "warning"), ((64e9, 40e9), None)):
        monkeypatch.setattr(capacity, "memory_of", lambda device, there=there: there)
        found = list(memory_findings(memory, CPU))
        assert [finding.severity for finding in found] == ([severity] if severity else [])
        if found:
            assert f"{there[0] / 1e9:.1f} GB" in found[0].seen


def test_this_machine_has_memory():
    total, free = memory_of(CPU)
    assert 0 < free <= total


@pytest.mark.parametrize(
    ("saves", "limit", "kept"), [(0, 2, 1), (10, 2, 3), (10, 0, 10), (40, 5, 3), (1000, 5, 1)]
)
def test_the_disk_holds_the_checkpoints_that_are_kept_and_one_that_is_written(saves, limit, kept):
    memory = Memory(weights=100, optimizer=200, copies=0, activations=9, gradients=9, logits=9, at_work=9)
    config = TrainingConfig(max_steps=100, save_steps=saves, save_total_limit=limit)
    assert disk_needed(memory, Course(config, 100, 10, 1e-4), 7) == kept * 300 + 2 * 100 + 7


def test_a_full_disk_is_an_error_before_it_is_full(monkeypatch, tmp_path):
    monkeypatch.setattr(capacity, "free_disk", lambda folder: 5_000_000_000)
    found = [list(capacity.disk_findings(size, tmp_path / "new")) for size in (9 * 10**9, 4.8e9, 10**9)]
    assert [[finding.severity for finding in some] for some in found] == [["error"], ["warning"], []]
    assert "9.0 GB" in found[0][0].seen and "5.0 GB" in found[0][0].seen


def test_the_disk_is_that_of_the_nearest_folder_that_exists(tmp_path):
    assert capacity.free_disk(tmp_path / "not" / "yet") == capacity.free_disk(tmp_path)
