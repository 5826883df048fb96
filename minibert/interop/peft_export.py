"""Writing a folder that `peft` opens: a LoRA adapter of ours, and its head as `modules_to_save`."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from minibert.adapt.lora import QKV, WHOLE, LowRank, LowRankParts, updates_of
from minibert.adapt.parted import refuse_parts
from minibert.checkpoint import published, save_tensors, write_json
from minibert.errors import InputError
from minibert.interop.export import tensors_of
from minibert.interop.fitting import head_refusal
from minibert.interop.kinds import PEFT_KINDS
from minibert.interop.names import DICTIONARIES
from minibert.interop.peft_folders import BEGINNING, CONFIG, OWN_TASK, TENSORS, family_of, places_of
from minibert.interop.sentence_transformers import TRAINED_TO_EMBED
from minibert.model.encoder import Encoder
from minibert.tasks.adaptation import Adaptation
from minibert.tasks.model import Model
from minibert.tasks.task import Task


def save_peft(model: Model, folder: str | Path) -> None:
    """Write the LoRA adapter of a model, and its head, as `peft` reads them; the folder is whole or absent.

    Their files have no place for the labels' names; minibert_task.json, which they leave alone, has them. A
    head that the base's family does not have is left out, and stderr says so. Raises InputError for a model
    without such an adapter.

    >>> import minibert as mb
    >>> save_peft(mb.load("runs/clf"), "peft")
    Traceback (most recent call last):
    minibert.errors.InputError: peft's folder is for LoRA, and this model has no adapter
    """
    refuse_parts(model)
    if model.adaptation is None or model.adaptation.options["adapter"] != "lora":
        kind = f"adapter {model.adaptation.options['adapter']}" if model.adaptation else "no adapter"
        raise InputError(f"peft's folder is for LoRA, and this model has {kind}")
    family = family_of(Path(model.adaptation.base), model.encoder)
    task = head_of(model, family)
    prefix = "" if task is None else DICTIONARIES[family].prefix
    updates = dict(update_tensors(model.encoder, family))
    head = {} if task is None else head_tensors(model.encoder, task, family)
    settings = {
        "peft_type": "LORA",
        "task_type": None if task is None else PEFT_KINDS[task.name],
        **told_of(model.adaptation),
        "target_modules": sorted({name.rpartition(".lora_")[0] for name in updates}),
        "modules_to_save": sorted(set(map(module_of, head))) or None,
    }
    with published(folder) as beside:
        write_json(beside / CONFIG, settings)
        if task is not None:
            write_json(beside / OWN_TASK, {"task": task.name, **task.settings()})
        named = {**{prefix + name: tensor for name, tensor in updates.items()}, **head}
        save_tensors(beside / TENSORS, {BEGINNING + name: tensor for name, tensor in named.items()})


def told_of(adaptation: Adaptation) -> dict[str, Any]:
    """Return base and numbers of an adapter under peft's names; stderr says of a base that it cannot read."""
    base, options = adaptation.base, adaptation.options
    if (Path(base) / "task.json").is_file():
        print(
            f"  its base {base} is a folder of minibert, which peft opens without its weights; export that "
            "too (--format hf), and give what it makes as --base",
            file=sys.stderr,
        )
    numbers = {"r": options["lora_rank"], "lora_alpha": options["lora_alpha"]}
    other = {"lora_dropout": options["lora_dropout"], "bias": "none", "inference_mode": True}
    return {"base_model_name_or_path": base, **numbers, **other}


def head_of(model: Model, family: str) -> Task | None:
    """Return the task of a model where a family has its head, else None; stderr says what stays behind."""
    if model.task.name in TRAINED_TO_EMBED:
        print(f"  pooling and longest text of {model.task.name} are left out: no place", file=sys.stderr)
        return None
    known = model.task.name in PEFT_KINDS
    refusal = head_refusal(family, model.encoder.config, model.task) if known else "no such task"
    if refusal is None:
        return model.task
    print(f"  the head of {model.task.name} is left out ({family}: {refusal})", file=sys.stderr)
    return None


def head_tensors(encoder: Encoder, task: Task, family: str) -> dict[str, Tensor]:
    """Return the weights of a head under their names in a family."""
    inside = {DICTIONARIES[family].prefix + name for name in tensors_of(encoder, None, family)}
    every = tensors_of(encoder, task, family)
    return {name: tensor for name, tensor in every.items() if name not in inside}


def module_of(name: str) -> str:
    """Name the module of a head that `peft` keeps whole.

    >>> module_of("classifier.dense.weight"), module_of("bert.pooler.dense.bias")
    ('classifier', 'bert.pooler.dense')
    """
    return "classifier" if name.startswith("classifier.") else name.rpartition(".")[0]


def update_tensors(encoder: Encoder, family: str) -> Iterator[tuple[str, Tensor]]:
    """Give A and B of every update under the name of its module in a family, without prefix."""
    theirs = {place: name for name, place in places_of(encoder, family).items()}
    for layer, update in updates_of(encoder).items():
        for part, (down, up) in _in_their_parts(layer, update, theirs):
            yield f"{theirs[layer, part]}.lora_A.weight", down
            yield f"{theirs[layer, part]}.lora_B.weight", up


def _in_their_parts(
    layer: str, update: LowRankParts, theirs: Mapping[tuple[str, str], str]
) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    for part, low in update.parts.items():
        assert isinstance(low, LowRank)
        down, up = low.down.weight.detach(), low.up.weight.detach()
        if (layer, part) in theirs:
            yield part, (down, up)
        elif part == WHOLE:  # one A for three modules of theirs, a third of B for each
            yield from ((name, (down.clone(), rows)) for name, rows in zip(QKV, up.chunk(3), strict=True))
        else:
            raise InputError(
                f"{layer}: their model has one module where this adapter has {part}; train with "
                "lora_target_modules qkv to write it for peft"
            )
