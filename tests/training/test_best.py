"""The best weights are those of the best score: the lowest of an error, the highest of everything else."""

import pytest
import torch

from minibert.errors import InputError
from minibert.training.best import Best


@pytest.mark.parametrize(
    ("metric", "values", "kept"),
    [
        ("accuracy", [0.5, 0.7, 0.6], 1),
        ("mean_squared_error", [0.5, 0.7, 0.3], 2),
        ("calibration_error", [0.1, 0.7, 0.3], 0),
        ("validation_loss", [0.5, 0.4, 0.9], 1),
        ("spearman", [-0.2, 0.0, 0.0], 1),
    ],
)
def test_the_weights_of_the_best_score_come_back(metric, values, kept):
    model, best = torch.nn.Linear(1, 1, bias=False), Best(metric)
    for step, value in enumerate(values):
        torch.nn.init.constant_(model.weight, float(step))
        best.offer(model, {"other": 1.0, metric: value}, step)
    best.restore(model)
    assert model.weight.item() == kept
    assert best.record == {"metric": metric, "value": values[kept], "step": kept}
    assert best.scores[metric] == values[kept]
    assert best.waited == len(values) - 1 - kept


def test_a_metric_that_is_not_scored_is_named_beside_those_that_are():
    with pytest.raises(InputError, match=r"'f1' is not scored here; use one of accuracy"):
        Best("f1").offer(torch.nn.Linear(1, 1), {"accuracy": 0.5, "per_class": {}}, 1)
