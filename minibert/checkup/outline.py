"""The outline of a model: its weights lie on torch's device "meta" and take no memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from minibert.adapt.build import adaptation_of, add_adapter
from minibert.doctor.examples import sample
from minibert.doctor.tokens import Tokens
from minibert.finetune import Settings
from minibert.interop.checkpoints import check_vocabulary, read_config
from minibert.interop.starting import with_usual_head
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model
from minibert.tasks.task import Task
from minibert.text.loading import load_tokenizer


@dataclass(frozen=True)
class Outline:
    """The model that would be trained, and the tokens of some of its examples."""

    model: Model
    tokens: Tokens

    @property
    def weights(self) -> int:
        """How many numbers the model has."""
        return sum(weight.numel() for weight in self.model.parameters())


def outline_of(
    folder: Path, kind: type[Task], rows: Sequence[Any], *, settings: Settings, texts: int
) -> Outline:
    """Return the outline of a run; raises InputError where it cannot begin.

    texts  how many examples are tokenized, at most
    """
    config = read_config(folder).changed(settings.model, trained=not settings.data.from_scratch)
    tokenizer, options = load_tokenizer(folder), with_usual_head(folder, kind, settings.task)
    check_vocabulary(tokenizer, config, folder)
    with torch.device("meta"):
        model = Model(Encoder(config), kind.build(tokenizer, config, rows, options))
        if settings.adapt.adapter != "none":
            add_adapter(model.encoder, settings.adapt)
            model.adaptation = adaptation_of(model, settings.adapt, base=str(folder), sha256="")
    return Outline(model, Tokens.of(model.task, sample(rows, texts)))
