"""run.json: what a run was told, by whom it is repeated, and how it ended.

    {"kind": "finetune", "command": [...], "settings": {...}, "data": {...}, ..., "state": "finished"}

The command and the settings are those of the newest process; `taken_up` tells at which steps others went
before. Data are known by a hash, so that a run that is taken up again, or repeated, is refused where they
have changed.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from minibert.checkpoint import read_table
from minibert.durable import sha256
from minibert.errors import InputError
from minibert.training.journal import machine

RECORD = "run.json"
IDLE = ("data.progress", "data.report_to", "data.workers", "train.save_steps", "train.save_total_limit")
PACKAGES = ("minibert-encoder", "torch", "numpy", "safetensors", "sentencepiece", "tokenizers")


def start_record(
    kind: str, settings: dict[str, Any], *, data: dict[str, Any], facts: dict[str, Any]
) -> dict[str, Any]:
    """Return what is known of a run when it begins.

    settings  those of the run, in their groups
    data      whatever it learns from, each with its hash
    facts     what its header says
    """
    return {
        "kind": kind,
        "command": sys.argv,
        "directory": str(Path.cwd()),
        "settings": settings,
        "seed": settings["train"]["seed"],
        "data": data,
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
        **facts,
    }


def versions() -> dict[str, str | None]:
    """Return the versions of the packages that decide a run's numbers; None for one that is not installed."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def commit() -> str | None:
    """Return the git commit of this code, with a plus where files differ from it; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        said = [
            subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return said[0] + ("+" if said[1] else "")


def is_finished(folder: Path) -> bool:
    """Tell whether a run came to its end in a folder."""
    return (folder / RECORD).is_file() and read_table(folder / RECORD).get("state") == "finished"


def describe_data(examples: Iterable[Any]) -> dict[str, Any]:
    """Return how many examples there are, and a hash of what they say.

    >>> describe_data(["a", "b"])["rows"]
    2
    """
    digest, rows = hashlib.sha256(), 0
    for example in examples:
        digest.update(repr(example).encode("utf-8", "surrogatepass") + b"\\0")
        rows += 1
    return {"rows": rows, "sha256": digest.hexdigest()}


def describe_model(folder: Path) -> dict[str, Any]:
    """Return the folder of a model that is trained further, and the hashes of its weights."""
    files = sorted(folder.glob("*.safetensors"))
    return {"folder": str(folder), "sha256": {path.name: sha256(path) for path in files}}


def is_done(folder: Path, settings: dict[str, Any], data: dict[str, Any], *, resume: bool) -> bool:
    """Tell whether a part of a run that is taken up again came to its end, and need not be done once more.

    Raises InputError where it was done with other data or settings: its result is not the one asked for.
    """
    if not resume or not is_finished(folder):
        return False
    refuse_other_data(folder, data)
    changes = changed_settings(folder, settings, deciding=True)
    if changes:
        raise InputError(
            f"{folder} was finished with other settings: {'; '.join(changes)}; resume with the same, or "
            "start anew in another folder"
        )
    return True


def refuse_changes(output: Path, record: dict[str, Any]) -> list[str]:
    """Compare a run that is taken up again with the record of its beginning.

    Returns a line for each setting that has changed. Raises InputError where the data have.
    """
    if not (output / RECORD).is_file():
        return []
    refuse_other_data(output, record["data"])
    return [f"{line} from here on" for line in changed_settings(output, record["settings"])]


def changed_before(output: Path) -> list[dict[str, Any]]:
    """Return where a run was taken up with other settings before: [{"step": 200, "changes": [...]}]."""
    found = read_table(output / RECORD).get("taken_up")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def refuse_other_data(output: Path, now: dict[str, Any]) -> None:
    """Raise InputError where data, or a model that is trained further, are not those of a folder's record."""
    before = read_table(output / RECORD).get("data")
    if isinstance(before, dict):
        for name in sorted(before.keys() | now.keys()):
            if _hash(before.get(name)) != _hash(now.get(name)):
                raise InputError(
                    f"{output}: {name} is not what the run began with ({RECORD} holds its SHA-256); resume "
                    "with the same data, or start anew in another folder"
                )


def refuse_other_shape(folder: Path, shape: dict[str, Any]) -> None:
    """Raise InputError where the encoder in a folder has another shape than the one that is to go on from it.

    shape  its configuration; rates of dropout may change, they are no part of any weight's shape
    """
    kept = read_table(folder / "config.json")
    old, new = ({key: value for key, value in each.items() if "dropout" not in key} for each in (kept, shape))
    changes = differences(old, new)
    if changes:
        raise InputError(
            f"{folder} holds an encoder of another shape: {'; '.join(changes)}; resume with the same --size "
            "and settings, or start anew in another folder"
        )


def changed_settings(output: Path, settings: dict[str, Any], *, deciding: bool = False) -> list[str]:
    """Return a line for each setting that is not that of a folder's record.

    deciding  leave out those that no weight depends on
    """
    told = json.loads(json.dumps(settings))  # JSON knows no tuples
    left_out = IDLE if deciding else ()
    old, new = (
        {key: value for key, value in _flat(given).items() if key not in left_out}
        for given in (read_table(output / RECORD).get("settings"), told)
    )
    return differences(old, new)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return a line for each key whose value is another one, or that one of the two lacks.

    >>> differences({"train.seed": 1}, {"train.seed": 2, "train.max_steps": 9})
    ['train.max_steps was None and is 9', 'train.seed was 1 and is 2']
    """
    keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    return [f"{key} was {old.get(key)!r} and is {new.get(key)!r}" for key in keys]


def _hash(described: Any) -> Any:
    return described.get("sha256") if isinstance(described, dict) else described


def _flat(settings: Any) -> dict[str, Any]:
    """Return dotted keys."""
    groups = settings.items() if isinstance(settings, dict) else ()
    return {
        f"{group}.{key}": value
        for group, table in groups
        if isinstance(table, dict)
        for key, value in table.items()
    }
