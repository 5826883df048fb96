"""Ways to learn a new part without losing the old ones; each keeps what it needs from part to part.

plain    nothing is done: what is learnt by whoever trains on
replay   a sample of all earlier rows comes beside the new ones, in every step as many (Chaudhry et al.,
         2019, "On Tiny Episodic Memories in Continual Learning")
ewc      weights that mattered are held where they were (`elastic`)
distill  what the model said of the new rows before it learnt them is to stay what it says, on the old
         classes (Li and Hoiem, 2016, "Learning without Forgetting")
adapters each part has an adapter and a head of its own, the encoder stays; what is like a part's rows is
         answered by them (`parted`)
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from minibert.adapt.build import laid_over, put_adapter
from minibert.adapt.merging import shared
from minibert.adapt.parted import PartedModel, classifier
from minibert.data.batches import ExampleBatches
from minibert.errors import InputError
from minibert.finetune import Settings, batches_of
from minibert.further.discriminant import Discriminant, mean_vectors
from minibert.further.elastic import Springs, fisher, held_back
from minibert.further.growing import grown
from minibert.further.reservoir import Reservoir
from minibert.packed import Packed
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model, own_state
from minibert.tasks.task import Targets
from minibert.training.config import TrainingConfig
from minibert.training.distillation import taught
from minibert.training.loop import Batches
from minibert.training.objectives import Objective


@dataclass(frozen=True)
class LearnOptions:
    """How a model learns on.

    buffer_size     rows that replay keeps of all that came
    ewc_lambda      stiffness of ewc's springs
    fisher_samples  rows of a part from which it learns which weights matter
    old_weight      weight of the old self's word in distill
    temperature     of that
    """

    method: Literal["plain", "replay", "ewc", "distill", "adapters"] = "replay"
    buffer_size: int = 500
    ewc_lambda: float = 1000.0
    fisher_samples: int = 200
    old_weight: float = 1.0
    temperature: float = 2.0

    def __post_init__(self) -> None:
        for name in ("buffer_size", "fisher_samples"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} must be at least 1")
        for name in ("ewc_lambda", "old_weight"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} {getattr(self, name)} must not be negative")
        if not self.temperature > 0:
            raise InputError(f"temperature {self.temperature} must be above 0; 2 is usual")


class Method(ABC):
    """What is done while a part is learnt, and what is kept when it has been."""

    def check(self, parts: Sequence[Sequence[Any]]) -> None:
        """Raise InputError for parts that cannot be learnt so, before any is."""
        return

    def begin(self, model: Model, rows: Sequence[Any]) -> Model:
        """Return what learns a part: the model that learnt the one before, with rows for new classes."""
        return grown(model, rows)

    def whole(self, model: Model) -> Model:
        """Return what knows all parts, from the model that learnt the last one."""
        return model

    def batches(self, new: Batches, model: Model) -> Batches:
        """Return the batches of a part, from those of its rows alone."""
        return new

    def shown(self, rows: Sequence[Any]) -> list[Sequence[Any]]:
        """Return the rows of a part, and whatever is shown beside them as often."""
        return [rows]

    def objective(self, own: Objective, model: Model, known: int) -> Objective:
        """Return what is minimised, from the task's own loss; the first `known` classes are old."""
        return own

    @abstractmethod
    def keep(self, model: Model, rows: Sequence[Any]) -> None:
        """Keep what is needed of a part that has been learnt."""


class Plain(Method):
    """Learns each part as if there were no other."""

    def keep(self, model: Model, rows: Sequence[Any]) -> None:
        return


@dataclass(frozen=True)
class Beside:
    """Batches of new rows, and in each step as many remembered ones."""

    new: Batches
    memory: Batches

    @property
    def steps_per_epoch(self) -> int:
        return self.new.steps_per_epoch

    def at(self, step: int, progress: float) -> list[tuple[Packed, Targets]]:
        return [*self.new.at(step, progress), *self.memory.at(step, progress)]


class Replay(Method):
    """Shows earlier rows again."""

    def __init__(self, options: LearnOptions, config: TrainingConfig) -> None:
        self.memory, self.config = Reservoir(options.buffer_size, config.seed), config

    def batches(self, new: Batches, model: Model) -> Batches:
        if not self.memory.rows:
            return new
        memory: ExampleBatches[Any, Any] = batches_of(model.task, self.memory.rows, self.config)
        return Beside(new, memory)

    def shown(self, rows: Sequence[Any]) -> list[Sequence[Any]]:
        return [rows, self.memory.rows]

    def keep(self, model: Model, rows: Sequence[Any]) -> None:
        self.memory.add(rows)


class Elastic(Method):
    """Holds the weights that mattered."""

    def __init__(self, options: LearnOptions, config: TrainingConfig) -> None:
        self.options, self.config = options, config
        self.springs: list[Springs] = []

    def objective(self, own: Objective, model: Model, known: int) -> Objective:
        return held_back(own, model, self.springs, self.options.ewc_lambda) if self.springs else own

    def keep(self, model: Model, rows: Sequence[Any]) -> None:
        sample = Reservoir(self.options.fisher_samples, self.config.seed)
        sample.add(rows)
        windows = [window for row in sample.rows for window in model.task.encode(row) if len(window.rows)]
        self.springs.append(fisher(model, windows, seed=self.config.seed))


class Distill(Method):
    """Keeps saying what it said; before the first part it has learnt nothing worth keeping."""

    def __init__(self, options: LearnOptions, learnt: bool) -> None:
        self.options, self.learnt = options, learnt

    def objective(self, own: Objective, model: Model, known: int) -> Objective:
        if not self.learnt:
            return own
        old = copy.deepcopy(model).requires_grad_(False)
        weight, heat = self.options.old_weight, self.options.temperature
        return taught(own, old, temperature=heat, weight=weight, label_weight=1.0, known=known)

    def keep(self, model: Model, rows: Sequence[Any]) -> None:
        self.learnt = True


class Apart(Method):
    """Gives each part an adapter and a head of its own, over the encoder of the model that was opened."""

    def __init__(self, settings: Settings, opened: Model) -> None:
        assert opened.adaptation is not None
        self.settings, self.base, self.folder = settings, shared(opened.encoder), opened.adaptation.base
        self.parts: list[Model] = []
        self.seen = Discriminant()

    def check(self, parts: Sequence[Sequence[Any]]) -> None:
        for number, rows in enumerate(parts, 1):
            labels = {str(row.label) for row in rows if row.label is not None}
            labels -= {str(self.settings.task.get("reject_label", ""))}
            if len(labels) < 2:
                raise InputError(
                    f"part {number} has the classes {sorted(labels)}, and an adapter of its own needs at "
                    "least two; join it with another part, or choose another method"
                )

    def begin(self, model: Model, rows: Sequence[Any]) -> Model:
        config, tokenizer = self.base.config, model.task.tokenizer
        made = Model(shared(self.base), Classification.build(tokenizer, config, rows, self.settings.task))
        put_adapter(made, self.settings.adapt, base=self.folder)
        return made

    def keep(self, model: Model, rows: Sequence[Any]) -> None:
        assert model.adaptation is not None
        self.base.dtype = model.encoder.dtype
        part = laid_over(shared(self.base), model.task, model.adaptation)
        part.load_state_dict(own_state(model), strict=False)
        device = next(model.parameters()).device
        self.parts.append(part.to(device))
        known = [row for row in rows if str(row.label) in classifier(model).numbers]
        vectors_MD, owners = mean_vectors(Model(self.base, model.task).to(device), known)
        self.seen.add(vectors_MD, [f"{len(self.parts)}/{known[owner].label}" for owner in owners])

    def whole(self, model: Model) -> Model:
        own = {"labels": self.seen.labels, "pooling": "mean", "projection": "none", "projection_norm": False}
        settings = {**model.task.settings(), **own, "reject_label": ""}
        router = Classification.reopen(model.task.tokenizer, self.base.config, settings)
        for weight, value in zip(router.classifier.parameters(), self.seen.solve(), strict=True):
            weight.data.copy_(value)
        made = PartedModel(Model(self.base, router), self.parts)
        return made.to(next(model.parameters()).device)


def method_of(options: LearnOptions, settings: Settings, opened: Model, *, learnt: bool) -> Method:
    """Return the method that the options name.

    opened  the model before the first part
    learnt  whether it has learnt classes
    """
    config = settings.train
    if options.method == "adapters":
        if learnt:
            raise InputError(
                "the model is a classifier, whose classes have no adapter; give the encoder below it"
            )
        return Apart(settings, opened)
    if options.method == "replay":
        return Replay(options, config)
    if options.method == "ewc":
        return Elastic(options, config)
    return Distill(options, learnt) if options.method == "distill" else Plain()
