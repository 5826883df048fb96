"""Which task a folder was made for: ours say it in task.json, Hugging Face's by their architecture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minibert.checkpoint import read_json, read_table
from minibert.errors import InputError
from minibert.interop.adapted import is_adapter
from minibert.interop.checkpoints import PEFT
from minibert.interop.hub import local_folder
from minibert.interop.problems import problem_of
from minibert.tasks.model import TASKS

KINDS = {
    "ForMaskedLM": "masked_lm",
    "BertForPreTraining": "masked_lm",  # that of ELECTRA tells replaced tokens
    "ForSequenceClassification": "classification",
    "ForTokenClassification": "tagging",
    "ForQuestionAnswering": "question_answering",
}


PEFT_KINDS = {  # our task -> `task_type` of an adapter of peft
    "classification": "SEQ_CLS",
    "multi_label": "SEQ_CLS",
    "regression": "SEQ_CLS",
    "tagging": "TOKEN_CLS",
    "question_answering": "QUESTION_ANS",
}


def is_peft(folder: Path) -> bool:
    """Whether a folder holds an adapter that `peft` wrote."""
    return (folder / PEFT).is_file()


def lies_over_a_base(folder: Path) -> bool:
    """Whether a folder holds an adapter, ours or of `peft`, and not the encoder that it needs."""
    return is_adapter(folder) or is_peft(folder)


def is_encoder(folder: str | Path) -> bool:
    """Whether a folder holds an encoder that knows no task: pretrained, or other people's that embeds."""
    folder = local_folder(folder)
    if is_adapter(folder):
        return False
    if (folder / "task.json").is_file():
        task = TASKS.get(str(read_table(folder / "task.json").get("task")))
        return task is not None and task.Options is None
    if is_peft(folder):
        return read_table(folder / PEFT).get("task_type") not in PEFT_KINDS.values()
    if not (folder / "config.json").is_file():
        return True  # `load_encoder` opens it, or says why not
    name = _architecture(read_json(folder / "config.json"))
    return "For" not in name or name.endswith(("ForMaskedLM", "ForPreTraining"))


def foreign_kind(values: Mapping[str, Any], folder: Path) -> str:
    """Return the name of the task that a foreign config.json was made for; InputError for none of ours."""
    name = _architecture(values)
    ending = next((ending for ending in KINDS if name.endswith(ending)), None)
    if ending is None:
        raise InputError(
            f"{folder}: architecture {name!r} has no task here; load_encoder opens its "
            f"encoder, and the tasks are those of {', '.join(KINDS)}"
        )
    return problem_of(values) if KINDS[ending] == "classification" else KINDS[ending]


def _architecture(values: Mapping[str, Any]) -> str:
    named = values.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else ""
