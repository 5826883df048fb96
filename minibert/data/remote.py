"""Files that lie elsewhere, `s3://bucket/part-*.txt.gz`, copied here once: object storage, web, clusters.

fsspec knows how to reach them (extra `remote`; s3fs, gcsfs and others bring the protocols). A copy is kept in
the home folder's cache, under the name and the version that the storage tells; what has not changed there is
not fetched again. A copy that is broken off leaves nothing.

Left out: reading without a copy. A corpus is read twice, for its vocabulary and for its ids, and hashed.
"""

import hashlib
import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tqdm import tqdm

from minibert.errors import InputError, MissingExtra

CHUNK = 2**22  # bytes


def is_remote(name: str | Path) -> bool:
    """Tell whether a name says how its file is reached.

    >>> is_remote("s3://bucket/corpus.txt"), is_remote("corpus.txt")
    (True, False)
    """
    return "://" in str(name)


def fetch(pattern: str, *, kinds: tuple[str, ...] = (), cache: Path | None = None) -> list[Path]:
    """Copy the files that a name, folder or glob of a storage means; return where they are now, in order.

    kinds  suffixes of the files of a folder that are meant; () for all of them
    cache  folder for the copies; None is `.cache/minibert/remote` in the home folder

    Raises InputError where nothing is found or may not be read, MissingExtra for a protocol whose package is
    not installed.
    """
    root = cache or Path.home() / ".cache" / "minibert" / "remote"
    storage, names = _found(pattern, kinds)
    copies = [_copy_of(storage, name, root) for name in names]
    missing = [pair for pair in zip(names, copies, strict=True) if not pair[1].exists()]
    try:
        size = sum(storage.info(name).get("size") or 0 for name, _ in missing)
        with tqdm(total=size, desc="fetch", unit="B", unit_scale=True, disable=not missing) as bar:
            for name, place in missing:
                _copy(storage, name, place, bar)
    except OSError as error:
        raise InputError(
            f"{pattern}: cannot be read: {error}; is the name right, may you read it?"
        ) from error
    return copies


def local(name: str | Path) -> str | Path:
    """Return a name as it is, or where the copy of a remote file lies."""
    return fetch(str(name))[0] if is_remote(name) else name


def _found(pattern: str, kinds: tuple[str, ...]) -> tuple[Any, list[str]]:
    """Return the storage, and the names of its files that are meant."""
    try:
        storage, path = import_module("fsspec.core").url_to_fs(pattern)
        if any(letter in path for letter in "*?["):
            names = [name for name in storage.glob(path) if storage.isfile(name)]
        elif storage.isdir(path):
            names = [name for name in storage.find(path) if not kinds or _kind(name) in kinds]
        else:
            names = [path] if storage.exists(path) else []
    except ImportError as error:
        raise MissingExtra(
            f"{pattern}: {error}; pip install 'minibert-encoder[remote]' and the package of the storage, "
            "such as s3fs or gcsfs"
        ) from error
    except (ValueError, OSError) as error:
        raise InputError(f"{pattern}: cannot be reached: {error}") from error
    if not names:
        raise InputError(f"{pattern}: no such file, and no folder or glob with files that can be read")
    return storage, sorted(names)


def _kind(name: str) -> str:
    path = Path(name)
    return (path.with_suffix("") if path.suffix in (".gz", ".xz") else path).suffix.lower()


def _copy_of(storage: Any, name: str, root: Path) -> Path:
    """Return where the copy of a file lies, which is another place when the file has changed."""
    protocol = storage.protocol if isinstance(storage.protocol, str) else storage.protocol[0]
    version = hashlib.sha256(f"{name} {storage.ukey(name)}".encode()).hexdigest()[:16]
    return root / protocol / quote(name, safe="")[-160:] / version / Path(name).name


def _copy(storage: Any, name: str, place: Path, bar: Any) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=place.parent, prefix=".unfinished-")
    try:
        with os.fdopen(handle, "wb") as copy, storage.open(name, "rb") as original:
            while chunk := original.read(CHUNK):
                copy.write(chunk)
                bar.update(len(chunk))
        os.replace(beside, place)
    finally:
        Path(beside).unlink(missing_ok=True)
