"""Compile the attention kernels for a GPU that is not here, and read off what they need; one JSON line each.

    python tests/ahead_of_time.py 90a          heads of 64 in bfloat16, all ways to attend
    python tests/ahead_of_time.py 90a --all    and all other head sizes and types

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
from typing import Any

import torch
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
from minibert.kernels.attention.fused.launch import blocks_for, one_stage

KERNELS = (attention_forward, attention_backward_kv, attention_backward_q, attention_delta)
FLOATS = {"LSE", "DELTA"}
INTEGERS = {"Q_BORDERS", "K_BORDERS", "TILES"}
TYPES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
VARIANTS = [(-1, False, 0.0), (64, False, 0.0), (-1, True, 0.0), (-1, False, 0.1)]


def type_of(name: str, dtype: str) -> str:
    """Return Triton's name of an argument's type."""
    if name == "SEED":
        return "*i64"
    if name in INTEGERS:
        return "*i32"
    if name.isupper():
        return "*fp32" if name in FLOATS else f"*{dtype}"
    return "fp32" if name in ("scale", "gain") else "i32"


def compile_kernel(
    kernel: Any, size: int, dtype: torch.dtype, variant: tuple[int, bool, float], arch: int
) -> Any:
    """Compile one kernel with the blocks that the launcher would take."""
    blocks = blocks_for(size, dtype)
    if kernel is attention_backward_kv:
        blocks = one_stage(blocks)
    window, causal, dropout = variant
    known = {
        "HEADS": 12, "SIZE": size, "WIDTH": max(16, triton.next_power_of_2(size)), "WINDOW": window,
        "CAUSAL": causal, "DROP": threshold(dropout), "QUERIES": blocks.rows, "KEYS": blocks.columns,
        "STAGES": blocks.stages, "ROWS": blocks.rows,
    }  # fmt: skip
    if kernel is attention_backward_kv:
        known |= {"KEYS": blocks.rows, "QUERIES": blocks.columns}
    names = kernel.arg_names
    constants = {name: known[name] for name in names if name in known}
    signature = {name: "constexpr" if name in constants else type_of(name, TYPES[dtype]) for name in names}
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


def wanted(everything: bool) -> Iterator[tuple[Any, int, torch.dtype, tuple[int, bool, float]]]:
    """Yield what to compile."""
    for variant in VARIANTS:
        for kernel in KERNELS[:3]:
            yield kernel, 64, torch.bfloat16, variant
    yield attention_delta, 64, torch.bfloat16, VARIANTS[0]
    if everything:
        for kernel in KERNELS:
            for dtype in TYPES:
                for size in (32, 64, 96, 128):
                    yield kernel, size, dtype, VARIANTS[0]


def main(arch: str, everything: bool) -> None:
    """Compile for one architecture and print what was found."""
    for kernel, size, dtype, variant in wanted(everything):
        compiled = compile_kernel(kernel, size, dtype, variant, int(arch.rstrip("a")))
        row = {"kernel": kernel.__name__, "dtype": TYPES[dtype], "size": size, "variant": variant}
        print(json.dumps({**row, **read_off(compiled, arch)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], "--all" in sys.argv)
