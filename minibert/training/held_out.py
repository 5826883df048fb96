"""What a run is validated on: examples, or batches of a corpus, that it does not learn from."""

from collections.abc import Sequence
from typing import Any

import torch

from minibert.data.batches import Batches
from minibert.distributed.ranks import Ranks
from minibert.distributed.sharding import is_sharded
from minibert.tasks.metrics import Choices
from minibert.tasks.model import Model
from minibert.tasks.task import Loss


class HeldOut:
    """Examples with their windows; a label that training has not seen is found when this is made.

    choices  the labels that are right and those that the model gave last; None before, or without labels
    """

    def __init__(self, model: Model, examples: Sequence[Any], ranks: Ranks) -> None:
        self.model, self.examples, self.ranks = model, examples, ranks
        self.windows = model.encode(examples)
        self.choices: Choices | None = None

    def scores(self) -> dict[str, Any]:
        """Score the model as it is now; its main score comes first.

        What the task will choose by these scores, such as a threshold, counts as chosen: epochs are compared
        as they would be kept. Of several processes the first answers and the others hear the scores.
        """
        return self.ranks.agree(self._own_scores() if self.ranks.first else None)

    def _own_scores(self) -> dict[str, Any]:
        task = self.model.task
        answers = self.model.predict(self.examples, windows=self.windows)
        scores = task.score(answers, self.examples)
        settled = task.once_settled(answers, scores)
        self.choices = task.choices(settled, self.examples)
        return scores if settled is answers else task.score(settled, self.examples)


def held_out_loss(model: Model, batches: Batches[Any], ranks: Ranks) -> float:
    """Return the mean loss over all held-out batches, each of them made and asked by one process only.

    What is random in a batch is the same every time, and whoever asks.
    """
    steps = [batches.at(step, 1.0) for step in range(batches.steps_per_epoch)]
    places = [(parts, place) for parts in steps for place in range(len(parts))]
    mine = ranks.mine(places)
    own = model.summed_loss(parts[place] for _, (parts, place) in mine)
    if is_sharded(model) and len(mine) * ranks.size < len(places):  # the others gather pieces once more
        model.summed_loss([steps[0][0]])
    sums = ranks.add({name: total.item() for name, total in own.sums.items()})
    weights = {name: weight for part in ranks.gather(own.weights) for name, weight in part.items()}
    tensors = {name: torch.tensor(total, dtype=torch.float64) for name, total in sums.items()}
    return Loss(tensors, ranks.add(own.counts), weights).mean().item()
