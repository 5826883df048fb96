"""The tensors of a folder in Hugging Face's layout: where each lies and its shape, without reading it.

One `model.safetensors`, or several files that `model.safetensors.index.json` lists. Only the headers are
read until a tensor is asked for. Pickled weights are never opened.
"""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from minibert.checkpoint import WEIGHTS
from minibert.errors import InputError

GRAPH = "graph.json"
INDEX = f"{WEIGHTS}.index.json"
PICKLES = "pytorch_model*.bin"  # one, or several parts
CONVERT = (
    'python -c "import glob, torch, safetensors.torch as s; '
    f"s.save_file({{k: v.clone() for p in glob.glob('{PICKLES}') "
    f"for k, v in torch.load(p, weights_only=True, map_location='cpu').items()}}, '{WEIGHTS}')\""
)
OLD_NAMES = {".gamma": ".weight", ".beta": ".bias"}  # of norms, in the oldest checkpoints


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: the name that it has there, and its shape."""

    path: Path
    name: str
    shape: tuple[int, ...]


def stored_tensors(folder: Path) -> dict[str, Stored]:
    """Find every tensor of a folder by its name today.

    Raises InputError where there are none, where they are pickled, and for files that are missing or damaged.
    """
    return {name: one for path in _files(folder) for name, one in stored_in(path).items()}


def stored_in(path: Path) -> dict[str, Stored]:
    """Find every tensor of a file by its name today; raises InputError where it is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            return {
                _today(name): Stored(path, name, tuple(file.get_slice(name).get_shape()))
                for name in file.keys()  # noqa: SIM118 - a safetensors file is no dict
            }
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged or not safetensors: {error}") from error


def read_tensors(stored: Iterable[Stored]) -> list[Tensor]:
    """Read tensors in float32, each file opened once."""
    with ExitStack() as stack:
        opened: dict[Path, Any] = {}
        tensors = []
        for one in stored:
            if one.path not in opened:
                opened[one.path] = stack.enter_context(safe_open(one.path, "pt"))
            tensors.append(opened[one.path].get_tensor(one.name).to(torch.float32))
    return tensors


def _today(name: str) -> str:
    for old, new in OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / INDEX
    if not index.is_file():
        pickled = sorted(path.name for path in folder.glob(PICKLES))
        if pickled:
            raise InputError(
                f"{folder} has only {', '.join(pickled)}, a pickle, which can run code and is never opened; "
                f"convert it there, once: {CONVERT}"
            )
        if (folder / GRAPH).is_file():
            raise InputError(
                f"{folder} holds an exported graph, which is only run; give the folder it was made from"
            )
        raise InputError(f"{folder} has neither {WEIGHTS} nor {INDEX}; a folder with weights is wanted")
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{index}: no table weight_map from names to files: {error!r}") from error
    if not names:
        raise InputError(f"{index}: weight_map is empty; a table from names of weights to files is wanted")
    outside = [name for name in names if Path(str(name)).name != name]
    if outside:
        raise InputError(
            f"{index} names {outside[0]!r}, which is no file of {folder}; its files lie beside it"
        )
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{index} names {', '.join(missing)}, which is not in {folder}; download it again")
    return [folder / name for name in names]
