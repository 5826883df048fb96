"""The best weights are those of the best score: the lowest of an error, the highest of everything else."""

import pytest
import torch

from minibert.errors import InputError
from minibert.training.best import FEW, Best, check_choice
from minibert.training.config import TrainingConfig


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


def scores_of(asked):
    """Return what scores examples: what the task always says, and of some that are rare one score more."""

    def scores(examples):
        asked.append(len(examples))
        return {"accuracy": 0.5, "per_class": {}, **({"rare": 0.1} if "rare" in examples else {})}

    return scores


@pytest.mark.parametrize("name", ["metric_for_best_model", "early_stopping_patience", "eval_steps"])
def test_to_choose_by_validation_data_there_must_be_some(name):
    config = TrainingConfig(**{name: "accuracy" if name == "metric_for_best_model" else 2})
    with pytest.raises(InputError, match=f"{name} .* needs validation data"):
        check_choice(config, [], scores_of([]))
    check_choice(config, ["a"], scores_of([]))
    check_choice(TrainingConfig(), [], scores_of([]))


def test_a_score_is_looked_for_on_a_few_examples_and_then_on_all():
    asked, held = [], ["often"] * 99 + ["rare"]
    check_choice(TrainingConfig(), held, scores_of(asked))
    assert asked == []
    check_choice(TrainingConfig(metric_for_best_model="accuracy"), held, scores_of(asked))
    assert asked == [FEW]
    check_choice(TrainingConfig(metric_for_best_model="rare"), held, scores_of(asked))
    assert asked == [FEW, FEW, 100]
    for name in ("nonsense", "per_class"):
        with pytest.raises(InputError, match=f"'{name}' is not scored here; use one of accuracy, rare"):
            check_choice(TrainingConfig(metric_for_best_model=name), held, scores_of(asked))
