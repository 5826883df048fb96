"""The state of a run beside its weights: optimiser moments, plan, averages, best weights; safetensors, JSON.

Order, masks and dropout need no state: they are functions of (seed, step). Whatever plain values and tensors
a state is made of are kept as they are; the JSON file says where in it each tensor stands.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minibert.checkpoint import load_tensors, read_json, save_tensors, write_json
from minibert.errors import InputError
from minibert.training.loop import Run

TENSORS = "training_state.safetensors"
NUMBERS = "training_state.json"
TENSOR, PAIRS = "$tensor", "$pairs"  # what stands in the JSON for a tensor, and for a table without words


def save_state(
    run: Run, folder: Path, *, beside: dict[str, Any] | None = None, state: dict[str, Any] | None = None
) -> None:
    """Write a run's state, and what its caller keeps `beside` it, into a folder that exists.

    state  what `run.state_dict` returned, if it has been asked already
    """
    tensors: dict[str, Tensor] = {}
    plain = _take_out({**(beside or {}), "run": state or run.state_dict()}, "", tensors)
    save_tensors(folder / TENSORS, tensors)
    write_json(folder / NUMBERS, plain)


def load_state(run: Run, folder: Path) -> dict[str, Any]:
    """Bring a run to where `save_state` was called and return what was kept beside it.

    Raises InputError where a file is missing or damaged, or belongs to another run.
    """
    plain, tensors = read_json(folder / NUMBERS), load_tensors(folder / TENSORS)
    try:
        state = _put_back(plain, tensors)
        run.load_state_dict(state.pop("run"))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{folder / NUMBERS}: damaged, or the state of another run: {error!r:.200}"
        ) from error
    return dict(state)


def _take_out(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Return plain values with each tensor's name in its place; the tensors go into `tensors`."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {TENSOR: name}
    if isinstance(value, dict):
        inner = {key: _take_out(part, f"{name}.{key}".lstrip("."), tensors) for key, part in value.items()}
        return inner if all(isinstance(key, str) for key in inner) else {PAIRS: list(inner.items())}
    if isinstance(value, list | tuple):
        return [_take_out(part, f"{name}.{place}", tensors) for place, part in enumerate(value)]
    return value


def _put_back(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_put_back(part, tensors) for part in value]
    if isinstance(value, dict) and set(value) == {TENSOR}:
        return tensors[value[TENSOR]]
    if isinstance(value, dict):
        pairs = value[PAIRS] if set(value) == {PAIRS} else value.items()
        return {key: _put_back(part, tensors) for key, part in pairs}
    return value
