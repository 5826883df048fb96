"""What only shows in long runs: memory that grows, files that stay open, corpora larger than memory.

    python benchmarks/long_runs.py steps     100,000 steps of a tiny encoder: memory and open files over time
    python benchmarks/long_runs.py corpus    2 GB of text, tokenized and trained on: the most memory
    python benchmarks/long_runs.py stop      SIGTERM at five moments of a run: seconds until it has saved

Each part runs `minibert pretrain` as a person would, watches the process and its children from outside
(Linux's /proc), and takes its place in results/long-runs.json. Memory of a process is what it has for itself:
pages of mapped files, which the system takes back when it needs room, are told apart.
"""

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measure import machine, say

from minibert.checkpoint import read_json
from minibert.durable import replace_text
from minibert.training.log import read_log

STORE = Path(__file__).resolve().parent / "results" / "long-runs.json"
MIB = 2**20
TINY = ("--size", "tiny", "--set", "model.hidden_size=32", "--set", "model.num_hidden_layers=1", "--fp32")
WORDS = 30_000


def many_steps(scratch: Path, count: int) -> dict[str, Any]:
    """Train a tiny encoder for so many steps; tell memory and open files at the tenth part and at the end."""
    corpus = write_text(scratch / "small.txt", 200_000)
    output = scratch / "run"
    sizes = ("--vocab-size", 600, "--tokens-per-batch", 256, "--max-seq-length", 64)
    often = ("--logging-steps", 100, "--eval-steps", count // 10, "--save-steps", count // 10)
    line = (corpus, "--output-dir", output, *TINY, *sizes, *often, "--max-steps", count)
    seen = [(steps_done(output), own, files) for own, _, files in watched(line, every=5.0)]
    after = [(step, own, files) for step, own, files in seen if step >= count // 10]
    steps, memory, files = (np.array(column, dtype=float) for column in zip(*after, strict=True))
    slope = float(np.polyfit(steps, memory, 1)[0])
    return {
        "steps": count,
        "samples": len(after),
        "mebibytes_at_a_tenth": round(memory[0] / MIB, 1),
        "mebibytes_at_the_end": round(memory[-1] / MIB, 1),
        "bytes_per_thousand_steps": round(1000 * slope),
        "open_files": [int(files.min()), int(files.max())],
        "log_files": sorted(path.name for path in output.glob("log*.jsonl")),
    }


def large_corpus(scratch: Path, megabytes: int) -> dict[str, Any]:
    """Tokenize and train on so much text; tell the most memory of all processes together."""
    sample = write_text(scratch / "sample.txt", 20 * 10**6)
    run_command("tokenizer", sample, "--vocab-size", 8000, "--output-dir", scratch / "tok")
    corpus = write_text(scratch / "large.txt", megabytes * 10**6)
    output = scratch / "run"
    line = (corpus, "--tokenizer", scratch / "tok", "--output-dir", output, "--size", "modern-mini")
    steps = ("--tokens-per-batch", 4096, "--max-steps", 20, "--eval-steps", 20)
    start = time.perf_counter()
    seen = list(watched((*line, *steps), every=0.25))
    tokens = read_json(output / "corpus" / "corpus.json")
    return {
        "bytes": corpus.stat().st_size,
        "tokens": tokens["tokens"],
        "documents": tokens["documents"],
        "steps": read_json(output / "run.json")["steps_done"],
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "most_mebibytes": round(max(own for own, _, _ in seen) / MIB),
        "most_mebibytes_of_mapped_files": round(max(mapped for _, mapped, _ in seen) / MIB),
    }


def stopping(scratch: Path, count: int) -> dict[str, Any]:
    """Send SIGTERM to a run at random moments; tell how long it took, and what it had saved."""
    corpus = write_text(scratch / "small.txt", 5 * 10**6)
    draw = random.Random(0)
    ended = []
    for number in range(count):
        output = scratch / f"run-{number}"
        process = start((corpus, "--output-dir", output, "--max-steps", 10_000, "--logging-steps", 1))
        while steps_done(output) < 3:
            time.sleep(0.1)
        time.sleep(3 * draw.random())
        asked = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        status = process.wait()
        saved = [path.name for path in output.glob("checkpoint-*")]
        ended.append({"seconds": round(time.perf_counter() - asked, 2), "status": status, "saved": saved})
    return {"encoder": "modern-mini, 8,192 tokens a step", "runs": ended}


def start(line: Sequence[object]) -> "subprocess.Popen[bytes]":
    """Start `minibert pretrain` without its bar."""
    words = [sys.executable, "-m", "minibert", "pretrain", *map(str, line), "--no-progress"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL)


def run_command(*words: object) -> None:
    """Run a command of minibert to its end."""
    subprocess.run(
        [sys.executable, "-m", "minibert", *map(str, words)], check=True, stdout=subprocess.DEVNULL
    )


def watched(line: Sequence[object], *, every: float) -> Iterator[tuple[int, int, int]]:
    """Run `minibert pretrain`; yield its own bytes, mapped ones and open files, time by time."""
    process = start(line)
    while process.poll() is None:
        family = [process.pid, *children(process.pid)]
        memory = [memory_of(pid) for pid in family]
        own, mapped = (sum(column) for column in zip(*memory, strict=True))
        files = open_files(process.pid)
        if own and files:
            yield own, mapped, files
        time.sleep(every)
    if process.returncode:
        raise SystemExit(f"minibert pretrain ended with status {process.returncode}")


def children(pid: int) -> list[int]:
    """Return the processes that a process has begun."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(number) for path in listed for number in read_text(path).split()]


def memory_of(pid: int) -> tuple[int, int]:
    """Return a process's share of memory in bytes: what is its own, and what are pages of files."""
    told = read_text(Path(f"/proc/{pid}/smaps_rollup"))
    anonymous, of_files = (
        re.search(rf"^{name}:\s+(\d+) kB", told, re.MULTILINE) for name in ("Pss_Anon", "Pss_File")
    )
    return tuple(1024 * int(found[1]) if found else 0 for found in (anonymous, of_files))


def open_files(pid: int) -> int:
    """Return how many files a process holds open; 0 where it is gone."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def read_text(path: Path) -> str:
    """Return a file's text, nothing where the process behind it is gone."""
    try:
        return path.read_text("ascii")
    except OSError:
        return ""


def steps_done(output: Path) -> int:
    """Return the last step that a run has logged."""
    if not (output / "log.jsonl").is_file():
        return 0
    lines = read_log(output, "train")
    return int(lines[-1]["step"]) if lines else 0


def write_text(path: Path, size: int) -> Path:
    """Write made-up text of about so many bytes: a few common words and many rare ones, in documents."""
    draw = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    words = np.array(["".join(draw.choice(letters, draw.integers(2, 9))) for _ in range(WORDS)])
    shares = 1 / np.arange(1, WORDS + 1)
    total = np.cumsum(shares / shares.sum())
    with path.open("w", encoding="ascii") as file:
        while file.tell() < size:
            chosen = words[np.minimum(np.searchsorted(total, draw.random(200_000)), WORDS - 1)]
            sentences = (" ".join(part) + ("\n\n" if n % 12 == 11 else "\n") for n, part in parts(chosen))
            file.write("".join(sentences))
    return path


def parts(words: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield numbered sentences of twenty words."""
    return enumerate(words.reshape(-1, 20))


PARTS = {"steps": (many_steps, 100_000), "corpus": (large_corpus, 2000), "stop": (stopping, 5)}


def main() -> None:
    """Read the command line, run one part, and put it in its place in the store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=tuple(PARTS))
    parser.add_argument("--count", type=int, help="steps, megabytes or runs, if fewer than usual")
    parser.add_argument("--output", type=Path, default=STORE, help="the store")
    args = parser.parse_args()
    work, usual = PARTS[args.part]
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        found = work(Path(scratch), args.count or usual)
    found |= {"minutes_in_all": round((time.perf_counter() - begun) / 60, 1), "machine": machine()}
    store = read_json(args.output) if args.output.is_file() else {"benchmark": "long runs"}
    replace_text(
        args.output, json.dumps({**store, "machine": found["machine"], args.part: found}, indent=1) + "\n"
    )
    say(f"{args.part} is in {args.output}")
    print(json.dumps({args.part: found}))


if __name__ == "__main__":
    main()
