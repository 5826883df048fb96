"""The door for models: a folder in, whoever wrote it, a model out.

adapter.json           an adapter of ours and its head, laid over its base    `adapted`
adapter_config.json    the same of `peft`                                     `peft_models`
task.json              a whole model of ours                                  `tasks.model`
config.json            a checkpoint in Hugging Face's layout                  `heads`
"""

from pathlib import Path

import torch

from minibert.errors import InputError
from minibert.interop.adapted import is_adapter, open_adapted
from minibert.interop.heads import read_model
from minibert.interop.hub import local_folder, present
from minibert.interop.kinds import is_peft
from minibert.interop.peft_models import open_peft
from minibert.model.device import choose_device
from minibert.tasks.model import Model
from minibert.tasks.model import load as load_own


def load(
    folder: str | Path, device: torch.device | str = "cpu", *, base: str | Path | Model | None = None
) -> Model:
    """Open a model, ours or one in Hugging Face's layout; `load_encoder` opens what has no head.

    base  for the folder of an adapter: the folder of its base, where that has moved, or an open model whose
          encoder it shall share (ours alone)
    A name of the hub that is no folder is fetched, where the package huggingface_hub is installed.
    Raises InputError where a file is missing, damaged or foreign, the head is of a kind that is not here, or
    the device is not.

    >>> load("runs/clf").predict(["a wonderful film"])[0].label
    'positive'
    """
    device, folder = choose_device(device), present(local_folder(folder))
    if is_adapter(folder):
        return open_adapted(folder, base, device)
    if is_peft(folder):
        return open_peft(folder, base).to(device).eval()
    if base is not None:
        raise InputError(f"{folder} is a whole model and needs no base; leave base away")
    if (folder / "task.json").is_file() or not (folder / "config.json").is_file():
        return load_own(folder, device)
    return read_model(folder).to(device).eval()
