"""`peft`'s folders of LoRA adapters, both ways: adapter_config.json and adapter_model.safetensors.

Their names are those of Hugging Face's modules, so the dictionaries of `names` say which layer of ours is
meant. Their query, key and value are rows of one layer here, each with its own A and B; an adapter of all of
it is written as three that share one A. ModernBERT has one layer there too.

    base_model.model.encoder.layer.0.attention.self.query.lora_A.weight    (R, D)

A setting that changes the numbers and is not here (DoRA, ranks by layer, trained biases) is refused by name.
A head in their folder is left aside; the head of ours is written as `modules_to_save`.
"""

import math
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from minibert.adapt.lora import QKV, WHOLE, LowRank, LowRankParts, add_updates, layers_of, updates_of
from minibert.adapt.options import AdaptOptions
from minibert.adapt.parted import refuse_parts
from minibert.checkpoint import load_tensors, published, read_table, save_tensors, write_json
from minibert.errors import InputError
from minibert.interop.checkpoints import PEFT
from minibert.interop.export import tensors_of
from minibert.interop.fitting import fitting_family, head_refusal
from minibert.interop.names import DICTIONARIES
from minibert.interop.sentence_transformers import TRAINED_TO_EMBED
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model
from minibert.tasks.task import Task

CONFIG, TENSORS = PEFT, "adapter_model.safetensors"
BEGINNING = "base_model.model."
HARMLESS = frozenset(  # names, training, and what the tensors say themselves
    """auto_mapping base_model_name_or_path exclude_modules inference_mode layers_pattern layers_to_transform
    lora_alpha lora_dropout megatron_core modules_to_save peft_type peft_version qalora_group_size r revision
    runtime_config target_modules task_type use_rslora""".split()
)
ALLOWED: dict[str, tuple[Any, ...]] = {"bias": ("none",), "init_lora_weights": (True, False, "gaussian")}
TASK_TYPES = {
    "classification": "SEQ_CLS",
    "multi_label": "SEQ_CLS",
    "regression": "SEQ_CLS",
    "tagging": "TOKEN_CLS",
    "question_answering": "QUESTION_ANS",
}


def is_peft(folder: Path) -> bool:
    """Whether a folder holds an adapter that `peft` wrote."""
    return (folder / CONFIG).is_file()


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


def save_peft(model: Model, folder: str | Path) -> None:
    """Write the LoRA adapter of a model, and its head, as `peft` reads them; the folder is whole or absent.

    The labels' names stay behind: their folder has no place for them. A head that the base's family does not
    have is left out, and stderr says so. Raises InputError for a model without such an adapter.

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
    options = model.adaptation.options
    settings = {
        "peft_type": "LORA",
        "task_type": None if task is None else TASK_TYPES[task.name],
        "base_model_name_or_path": model.adaptation.base,
        "r": options["lora_rank"],
        "lora_alpha": options["lora_alpha"],
        "lora_dropout": options["lora_dropout"],
        "bias": "none",
        "inference_mode": True,
        "target_modules": sorted({name.rpartition(".lora_")[0] for name in updates}),
        "modules_to_save": sorted(set(map(module_of, head))) or None,
    }
    with published(folder) as beside:
        write_json(beside / CONFIG, settings)
        named = {**{prefix + name: tensor for name, tensor in updates.items()}, **head}
        save_tensors(beside / TENSORS, {BEGINNING + name: tensor for name, tensor in named.items()})


def head_of(model: Model, family: str) -> Task | None:
    """Return the task of a model where a family has its head, else None; stderr says what stays behind."""
    if model.task.name in TRAINED_TO_EMBED:
        print(f"  pooling and longest text of {model.task.name} are left out: no place", file=sys.stderr)
        return None
    known = model.task.name in TASK_TYPES
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
