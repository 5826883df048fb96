"""A worse model is never served: what `update` leaves, refuses and tells."""

import json

import pytest
import tiny_runs
import torch
from tiny_runs import last_line

from minibert.cli import main
from minibert.data.examples import ChoiceExample, TextExample
from minibert.data.readers import read_texts
from minibert.errors import InputError
from minibert.finetune import finetune
from minibert.further.update import apart, update
from minibert.interop.opening import load
from minibert.tasks.model import Model
from minibert.tasks.multiple_choice import MultipleChoice
from minibert.training.loop import Run

LEARNT = {
    "train.precision": "fp32",
    "data.progress": False,
    "train.max_steps": 60,
    "train.learning_rate": 1e-2,
}
FAST = {"train.precision": "fp32", "data.progress": False, "update.resamples": 100}
HARD = {**LEARNT, **FAST}
ALL = [
    (f"{article} {noun} {verb}", label)
    for article in ("the", "a", "one")
    for noun, label in tiny_runs.CLASSES.items()
    for verb in tiny_runs.VERBS
]
KEPT, ROWS = ALL[::8], [row for place, row in enumerate(ALL) if place % 8]  # 9 and 63 rows


def write(path, rows):
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("update")
    tiny_runs.make_encoder(folder / "enc")
    write(folder / "old.csv", ROWS)
    wrong = [(text, "thing" if label == "animal" else "animal") for text, label in ROWS]
    write(folder / "wrong.csv", wrong)
    write(folder / "kept.csv", KEPT)
    for name, steps in (("good", 60), ("bad", 1)):
        finetune(
            folder / "enc", task="classification", train=folder / "old.csv", output_dir=folder / name,
            settings={**LEARNT, "task.pooling": "mean", "train.max_steps": steps},
        )  # fmt: skip
    return folder


def test_both_models_are_asked_in_the_precision_of_the_run(folder, tmp_path, monkeypatch):
    asked, predict = [], Model.predict

    def heard(model, *given, **named):
        asked.append(model.encoder.dtype)
        return predict(model, *given, **named)

    monkeypatch.setattr(Model, "predict", heard)
    settings = {**FAST, "train.max_steps": 1, "train.precision": "bf16"}
    update(folder / "good", train=folder / "old.csv", kept=folder / "kept.csv", output_dir=tmp_path / "out",
           settings=settings)  # fmt: skip
    assert asked == [torch.bfloat16, torch.bfloat16]


def run(*arguments):
    return main([str(argument) for argument in arguments])


def weights(model):
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def kept_accuracy(folder, model):
    return model.evaluate(read_texts(folder / "kept.csv"))["accuracy"]


def test_a_better_model_takes_the_place_of_the_old_one(folder, tmp_path):
    done = update(
        folder / "bad", train=folder / "old.csv", kept=folder / "kept.csv", output_dir=tmp_path / "out",
        settings=HARD,
    )  # fmt: skip
    assert done.accepted, done.reason
    assert done.comparison.new == kept_accuracy(folder, load(tmp_path / "out")) > done.comparison.old
    assert torch.equal(weights(load(tmp_path / "out")), weights(load(tmp_path / "out" / "candidate")))
    told = json.loads((tmp_path / "out" / "update.json").read_text("utf-8"))
    assert told["accepted"]
    assert told["only_new"] > told["only_old"]
    assert told["kept"]["rows"] == 9


def test_a_worse_model_is_refused_and_the_exit_status_says_so(folder, tmp_path, capsys):
    status = run("update", "--model", folder / "good", "--train-file", folder / "wrong.csv", "--kept-file",
                 folder / "kept.csv", "--output-dir", tmp_path / "out", "--fp32", "--no-progress",
                 "--learning-rate", "1e-2", "--max-steps", 60, "--resamples", 100)  # fmt: skip
    assert status == 1
    printed = capsys.readouterr().out
    assert "the old model stays: accuracy 1.0000 ->" in printed
    assert last_line(printed)["ok"] is False
    assert torch.equal(weights(load(tmp_path / "out")), weights(load(folder / "good")))
    assert kept_accuracy(folder, load(tmp_path / "out" / "candidate")) < 1
    assert not json.loads((tmp_path / "out" / "update.json").read_text("utf-8"))["accepted"]


def test_classes_that_were_weighed_are_weighed_again_for_the_newer_rows(folder, tmp_path, monkeypatch):
    settings = {**LEARNT, "train.max_steps": 1, "task.class_weights": "balanced"}
    finetune(folder / "enc", task="classification", train=folder / "old.csv", output_dir=tmp_path / "old",
             settings=settings)  # fmt: skip
    rows = [(f"the cat {place}", "animal") for place in range(6)]
    rows += [("the stone", "thing"), ("a river", "water"), ("the river", "water")]
    train, runs = write(tmp_path / "new.csv", rows), []
    monkeypatch.setattr("minibert.further.update.Run", lambda *given: runs.append(Run(*given)) or runs[0])
    update(tmp_path / "old", train=train, kept=folder / "kept.csv", output_dir=tmp_path / "out",
           settings={**FAST, "train.max_steps": 1})  # fmt: skip
    assert runs[0].model.task.labels == ("animal", "thing", "water")
    assert runs[0].model.task.weights_C.tolist() == pytest.approx([9 / 18, 9 / 3, 9 / 6])


def test_a_margin_below_zero_lets_a_model_pass_that_is_no_better(folder, tmp_path, capsys):
    common = ("--model", folder / "good", "--train-file", folder / "old.csv", "--kept-file",
              folder / "kept.csv", "--fp32", "--no-progress", "--learning-rate", "1e-5", "--max-steps", 1,
              "--resamples", 20)  # fmt: skip
    assert run("update", *common, "--output-dir", tmp_path / "strict") == 1
    assert run("update", *common, "--output-dir", tmp_path / "mild", "--margin", -0.01) == 0


def test_new_labels_get_classes_and_the_old_model_is_wrong_on_their_rows(folder, tmp_path):
    new = [(f"{article} river {verb}", "water") for article in ("the", "a") for verb in tiny_runs.VERBS]
    train = write(tmp_path / "new.csv", [*ROWS, *new[3:] * 2])
    kept = write(tmp_path / "kept.csv", [*KEPT, *new[:3]])
    done = update(folder / "good", train=train, kept=kept, output_dir=tmp_path / "out", settings=HARD)
    assert load(tmp_path / "out" / "candidate").task.labels == ("animal", "thing", "water")
    assert done.comparison.old == pytest.approx(9 / 12)
    assert done.comparison.new > 0.9


def test_kept_rows_are_left_out_of_training(folder, tmp_path, capsys):
    both = write(tmp_path / "both.csv", [*ROWS[:4], KEPT[0]])
    update(
        folder / "good", train=both, kept=folder / "kept.csv", output_dir=tmp_path / "out",
        settings={**FAST, "train.max_steps": 1},
    )  # fmt: skip
    assert "1 of 5 training rows are kept rows, and left out" in capsys.readouterr().err
    other = {"animal": "thing", "thing": "animal"}
    turned = write(tmp_path / "turned.csv", [*ROWS[:4], *((text, other[label]) for text, label in KEPT[:2])])
    update(
        folder / "good", train=turned, kept=folder / "kept.csv", output_dir=tmp_path / "turned",
        validation=both, settings={**FAST, "train.max_steps": 1},
    )  # fmt: skip
    told = capsys.readouterr().err
    assert "2 of 6 training rows are kept rows" in told, "whatever their labels"
    assert "1 of 5 validation rows are kept rows" in told
    with pytest.raises(InputError, match="all 9 training rows are kept rows"):
        update(
            folder / "good", train=folder / "kept.csv", kept=folder / "kept.csv",
            output_dir=tmp_path / "none", settings=FAST,
        )  # fmt: skip
    assert not (tmp_path / "none").exists()


def test_a_finished_candidate_is_not_trained_again(folder, tmp_path):
    given = {"train": folder / "old.csv", "kept": folder / "kept.csv", "output_dir": tmp_path / "out"}
    coarse = {**HARD, "train.precision": "bf16"}
    first = update(folder / "bad", **given, settings=coarse)
    again = update(folder / "bad", **given, settings=coarse, resume=True)
    assert first.accepted and again.comparison == first.comparison
    assert again.model.encoder.dtype == first.model.encoder.dtype == torch.bfloat16
    assert torch.equal(weights(first.model), weights(again.model))
    other = write(tmp_path / "other.csv", ROWS[1:])
    with pytest.raises(InputError, match="candidate: train is not what the run began with"):
        update(folder / "bad", **{**given, "train": other}, settings=coarse, resume=True)
    with pytest.raises(InputError, match=r"train.max_steps was 60 and is 1; resume with the same"):
        update(folder / "bad", **given, settings={**coarse, "train.max_steps": 1}, resume=True)
    with pytest.raises(InputError, match="candidate: model is not what the run began with"):
        update(folder / "good", **given, settings=coarse, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kept": [("the cat", "ghost")]}, "'ghost' was never seen"),
        ({"settings": {"task.pooling": "mean"}}, "unknown setting 'task.pooling'"),
        ({"settings": {"update.confidence": 2.0}}, "confidence 2.0"),
        ({"settings": {"update.marginn": 2.0}}, "did you mean 'margin'"),
        ({"model": "enc"}, "knows no labels; fine-tune it first"),
    ],
)
def test_unusable_input_leaves_nothing_behind(folder, tmp_path, change, message):
    kept = write(tmp_path / "kept.csv", change.get("kept", KEPT))
    with pytest.raises(InputError, match=message):
        update(
            folder / change.get("model", "good"), train=folder / "old.csv", kept=kept,
            output_dir=tmp_path / "out", settings={**FAST, **change.get("settings", {})},
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", ["train", "kept", "validation"])
def test_rows_that_say_nothing_are_refused_before_anything_is_trained(part, folder, tmp_path):
    given = {"train": folder / "old.csv", "kept": folder / "kept.csv", part: [TextExample("the cat")]}
    with pytest.raises(InputError, match="example 1 does not say what is right"):
        update(folder / "good", output_dir=tmp_path / "out", settings=FAST, **given)
    assert not (tmp_path / "out").exists()


def test_kept_rows_are_found_among_examples_with_lists():
    first, second = (ChoiceExample(text, ["a cat", "a dog"], 0) for text in ("good", "bad"))
    assert apart(MultipleChoice, [first, second], [second]) == [first]


def test_an_adapter_is_updated_beside_its_encoder_and_grows(folder, tmp_path):
    finetune(
        folder / "enc", task="classification", train=folder / "old.csv", output_dir=tmp_path / "lora",
        settings={**LEARNT, "train.max_steps": 2, "adapt.adapter": "lora"},
    )  # fmt: skip
    train = write(tmp_path / "new.csv", [*ROWS, ("the river sees", "water"), ("the river holds", "water")])
    done = update(
        tmp_path / "lora", train=train, kept=folder / "kept.csv", output_dir=tmp_path / "out",
        settings={**FAST, "train.max_steps": 2, "update.margin": -1.0},
    )  # fmt: skip
    assert done.accepted
    assert (tmp_path / "out" / "adapter.json").is_file()
    opened, base = load(tmp_path / "out"), load(folder / "enc")
    assert opened.task.labels == ("animal", "thing", "water")
    assert torch.equal(opened.encoder.embeddings.token.weight, base.encoder.embeddings.token.weight)


def test_the_metric_of_the_verdict_needs_no_validation_rows(folder, tmp_path):
    settings = {**FAST, "train.max_steps": 1, "train.metric_for_best_model": "macro_f1"}
    done = update(
        folder / "good", train=write(tmp_path / "rows.csv", ROWS), kept=folder / "kept.csv",
        output_dir=tmp_path / "out", settings=settings,
    )  # fmt: skip
    assert done.comparison.metric == "macro_f1"
