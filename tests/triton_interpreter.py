"""Triton's interpreter, made fit for bfloat16: kernels then run on CPU tensors, block by block, in numpy.

It holds bfloat16 as 16 raw bits, multiplies those bits as whole numbers in `tl.dot`, and cuts float32 off
instead of rounding it. `repair` gives it products of the true values and rounding to the nearest even number,
as a GPU has.
"""

import numpy as np
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle


def widen(bits: np.ndarray) -> np.ndarray:
    """Return the float32 values of bfloat16 bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def narrow(values: np.ndarray) -> np.ndarray:
    """Return the bfloat16 bits nearest to float32 values; halfway cases go to the even one."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)


def repair() -> None:
    """Replace the interpreter's product and its conversions."""
    plain_dot, plain_cast = InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl

    def dot(self, a, b, *rest):
        a, b = (
            TensorHandle(widen(x.data), tl.float32) if x.dtype.scalar == tl.bfloat16 else x for x in (a, b)
        )
        return plain_dot(self, a, b, *rest)

    def cast(self, x, to):
        if x.dtype.scalar == tl.bfloat16 and to.scalar != tl.bfloat16:
            wide = TensorHandle(widen(x.data), tl.float32)
            return wide if to.scalar == tl.float32 else plain_cast(self, wide, to)
        if to.scalar == tl.bfloat16 and x.dtype.scalar != tl.bfloat16:
            return TensorHandle(narrow(x.data.astype(np.float32)), tl.bfloat16)
        return plain_cast(self, x, to)

    InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl = dot, cast
