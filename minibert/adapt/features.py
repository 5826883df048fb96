"""The head alone, on rows that a frozen encoder gives once: as many epochs as you like for the price of one.

What a frozen encoder says of a text is the same in every epoch, as long as it drops nothing out. So each
sequence is read once, in an order that depends on the data alone, and its rows are kept under its tokens;
from then on the encoder is a table. A sequence that is not in it is read by itself and added, so that what is
in the table never depends on what happened before: a resumed run has the same one.

Letters: T tokens, D hidden size.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from minibert.adapt.options import AdaptOptions
from minibert.errors import InputError
from minibert.packed import Packed
from minibert.tasks.model import Model
from minibert.tasks.task import Window

TOKENS = 8192  # read at once
R = TypeVar("R")


class Features:
    """Stands before a model's encoder between `learn` and `forget`, and answers from a table.

    >>> import minibert as mb
    >>> model = mb.load("runs/clf")
    >>> [window] = model.task.encode("a wonderful film")
    >>> features = Features(model, [window])
    >>> features.learn(progress=False)
    >>> len(features.rows), model.predict(["a wonderful film"])[0].label
    (1, 'positive')
    >>> features.forget()
    """

    def __init__(self, model: Model, windows: Sequence[Window]) -> None:
        self.model = model
        self.windows = sorted(windows, key=len)
        self.rows: dict[bytes, Tensor] = {}
        self.asked = 0

    def learn(self, *, progress: bool) -> None:
        """Read all windows and put the table in the encoder's place.

        Raises InputError for a task that does not ask the encoder for the rows of a batch: it changes
        something further down.
        """
        task, encoder = self.model.task, self.model.encoder
        device = next(encoder.parameters()).device
        hidden = not progress or not sys.stderr.isatty()
        with tqdm(total=len(self.windows), desc="features", unit="window", disable=hidden) as bar:
            for group in self._groups():
                batch = task.pack(group).to(device)
                for key, rows_TD in zip(keys(batch), batch.layout.split(self._read(batch)), strict=True):
                    self.rows.setdefault(key, rows_TD)
                bar.update(len(group))
        vars(encoder)["forward"] = self.answer
        with torch.no_grad():
            asking = [window for window in self.windows if len(window.rows)]
            batch, targets = task.collate(asking[:2], 0, 0, 0.0)
            self.model(batch.to(device), targets.to(device))
        if not self.asked:
            self.forget()
            raise InputError(
                f"cache_features keeps what the encoder gives, and {task.name} trains weights below its last "
                "layer; leave it out"
            )
        size = sum(rows.nbytes for rows in self.rows.values()) / 1e6
        print(f"  features         {len(self.rows):,} sequences read once, {size:,.0f} MB", file=sys.stderr)

    def forget(self) -> None:
        """Give the encoder its own place back."""
        vars(self.model.encoder).pop("forward", None)

    def answer(self, batch: Packed) -> Tensor:
        """Return the hidden states (T, D) of a batch out of the table."""
        self.asked += 1
        parts = []
        for number, key in enumerate(keys(batch)):
            if key not in self.rows:
                self.rows[key] = self._read(sequence(batch, number))
            parts.append(self.rows[key])
        return torch.cat(parts)

    def _groups(self) -> Iterator[list[Window]]:
        group: list[Window] = []
        for window in self.windows:
            if group and len(window) * (len(group) + 1) > TOKENS:
                yield group
                group = []
            group.append(window)
        if group:
            yield group

    def _read(self, batch: Packed) -> Tensor:
        """Let the encoder itself read a batch, without dropout."""
        encoder = self.model.encoder
        was_training = encoder.training
        encoder.eval()
        with torch.no_grad():
            hidden_TD = type(encoder).forward(encoder, batch)
        encoder.train(was_training)
        return hidden_TD


@contextmanager
def kept_features(
    model: Model, windows: Sequence[Window], held: Sequence[Any], options: AdaptOptions, *, progress: bool
) -> Iterator[Callable[[R], R]]:
    """Let the encoder answer from a table in a `with` block, from where a run is handed through; if asked to.

    windows, held  what is trained on, and the examples of the validation
    """
    if not options.cache_features:
        yield lambda run: run
        return
    features = Features(model, [*windows, *(part for parts in model.encode(held) for part in parts)])

    def learn(run: R) -> R:
        features.learn(progress=progress)
        return run

    try:
        yield learn
    finally:
        features.forget()


def keys(batch: Packed) -> list[bytes]:
    """Return what tells the sequences of a batch apart: their tokens and segments."""
    ids_T = batch.ids.cpu()
    segments_T = torch.zeros_like(ids_T) if batch.segments is None else batch.segments.cpu().to(ids_T.dtype)
    both = torch.stack((ids_T, segments_T), dim=1)
    return [part.contiguous().numpy().tobytes() for part in batch.layout.split(both)]


def sequence(batch: Packed, number: int) -> Packed:
    """Return one sequence of a batch as a batch of its own."""
    ids = batch.layout.split(batch.ids)[number].cpu().numpy()
    segments = None if batch.segments is None else [batch.layout.split(batch.segments)[number].cpu().numpy()]
    return Packed.of([ids], segments).to(batch.ids.device)
