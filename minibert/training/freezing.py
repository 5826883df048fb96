"""Which weights are trained, and from when: all, the head, what patterns leave, an adapter and the head.

Gradual unfreezing (Howard and Ruder, 2018, "Universal Language Model Fine-tuning", section 3.3) begins with
the head alone, or, without a head, with the top layer; then one layer after the other thaws, down to the
embeddings. So what pretraining taught the low layers is not washed away while the head knows nothing. What is
frozen costs no backward pass.
"""

import math
import sys

from tqdm import tqdm

from minibert.distributed.ranks import Ranks
from minibert.errors import InputError
from minibert.model.names import matching, patterns_of
from minibert.tasks.model import Model
from minibert.training.config import TrainingConfig
from minibert.training.optimizer import depth_of


def freeze(model: Model, how: int | str) -> None:
    """Stop training a part of the encoder.

    how  a number: the embeddings and so many of the lowest layers; a text: patterns of the encoder's weights
         with commas between, such as "embeddings,blocks.[01]", or "encoder" for all of them
    Of an adapted model what is its own is trained, and nothing else. Raises InputError for more layers than
    there are, for a pattern that names nothing, and for a frozen part beside an adapter.
    """
    names = [name for name, _ in model.named_parameters()]
    frozen = set(frozen_names(names, how, layers=model.encoder.config.num_hidden_layers))
    if model.adaptation is not None:
        if frozen:
            kind = model.adaptation.options["adapter"]
            raise InputError(
                f"freeze {how!r} beside adapter {kind!r}, which freezes the encoder anyway; use one of them"
            )
        frozen = {name for name in names if name not in model.adaptation.own}
    for name, weight in model.named_parameters():
        weight.requires_grad_(name not in frozen)


def frozen_names(names: list[str], how: int | str, *, layers: int) -> list[str]:
    """Return the names of the weights that `how` freezes; see `freeze`.

    >>> names = ["encoder.embeddings.x", "encoder.blocks.0.x", "encoder.blocks.1.x", "task.x"]
    >>> frozen_names(names, 1, layers=2)
    ['encoder.embeddings.x', 'encoder.blocks.0.x']
    """
    inside = [name for name in names if name.startswith("encoder.")]
    if isinstance(how, str):
        return matching(inside, patterns_of(how), setting="freeze")
    if not 0 <= how <= layers:
        raise InputError(f"freeze {how} must be between 0 and the encoder's {layers} layers")
    return [name for name in inside if how and depth_of(name, layers) <= how]


class Thaw:
    """Gradual unfreezing: which of the weights that are trained at the end are trained at a step.

    It is a function of the step alone, so that a resumed run goes on as the whole run would have. If the turn
    of some layers does not come within the planned steps, stderr says so at the first step.
    """

    def __init__(self, model: Model, config: TrainingConfig, steps_per_epoch: int) -> None:
        self.layers = model.encoder.config.num_hidden_layers
        self.epochs_per_layer = config.gradual_unfreezing
        self.steps_per_layer = config.gradual_unfreezing * steps_per_epoch
        asked = config.max_steps / steps_per_epoch
        self.epochs = asked if asked > 0 else config.num_train_epochs
        self.last_step = max(0, math.ceil(self.epochs * steps_per_epoch) - 1)
        self.weights = [
            (weight, depth_of(name, self.layers))
            for name, weight in model.named_parameters()
            if weight.requires_grad
        ]
        if config.gradual_unfreezing and all(depth > self.layers for _, depth in self.weights):
            raise InputError(
                f"gradual_unfreezing {config.gradual_unfreezing:g} has no layer to thaw: freeze "
                f"{config.freeze!r} keeps them all frozen; use one of the two"
            )
        self.top = max((depth for _, depth in self.weights), default=self.layers + 1)

    def at(self, step: int) -> None:
        """Let those weights be trained whose turn has come; steps count from 0."""
        if not self.steps_per_layer:
            return
        if step == 0 and Ranks.here().first and (told := self.warning()):
            tqdm.write(f"  {told}", file=sys.stderr)
        lowest = self.lowest(step)
        for weight, depth in self.weights:
            weight.requires_grad_(depth >= lowest)

    def lowest(self, step: int) -> int:
        """Return the depth from which on weights are trained at a step."""
        return self.top - int(step / self.steps_per_layer)

    def warning(self) -> str:
        """Say what never thaws in the planned steps, and what would thaw it; "" where all does."""
        lowest, deepest = self.lowest(self.last_step), min(depth for _, depth in self.weights)
        if lowest <= deepest:
            return ""
        above = "the head" if lowest > self.layers else f"blocks.{lowest - 1}"
        half = self.epochs / 2 / (self.top - deepest)
        return (
            f"gradual_unfreezing {self.epochs_per_layer:g}: within {self.epochs:.3g} epochs nothing below "
            f"{above} thaws; with {half:.2g} all would by the middle of the run"
        )
