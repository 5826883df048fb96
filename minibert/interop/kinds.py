"""Which task a folder was made for: ours say it in task.json, Hugging Face's by their architecture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minibert.checkpoint import read_json
from minibert.errors import InputError
from minibert.interop.adapted import is_adapter
from minibert.interop.checkpoints import PEFT
from minibert.interop.hub import local_folder
from minibert.interop.problems import problem_of

KINDS = {
    "ForMaskedLM": "masked_lm",
    "BertForPreTraining": "masked_lm",  # that of ELECTRA tells replaced tokens
    "ForSequenceClassification": "classification",
    "ForTokenClassification": "tagging",
    "ForQuestionAnswering": "question_answering",
}


def knows_a_task(folder: str | Path) -> bool:
    """Whether a folder holds more than an encoder: a head for a task that is here."""
    folder = local_folder(folder)
    if is_adapter(folder) or (folder / "task.json").is_file():
        return True
    if (folder / PEFT).is_file() or not (folder / "config.json").is_file():
        return False
    return _ending(read_json(folder / "config.json")) is not None


def foreign_kind(values: Mapping[str, Any], folder: Path) -> str:
    """Return the name of the task that a foreign config.json was made for; InputError for none of ours."""
    ending = _ending(values)
    if ending is None:
        raise InputError(
            f"{folder}: architecture {_architecture(values)!r} has no task here; load_encoder opens its "
            f"encoder, and the tasks are those of {', '.join(KINDS)}"
        )
    return problem_of(values) if KINDS[ending] == "classification" else KINDS[ending]


def _architecture(values: Mapping[str, Any]) -> str:
    return str((values.get("architectures") or [""])[0])


def _ending(values: Mapping[str, Any]) -> str | None:
    return next((ending for ending in KINDS if _architecture(values).endswith(ending)), None)
