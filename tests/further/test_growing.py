"""A head that grows keeps what it knows."""

import pytest
import torch
from small_models import classifier

from minibert.data.examples import TextExample
from minibert.further.growing import grown
from minibert.packed import Packed

BATCH = Packed.of([[3, 17, 4], [3, 9, 11, 4]])


def rows(*labels):
    return [TextExample("some words", label=label) for label in labels]


def test_old_classes_keep_their_numbers_and_logits_and_new_ones_come_behind():
    model = classifier().eval()
    wide = grown(model, rows("zebra", model.task.labels[0], "ape")).eval()
    assert wide.task.labels == (*model.task.labels, "ape", "zebra")
    before = model.task.logits(model.encoder, BATCH)
    after = wide.task.logits(wide.encoder, BATCH)
    torch.testing.assert_close(after[:, : before.shape[1]], before)
    assert wide.encoder is model.encoder


def test_a_silent_class_is_never_answered_and_takes_no_probability():
    model = classifier().eval()
    wide = grown(model, rows("zebra"), silent=True)
    [plain], [silent] = model.predict(["some words"]), wide.predict(["some words"])
    assert silent.label == plain.label
    assert silent.probabilities == pytest.approx({**plain.probabilities, "zebra": 0.0})


def test_a_model_that_knows_all_labels_comes_back_as_it_is():
    model = classifier()
    assert grown(model, rows(*model.task.labels)) is model
