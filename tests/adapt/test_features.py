"""A head on kept features: the numbers of a frozen encoder without dropout, each text read once."""

import pytest
import tiny_runs
import torch
from adapted_rows import OPTIONS, ROWS

import minibert as mb
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.training.log import read_log

FAST = {"train.precision": "fp32", "train.max_steps": 6, "train.learning_rate": 1e-2, "data.progress": False,
        "train.logging_steps": 1, "train.train_batch_size": 3, "train.freeze": "encoder"}  # fmt: skip
STILL = {"model.hidden_dropout_prob": 0.0, "model.attention_probs_dropout_prob": 0.0}
KEPT = {"adapt.cache_features": True}
LEFT_OUT = {
    "relations",
    "retrieval",
    "similarity",
}  # vectors below the layers; no weights


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("given") / "enc")


def run(base, output, *, task="classification", resume=False, **settings):
    rows = ROWS[task]
    return mb.finetune(
        base, task=task, train=rows, validation=rows, output_dir=output, resume=resume,
        settings={**FAST, **OPTIONS.get(task, {}), **settings},
    )  # fmt: skip


@pytest.mark.parametrize("task", sorted(ROWS.keys() - LEFT_OUT))
def test_the_head_learns_what_it_learns_above_a_frozen_encoder_without_dropout(base, tmp_path, task):
    plain = run(base, tmp_path / "plain", task=task, **STILL)
    kept = run(base, tmp_path / "kept", task=task, **STILL, **KEPT)
    losses = [[line["loss"] for line in read_log(tmp_path / name, "train")] for name in ("plain", "kept")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    for name, weight in plain.state_dict().items():
        torch.testing.assert_close(kept.state_dict()[name], weight, atol=1e-4, rtol=1e-3, msg=name)
    assert "forward" not in vars(kept.encoder)


def test_the_encoder_reads_each_text_once(base, tmp_path, monkeypatch):
    read = []
    original = Encoder.forward
    monkeypatch.setattr(Encoder, "forward", lambda self, batch: read.append(batch) or original(self, batch))
    run(base, tmp_path / "kept", **KEPT)
    assert sum(len(batch.layout.lengths) for batch in read) == 2 * len(ROWS["classification"])  # both parts


def test_dropout_of_the_encoder_is_off_and_that_of_the_head_is_on(base, tmp_path):
    run(base, tmp_path / "a", **KEPT, **{"task.classifier_dropout": 0.0})
    run(base, tmp_path / "b", **KEPT, **STILL, **{"task.classifier_dropout": 0.0})
    run(base, tmp_path / "c", **KEPT, **STILL, **{"task.classifier_dropout": 0.5})
    losses = [[line["loss"] for line in read_log(tmp_path / name, "train")] for name in "abc"]
    assert losses[0] == losses[1]
    assert losses[1] != losses[2]


def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(base, tmp_path):
    settings = {**KEPT, "train.save_steps": 4}
    whole = run(base, tmp_path / "run", **settings)
    (tmp_path / "run/model.safetensors").unlink()
    resumed = run(base, tmp_path / "run", resume=True, **settings)
    for name, weight in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], weight), name


def test_a_task_that_trains_below_the_encoder_is_told_so(base, tmp_path):
    with pytest.raises(InputError, match="relations trains weights below"):
        run(base, tmp_path / "x", task="relations", **KEPT)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("train.freeze", 1, "freeze 1 trains some of it"),
        ("adapt.adapter", "lora", "adapter 'lora' changes it"),
        ("train.fgm_epsilon", 0.1, "fgm_epsilon 0.1"),
        ("train.torch_compile", True, "torch_compile"),
    ],
)
def test_an_encoder_that_changes_is_refused(base, tmp_path, setting, value, told):
    with pytest.raises(InputError, match=told):
        run(base, tmp_path / "x", **KEPT, **{setting: value})
