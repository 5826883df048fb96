"""Epochs are compared as they would be kept: with the thresholds that are fitted on validation data."""

import numpy as np
import pytest
from check_task import shape

from minibert.data.examples import GoldAnswer, MultiLabelExample, QuestionExample, TextExample
from minibert.distributed.ranks import Ranks
from minibert.model.encoder import Encoder
from minibert.tasks.answer_spans import Scored, choose
from minibert.tasks.calibration import at_temperature
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.question_answering import QuestionAnswering
from minibert.training.best import Best
from minibert.training.held_out import HeldOut

PASSAGE = "a cat sat on the mat"
QUESTIONS = [
    QuestionExample("who sat?", PASSAGE, (GoldAnswer("cat", 2),)),
    QuestionExample("who ran?", PASSAGE, ()),
    QuestionExample("where?", PASSAGE, (GoldAnswer("mat", 17),)),
    QuestionExample("when?", PASSAGE, ()),
]
SETS = [
    MultiLabelExample("error", labels=("war",)),
    MultiLabelExample("value", labels=("love",)),
    MultiLabelExample("list", labels=()),
]
TEXTS = [
    TextExample("error", label="bad"),
    TextExample("value", label="good"),
    TextExample("list", label="none"),
]


def labels_of(answers):
    return [answer.labels if hasattr(answer, "labels") else answer.label for answer in answers]


def built(kind, rows, english, **options):
    return kind.build(english, shape("bert", english.vocab_size), rows, options)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("threshold", "fitted"), [(0.0, True), (0.6, False)])
def test_sets_of_labels_are_those_of_the_settled_task(english, seed, threshold, fitted):
    random = np.random.default_rng(seed)
    task = built(MultiLabel, SETS, english, threshold=threshold)
    found = [[random.uniform(0, 0.5, 2)] for _ in SETS]
    before = [task.merge(row, [], each) for row, each in zip(SETS, found, strict=True)]
    scores = task.score(before, SETS)
    settled = task.once_settled(before, scores)
    assert (settled is not before) == fitted
    task.settle(scores)
    after = [task.merge(row, [], each) for row, each in zip(SETS, found, strict=True)]
    assert [*settled] == after
    assert (labels_of(after) != labels_of(before)) == fitted


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_rejections_are_those_of_the_settled_task(english, seed, calibrate):
    random = np.random.default_rng(seed)
    task = built(Classification, [*TEXTS, TextExample("or", label="new")], english, reject_label="none",
                 calibrate=calibrate)  # fmt: skip
    rows = [TEXTS[number] for number in random.integers(3, size=40)]
    probability_NC = random.dirichlet([0.4] * 3, size=len(rows))
    before = [task.merge(row, [], [p_C]) for row, p_C in zip(rows, probability_NC, strict=True)]
    scores = task.score(before, rows)
    settled = task.once_settled(before, scores)
    task.settle(scores)
    calibrated_NC = at_temperature(probability_NC, scores.get("best_temperature", 1.0))
    after = [task.merge(row, [], [p_C]) for row, p_C in zip(rows, calibrated_NC, strict=True)]
    assert labels_of(settled) == labels_of(after)
    assert task.score(settled, rows)["accuracy"] >= scores["accuracy"]
    if calibrate:
        assert abs(scores["best_temperature"] - 1) > 0.01


def test_the_best_threshold_belongs_to_the_probabilities_that_were_scored(english):
    task = built(Classification, TEXTS, english, reject_label="none", calibrate=True)
    rows = [*TEXTS, TEXTS[0]]
    sure = [[0.99, 0.01], [0.02, 0.98], [0.9, 0.1], [0.01, 0.99]]
    answers = [task.merge(row, [], [np.array(p)]) for row, p in zip(rows, sure, strict=True)]
    scores = task.score(answers, rows)
    assert scores["best_temperature"] > 1.5
    assert scores["best_threshold"] == pytest.approx((0.9 + 0.98) / 2)
    calibrated_NC = at_temperature(np.array(sure), scores["best_temperature"]).max(axis=1)
    assert scores["best_threshold_then"] == pytest.approx(np.sort(calibrated_NC)[:2].mean())


@pytest.mark.parametrize("given", [None, 0.5])
def test_refusals_are_those_of_the_settled_task(english, given):
    task = built(QuestionAnswering, QUESTIONS, english, null_score_diff_threshold=given)
    spans = [[Scored(2, 5, 3.0)], [Scored(2, 5, 3.0)], [Scored(17, 20, 2.0)], [Scored(0, 1, 1.0)]]
    nothing = (4.0, 6.0, 3.5, 9.0)  # margins 1, 3, 1.5, 8: at 0 everything is refused

    def answered(threshold):
        return [choose(PASSAGE, s, n, threshold=threshold) for s, n in zip(spans, nothing, strict=True)]

    before = answered(task.threshold)
    assert [answer.text for answer in before] == ["", "", "", ""]
    scores = task.score(before, QUESTIONS)
    settled = task.once_settled(before, scores)
    assert [*settled] == (answered(2.25) if given is None else before)
    assert task.score(settled, QUESTIONS)["f1"] == (1.0 if given is None else 0.5)


def test_the_epoch_is_kept_that_is_best_at_its_own_threshold(english, monkeypatch):
    task = built(MultiLabel, SETS, english, threshold=0.0)
    model = Model(Encoder(shape("bert", english.vocab_size)), task)
    epochs = {
        1: [[0.1, 0.6], [0.3, 0.2], [0.2, 0.4]],  # one of two is found at 0.5; no threshold parts the rest
        2: [[0.1, 0.4], [0.4, 0.1], [0.1, 0.1]],  # nothing reaches 0.5; all is right at 0.25
    }
    best, held = Best(None), HeldOut(model, SETS, Ranks.here())
    for epoch, found in epochs.items():
        answers = [task.merge(row, [], [np.array(p)]) for row, p in zip(SETS, found, strict=True)]
        monkeypatch.setattr(model, "predict", lambda *_, given=answers, **__: given)
        best.offer(model, held.scores(), epoch)
    assert best.record == {"metric": "micro_f1", "value": 1.0, "step": 2}
    task.settle(best.scores)
    assert task.threshold == pytest.approx(0.25)
