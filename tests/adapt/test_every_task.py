"""Every task is trained by every adapter, saved beside its base, opened on it and asked the same."""

import json

import pytest
import tiny_runs
import torch
from adapted_rows import OPTIONS, ROWS

import minibert as mb
from minibert.adapt.merging import merged
from minibert.checkpoint import load_tensors
from minibert.errors import InputError
from minibert.tasks.model import TASKS, own_state

FAST = {"train.precision": "fp32", "train.max_steps": 3, "train.learning_rate": 1e-2, "data.progress": False}
ADAPTERS = {
    "lora": {"adapt.lora_target_modules": "all-linear", "adapt.lora_dropout": 0.1},
    "bottleneck": {"adapt.bottleneck_size": 5, "adapt.bottleneck_layout": "houlsby"},
    "bitfit": {},
    "prompt": {"adapt.prompt_tokens": 3},
    "prefix": {"adapt.prompt_tokens": 3},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("given") / "enc")


def test_no_task_is_forgotten():
    assert ROWS.keys() == {name for name, kind in TASKS.items() if kind.Options is not None}


def tuned(name, adapter):
    """Whether an adapter trains this weight of the encoder itself."""
    if not name.startswith("encoder."):
        return False
    norms = adapter == "bottleneck" and "_norm." in name
    return norms or (adapter == "bitfit" and name.endswith(".bias"))


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("task", ROWS)
def test_a_task_is_adapted_saved_opened_and_asked(base, tmp_path, task, adapter):
    settings = {**FAST, "adapt.adapter": adapter, **ADAPTERS[adapter], **OPTIONS.get(task, {})}
    rows, output = ROWS[task], tmp_path / "run"
    model = mb.finetune(base, task=task, train=rows, validation=rows, output_dir=output, settings=settings)
    answers = repr(model.predict(rows))
    opened = mb.load(output)
    assert repr(opened.predict(rows)) == answers
    assert repr(mb.load(output, base=mb.load(base)).predict(rows)) == answers

    written = load_tensors(output / "model.safetensors")
    original = load_tensors(base / "model.safetensors")
    assert written.keys() == own_state(model).keys()
    encoders = {name for name in written if name.startswith("encoder.") and ".adapter." not in name}
    assert encoders == {name for name in original if tuned(name, adapter)}
    assert not list(output.glob("*.model"))  # the tokenizer stays with the base
    table = json.loads((output / "adapter.json").read_text("utf-8"))
    assert table["base"]["folder"] == str(base.resolve())
    for name, weight in original.items():
        if name.startswith("encoder.") and name not in encoders:
            assert torch.equal(opened.get_parameter(name), weight), name

    if adapter in ("bottleneck", "prompt", "prefix"):
        with pytest.raises(InputError, match=f"{adapter} is no change of matrices"):
            merged(opened)
        return
    plain = merged(opened)
    plain.save(tmp_path / "plain")
    whole = mb.load(tmp_path / "plain")
    assert whole.adaptation is None
    windows = [window for row in rows for window in model.task.encode(row)]
    batch, targets = model.task.collate(windows, 0, 0, 0.0)
    losses = [one.evaluate_loss([(batch, targets)]) for one in (opened, whole)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
