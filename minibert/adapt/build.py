"""An adapter for a model: chosen by name, put in its place, and what is saved of the model from then on."""

from pathlib import Path

from minibert.adapt.hooks import is_adapters
from minibert.adapt.lora import add_lora
from minibert.adapt.options import AdaptOptions
from minibert.config import to_dict
from minibert.model.encoder import Encoder
from minibert.tasks.adaptation import Adaptation, hash_of
from minibert.tasks.model import Model


def adapt(model: Model, options: AdaptOptions, *, base: str | Path) -> None:
    """Let a model train an adapter and its head instead of its encoder, in place.

    base  the folder that the encoder is from: what is saved names it, and the hash of the encoder
    Raises InputError for options that do not fit the encoder; it is as it was then.

    >>> import minibert as mb
    >>> model = mb.load("runs/clf")
    >>> adapt(model, AdaptOptions(adapter="lora", lora_rank=4), base="runs/clf")
    >>> len(model.adaptation.own)
    10
    """
    if options.adapter == "none":
        return
    sha256 = hash_of(model.encoder.state_dict())
    add_adapter(model.encoder, options)
    model.adaptation = adaptation_of(model, options, base=str(Path(base).resolve()), sha256=sha256)


def add_adapter(encoder: Encoder, options: AdaptOptions) -> None:
    """Put the adapter that the options name into an encoder; at the start it changes nothing."""
    if options.adapter == "lora":
        add_lora(encoder, options)


def adaptation_of(model: Model, options: AdaptOptions, *, base: str, sha256: str) -> Adaptation:
    """Return what is the model's own: its head, its adapter, and weights of the encoder that it trains."""
    own = {name for name in model.state_dict() if not name.startswith("encoder.") or is_adapters(name)}
    return Adaptation(base, sha256, to_dict(options), frozenset(own))
