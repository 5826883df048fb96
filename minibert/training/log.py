"""The log of a run, one JSON object a line: `log.jsonl` in its folder.

A log that has grown to 64 MiB becomes `log-1.jsonl` (`log-2.jsonl`, ...) and a new one begins; whoever reads
the log reads them all. A run that is taken up again takes out what came after the place where it goes on.
"""

import json
import re
from pathlib import Path
from typing import Any

from minibert.durable import replace_text
from minibert.errors import InputError

LOG = "log.jsonl"
LARGEST = 64 * 2**20  # bytes


class Log:
    """Appends lines to the log of a folder.

    done       where the run goes on: the lines of later steps are taken out
    validated  whether the validation after step `done` stays
    largest    bytes after which a new file begins
    """

    def __init__(
        self, folder: Path, *, done: int = 0, validated: bool = True, largest: int = LARGEST
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.largest = folder, largest
        for path in log_files(folder):
            rewind(path, done, validated=validated)
        self.file = (folder / LOG).open("a", encoding="utf-8")

    def append(self, line: dict[str, Any]) -> None:
        """Write a line, and begin a new file where this one is full."""
        self.file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.file.flush()
        if self.file.tell() >= self.largest:
            self.file.close()
            (self.folder / LOG).rename(self.folder / f"log-{len(log_files(self.folder))}.jsonl")
            self.file = (self.folder / LOG).open("a", encoding="utf-8")

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def log_files(folder: Path) -> list[Path]:
    """Return the files of a log that are there, the oldest first."""
    numbered = {
        int(found[1]): path
        for path in folder.glob("log-*.jsonl")
        if (found := re.fullmatch(r"log-(\d+)\.jsonl", path.name))
    }
    last = [folder / LOG] if (folder / LOG).is_file() else []
    return [numbered[number] for number in sorted(numbered)] + last


def rewind(log: Path, done: int, *, validated: bool = True) -> None:
    """Take out of one file of a log what came after step `done`: the run writes it anew."""
    text = log.read_text(encoding="utf-8", errors="replace")
    kept = "".join(f"{line}\n" for line in text.split("\n") if _stays(line, done, validated))
    if not kept and log.name != LOG:
        log.unlink()
    elif kept != text:
        replace_text(log, kept)


def _stays(line: str, done: int, validated: bool) -> bool:
    try:
        entry = json.loads(line)
        step, event = entry["step"], entry["event"]
    except (ValueError, KeyError, TypeError):
        return False  # the process was killed while it wrote this line
    return step < done or (step == done and (validated or event != "validation"))


def read_log(folder: str | Path, event: str) -> list[dict[str, Any]]:
    """Return a log's lines of one kind, "train" or "validation", the oldest first."""
    return [line for path in log_files(Path(folder)) or [Path(folder) / LOG] for line in _read(path, event)]


def _read(path: Path, event: str) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["event"] == event]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: a line is no event of a run: {error!r:.80}; is the file damaged?"
        ) from error
