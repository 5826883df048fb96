"""Labels that are integers in a list of examples are those of the same spelling in a file."""

from dataclasses import replace

import torch
from check_task import shape

from minibert.data.examples import RelationExample, TextExample
from minibert.evaluation.examine import examine
from minibert.finetune import batches_of
from minibert.further.learn_on import accuracies
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model
from minibert.tasks.relations import Relations
from minibert.training.config import TrainingConfig

TEXTS = ["error", "value", "the error", "a value", "a list of statements"]
ROWS = [TextExample(text, label=n % 2) for n, text in enumerate(TEXTS)]


def spelled(rows):
    return [replace(row, label=str(row.label)) for row in rows]


def test_a_classifier_is_built_trained_and_scored(english):
    config = shape("bert", english.vocab_size)
    task = Classification.build(english, config, ROWS, {})
    assert task.labels == ("0", "1")
    windows, wanted = (
        batches_of(task, rows, TrainingConfig(precision="fp32")).windows for rows in (ROWS, spelled(ROWS))
    )
    assert [window.labels.tolist() for window in windows] == [window.labels.tolist() for window in wanted]
    torch.manual_seed(0)
    model = Model(Encoder(config), task).eval()
    scores = model.evaluate(ROWS)
    assert scores == model.evaluate(spelled(ROWS))
    assert accuracies(model, [ROWS]) == (scores["accuracy"],) != (0.0,)
    told, same = (examine(model, rows, train=rows, draws=5) for rows in (ROWS, spelled(ROWS)))
    assert told.to_dict() == same.to_dict()


def test_classes_are_weighed(english):
    config, options = shape("bert", english.vocab_size), {"class_weights": "balanced"}
    found, wanted = (Classification.build(english, config, rows, options) for rows in (ROWS, spelled(ROWS)))
    assert found.weights_C.tolist() == wanted.weights_C.tolist() != [1.0, 1.0]


def test_an_integer_may_be_the_reject_label(english):
    rows = [*ROWS, TextExample("nothing", label=2)]
    task = Classification.build(english, shape("bert", english.vocab_size), rows, {"reject_label": "2"})
    assert task.labels == ("0", "1")
    assert [len(task.encode(row)[0].rows) for row in rows] == [1, 1, 1, 1, 1, 0]


def test_relations_are_built_and_scored(english):
    config = shape("bert", english.vocab_size)
    rows = [RelationExample("a list of values", (2, 6), (10, 16), n % 2) for n in range(4)]
    task = Relations.build(english, config, rows, {})
    assert [int(task.encode(row)[0].labels[0]) for row in rows] == [0, 1, 0, 1]
    torch.manual_seed(0)
    model = Model(Encoder(config), task).eval()
    assert model.evaluate(rows) == model.evaluate(spelled(rows))
