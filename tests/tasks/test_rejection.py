"""Texts of no class: they train nothing, and are answered with their own label below a threshold."""

import numpy as np
import pytest
import torch
from check_task import shape

import minibert as mb
from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.finetune import batches_of
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification, Classified
from minibert.tasks.model import Model, load
from minibert.training.config import TrainingConfig

ROWS = [
    TextExample("error", label="bad"),
    TextExample("value", label="good"),
    TextExample("the error", label="bad"),
    TextExample("a value", label="good"),
    TextExample("a list of statements", label="oos"),
]


def task_of(english, options=None, rows=ROWS):
    config = shape("bert", english.vocab_size)
    return Classification.build(english, config, rows, {"reject_label": "oos", **(options or {})})


def test_the_reject_label_is_no_class_and_its_texts_are_not_trained_on(english):
    task = task_of(english, {"class_weights": "balanced"})
    assert task.labels == ("bad", "good")
    assert task.weights_C.tolist() == [1.0, 1.0]
    batches = batches_of(task, ROWS, TrainingConfig(precision="fp32"))
    assert len(batches.windows) == 4
    assert [len(task.encode(row)[0].rows) for row in ROWS] == [1, 1, 1, 1, 0]
    without = Classification.build(english, shape("bert", english.vocab_size), ROWS, {})
    assert without.labels == ("bad", "good", "oos")


def test_a_batch_with_a_text_of_no_class_has_the_loss_of_the_others(english):
    task = task_of(english).eval()
    model = Model(Encoder(shape("bert", english.vocab_size)), task).eval()
    with torch.no_grad():
        losses = [
            model(*task.collate([task.encode(row)[0] for row in rows], 0, 0, 0.0)).sums["loss"].item()
            for rows in (ROWS, ROWS[:4])
        ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_text_is_rejected_below_the_threshold_only(english):
    task = task_of(english, {"reject_below": 0.6})
    assert task.merge(ROWS[0], [], [np.array([0.61, 0.39])]).label == "bad"
    assert task.merge(ROWS[0], [], [np.array([0.59, 0.41])]).label == "oos"
    assert task.merge(ROWS[0], [], [np.array([0.59, 0.41])]).probabilities == {"bad": 0.59, "good": 0.41}
    plain = Classification.build(english, shape("bert", english.vocab_size), ROWS[:4], {})
    assert plain.merge(ROWS[0], [], [np.array([0.51, 0.49])]).label == "bad"


def answers_of(task, *rows):
    return [task.merge(None, [], [np.array(row)]) for row in rows]


def test_scores_tell_apart_what_has_a_class_and_what_has_none(english):
    task = task_of(english, {"reject_below": 0.7})
    answers = answers_of(task, [0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.1, 0.9], [0.55, 0.45])
    scores = task.score(answers, ROWS)
    assert scores["accuracy"] == pytest.approx(3 / 5)  # bad, (good rejected), (bad as good), good, oos
    assert scores["in_scope_accuracy"] == pytest.approx(2 / 4)
    assert scores["out_of_scope_recall"] == 1.0
    assert scores["confusion"]["labels"] == ["bad", "good", "oos"]
    # Confidences 0.9, 0.6, 0.8, 0.9 of the four texts that have a class; right are all but the third.
    gaps = np.array([1.0 - 0.9 + 1.0 - 0.9, 1.0 - 0.6, 0.0 - 0.8])
    assert scores["calibration_error"] == pytest.approx(np.abs(gaps).sum() / 4)
    assert scores["best_threshold"] == pytest.approx(0.575)
    only_inside = task.score(answers[:4], ROWS[:4])
    assert "out_of_scope_recall" not in only_inside
    assert next(iter(task.score(answers[4:], ROWS[4:]))) == "accuracy"


def test_a_threshold_is_settled_on_validation_data_and_kept(english, tmp_path):
    config = shape("bert", english.vocab_size)
    for below, kept in ((0.0, 0.8), (0.3, 0.3)):
        task = task_of(english, {"reject_below": below})
        assert task.threshold == (below or 0.5)
        task.settle({})
        assert task.threshold == (below or 0.5)
        task.settle({"accuracy": 0.5, "best_threshold": 0.8})
        Model(Encoder(config), task).save(tmp_path / "model")
        reopened = load(tmp_path / "model").task
        assert reopened.threshold == kept
        assert reopened.settings() == task.settings()


def test_a_temperature_divides_the_logits_for_good(english, tmp_path):
    task = task_of(english, {"calibrate": True})
    model = Model(Encoder(shape("bert", english.vocab_size)), task).eval()
    with torch.no_grad():
        task.classifier.weight.mul_(100.0)
        task.classifier.bias.copy_(torch.tensor([1.0, -1.0]))
        (window,) = task.encode("a value")
        logits = task.logits(model.encoder, task.pack([window]))
    task.settle({"best_temperature": 4.0})
    wanted = (logits / 4.0).softmax(-1)[0].tolist()
    assert [*model.predict(["a value"])[0].probabilities.values()] == pytest.approx(wanted, rel=1e-5)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model").predict(["a value"])
    assert [*again[0].probabilities.values()] == pytest.approx(wanted, rel=1e-5)


def test_the_best_temperature_is_told_where_calibration_is_asked_for(english):
    task = task_of(english, {"calibrate": True})
    answers = answers_of(task, [0.99, 0.01], [0.01, 0.99], [0.99, 0.01], [0.99, 0.01])
    scores = task.score(answers, ROWS[:4])
    sure = 1 / (1 + (0.01 / 0.99) ** (1 / scores["best_temperature"]))
    assert sure == pytest.approx(3 / 4, abs=1e-3)  # three of four are right
    assert "best_temperature" not in task_of(english).score(answers, ROWS[:4])


def test_finetuning_settles_what_the_validation_data_say(english, tmp_path):
    config = shape("bert", english.vocab_size)
    Model(Encoder(config), Classification.build(english, config, ROWS[:4], {})).save(tmp_path / "enc")
    settings = {"task.reject_label": "oos", "task.calibrate": True, "task.pooling": "mean",
                "train.max_steps": 30, "train.eval_steps": 30, "train.learning_rate": 5e-3,
                "train.precision": "fp32", "data.progress": False}  # fmt: skip
    held = [*ROWS, TextExample("the error", label="good")]
    model = mb.finetune(tmp_path / "enc", task="classification", train=ROWS, validation=held,
                        output_dir=tmp_path / "out", settings=settings)  # fmt: skip
    assert model.evaluate(held)["best_temperature"] == pytest.approx(1.0, rel=1e-3)
    assert model.task.threshold not in (0.0, 0.5)
    reopened = load(tmp_path / "out")
    assert reopened.task.settings() == model.task.settings()
    assert reopened.evaluate(ROWS)["in_scope_accuracy"] == 1.0


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_a_threshold_out_of_range_is_refused(english, value):
    with pytest.raises(InputError, match=f"reject_below {value}"):
        task_of(english, {"reject_below": value})


def test_one_class_beside_no_class_is_refused(english):
    with pytest.raises(InputError, match=r"at least two labels; the training data has \['bad'\]"):
        task_of(english, rows=[ROWS[0], ROWS[4]])


def test_a_checkpoint_of_before_opens(english, tmp_path):
    task = Classification.build(english, shape("bert", english.vocab_size), ROWS[:4], {})
    settings = {key: value for key, value in task.settings().items() if key in ("labels", "pooling")}
    again = Classification.reopen(english, shape("bert", english.vocab_size), settings)
    assert (again.threshold, again.labels) == (0.5, task.labels)
    assert isinstance(again.merge(None, [], [np.array([0.4, 0.6])]), Classified)
