"""Compile the attention kernels for a GPU that is not here, and read off what they need; one JSON line each.

    python tests/ahead_of_time.py 90a          the rows of the table; heads of 64 in three ways
    python tests/ahead_of_time.py 90a --all    all rows in all ways; float16 and heads of 96 too

Triton's wheel brings the assembler (ptxas) and the disassembler (cuobjdump): no driver, no CUDA toolkit. Says
nothing about speed; says whether a kernel compiles, whether it spills registers, how much shared memory it
takes, and whether it multiplies with Hopper's warp-group instructions, without being serialized by the
assembler.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from minibert.kernels.attention.fused.backward import (
    attention_backward_kv,
    attention_backward_q,
    attention_delta,
)
from minibert.kernels.attention.fused.draws import threshold
from minibert.kernels.attention.fused.forward import attention_forward
from minibert.kernels.attention.fused.launch import halves
from minibert.kernels.attention.fused.table import Blocks, Key, rows
from minibert.kernels.attention.fused.turn import turn_rows
from minibert.kernels.attention.fused.whole import whole_backward, whole_forward

KERNELS = {
    "forward": attention_forward,
    "backward_kv": attention_backward_kv,
    "backward_q": attention_backward_q,
    "whole_forward": whole_forward,
    "whole_backward": whole_backward,
    "delta": attention_delta,
    "turn": turn_rows,
}
SHARED_MEMORY = {"80": 163 * 1024, "90a": 227 * 1024, "120a": 99 * 1024}
QUERIES_ARE_ROWS = ("forward", "backward_q", "whole_backward")
FLOATS = {"LSE", "DELTA", "COS", "SIN"}
INTEGERS = {"BORDERS", "Q_BORDERS", "K_BORDERS", "TILES"}


@dataclass(frozen=True)
class Way:
    """One way to attend; turned is for the one-tile kernels alone."""

    window: int = -1
    causal: bool = False
    dropout: float = 0.0
    turned: bool = False


PLAIN = Way()


def ways_of(key: Key) -> list[Way]:
    """Return all ways to attend that a kernel has; float32 is there to be right, and has one."""
    if key.bits == 32:
        return [PLAIN]
    turned = [Way(turned=True)] if key.whole else []
    return [PLAIN, *turned, Way(dropout=0.1), Way(window=64), Way(causal=True)]


@dataclass(frozen=True)
class Job:
    """A kernel to compile: with the blocks of a row of the table, for a head size and a type."""

    key: Key
    blocks: Blocks
    size: int
    dtype: str
    way: Way = PLAIN


def type_of(name: str, dtype: str) -> str:
    """Return Triton's name of an argument's type."""
    if name == "SEED":
        return "*i64"
    if name in INTEGERS:
        return "*i32"
    if name.isupper():
        return "*fp32" if name in FLOATS else f"*{dtype}"
    return "fp32" if name in ("scale", "gain") else "i32"


def compile_kernel(job: Job, arch: int) -> Any:
    """Compile a kernel as the launcher would start it."""
    kernel, blocks, way = KERNELS[job.key.kernel], job.blocks, job.way
    sides = (blocks.rows, blocks.columns)
    queries, keys = sides if job.key.kernel in QUERIES_ARE_ROWS else sides[::-1]
    known = {
        "HEADS": 12, "SIZE": job.size, "WIDTH": max(16, triton.next_power_of_2(job.size)),
        "WINDOW": way.window, "CAUSAL": way.causal, "DROP": threshold(way.dropout), "TURNED": way.turned,
        "QUERIES": queries, "KEYS": keys, "STAGES": blocks.stages, "ROWS": blocks.rows, "BACK": True,
        **halves(job.size),
    }  # fmt: skip
    names = kernel.arg_names
    constants = {name: known[name] for name in names if name in known}
    signature = {name: "constexpr" if name in constants else type_of(name, job.dtype) for name in names}
    # What the launcher itself would find out: addresses and strides are multiples of sixteen.
    even = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(names)
        if signature[name].startswith("*") or name.endswith("stride")
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=even)
    options = {"num_warps": blocks.warps, "num_stages": blocks.stages}
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)


def read_off(compiled: Any, arch: str) -> dict[str, Any]:
    """Return registers, spills, shared memory, matrix instructions and the assembler's remarks."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        usage, code = (
            subprocess.run(
                [knobs.nvidia.cuobjdump.path, what, file.name], capture_output=True, text=True, check=True
            ).stdout
            for what in ("--dump-resource-usage", "--dump-sass")
        )
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(compiled.asm["ptx"])
        file.flush()
        ptxas = knobs.nvidia.ptxas_blackwell if int(arch.rstrip("a")) >= 100 else knobs.nvidia.ptxas
        command = [ptxas.path, "-v", f"--gpu-name=sm_{arch}", file.name, "-o", "/dev/null"]
        remarks = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers, stack = re.findall(r"REG:(\d+) STACK:(\d+)", usage)[0]
    return {
        "registers": int(registers),
        "stack": int(stack),
        "spills": len(re.findall(r"\b(?:LDL|STL)\b", code)),
        "shared": compiled.metadata.shared,
        "wgmma": len(re.findall(r"\bHGMMA", code)),
        "mma": len(re.findall(r"\bHMMA", code)),
        "remarks": sorted(set(re.findall(r"C75\d\d", remarks))),
    }


def faults(row: dict, arch: str) -> list[str]:
    """Say what is wrong with a compiled kernel."""
    found = []
    if row["spills"]:
        found.append(f"{row['spills']} spills")
    if row["shared"] > SHARED_MEMORY[arch]:
        found.append(f"{row['shared']} bytes of shared memory")
    if row["remarks"]:
        found.append(f"ptxas remarks {row['remarks']}")
    multiplies = row["kernel"] not in ("delta", "turn")
    if arch == "90a" and row["dtype"] != "fp32" and multiplies and not row["wgmma"]:
        found.append("no warp-group matrix instructions")
    if arch == "90a" and row["kernel"].startswith("whole") and row["mma"]:
        found.append("products that no warp group makes: the general kernels will be faster")
    name = " ".join(str(row[key]) for key in ("kernel", "whole", "size", "dtype", "way"))
    return [f"{name}: {fault}" for fault in found]


def wanted(arch: str, everything: bool) -> Iterator[Job]:
    """Yield what to compile."""
    table = {key: blocks for key, blocks in rows().items() if key.arch == f"sm_{arch.rstrip('a')}"}
    for key, blocks in table.items():
        dtype = "bf16" if key.bits == 16 else "fp32"
        most = None if everything else 3 if key.width == 64 else 1
        for way in ways_of(key)[:most]:
            yield Job(key, blocks, key.width, dtype, way)
        if everything and key.bits == 16:
            yield Job(key, blocks, key.width, "fp16")
        if everything and key.width == 128:
            yield Job(key, blocks, 96, dtype)
        if key.kernel == "backward_q":
            yield Job(replace(key, kernel="delta"), blocks, key.width, dtype)
    yield Job(Key(f"sm_{arch}", 16, 64, "turn"), Blocks(32, 0, 4, 1), 64, "bf16")


def main(arch: str, everything: bool) -> None:
    """Compile for one architecture and print what was found."""
    for job in wanted(arch, everything):
        compiled = compile_kernel(job, int(arch.rstrip("a")))
        row = {"kernel": job.key.kernel, "whole": job.key.whole, "size": job.size, "dtype": job.dtype}
        print(json.dumps({**row, "way": asdict(job.way), **read_off(compiled, arch)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], "--all" in sys.argv)
