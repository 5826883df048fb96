"""Opening the folder of an adapter: what is in it, laid over the base that it names.

    adapter.json        the base's folder and hashes, and what the adapter was told
    config.json         the encoder, as it was when the adapter was trained
    task.json           the task and its labels
    model.safetensors   the adapter and the head
    parts.json          the tasks of several parts, where there are as many adapters (see `PartedModel`)

The base is looked for where it was; whoever moved it says where. One that is open already is shared: several
adapters then need the encoder's memory once.
"""

from pathlib import Path
from typing import Any

import torch

from minibert.adapt.build import laid_over
from minibert.adapt.hooks import is_adapters
from minibert.adapt.merging import shared
from minibert.adapt.options import AdaptOptions
from minibert.adapt.parted import PARTS, PartedModel
from minibert.checkpoint import WEIGHTS, read_table
from minibert.config import from_dict, to_dict
from minibert.durable import verify
from minibert.errors import InputError
from minibert.interop.checkpoints import check_vocabulary, read_encoder
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.adaptation import ADAPTER, Adaptation, hash_of, vocabulary_hash
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model, check_size, load_weights, reopen_task
from minibert.text.loading import load_tokenizer
from minibert.text.tokenizer import Tokenizer

BYTES = 4  # of a weight in float32
HASHED = {
    "sha256": "an encoder whose weights",
    "vocabulary_sha256": "a tokenizer whose pieces",
}


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and a head, and not the encoder that they need."""
    return (folder / ADAPTER).is_file()


def open_adapted(folder: Path, base: str | Path | Model | None, device: torch.device | str) -> Model:
    """Open the adapter in a folder on its base.

    base  its folder, or a model that is open and whose encoder is shared; None is where it was
    Raises InputError where the base is not found, or its weights or its vocabulary are not those that the
    adapter was made for.
    """
    verify(folder)
    told, options = read_adapter(folder)
    config = EncoderConfig.from_dict(read_table(folder / "config.json"), str(folder / "config.json"))
    encoder, tokenizer, place = open_base(folder, base or told["folder"])
    known = BYTES * sum(weight.numel() for weight in encoder.parameters())
    check_size(config, [], known=known)
    check_options(options, config, folder)
    found = {"sha256": hash_of(encoder.state_dict()), "vocabulary_sha256": vocabulary_hash(tokenizer)}
    for key, what in HASHED.items():
        if told.get(key, found[key]) != found[key]:  # the vocabulary's is not in every older folder
            raise InputError(
                f"{folder}: made for {what} have the SHA-256 {told[key]}; those of {place} have "
                f"{found[key]}. Give the base that it was made for (it was {told['folder']})"
            )
    vocabulary = found["vocabulary_sha256"]
    adaptation = Adaptation(str(place), found["sha256"], vocabulary, to_dict(options), frozenset())
    if (folder / PARTS).is_file():
        model: Model = parted(folder, encoder, tokenizer, config, adaptation)
    else:
        task = reopen_task(folder, config, tokenizer=tokenizer, known=known)
        model = laid_over(over(encoder, config, folder), task, adaptation)
    load_weights(model, folder)
    return model.to(device).eval()


def parted(
    folder: Path, encoder: Encoder, tokenizer: Tokenizer, config: EncoderConfig, adaptation: Adaptation
) -> PartedModel:
    """Make the model of several parts that a folder tells of, its weights still to be filled in."""
    path = folder / PARTS
    values = read_table(path)
    try:
        router = Classification.reopen(tokenizer, config, values["router"])
        tasks = [Classification.reopen(tokenizer, config, settings) for settings in values["parts"]]
        models = [laid_over(over(encoder, config, folder), task, adaptation) for task in tasks]
        return PartedModel(Model(over(encoder, config, folder), router), models)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise InputError(f"{path}: damaged or not of this version: {error!r:.100}") from error


def read_adapter(folder: Path) -> tuple[dict[str, str], AdaptOptions]:
    """Return folder and hashes of the base, and the options; raises InputError for what is damaged."""
    path = folder / ADAPTER
    values: dict[str, Any] = read_table(path)
    base, options = values.get("base"), values.get("options")
    if not isinstance(base, dict) or not isinstance(options, dict):
        raise InputError(f"{path}: no tables base and options in it; it is damaged")
    told = {"folder": None, "sha256": None, **base}
    if not all(isinstance(value, str) for value in told.values()):
        raise InputError(f"{path}: base is {base!r:.80}; texts are wanted, folder and sha256 among them")
    return {key: str(value) for key, value in told.items()}, from_dict(AdaptOptions, options, where=str(path))


def check_options(options: AdaptOptions, config: EncoderConfig, folder: Path) -> None:
    """Raise InputError for options that ask for more weights than the folder's file has bytes."""
    widths = {
        "lora": options.lora_rank,
        "bottleneck": options.bottleneck_size,
        "prompt": options.prompt_tokens,
        "prefix": options.prompt_tokens,
    }
    width = widths.get(options.adapter, 0)
    size = (folder / WEIGHTS).stat().st_size if (folder / WEIGHTS).is_file() else 0
    if width * config.hidden_size * BYTES > size:
        raise InputError(
            f"{folder / ADAPTER} asks for an adapter of width {width:,}, and {WEIGHTS} has {size:,} bytes; "
            "they are not of one adapter"
        )


def open_base(folder: Path, base: str | Path | Model) -> tuple[Encoder, Tokenizer, Path]:
    """Return the encoder and the tokenizer of a base without its adapters, and the folder that it is from."""
    if isinstance(base, Model):
        own = base.adaptation.own if base.adaptation else ()
        if any(name.startswith("encoder.") and not is_adapters(name) for name in own):
            raise InputError(
                f"{folder}: the model that was given as base has changed weights of its encoder itself; give "
                "a model without an adapter, or a folder"
            )
        encoder = shared(base.encoder)
        place = Path(base.adaptation.base) if base.adaptation else Path("the model that was given")
        return encoder, base.task.tokenizer, place
    place = Path(base)
    if not place.is_dir():
        raise no_base(folder, place)
    encoder, tokenizer = read_encoder(place), load_tokenizer(place)
    check_vocabulary(tokenizer, encoder.config, place)
    return encoder, tokenizer, place.resolve()


def no_base(folder: Path, base: Path) -> InputError:
    """Return the error for an adapter whose base is not where it was."""
    return InputError(
        f"{folder} holds an adapter, and its base {base} is not there; say where it is: "
        f"mb.load({str(folder)!r}, base=...), or --base DIR of predict, evaluate, explain, embed, index, "
        "search and export; what export --format minibert makes of a LoRA needs no base"
    )


def over(encoder: Encoder, config: EncoderConfig, folder: Path) -> Encoder:
    """Return an encoder of this config with another one's weights."""
    try:
        return shared(encoder, config)
    except RuntimeError as error:
        raise InputError(
            f"{folder / 'config.json'} asks for other weights than its base has: {str(error)[-120:]}"
        ) from error
