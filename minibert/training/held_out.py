"""What a fine-tuning run is validated on: examples that it does not learn from."""

from collections.abc import Sequence
from typing import Any

from minibert.tasks.model import Model
from minibert.tasks.task import Choices


class HeldOut:
    """Examples with their windows; a label that training has not seen is found when this is made.

    choices  the labels that are right and those that the model gave last; None before, or without labels
    """

    def __init__(self, model: Model, examples: Sequence[Any]) -> None:
        self.model, self.examples = model, examples
        self.windows = model.encode(examples)
        self.choices: Choices | None = None

    def scores(self) -> dict[str, Any]:
        """Score the model as it is now; its main score comes first."""
        task = self.model.task
        answers = self.model.predict(self.examples, windows=self.windows)
        self.choices = task.choices(answers, self.examples)
        return task.score(answers, self.examples)
