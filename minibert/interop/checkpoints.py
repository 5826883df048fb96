"""Opening the encoder of any folder: our own checkpoints, and those of Hugging Face's layout.

Everything is compared before a weight is read: config.json, the names and shapes in the files' headers,
and the size of the vocabulary. The weights of a pooler or a head are left aside here; `heads` reads them.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minibert.adapt.options import ONLY_BESIDE
from minibert.adapt.parted import ONLY_ANSWERS, PARTS
from minibert.checkpoint import WEIGHTS, read_json, read_table
from minibert.durable import MANIFEST, read_manifest, verify
from minibert.errors import InputError
from minibert.interop.hub import present
from minibert.interop.names import DICTIONARIES, Dictionary, Names
from minibert.interop.settings import encoder_config
from minibert.interop.tensors import Stored, read_tensors, stored_tensors
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.adaptation import ADAPTER
from minibert.tasks.model import check_size, load_weights
from minibert.text.tokenizer import Tokenizer

LISTED = 8  # names in one error
PEFT = "adapter_config.json"


def read_encoder(folder: Path, config: EncoderConfig | None = None) -> Encoder:
    """Open the encoder of a folder, ours or Hugging Face's, in float32 on the CPU.

    config  that of the folder, or a changed one (other dropout, say) that its weights still fit
    Raises InputError for a folder that is not one, and for weights that do not fit its config.
    """
    config = config or read_config(folder)
    if (folder / "task.json").is_file():
        verify(folder)
        check_size(config, [folder / WEIGHTS])
        encoder = Encoder(config)
        load_weights(encoder, folder, prefix="encoder.")
        return encoder.eval()
    dictionary = DICTIONARIES[read_json(folder / "config.json")["model_type"]]
    stored = stored_tensors(folder)
    check_size(config, sorted({tensor.path for tensor in stored.values()}))
    with torch.device("meta"):
        encoder = Encoder(config)
    prefix = dictionary.prefix if any(name.startswith(dictionary.prefix) for name in stored) else ""
    wanted = {
        ours: tuple(prefix + name for name in theirs)
        for ours, theirs in dictionary.theirs(encoder.state_dict()).items()
    }
    compare(wanted, encoder.state_dict(), stored, folder=folder)
    refuse_extra(wanted.values(), stored, dictionary, folder=folder, prefix=prefix)
    fill(encoder, wanted, stored)
    return encoder.eval()


def read_config(folder: Path) -> EncoderConfig:
    """Read the config.json of a folder, ours or Hugging Face's."""
    folder = present(folder)
    if (folder / PEFT).is_file():
        raise InputError(
            f"{folder} holds an adapter of peft, not an encoder; merge it into its base first: "
            f"mb.load_encoder({str(folder)!r}).save_pretrained(DIR)"
        )
    if (folder / PARTS).is_file():
        raise InputError(f"{folder} holds adapters for several parts, not an encoder; {ONLY_ANSWERS}")
    if (folder / ADAPTER).is_file():
        raise not_an_encoder(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} has no config.json; give the folder of a checkpoint")
    if not (folder / "task.json").is_file() and "task.json" in manifest_names(folder):
        raise InputError(f"{folder}: task.json is missing; the folder is not whole")
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{path} holds {str(values)[:40]!r}; a table of settings is wanted")
    if (folder / "task.json").is_file():
        return EncoderConfig.from_dict(values, str(path))
    return encoder_config(values, str(path))


def manifest_names(folder: Path) -> Iterable[str]:
    """Return the files that the folder was written with, as its manifest tells; none without one."""
    return read_manifest(folder) if (folder / MANIFEST).is_file() else ()


def not_an_encoder(folder: Path, wanted: str = "an encoder") -> InputError:
    """Return the error for the folder of an adapter, which may be merged with its base or not."""
    told = read_table(folder / ADAPTER)
    base, options = (part if isinstance(part := told.get(key), dict) else {} for key in ("base", "options"))
    kind = options.get("adapter")
    if kind in ONLY_BESIDE:
        way = f"of the kind {kind}, which cannot become one; give its base {base.get('folder')}"
    else:
        way = f"merge the two first: minibert export --model {folder} --format minibert --output-dir DIR"
    return InputError(f"{folder} holds an adapter, not {wanted}; {way}")


def check_vocabulary(tokenizer: Tokenizer, config: EncoderConfig, folder: Path) -> None:
    """Raise InputError where a token has no row in the embedding table."""
    if tokenizer.vocab_size > config.vocab_size:
        raise InputError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} pieces and the encoder "
            f"{config.vocab_size} rows for them; they are not of one model"
        )


def compare(
    wanted: Mapping[str, Names],
    shapes: Mapping[str, Tensor],
    stored: Mapping[str, Stored],
    *,
    folder: Path,
) -> None:
    """Raise InputError where a wanted weight is missing or has another shape than the config asks for."""
    missing = [name for names in wanted.values() for name in names if name not in stored]
    if missing:
        raise InputError(f"{folder}: {_listed(missing)} missing from the weights; config.json asks for them")
    for ours, names in wanted.items():
        rows, *rest = shapes[ours].shape
        for name in names:
            if stored[name].shape != (rows // len(names), *rest):
                raise InputError(
                    f"{stored[name].path}: weight {name} has shape {stored[name].shape}, "
                    f"config.json asks for {(rows // len(names), *rest)}"
                )


def refuse_extra(
    wanted: Iterable[Names],
    stored: Mapping[str, Stored],
    dictionary: Dictionary,
    *,
    folder: Path,
    prefix: str,
) -> None:
    """Raise InputError for weights that neither the encoder nor a head or buffer of its family has."""
    used = {name for names in wanted for name in names}
    extra = [
        name
        for name in stored
        if name not in used and not name.removeprefix(prefix).startswith(dictionary.others)
    ]
    if extra:
        raise InputError(f"{folder}: {_listed(extra)} in the weights, and config.json does not ask for them")


def fill(module: nn.Module, wanted: Mapping[str, Names], stored: Mapping[str, Stored]) -> None:
    """Give a module its weights; what is not wanted stays as it is."""
    state: dict[str, Any] = module.state_dict()
    for ours, names in wanted.items():
        parts = read_tensors(stored[name] for name in names)
        state[ours] = parts[0] if len(parts) == 1 else torch.cat(parts)
    module.load_state_dict(state, assign=True)
    module.requires_grad_(True)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(sorted(names)[:LISTED]) + more
