"""Fine-tuning as a function: what is kept, and what is told of a run that has learnt nothing."""

import json
import re
import shutil
import sys
from dataclasses import replace

import pytest
import tiny_runs
import torch

from minibert.commands.seeds import finetune_seeds
from minibert.data.readers import read_texts
from minibert.errors import InputError
from minibert.finetune import Settings, finetune, open_for_task
from minibert.interop.opening import load
from minibert.tasks.classification import Classification
from minibert.training.averaging import Average
from minibert.training.log import read_log

finetuning = sys.modules["minibert.finetune"]  # `minibert.finetune` is the function
FAST = {"train.precision": "fp32", "train.max_steps": 6, "data.progress": False, "train.learning_rate": 1e-3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    tiny_runs.make_encoder(folder / "enc")
    tiny_runs.write_table(folder / "train.csv", rows=24)
    return folder


def run(folder, output, *, held=False, **settings):
    named = {f"train.{name}": value for name, value in settings.items()}
    rows = folder / "train.csv"
    return finetune(
        folder / "enc", task="classification", train=rows, validation=rows if held else None,
        output_dir=output, settings={**FAST, **named},
    )  # fmt: skip


def weights(model):
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_averaged_weights_are_what_is_kept(folder, tmp_path):
    plain = run(folder, tmp_path / "plain")
    averaged = run(folder, tmp_path / "averaged", ema_decay=0.9)
    assert not torch.equal(weights(plain), weights(averaged))
    assert torch.equal(weights(load(tmp_path / "averaged")), weights(averaged))


def test_averaged_weights_are_what_is_validated(folder, tmp_path, monkeypatch):
    inside = []
    original = Average.applied

    def watched(self):
        inside.append(len(self.means))
        return original(self)

    monkeypatch.setattr(Average, "applied", watched)
    model = run(folder, tmp_path / "clf", held=True, ema_decay=0.5)
    assert inside
    assert all(inside)
    record = json.loads((tmp_path / "clf/run.json").read_text("utf-8"))
    assert record["best"]["value"] == model.evaluate(read_texts(folder / "train.csv"))["accuracy"]


def test_a_run_that_learns_nothing_is_told_with_what_to_try(folder, tmp_path, capsys):
    run(folder, tmp_path / "clf", held=True, learning_rate=1e-12, max_steps=40)
    error = capsys.readouterr().err
    warning = json.loads((tmp_path / "clf/run.json").read_text("utf-8"))["warning"]
    assert "the loss has not fallen" in warning
    assert "try learning_rate" in warning
    assert f"warning: {warning}" in error


def test_the_warning_has_a_line_beside_the_progress_bar(folder, tmp_path, capsys):
    slow = {**FAST, "data.progress": True, "train.learning_rate": 1e-12, "train.max_steps": 40}
    rows, output = folder / "train.csv", tmp_path / "clf"
    finetune(
        folder / "enc", task="classification", train=rows, validation=rows, output_dir=output, settings=slow
    )
    lines = re.split(r"[\r\n]+", capsys.readouterr().err)
    assert any("step/s" in line for line in lines)
    assert any(line.startswith("warning: ") for line in lines)


def test_a_run_that_learns_is_left_in_peace(folder, tmp_path, capsys):
    run(folder, tmp_path / "clf", held=True, learning_rate=1e-2, max_steps=60)
    assert "warning" not in capsys.readouterr().err
    assert json.loads((tmp_path / "clf/run.json").read_text("utf-8"))["warning"] is None


def test_a_temperature_needs_validation_data(folder, tmp_path):
    with pytest.raises(InputError, match="calibrate needs validation data"):
        finetune(folder / "enc", task="classification", train=folder / "train.csv",
                 output_dir=tmp_path / "out", settings={**FAST, "task.calibrate": True})  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("field", ["num_hidden_layers", "num_attention_heads", "hidden_act"])
def test_weights_keep_the_shape_that_they_were_trained_in(folder, tmp_path, field):
    was = json.loads((folder / "enc/config.json").read_text("utf-8"))[field]
    given = {"task": "classification", "train": folder / "train.csv", "output_dir": tmp_path / "out"}
    settings = {**FAST, f"model.{field}": "relu" if field == "hidden_act" else was + was}
    with pytest.raises(InputError, match=f"model.{field} .* cannot be changed beside a model.*{was!r}"):
        finetune(folder / "enc", **given, settings=settings)
    assert not (tmp_path / "out").exists()
    fresh = finetune(folder / "enc", **given, settings={**settings, "data.from_scratch": True})
    assert getattr(fresh.encoder.config, field) == settings[f"model.{field}"]


def test_dropout_may_be_another_than_in_pretraining(folder, tmp_path):
    given = {"task": "classification", "train": folder / "train.csv", "output_dir": tmp_path / "out"}
    model = finetune(folder / "enc", **given, settings={**FAST, "model.hidden_dropout_prob": 0.25})
    assert model.encoder.config.hidden_dropout_prob == 0.25


def test_a_model_in_memory_is_no_folder(folder, tmp_path):
    given = {"task": "classification", "train": folder / "train.csv", "output_dir": tmp_path / "out"}
    with pytest.raises(InputError, match=r"Model.*came where the folder of a model is wanted; save"):
        finetune(open_for_task(folder / "enc", Classification, read_texts(folder / "train.csv"),
                               settings=Settings.of({})), **given)  # fmt: skip


def test_the_top_layer_is_drawn_anew_and_the_rest_is_kept(folder):
    rows = read_texts(folder / "train.csv")
    torch.manual_seed(0)
    kept, fresh = (
        open_for_task(folder / "enc", Classification, rows, settings=Settings.of({"data.reinit_layers": n}))
        for n in (0, 1)
    )
    pairs = zip(kept.encoder.named_parameters(), fresh.encoder.parameters(), strict=True)
    for (name, weight), other in pairs:
        drawn = name.startswith("blocks.0.") and weight.ndim == 2
        assert torch.equal(weight, other) != drawn, name


def test_more_layers_than_the_encoder_has_are_refused_and_an_earlier_run_stays(folder, tmp_path):
    run(folder, tmp_path / "clf")
    before = (tmp_path / "clf/model.safetensors").read_bytes()
    with pytest.raises(InputError, match="reinit_layers 2"):
        finetune(
            folder / "enc", task="classification", train=folder / "train.csv", output_dir=tmp_path / "clf",
            settings={**FAST, "data.reinit_layers": 2}, overwrite_output_dir=True,
        )  # fmt: skip
    assert (tmp_path / "clf/model.safetensors").read_bytes() == before


def test_a_wider_encoder_gets_a_smaller_rate_unless_one_is_named(folder, tmp_path, monkeypatch):
    found = []

    def noted(*given, settings, **named):
        found.append(settings.train.learning_rate)
        raise KeyError

    monkeypatch.setattr(finetuning, "open_for_task", noted)
    for settings in ({}, {"train.learning_rate": 1e-3}, {"train": {"learning_rate": 2e-3}}):
        for width in (32, 768):
            config = replace(finetuning.read_config(folder / "enc"), hidden_size=width)
            monkeypatch.setattr(finetuning, "read_config", lambda place, config=config: config)
            with pytest.raises(KeyError):
                finetune(
                    folder / "enc", task="classification", train=folder / "train.csv",
                    output_dir=tmp_path / "clf", settings=settings,
                )  # fmt: skip
    assert found == pytest.approx([3e-4, 5e-5, 1e-3, 1e-3, 2e-3, 2e-3])


def test_a_run_that_the_clock_ends_early_validates_its_last_weights(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("minibert.training.plan.Clock.total", lambda clock, done: done)  # no time is left
    finetune(
        folder / "enc", task="classification", train=folder / "train.csv", validation=folder / "train.csv",
        output_dir=tmp_path / "clf", budget=60,
        settings={**FAST, "train.max_steps": 50, "train.train_batch_size": 6},
    )  # fmt: skip
    done = json.loads((tmp_path / "clf" / "run.json").read_text("utf-8"))["steps_done"]
    assert done < 50
    assert [line["step"] for line in read_log(tmp_path / "clf", "validation")] == [done]


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_finished_run_opened_again_answers_in_the_precision_of_its_training(folder, tmp_path, seeds):
    rows, dtypes = read_texts(folder / "train.csv"), []

    def answered(resume):
        given = {
            "task": "classification", "train": rows, "validation": rows, "output_dir": tmp_path / "out",
            "settings": {**FAST, "train.precision": "bf16"}, "resume": resume, "overwrite_output_dir": False,
        }  # fmt: skip
        if seeds > 1:
            return finetune_seeds(folder / "enc", seeds, given)["scores"]
        model = finetune(folder / "enc", **given)
        dtypes.append(model.encoder.dtype)
        return [answer.probabilities for answer in model.predict(rows)]

    first = answered(False)
    for checkpoint in tmp_path.glob("out/**/checkpoint-*"):
        shutil.rmtree(checkpoint)
    assert answered(True) == first
    assert all(dtype == torch.bfloat16 for dtype in dtypes)
