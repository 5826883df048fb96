"""What a folder says about turning a text into one vector, in the files of sentence-transformers.

Reimers and Gurevych, 2019, "Sentence-BERT". `modules.json` lists the steps: the encoder, the pooling, and
whether the vector is normed; `sentence_bert_config.json` says at how many tokens a text is cut.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.checkpoint import read_json, write_json
from minibert.errors import InputError
from minibert.interop.prompts import NO_PROMPTS, Prompts, read_prompts

POOLINGS = {"cls": "first", "mean": "mean"}
STEPS = ("Transformer", "Pooling", "Normalize")
TRAINED_TO_EMBED = ("retrieval", "similarity")  # our tasks whose models embed in the one way they learnt
NO_LIMIT = 10**6  # tokenizers that know none write a number far above


@dataclass(frozen=True)
class Habits:
    """How a checkpoint's texts become vectors.

    pooling     "mean" or "first"
    max_length  the tokens at which a text is cut
    prompts     what may be put before a text
    """

    pooling: str
    max_length: int
    prompts: Prompts = NO_PROMPTS


def encoder_folder(folder: Path) -> Path:
    """Return where the encoder lies: in older folders its files are one folder deeper."""
    if (folder / "config.json").is_file() or not (folder / "modules.json").is_file():
        return folder
    steps = read_json(folder / "modules.json")
    return next(
        (folder / str(step["path"]) for step in steps if step.get("type", "").endswith("Transformer")), folder
    )


def is_made_to_embed(folder: Path) -> bool:
    """Whether what lies in a folder was trained to embed, by us or by sentence-transformers."""
    return (folder / "modules.json").is_file() or _read(folder / "task.json").get("task") in TRAINED_TO_EMBED


def read_habits(folder: Path, longest: int) -> Habits:
    """Read how a folder's vectors are made; `longest` is what its encoder allows.

    A model of retrieval or similarity says it in its task.json. A folder that says nothing pools the mean
    of what its tokenizer's or its encoder's limit leaves. Raises InputError for a step or a pooling that is
    not implemented.
    """
    own = _read(folder / "task.json")
    if own.get("task") in TRAINED_TO_EMBED:
        return Habits(str(own.get("pooling", "mean")), int(own.get("max_length", 0)) or longest)
    inner = encoder_folder(folder)
    told = _read(inner / "sentence_bert_config.json").get("max_seq_length")
    limit = tokenizer_limit(inner, longest) if told is None else _limit(told, longest)
    if _read(inner / "sentence_bert_config.json").get("do_lower_case"):
        raise InputError(f"{inner / 'sentence_bert_config.json'}: do_lower_case true is not implemented")
    if not (folder / "modules.json").is_file():
        return Habits("mean", limit)
    pooling, prompts = "mean", read_prompts(folder)
    for step in read_json(folder / "modules.json"):
        kind = str(step.get("type")).rpartition(".")[2]
        if kind not in STEPS:
            raise InputError(
                f"{folder / 'modules.json'}: the step {kind} is not implemented, only {', '.join(STEPS)}"
            )
        if kind == "Pooling":
            path = folder / str(step.get("path")) / "config.json"
            pooling = _pooling(path)
            if prompts.texts and not _read(path).get("include_prompt", True):
                raise InputError(f"{path}: include_prompt false is not implemented")
    return Habits(pooling, limit, prompts)


def tokenizer_limit(folder: Path, longest: int) -> int:
    """Return at how many tokens a text is cut where only tokenizer and encoder say so."""
    return _limit(_read(folder / "tokenizer_config.json").get("model_max_length"), longest)


def _limit(told: Any, longest: int) -> int:
    return min(longest, int(told)) if isinstance(told, int | float) and 0 < told < NO_LIMIT else longest


def _pooling(path: Path) -> str:
    values = read_json(path)
    mode = values.get("pooling_mode")
    chosen = [mode] if isinstance(mode, str) else list(mode or [])
    names = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
    chosen = chosen or [
        names.get(key, key) for key, value in values.items() if key.startswith("pooling_mode_") and value
    ]
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        raise InputError(
            f"{path}: pooling {' and '.join(chosen) or 'of no kind'} is not implemented, only "
            f"{' or '.join(POOLINGS)}"
        )
    return POOLINGS[chosen[0]]


def _read(path: Path) -> dict[str, Any]:
    values = read_json(path) if path.is_file() else {}
    return values if isinstance(values, dict) else {}


def write_habits(folder: Path, pooling: str, max_length: int, size: int) -> None:
    """Write the files that make a folder with an encoder one of sentence-transformers."""
    kinds = ("Transformer", "Pooling", "Normalize")
    steps = [
        {
            "idx": number,
            "name": str(number),
            "path": f"{number}_{kind}" if number else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for number, kind in enumerate(kinds)
    ]
    write_json(folder / "modules.json", steps)
    (folder / "1_Pooling").mkdir()
    first = pooling == "first"
    told = {"pooling_mode_cls_token": first, "pooling_mode_mean_tokens": not first}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": size, **told})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
