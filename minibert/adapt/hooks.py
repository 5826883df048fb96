"""How an adapter listens to a layer: as its child, and by a hook that asks the child after the layer.

The hook is a plain function that looks the child up in the module it is called for. So a copied encoder has
copied adapters, and nothing refers to a module of another model.
"""

from typing import Any

from torch import Tensor, nn

CHILD = "adapter"


def attach(layer: nn.Module, adapter: nn.Module) -> None:
    """Let an adapter change what a layer gives: adapter(what the layer read, what it gave)."""
    weight = next(layer.parameters())
    layer.add_module(CHILD, adapter.to(weight.device))
    layer.register_forward_hook(_ask)


def _ask(layer: nn.Module, given: tuple[Any, ...], output_TF: Tensor) -> Tensor:
    changed_TF: Tensor = layer.get_submodule(CHILD)(given[0], output_TF)
    return changed_TF


def is_adapters(name: str) -> bool:
    """Whether a weight is one of an adapter.

    >>> is_adapters("encoder.blocks.0.attention.qkv.adapter.query.down.weight")
    True
    """
    return CHILD in name.split(".")
