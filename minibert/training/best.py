"""The best weights so far on validation data, and how long nothing better has come: early stopping."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from minibert.errors import InputError
from minibert.tasks.model import own_state
from minibert.training.config import TrainingConfig

FEW = 32  # examples that mostly have every score


class Best:
    """Keeps a copy of the weights that scored best.

    metric  the score that decides; None takes the first one, the task's main one
    waited  validations since the best
    """

    def __init__(self, metric: str | None) -> None:
        self.metric = metric
        self.value: float | None = None
        self.waited = 0
        self.weights: dict[str, Tensor] | None = None
        self.record: dict[str, Any] = {}
        self.scores: dict[str, Any] = {}

    def offer(self, model: nn.Module, scores: dict[str, Any], step: int) -> None:
        """Compare with the best so far; `goodness` says what is better."""
        metric = self.metric or next(iter(scores))
        need_metric(metric, scores)
        value = goodness(metric, scores[metric])
        self.waited += 1
        if self.value is None or value > self.value:
            self.value, self.waited = float(value), 0
            self.weights = {name: tensor.clone() for name, tensor in own_state(model).items()}
            self.record = {"metric": metric, "value": scores[metric], "step": step}
            self.scores = scores

    def restore(self, model: nn.Module) -> None:
        """Give the model its best weights back, if any were kept."""
        if self.weights is not None:
            model.load_state_dict(self.weights, strict=False)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {
            "value": self.value,
            "waited": self.waited,
            "weights": self.weights,
            "record": dict(self.record),
            "scores": dict(self.scores),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.value, self.waited = state["value"], state["waited"]
        self.weights, self.record, self.scores = state["weights"], state["record"], state["scores"]


def check_choice(
    config: TrainingConfig, held: Sequence[Any], scores: Callable[[Sequence[Any]], dict[str, Any]]
) -> None:
    """Raise InputError where a run is told to validate, or to choose by it, and cannot, before it begins.

    scores  returns those of the model as it is, on some of the held-out examples; asked only where a score
            is named, and about all of them only where a few do not have it
    """
    metric = config.metric_for_best_model
    for name in ("metric_for_best_model", "early_stopping_patience", "eval_steps"):
        if getattr(config, name) and not held:
            raise InputError(
                f"{name} {getattr(config, name)} needs validation data; give some, or leave it out"
            )
    if metric is not None and not is_number(scores(held[:FEW]), metric):
        need_metric(metric, scores(held))


def need_metric(metric: str, scores: dict[str, Any]) -> None:
    """Raise InputError for a name that is none of the scores'."""
    if not is_number(scores, metric):
        numbers = ", ".join(name for name in scores if is_number(scores, name))
        raise InputError(f"metric_for_best_model {metric!r} is not scored here; use one of {numbers}")


def is_number(scores: dict[str, Any], name: str) -> bool:
    return isinstance(scores.get(name), float | int)


def goodness(metric: str, value: float) -> float:
    """Return a number that is higher for the better: of a loss or an error, the negative.

    >>> goodness("accuracy", 0.75), goodness("mean_squared_error", 0.75)
    (0.75, -0.75)
    """
    return -value if metric.endswith(("loss", "error")) else value
