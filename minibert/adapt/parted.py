"""Several adapters over one encoder, one for each part of the data; a text goes to the part that it is like.

    text -> plain encoder -> mean of its rows -> discriminant over the classes of all parts
         -> the part of the likeliest class -> the adapter and the head of that part -> answer

Nothing that a part has taught is changed by a later one. What may go wrong is the choice of the part, and the
plain encoder makes it (Wang et al., 2023, "Rehearsal-free Continual Language Learning via Efficient Parameter
Isolation").
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from minibert.checkpoint import write_json
from minibert.errors import InputError
from minibert.tasks.classification import Classification, Classified
from minibert.tasks.given import listed
from minibert.tasks.label_sets import natural
from minibert.tasks.model import Model, own_state
from minibert.tasks.task import Window

PARTS = "parts.json"
ONLY_ANSWERS = (
    "a model of several parts answers, by itself or as the teacher of another (distill --model ENCODER), and "
    "does nothing else; take the folder of one part, such as part-1 where they were learnt"
)


class NoHead(nn.Module):
    """Stands where a model of several parts would have a head of its own."""

    def forward(self, vectors_ND: Tensor) -> Tensor:
        """Raise InputError: there is nothing that could be trained, explained or exported."""
        raise InputError(ONLY_ANSWERS)


class PartedModel(Model):
    """A classifier of several parts.

    router  scores pairs of a part and a class, "1/label", from what the plain encoder says
    parts   adapted classifiers over the same encoder, in the order of those numbers, from 1
    """

    def __init__(self, router: Model, parts: Sequence[Model]) -> None:
        first = classifier(parts[0])
        classes = {label for part in parts for label in classifier(part).labels}
        settings = {**first.settings(), "labels": sorted(classes, key=natural)}
        task = Classification.reopen(first.tokenizer, router.encoder.config, settings)
        for name in ("dense", "norm"):
            task.add_module(name, nn.Identity())
        task.add_module("classifier", NoHead())
        super().__init__(router.encoder, task)
        check_router(router, parts)
        self.router = router
        self.parts = nn.ModuleList(parts)
        adapted = parts[0].adaptation
        assert adapted is not None
        self.adaptation = replace(adapted, own=own_names(router, parts))

    @property
    def models(self) -> list[Model]:
        """The adapted classifiers."""
        return [part for part in self.parts if isinstance(part, Model)]

    def predict(
        self,
        examples: Iterable[Any],
        batch_tokens: int = 8192,
        *,
        windows: Sequence[Sequence[Window]] | None = None,
        progress: bool = False,
    ) -> list[Any]:
        """Answer each example by the adapter of its part; classes of other parts have probability 0."""
        examples = listed(examples)
        windows = self.encode(examples) if windows is None else windows
        chosen = self.router.predict(examples, batch_tokens, windows=windows, progress=progress)
        owners = [int(answer.label.partition("/")[0]) for answer in chosen]
        found: list[Any] = [None] * len(examples)
        for number, part in enumerate(self.models, 1):
            part.encoder.dtype = self.encoder.dtype
            mine = [place for place, owner in enumerate(owners) if owner == number]
            asked = ([examples[place] for place in mine], batch_tokens)
            answers = part.predict(*asked, windows=[windows[place] for place in mine], progress=progress)
            for place, answer in zip(mine, answers, strict=True):
                shares = {label: answer.probabilities.get(label, 0.0) for label in classifier(self).labels}
                found[place] = Classified(answer.label, shares)
        return found

    def write(self, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
        super().write(folder, weights)
        told = [part.task.settings() for part in self.models]
        write_json(folder / PARTS, {"parts": told, "router": self.router.task.settings()})


def check_router(router: Model, parts: Sequence[Model]) -> None:
    """Raise ValueError where the router names a part or a class that is not there."""
    known = {f"{number}/{label}" for number, part in enumerate(parts, 1) for label in classifier(part).labels}
    strange = {*classifier(router).labels} - known
    if strange:
        raise ValueError(f"the router knows {min(strange)!r}, which is no class of a part")


def refuse_parts(model: Model) -> None:
    """Raise InputError for a model of several parts, from whoever needs one encoder and one head."""
    if isinstance(model, PartedModel):
        raise InputError(ONLY_ANSWERS)


def own_names(router: Model, parts: Sequence[Model]) -> frozenset[str]:
    """Return the names of what is saved: the head of the router, each part's adapter and head."""
    heads = {f"router.task.{name}" for name in router.task.state_dict()}
    return frozenset(
        heads | {f"parts.{number}.{name}" for number, part in enumerate(parts) for name in own_state(part)}
    )


def classifier(model: nn.Module) -> Classification:
    """Return the task of a model that is known to classify."""
    task = model.task
    assert isinstance(task, Classification)
    return task
