"""What a folder says about turning a text into one vector, in the files of sentence-transformers.

Reimers and Gurevych, 2019, "Sentence-BERT". `modules.json` lists the steps: the encoder, the pooling, and
whether the vector is normed; `sentence_bert_config.json`, or a file of a similar name, says at how many
tokens a text is cut.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.checkpoint import read_json, read_table, write_json
from minibert.errors import InputError
from minibert.interop.prompts import NO_PROMPTS, Prompts, read_prompts

POOLINGS = {"cls": "first", "mean": "mean"}
STEPS = ("Transformer", "Pooling", "Normalize")
TRAINED_TO_EMBED = ("retrieval", "similarity")  # our tasks whose models embed in the one way they learnt
LIMITS = tuple(  # files that may say at how many tokens a text is cut; the first that holds anything counts
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
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
    return next(
        (folder / step.get("path", "") for step in _steps(folder) if _kind(step).endswith("Transformer")),
        folder,
    )


def is_made_to_embed(folder: Path) -> bool:
    """Whether what lies in a folder was trained to embed, by us or by sentence-transformers."""
    return (folder / "modules.json").is_file() or _read(folder / "task.json").get("task") in TRAINED_TO_EMBED


def read_habits(folder: Path, longest: int) -> Habits:
    """Read how a folder's vectors are made; `longest` is what its encoder allows.

    A model of retrieval or similarity says it in its task.json. A folder that says nothing pools the mean
    of what its tokenizer's or its encoder's limit leaves. Raises InputError for a step or a pooling that is
    not implemented, and for a limit that is no number of tokens.
    """
    own = _read(folder / "task.json")
    if own.get("task") in TRAINED_TO_EMBED:
        return Habits(str(own.get("pooling", "mean")), int(own.get("max_length", 0)) or longest)
    inner = encoder_folder(folder)
    path = next((inner / name for name in LIMITS if _read(inner / name)), inner / LIMITS[0])
    told = _read(path)
    if told.get("do_lower_case"):
        raise InputError(f"{path}: do_lower_case true is not implemented")
    limit = _limit(path, "max_seq_length", longest)
    limit = tokenizer_limit(inner, longest) if told.get("max_seq_length") is None else limit
    if not (folder / "modules.json").is_file():
        return Habits("mean", limit)
    pooling, prompts = "mean", read_prompts(folder)
    for step in _steps(folder):
        kind = _kind(step)
        if kind not in STEPS:
            raise InputError(
                f"{folder / 'modules.json'}: the step {kind} is not implemented, only {', '.join(STEPS)}"
            )
        if kind == "Pooling":
            path = folder / step.get("path", "") / "config.json"
            pooling = _pooling(path)
            if prompts.texts and not _read(path).get("include_prompt", True):
                raise InputError(f"{path}: include_prompt false is not implemented")
    return Habits(pooling, limit, prompts)


def tokenizer_limit(folder: Path, longest: int) -> int:
    """Return at how many tokens a text is cut where only tokenizer and encoder say so."""
    return _limit(folder / "tokenizer_config.json", "model_max_length", longest)


def makes_unit_length(folder: Path) -> bool:
    """Whether a step of the folder makes its vectors one long; so it is said of a folder without steps."""
    return not (folder / "modules.json").is_file() or any(_kind(one) == STEPS[2] for one in _steps(folder))


def _steps(folder: Path) -> list[dict[str, Any]]:
    path = folder / "modules.json"
    steps = read_json(path)
    if not isinstance(steps, list) or not all(
        isinstance(step, dict) and isinstance(step.get("path", ""), str) for step in steps
    ):
        raise InputError(
            f"{path} holds {steps!r:.60}; a list of steps is wanted, each with its type and path"
        )
    return steps


def _kind(step: dict[str, Any]) -> str:
    return str(step.get("type")).rpartition(".")[2]


def _limit(path: Path, key: str, longest: int) -> int:
    """Return the number of tokens that a file says, at most `longest`, which counts where it says none."""
    told = _read(path).get(key)
    if told is None:
        return longest
    if isinstance(told, bool) or not isinstance(told, int | float) or not told >= 1:
        raise InputError(f"{path}: {key} is {told!r:.60}; a number of tokens, 1 or more, is wanted")
    return longest if told >= NO_LIMIT else min(longest, int(told))


def _pooling(path: Path) -> str:
    values = read_table(path)
    mode = values.get("pooling_mode") or []
    if not isinstance(mode, str | list):
        raise InputError(f"{path}: pooling_mode is {mode!r:.60}; the name of a pooling is wanted")
    chosen = [mode] if isinstance(mode, str) else [str(one) for one in mode]
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


def write_habits(folder: Path, pooling: str, max_length: int, size: int, *, unit_length: bool = True) -> None:
    """Write the files that make a folder with an encoder one of sentence-transformers.

    unit_length  a step makes every vector one long
    """
    kinds = STEPS if unit_length else STEPS[:2]
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
