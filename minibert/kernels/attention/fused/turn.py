"""Rotary positions in the kernels: queries and keys are turned as they are loaded, gradients turned back.

Channel i and channel i + K/2 of a head are turned together (see `minibert/kernels/rotary.py`). So a kernel
loads a head as two halves, and turning is arithmetic between the two: nothing has to change places. The
product of a query and a key is then the sum of two products, one for each half.

The one-tile kernels (`whole.py`) turn while they work, since each of their programs loads every query and
key once: for heads of 64 it costs them up to 40 registers a thread, not one matrix instruction, and no memory
traffic but the angles. The general kernels would turn the same key once for every tile of queries, and could
not hand a tile from memory to the matrix unit untouched. For them `turn_rows` makes turned queries and keys
beforehand, not in place, since an operator that changes its input cannot be differentiated; the gradients are
turned back where they lie.

COS and SIN are (T, K/2) float32, one row for every token of the batch.
"""

import triton
import triton.language as tl


@triton.jit
def load_halves(
    BASE, COS, SIN, rows, stride, end, HALF: tl.constexpr, SPAN: tl.constexpr, TURNED: tl.constexpr
):  # fmt: skip
    """Load both halves of a head, (rows, SPAN) each, HALF columns of it real; rows from `end` on are 0."""
    columns = tl.arange(0, SPAN)
    inside = (rows < end)[:, None]
    if HALF < SPAN:
        inside = inside & (columns < HALF)[None, :]
    at = BASE + rows[:, None] * stride + columns[None, :]
    first = tl.load(at, mask=inside, other=0.0)
    second = tl.load(at + HALF, mask=inside, other=0.0)
    if TURNED:
        cos, sin = load_angles(COS, SIN, rows, end, HALF, SPAN)
        turned, other = turn(first.to(tl.float32), second.to(tl.float32), cos, sin)
        first, second = turned.to(first.dtype), other.to(second.dtype)
    return first, second


@triton.jit
def store_halves(
    BASE, COS, SIN, rows, stride, end, first, second,
    HALF: tl.constexpr, SPAN: tl.constexpr, TURNED: tl.constexpr,
):  # fmt: skip
    """Store both halves of a head's gradient, turned back."""
    columns = tl.arange(0, SPAN)
    inside = (rows < end)[:, None] & (columns < HALF)[None, :]
    if TURNED:
        cos, sin = load_angles(COS, SIN, rows, end, HALF, SPAN)
        first, second = turn(first, second, cos, -sin)
    at = BASE + rows[:, None] * stride + columns[None, :]
    tl.store(at, first.to(BASE.dtype.element_ty), mask=inside)
    tl.store(at + HALF, second.to(BASE.dtype.element_ty), mask=inside)


@triton.jit
def load_angles(COS, SIN, rows, end, HALF: tl.constexpr, SPAN: tl.constexpr):
    """Load cosine and sine of the angles of a sequence's rows, each (rows, SPAN)."""
    columns = tl.arange(0, SPAN)
    inside = (rows < end)[:, None] & (columns < HALF)[None, :]
    at = rows[:, None] * HALF + columns[None, :]
    return tl.load(COS + at, mask=inside, other=0.0), tl.load(SIN + at, mask=inside, other=0.0)


@triton.jit
def turn(first, second, cos, sin):
    """Turn points of the plane."""
    return first * cos - second * sin, second * cos + first * sin


@triton.jit
def turn_rows(
    SOURCE, INTO, COS, SIN, source_stride, into_stride, tokens,
    HALF: tl.constexpr, SPAN: tl.constexpr, BACK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Turn every head of SOURCE, forward or BACK, into INTO, which may be SOURCE. Grid: (T / ROWS, heads)."""
    start = tl.program_id(0).to(tl.int64) * ROWS
    rows, left = tl.arange(0, ROWS), tokens - start
    head = tl.program_id(1) * 2 * HALF
    angles = start * HALF
    first, second = load_halves(
        SOURCE + start * source_stride + head, COS + angles, SIN + angles, rows, source_stride, left,
        HALF, SPAN, not BACK,
    )  # fmt: skip
    store_halves(
        INTO + start * into_stride + head, COS + angles, SIN + angles, rows, into_stride, left,
        first.to(tl.float32), second.to(tl.float32), HALF, SPAN, BACK,
    )  # fmt: skip
