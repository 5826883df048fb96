"""`peft`'s folders of LoRA adapters: adapter_config.json and adapter_model.safetensors, read here.

Their names are those of Hugging Face's modules, so the dictionaries of `names` say which layer of ours is
meant. Their query, key and value are rows of one layer here, each with its own A and B; an adapter of all of
it is written as three that share one A (`peft_export`). ModernBERT has one layer there too.

    base_model.model.encoder.layer.0.attention.self.query.lora_A.weight    (R, D)

A setting that changes the numbers and is not here (DoRA, ranks by layer, trained biases) is refused by name.
A head, which is among `modules_to_save`, is left aside here; `peft_models` opens it.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from minibert.adapt.lora import (
    QKV,
    WHOLE,
    add_updates,
    layers_of,
    patterns_for,
    updates_of,
)
from minibert.adapt.options import AdaptOptions
from minibert.checkpoint import load_tensors, read_table
from minibert.errors import InputError
from minibert.interop.checkpoints import PEFT
from minibert.interop.fitting import fitting_family
from minibert.interop.names import DICTIONARIES
from minibert.model.encoder import Encoder

CONFIG, TENSORS = PEFT, "adapter_model.safetensors"
OWN_TASK = "minibert_task.json"  # what theirs has no place for: the labels, and what else a task is told
BEGINNING = "base_model.model."
HARMLESS = frozenset(  # names, training, and what the tensors say themselves
    """auto_mapping base_model_name_or_path exclude_modules inference_mode layers_pattern layers_to_transform
    lora_alpha lora_dropout megatron_core modules_to_save peft_type peft_version qalora_group_size r revision
    runtime_config target_modules task_type use_rslora""".split()
)
ALLOWED: dict[str, tuple[Any, ...]] = {"bias": ("none",), "init_lora_weights": (True, False, "gaussian")}


def base_of(folder: Path) -> str:
    """Return the folder, or the name of the hub, that an adapter says it was made for."""
    base = read_table(folder / CONFIG).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise InputError(
            f"{folder / CONFIG}: base_model_name_or_path is {base!r}; it must name the base of the adapter"
        )
    return base


def read_peft(folder: str | Path, encoder: Encoder, family: str) -> AdaptOptions:
    """Put the adapter of a folder into an encoder, in place; return what it was told.

    family  model_type of the base's config.json, whose names the adapter has
    Raises InputError for a kind or a setting that is not here, and for weights that do not fit.
    """
    folder, path = Path(folder), Path(folder) / TENSORS
    options = options_of(read_table(folder / CONFIG), folder / CONFIG)
    tensors = dict(_relevant(load_tensors(path), family))
    places = places_of(encoder, family)
    unknown = sorted({name for name, _ in tensors} - places.keys())
    if unknown or not tensors:
        raise InputError(f"{path}: {', '.join(unknown[:3]) or 'nothing'} is no layer of a {family} encoder")
    check_sides(tensors, options.lora_rank, path)
    wanted: dict[str, tuple[str, ...]] = {}
    for name, (layer, part) in places.items():
        if (name, "A") in tensors:
            wanted[layer] = (*wanted.get(layer, ()), part)
    options = replace(options, lora_target_modules=patterns_for(encoder, wanted))
    add_updates(encoder, wanted, options)
    updates = updates_of(encoder)
    for (name, side), tensor in tensors.items():
        layer, part = places[name]
        linear = (updates[layer].parts[part].down, updates[layer].parts[part].up)[side == "B"]
        if tensor.shape != linear.weight.shape:
            raise InputError(
                f"{path}: lora_{side} of {name} has shape {tuple(tensor.shape)}, the encoder and "
                f"r {options.lora_rank} ask for {tuple(linear.weight.shape)}"
            )
        linear.weight.data.copy_(tensor)
    return options


def check_sides(tensors: Mapping[tuple[str, str], Tensor], rank: int, path: Path) -> None:
    """Raise InputError for an A without its B, a B without its A, and one of another rank."""
    for (name, side), tensor in tensors.items():
        other = "AB"[side == "A"]
        if (name, other) not in tensors:
            told = f"{name} has lora_{side} and no lora_{other}; an update has both: take a whole copy"
            raise InputError(f"{path}: {told}")
        if tensor.shape[0 if side == "A" else -1] != rank:
            raise InputError(f"{path}: lora_{side} of {name} has shape {tuple(tensor.shape)}; r is {rank}")


def options_of(values: Mapping[str, Any], path: Path) -> AdaptOptions:
    """Return what an adapter_config.json says; raises InputError for what is not here."""
    if values.get("peft_type") != "LORA":
        raise InputError(f"{path}: peft_type is {values.get('peft_type')!r}; LORA is read here")
    for key, value in values.items():
        allowed = ALLOWED.get(key)
        if value not in allowed if allowed else value and key not in HARMLESS:
            raise InputError(f"{path}: {key} is {value!r:.60}, which is not implemented")
    rank, alpha, dropout = values.get("r"), values.get("lora_alpha"), values.get("lora_dropout", 0.0)
    if not (isinstance(rank, int) and isinstance(alpha, int | float) and isinstance(dropout, int | float)):
        told = f"r is {rank!r}, lora_alpha {alpha!r}, lora_dropout {dropout!r}"
        raise InputError(f"{path}: {told}; use numbers")
    alpha = alpha * math.sqrt(rank) if values.get("use_rslora") else alpha
    return AdaptOptions("lora", rank, float(alpha), float(dropout))


def family_of(base: Path, encoder: Encoder) -> str:
    """Return whose names the modules of a base have: its own family, or the first that has our parts."""
    if not (base / "config.json").is_file() or (base / "task.json").is_file():
        return fitting_family(encoder.config, None)
    return str(read_table(base / "config.json").get("model_type"))


def places_of(encoder: Encoder, family: str) -> dict[str, tuple[str, str]]:
    """Return our layer and its part for each module of a family."""
    found = {}
    names = [f"{layer}.weight" for layer in layers_of(encoder)]
    for ours, theirs in DICTIONARIES[family].theirs(names).items():
        parts = QKV if len(theirs) == len(QKV) else (WHOLE,)
        for name, part in zip(theirs, parts, strict=True):
            found[name.removesuffix(".weight")] = (ours.removesuffix(".weight"), part)
    return found


def _relevant(tensors: Mapping[str, Tensor], family: str) -> Iterator[tuple[tuple[str, str], Tensor]]:
    """Give module, side (A or B) and tensor of each update; leave heads aside."""
    dictionary = DICTIONARIES[family]
    for name, tensor in tensors.items():
        short = name.removeprefix(BEGINNING).removeprefix(dictionary.prefix)
        if short.startswith(dictionary.others):  # of a head, or of the pooler below it
            continue
        update = re.fullmatch(r"(.*)\.lora_([AB])\.weight", short)
        if update is None:
            raise InputError(f"{TENSORS}: {name} is no update of a layer; it is not implemented")
        yield (update[1], update[2]), tensor
