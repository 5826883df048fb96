"""The door for encoders: a folder in, ours or Hugging Face's (or a name of its hub), a text encoder out."""

from pathlib import Path

import torch
from torch import Tensor

from minibert.adapt.merging import folded, is_mergeable, merged, shared
from minibert.adapt.parted import refuse_parts
from minibert.checkpoint import read_json
from minibert.embedding.text_encoder import TextEncoder
from minibert.errors import InputError
from minibert.interop.adapted import is_adapter, open_adapted
from minibert.interop.checkpoints import check_vocabulary, read_config, read_encoder
from minibert.interop.export import POOLED
from minibert.interop.hub import local_folder, present
from minibert.interop.kinds import is_peft
from minibert.interop.names import DICTIONARIES
from minibert.interop.peft_folders import base_of, family_of, read_peft
from minibert.interop.sentence_transformers import (
    TRAINED_TO_EMBED,
    Habits,
    encoder_folder,
    makes_unit_length,
    read_habits,
    tokenizer_limit,
)
from minibert.interop.tensors import read_tensors, stored_tensors
from minibert.model.device import choose_device
from minibert.text.loading import load_tokenizer


def load_encoder(
    folder: str | Path, device: torch.device | str = "cpu", *, base: str | Path | None = None
) -> TextEncoder:
    """Open the encoder of a folder and its tokenizer.

    folder  a model that minibert saved, whatever its task, or a checkpoint in Hugging Face's layout:
            config.json, model.safetensors (or several and their index), tokenizer files. Where
            sentence-transformers left its files beside them, they say how texts become vectors. Or a name
            of the hub, "organisation/model", that is no folder: the package huggingface_hub fetches it.
            Or the folder of a LoRA adapter, ours or `peft`'s, which is merged into the base that it names.
    base    for the folder of an adapter: the folder of its base, where that has moved
    Raises InputError for a folder that cannot be opened and for a device that is not here, MissingExtra where
    its tokenizer needs a package.

    >>> load_encoder("runs/clf").embed(["a wonderful film"]).shape
    (1, 128)
    """
    device, folder = choose_device(device), present(local_folder(folder))
    if is_adapter(folder):
        return _of_adapter(folder, device, base)
    if is_peft(folder):
        return _of_peft(folder, device, base)
    if base is not None:
        raise InputError(f"{folder} is a whole model and needs no base; leave base away")
    inner = encoder_folder(folder)
    config = read_config(inner)
    tokenizer = load_tokenizer(inner)
    check_vocabulary(tokenizer, config, inner)
    habits = read_habits(folder, config.longest_text)
    encoder = TextEncoder(
        read_encoder(inner),
        tokenizer,
        max_length=habits.max_length,
        pooling=habits.pooling,
        prompts=habits.prompts,
        unit_length=makes_unit_length(folder),
        pooler=_pooler_of(inner),
    )
    return encoder.to(device)


def _pooler_of(folder: Path) -> dict[str, Tensor]:
    """Read the weights of a pooler, which nothing here computes with, by their names; {} where none are."""
    family = read_json(folder / "config.json")["model_type"]
    if (folder / "task.json").is_file() or family not in POOLED:
        return {}
    prefix = DICTIONARIES[family].prefix
    stored = {name.removeprefix(prefix): tensor for name, tensor in stored_tensors(folder).items()}
    names = [name for name in stored if name.startswith("pooler.")]
    return dict(zip(names, read_tensors(stored[name] for name in names), strict=True))


def _of_adapter(folder: Path, device: torch.device | str, base: str | Path | None) -> TextEncoder:
    """Open an adapter of ours, merged into its base where it can be; it embeds as a fine-tuned base would."""
    adapted = open_adapted(folder, base, device)
    refuse_parts(adapted)
    model = merged(adapted) if is_mergeable(adapted) else adapted
    longest = adapted.encoder.config.longest_text
    assert adapted.adaptation is not None
    limit = tokenizer_limit(Path(adapted.adaptation.base), longest)
    habits = read_habits(folder, longest) if model.task.name in TRAINED_TO_EMBED else Habits("mean", limit)
    return TextEncoder(
        model.encoder, model.task.tokenizer, max_length=habits.max_length, pooling=habits.pooling
    )


def _of_peft(folder: Path, device: torch.device | str, base: str | Path | None) -> TextEncoder:
    base = local_folder(base or base_of(folder))
    text_encoder = load_encoder(base, device)
    adapted = shared(text_encoder.encoder)
    read_peft(folder, adapted, family_of(encoder_folder(base), adapted))
    text_encoder.encoder = folded(adapted, adapted)
    return text_encoder
