"""An encoder after masked language modelling on texts, without their labels: made once, kept under runs/.

Weights that others tuned for sentence vectors have no language-model head: it is learnt along the way, tied
to the token table. What was cut off goes on where it stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minibert as mb
from minibert.checkpoint import read_json

RUNS = Path(__file__).resolve().parent.parent / "runs"
SETTINGS: dict[str, Any] = {
    "train.learning_rate": 5e-4,
    "data.tokens_per_batch": 2048,
    "data.progress": False,
}


@dataclass(frozen=True)
class GoingOn:
    """How long the encoder goes on learning from texts, and the most tokens of one that it sees at once."""

    folder: Path
    budget: str
    longest: int

    def model(self, encoder: Path, texts: Sequence[str]) -> Path:
        """Return the folder of what an encoder became; it is made if it is not there."""
        if self.is_made():
            return self.folder
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        corpus = self.folder.with_name(f"{self.folder.name}.txt")
        corpus.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
        settings = {**SETTINGS, "data.max_seq_length": self.longest}
        mb.pretrain([corpus], self.folder, model=encoder, budget=self.budget, settings=settings, resume=True)
        return self.folder

    def is_made(self) -> bool:
        """Whether the model is there, and whole."""
        record = self.folder / "run.json"
        return record.is_file() and read_json(record)["state"] == "finished"
