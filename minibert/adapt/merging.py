"""Adapters folded into the matrices that they change, and encoders that share their weights.

A merged model is a plain one: nothing is added at run time, and every export knows it. The adapted model
stays as it is, and weights that no adapter changes are the same tensors in both.
"""

import torch
from torch import nn

from minibert.adapt.hooks import CHILD, is_adapters
from minibert.adapt.lora import LowRankParts, updates_of
from minibert.adapt.parted import refuse_parts
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model


def shared(encoder: Encoder, config: EncoderConfig | None = None) -> Encoder:
    """Return an encoder without adapters whose weights are those of `encoder`, the same tensors.

    config  another one that the weights fit, say with other dropout
    """
    with torch.device("meta"):
        twin = Encoder(config or encoder.config)
    state = encoder.state_dict(keep_vars=True)
    weights = {name: weight for name, weight in state.items() if not is_adapters(name)}
    trained = {name: weight.requires_grad for name, weight in weights.items()}
    twin.load_state_dict(weights, assign=True)
    for name, weight in twin.named_parameters():
        weight.requires_grad_(trained[name])
    twin.dtype = encoder.dtype
    return twin.train(encoder.training)


def merged(model: Model) -> Model:
    """Return a plain model that answers as the adapted one does; a plain one comes back as it is.

    Raises InputError where an adapter cannot be folded into a matrix.

    >>> import minibert as mb
    >>> merged(mb.load("runs/clf")).save("runs/plain")
    """
    if model.adaptation is None:
        return model
    refuse_parts(model)
    if not is_mergeable(model):
        raise InputError(
            f"adapter {model.adaptation.options['adapter']} is no change of matrices and cannot be merged; "
            "keep the folder of the adapter, or export it with --format onnx or torch; it teaches a student "
            "that is no part of it: distill --model ENCODER"
        )
    plain = Model(folded(model.encoder, model.encoder), model.task)
    return plain.train(model.training)


def is_mergeable(model: Model) -> bool:
    """Whether a model, once merged, is a plain encoder and its head."""
    children = [module for name, module in model.encoder.named_modules() if name.endswith(f".{CHILD}")]
    return all(isinstance(module, LowRankParts) for module in children)


def unmerged(plain: Model, adapted: Model) -> Encoder:
    """Return the base's encoder, taken out of a merged model by the adapter that is in it."""
    return folded(plain.encoder, adapted.encoder, sign=-1)


@torch.no_grad()
def folded(encoder: Encoder, adapters_of: Encoder, *, sign: int = 1) -> Encoder:
    """Return an encoder whose matrices are those of `encoder` plus the updates of another one.

    sign  -1 takes the updates away
    """
    twin = shared(encoder)
    for name, update in updates_of(adapters_of).items():
        layer = twin.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        change = sign * update.change().to(layer.weight.dtype)
        layer.weight = nn.Parameter(layer.weight + change, requires_grad=layer.weight.requires_grad)
    return twin
