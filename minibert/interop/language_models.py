"""Going on with masked language modelling where somebody stopped: an encoder's folder in, its model out.

Pretraining that goes on with text of a domain, or of the task itself, is worth about as much as a larger
corpus was (S. Gururangan et al., 2020, *Don't Stop Pretraining*). A folder that fills masks brings its head;
any other encoder (a sentence encoder, a classifier's) gets a new one, tied to its own token table.
"""

from pathlib import Path
from typing import Any

import torch

from minibert.checkpoint import read_json, read_table
from minibert.errors import InputError
from minibert.interop.adapted import is_adapter
from minibert.interop.checkpoints import check_vocabulary, not_an_encoder, read_config, read_encoder
from minibert.interop.hub import local_folder
from minibert.interop.kinds import KINDS
from minibert.interop.opening import load
from minibert.interop.sentence_transformers import encoder_folder
from minibert.model.encoder import Encoder
from minibert.tasks.cloze import Cloze
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.text.loading import load_tokenizer
from minibert.text.tokenizer import Tokenizer


def fills_masks(folder: Path) -> bool:
    """Tell whether the folder of a model, ours or Hugging Face's, holds a masked-language-model head.

    >>> fills_masks(Path("runs/clf"))
    False
    """
    if (folder / "task.json").is_file():
        return read_table(folder / "task.json").get("task") in (MaskedLM.name, Cloze.name)
    if not (folder / "config.json").is_file():
        return False
    names = read_json(folder / "config.json").get("architectures") or [""]
    return any(names[0].endswith(suffix) for suffix, kind in KINDS.items() if kind == MaskedLM.name)


def load_language_model(
    folder: str | Path, device: torch.device | str = "cpu", *, base: str | Path | None = None
) -> Model:
    """Open a model that fills masks; raises InputError, with what to do, where there is no such head.

    base  for the folder of an adapter: the folder of its base, where that has moved
    """
    folder = local_folder(folder)
    if not is_adapter(folder):
        read_config(encoder_folder(folder))  # what is no folder of a model says so itself
    if not fills_masks(folder):
        if is_adapter(folder):
            raise not_an_encoder(folder, wanted="a masked-language-model head")
        raise InputError(
            f"{folder} has no masked-language-model head; give it one by some minutes of pretraining on text "
            f"like yours: minibert pretrain corpus.txt --model {folder} --output-dir runs/lm"
        )
    model = load(folder, device, base=base)
    inner = model.task.language_model if isinstance(model.task, Cloze) else model.task
    return Model(model.encoder, inner).eval()


def open_for_pretraining(
    folder: str | Path, changes: dict[str, Any]
) -> tuple[Encoder, Tokenizer, MaskedLM | None]:
    """Open an encoder that is to be trained on, its tokenizer, and its head if it fills masks.

    changes  fields of its config, such as a dropout, that its weights still fit
    """
    folder = local_folder(folder)
    inner = encoder_folder(folder)
    has_head = fills_masks(inner)
    config = read_config(inner).changed(changes if has_head else {"tie_word_embeddings": True, **changes})
    model = load_language_model(folder) if has_head else None
    if model is not None:  # its table may be another one than the config says
        config = config.changed({"tie_word_embeddings": model.encoder.config.tie_word_embeddings})
    tokenizer = load_tokenizer(inner)
    check_vocabulary(tokenizer, config, inner)
    head = model.task if model is not None and isinstance(model.task, MaskedLM) else None
    return read_encoder(inner, config), tokenizer, head
