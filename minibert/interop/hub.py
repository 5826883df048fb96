"""Names of Hugging Face's hub, such as sentence-transformers/all-MiniLM-L6-v2, where a folder is wanted.

A folder that is there is always meant itself. Only a name that is no folder, and that a person gave, is
fetched, by the package `huggingface_hub`, which keeps what it fetched and needs no network the next time.
Only what is read here comes: settings, tokenizer, safetensors. The same network of another framework or
runtime stays there.
"""

import re
from pathlib import Path

from minibert.data.fields import spelled
from minibert.errors import InputError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
WANTED = ["*.json", "*.safetensors", "vocab.txt", "merges.txt", "spiece.model"]
UNWANTED = ["onnx/*", "openvino/*", "coreml/*"]


def local_folder(folder: str | Path) -> Path:
    """Return the folder, or the one into which the hub's model of this name was fetched.

    Raises InputError where a name is no folder and cannot be fetched either; it tells both ways.

    >>> local_folder("runs/clf")
    PosixPath('runs/clf')
    """
    if not isinstance(folder, str | Path):
        raise InputError(
            f"{spelled(folder)} came where the folder of a model is wanted; save a model first, and name "
            "that folder"
        )
    path, name = Path(folder), str(folder)
    if path.exists() or not NAME.fullmatch(name):
        return path
    by_hand = f"hf download {name} --local-dir FOLDER"
    try:
        import huggingface_hub
    except ImportError:
        raise InputError(
            f"{name}: no such folder here; if it is a name of Hugging Face's hub, install the package that "
            f"fetches it (pip install huggingface_hub), or fetch it by hand and name the folder: {by_hand}"
        ) from None
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=WANTED, ignore_patterns=UNWANTED))
    except (OSError, ValueError) as error:  # no network, no such name, no access
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"{name}: no such folder here, and the hub did not give a model of that name: {reason}; name a "
            f"folder, or fetch it where there is a network: {by_hand}"
        ) from error


def present(folder: Path) -> Path:
    """Return the folder; raises InputError, with how the hub is asked, where there is none of this name."""
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise InputError(f"{folder} is a file; the folder of a model is wanted, such as {folder.parent}")
    raise InputError(
        f"{folder}: no such folder; name one that is there, or a model of Hugging Face's hub as "
        f"ORGANISATION/MODEL, such as google-bert/bert-base-uncased (by hand: hf download ORGANISATION/MODEL "
        f"--local-dir DIR)"
    )
