"""How long each stage of the demo may take, and how long each took.

Every stage that trains has a clock: a slower machine does fewer steps in the same time.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pace:
    """The size of the demo: budgets in seconds, and how many rows and seeds there are."""

    size: str
    layers: int
    vocab_size: int
    tokens_per_batch: int
    pretraining: float
    finetuning: dict[str, float]
    epochs: int
    seeds: tuple[int, ...]
    texts: int | None
    rows: tuple[int, int, int] | None
    code_rows: tuple[int, int, int]
    learning_rate: float = 7e-4

    def pretraining_settings(self) -> dict[str, Any]:
        """Return what pretraining is told beside size and budget: counted vectors, many masks, and Muon."""
        return {
            "model.num_hidden_layers": self.layers,
            "tokenizer.vocab_size": self.vocab_size,
            "data.tokens_per_batch": self.tokens_per_batch,
            "data.token_vectors": "cooccurrence",
            "masking.mlm_probability": 0.3,
            "train.optim": "muon",
            "train.learning_rate": 4e-3,
            "train.logging_steps": 10,
        }


FULL = Pace(
    size="modern-tiny",
    layers=2,
    vocab_size=8192,
    tokens_per_batch=2048,
    pretraining=225.0,
    finetuning={"classification": 16.0, "tagging": 9.0},
    epochs=5,
    seeds=(0, 1, 2),
    texts=None,
    rows=None,
    code_rows=(3000, 700, 700),
)
QUICK = Pace(
    size="modern-tiny",
    layers=2,
    vocab_size=2048,
    tokens_per_batch=1024,
    pretraining=15.0,
    finetuning={"classification": 8.0, "tagging": 3.0},
    epochs=3,
    seeds=(0,),
    texts=6000,
    rows=(1200, 300, 300),
    code_rows=(600, 200, 200),
)


class Stages:
    """Prints the name of each stage and keeps its duration."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a `with` block under a name."""
        print(f"\n== {name}")
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)
        print(f"   {self.seconds[name]} s")

    def listed(self) -> list[dict[str, object]]:
        """Return the stages as the report wants them."""
        return [{"name": name, "seconds": seconds} for name, seconds in self.seconds.items()]
