"""What a run takes from the folder that it begins with: where its encoder lies, and what head belongs to it.

A head is new in every run, but not its shape: with that of the folder's own family `save_pretrained` can hand
the model back. A head that was chosen by name stays as it was chosen.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

from minibert.checkpoint import read_table
from minibert.interop.heads import PROJECTIONS
from minibert.interop.hub import local_folder
from minibert.interop.sentence_transformers import encoder_folder
from minibert.tasks.task import Task


def starting_folder(model: str | Path) -> Path:
    """Return the folder of an encoder that a person named: a path, a name in the hub, a size."""
    return encoder_folder(local_folder(model))


def with_usual_head(folder: Path, kind: type[Task], options: dict[str, Any]) -> dict[str, Any]:
    """Return a task's options, with the head of the folder's family in `transformers` where none is named.

    Other families than BERT's have another activation than tanh before the classes (DistilBERT ReLU, ELECTRA
    GELU), and ModernBERT has a dense layer with a norm in every head. In folders of ours nothing is added.
    """
    family = read_table(folder / "config.json").get("model_type")
    known = {field.name for field in fields(kind.Options)} if kind.Options else set()
    named = options.get("projection", "auto") != "auto"
    if named or "projection" not in known or (folder / "task.json").is_file():
        return options
    if family == "modernbert":
        return {"projection_norm": True, **options, "projection": "gelu"}
    if family in PROJECTIONS and "pooling" in known and options.get("pooling", "first") == "first":
        return {**options, "projection": PROJECTIONS[family]}
    return options
