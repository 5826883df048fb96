"""The state of a run beside its weights: optimiser moments, averages and the plan, as safetensors and JSON.

Order, masks and dropout need no state: they are functions of (seed, step).
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from minibert.checkpoint import load_tensors, read_json, save_tensors, write_json
from minibert.training.loop import Run

TENSORS = "training_state.safetensors"
NUMBERS = "training_state.json"
AVERAGE = "average"  # what the name of an averaged weight begins with


def save_state(run: Run, folder: Path) -> None:
    """Write a run's state into a folder that exists."""
    state = run.state_dict()
    tensors, groups = {}, []
    for part, optimizer in enumerate(state["optimizers"]):
        groups.append(optimizer["param_groups"])
        for weight, slots in optimizer["state"].items():
            for slot, tensor in slots.items():
                if tensor is not None:
                    tensors[f"{part}.{weight}.{slot}"] = tensor
    tensors |= {f"{AVERAGE}.{number}": tensor for number, tensor in enumerate(state["average"])}
    save_tensors(folder / TENSORS, tensors)
    write_json(folder / NUMBERS, {"done": state["done"], "plan": state["plan"], "groups": groups})


def load_state(run: Run, folder: Path) -> None:
    """Bring a run to where `save_state` was called; raises InputError where a file is missing or damaged."""
    numbers = read_json(folder / NUMBERS)
    states: list[dict[int, dict[str, Any]]] = [{} for _ in numbers["groups"]]
    average: dict[int, Tensor] = {}
    for name, tensor in load_tensors(folder / TENSORS).items():
        if name.startswith(AVERAGE):
            average[int(name.rpartition(".")[2])] = tensor
            continue
        part, weight, slot = name.split(".", 2)
        states[int(part)].setdefault(int(weight), {})[slot] = tensor
    optimizers = [
        {"state": state, "param_groups": groups}
        for state, groups in zip(states, numbers["groups"], strict=True)
    ]
    averaged = [average[number] for number in sorted(average)]
    run.load_state_dict(
        {"done": numbers["done"], "plan": numbers["plan"], "optimizers": optimizers, "average": averaged}
    )
