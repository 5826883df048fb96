"""An adapter for a model: chosen by name, put in its place, and what is saved of the model from then on."""

from pathlib import Path

import torch
from torch import nn

from minibert.adapt.bottleneck import add_bottlenecks
from minibert.adapt.hooks import is_adapters
from minibert.adapt.lora import add_lora
from minibert.adapt.options import AdaptOptions
from minibert.adapt.prompts import add_prompts
from minibert.checkpoint import WEIGHTS, load_tensors
from minibert.config import from_dict, to_dict
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.adaptation import ADAPTER, Adaptation, hash_of, vocabulary_hash
from minibert.tasks.model import Model
from minibert.tasks.task import Task


def adapt(model: Model, options: AdaptOptions, *, base: str | Path) -> None:
    """Let a model train an adapter and its head instead of its encoder, in place.

    base  the folder that the encoder is from: what is saved names it, and the hashes of what is in it
    Raises InputError for options that do not fit the encoder, for a model that is adapted already, and for a
    base of other weights, on which nothing saved would open; the model is as it was then.

    >>> import minibert as mb
    >>> model = mb.load("runs/clf")
    >>> adapt(model, AdaptOptions(adapter="lora", lora_rank=4), base="runs/clf")
    >>> len(model.adaptation.own)
    10
    """
    if options.adapter == "none":
        return
    if model.adaptation is not None:
        raise InputError(
            f"the model has an adapter already ({model.adaptation.options['adapter']}); open its base "
            f"{model.adaptation.base}, or save what `merged` makes of the model and name that folder"
        )
    refuse_other_base(Path(base), model.encoder)
    put_adapter(model, options, base=base)


def put_adapter(model: Model, options: AdaptOptions, *, base: str | Path) -> None:
    """Do what `adapt` does for an encoder that was just read from its base: nothing is compared."""
    if options.adapter == "none":
        return
    sha256 = hash_of(model.encoder.state_dict())
    add_adapter(model.encoder, options)
    model.adaptation = adaptation_of(model, options, base=str(Path(base).resolve()), sha256=sha256)


def refuse_other_base(base: Path, encoder: Encoder) -> None:
    """Raise InputError where the base is a model of ours and its encoder has other weights."""
    if not ((base / "task.json").is_file() and (base / WEIGHTS).is_file()):
        return
    stored = load_tensors(base / WEIGHTS)
    own = {name.removeprefix("encoder."): one for name, one in stored.items() if name.startswith("encoder.")}
    if hash_of(own) != hash_of(encoder.state_dict()):
        raise InputError(
            f"the encoder's weights are not those of {base}: it was trained since; save the model and name "
            "that folder as the base"
        )


def add_adapter(encoder: Encoder, options: AdaptOptions) -> None:
    """Put the adapter that the options name into an encoder; at the start none but prompts changes it."""
    if options.adapter == "lora":
        add_lora(encoder, options)
    elif options.adapter == "bottleneck":
        add_bottlenecks(encoder, options)
    elif options.adapter in ("prompt", "prefix"):
        add_prompts(encoder, options)
    for name in tuned_names(encoder, options):
        module, _, kind = name.rpartition(".")
        weight: torch.Tensor = encoder.get_parameter(name).detach().clone()  # the base may be others' too
        setattr(encoder.get_submodule(module), kind, nn.Parameter(weight))


def tuned_names(encoder: Encoder, options: AdaptOptions) -> list[str]:
    """Return the encoder's own weights that are trained beside, or as, the adapter.

    BitFit (Ben Zaken et al., 2021) is nothing else: all biases, those of norms included. Raises InputError
    where there are none.
    """
    names = [name for name, _ in encoder.named_parameters() if not is_adapters(name)]
    if options.adapter == "bitfit":
        biases = [name for name in names if name.endswith(".bias")]
        if not biases:
            raise InputError(
                f"adapter bitfit trains biases, and this encoder ({encoder.config.model_type}) has none; use "
                "lora or bottleneck"
            )
        return biases
    if options.adapter == "bottleneck" and options.bottleneck_layout == "houlsby":
        return [name for name in names if name.startswith("blocks.") and "norm" in name.split(".")[-2]]
    return []


def adaptation_of(model: Model, options: AdaptOptions, *, base: str, sha256: str) -> Adaptation:
    """Return what is the model's own: its head, its adapter, and weights of the encoder that it trains."""
    own = {name for name in model.state_dict() if not name.startswith("encoder.") or is_adapters(name)}
    tuned = {f"encoder.{name}" for name in tuned_names(model.encoder, options)}
    vocabulary = vocabulary_hash(model.task.tokenizer)
    return Adaptation(base, sha256, vocabulary, to_dict(options), frozenset(own | tuned))


def laid_over(encoder: Encoder, task: Task, adaptation: Adaptation) -> Model:
    """Put another model's adapter, its weights not yet filled in, into an encoder and join it with a task."""
    model = Model(encoder, task)
    options = from_dict(AdaptOptions, adaptation.options, where=ADAPTER)
    add_adapter(encoder, options)
    model.adaptation = adaptation_of(model, options, base=adaptation.base, sha256=adaptation.sha256)
    return model
