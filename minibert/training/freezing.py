"""Which weights are trained: all, the head alone, all but the lowest layers, or an adapter and the head."""

from minibert.errors import InputError
from minibert.tasks.model import Model
from minibert.training.optimizer import depth_of


def freeze(model: Model, how: int | str) -> None:
    """Stop training the whole encoder ("encoder"), or the embeddings and the `how` lowest layers.

    Of an adapted model what is its own is trained, and nothing else. Raises InputError for more layers than
    there are, and for both at once.
    """
    layers = model.encoder.config.num_hidden_layers
    if isinstance(how, int) and not 0 <= how <= layers:
        raise InputError(f"freeze {how} must be between 0 and the encoder's {layers} layers")
    if model.adaptation is not None and how != 0:
        kind = model.adaptation.options["adapter"]
        raise InputError(f"freeze {how!r} beside adapter {kind!r}, which freezes the encoder anyway; use one")
    for name, weight in model.named_parameters():
        if model.adaptation is not None:
            weight.requires_grad_(name in model.adaptation.own)
            continue
        inside = name.startswith("encoder.")
        frozen = inside if how == "encoder" else inside and how != 0 and depth_of(name, layers) <= int(how)
        weight.requires_grad_(not frozen)
