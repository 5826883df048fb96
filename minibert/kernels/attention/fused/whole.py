"""The one-tile kernels, for short sequences: a program holds all keys, or all queries, of a sequence.

With all keys at hand the softmax is the plain one: no running maximum, nothing to shrink. And backward, one
pass is enough: a program holds all queries and walks over the keys, so that the gradients of a block of keys
are complete when it leaves the block, and those of the queries when it ends::

    delta = rowsum(dO * O)         kept for the sequence, never stored
    dV = d' dO    dS = w * (dO V' kept / (1 - p) - delta)
    dK = dS' Q scale               of this block of keys
    dQ = dQ + dS K scale           over all blocks

So each of q, k, v, O and dO is read once and each gradient written once, which is the least there can be; the
general kernels read most of them twice, and make five products here where they make seven. Short sequences
are limited by what they move (page 09), so that is what counts.

Queries and keys come as two halves, in which rotary positions are turned (`turn.py`). Weights are cut off at
1: a key past the sequence's end has score 0, which may lie far above lse, and its weight must not overflow.
"""

import triton
import triton.language as tl

from minibert.kernels.attention.fused.access import load_rows, seen, span, store_rows
from minibert.kernels.attention.fused.draws import kept, row_keys
from minibert.kernels.attention.fused.forward import EXACT, HIDDEN, LOG2E
from minibert.kernels.attention.fused.turn import load_halves, store_halves


@triton.jit
def products(left, right, first, second):
    """Return the scores of queries (left, right) and keys (first, second), both in halves."""
    scores = tl.dot(left, tl.trans(first), input_precision=EXACT)
    return tl.dot(right, tl.trans(second), scores, input_precision=EXACT)


@triton.jit
def whole_forward(
    QKV, OUTPUT, LSE, BORDERS, SEED, COS, SIN, tokens, scale, gain,
    HEADS: tl.constexpr, HALF: tl.constexpr, SPAN: tl.constexpr, WIDTH: tl.constexpr, WINDOW: tl.constexpr,
    CAUSAL: tl.constexpr, DROP: tl.constexpr, TURNED: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """Write OUTPUT (T, H, K) and LSE (H, T), KEYS holding a whole sequence. Grid: (sequences, heads)."""
    SIZE: tl.constexpr = 2 * HALF
    ROW: tl.constexpr = HEADS * SIZE
    head = tl.program_id(1)
    start, count = span(BORDERS, tl.program_id(0))
    start64 = start.to(tl.int64)
    QKV += start64 * 3 * ROW + head * SIZE
    COS += start64 * HALF
    SIN += start64 * HALF
    keys = tl.arange(0, KEYS)
    first, second = load_halves(QKV + ROW, COS, SIN, keys, 3 * ROW, count, HALF, SPAN, TURNED)
    v = load_rows(QKV + 2 * ROW, keys, 3 * ROW, count, SIZE, WIDTH, True)
    OUTPUT += start64 * ROW + head * SIZE
    LSE += head.to(tl.int64) * tokens + start
    for begin in tl.range(0, count, QUERIES, num_stages=1):
        queries = begin + tl.arange(0, QUERIES)
        left, right = load_halves(QKV, COS, SIN, queries, 3 * ROW, count, HALF, SPAN, TURNED)
        scores = products(left, right, first, second) * (scale * LOG2E)
        scores = tl.where(seen(queries, keys, count, WINDOW, CAUSAL), scores, HIDDEN)
        top = tl.max(scores, 1)
        p = tl.math.exp2(scores - top[:, None])
        total = tl.sum(p, 1)
        if DROP > 0:
            p = tl.where(kept(row_keys(tl.load(SEED), head, start + queries), keys, DROP), p, 0.0)
        output = tl.dot(p.to(v.dtype), v, input_precision=EXACT) * (gain / total)[:, None]
        store_rows(OUTPUT, queries, ROW, count, output, SIZE, WIDTH)
        tl.store(LSE + queries, top + tl.math.log2(total), mask=queries < count)


@triton.jit
def whole_backward(
    QKV, GRAD, OUTPUT, LSE, INTO, BORDERS, SEED, COS, SIN, tokens, scale, gain,
    HEADS: tl.constexpr, HALF: tl.constexpr, SPAN: tl.constexpr, WIDTH: tl.constexpr, WINDOW: tl.constexpr,
    CAUSAL: tl.constexpr, DROP: tl.constexpr, TURNED: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """Write DQ, DK and DV, QUERIES holding a whole sequence. Grid: (sequences, heads)."""
    SIZE: tl.constexpr = 2 * HALF
    ROW: tl.constexpr = HEADS * SIZE
    head = tl.program_id(1)
    start, count = span(BORDERS, tl.program_id(0))
    start64 = start.to(tl.int64)
    QKV += start64 * 3 * ROW + head * SIZE
    COS += start64 * HALF
    SIN += start64 * HALF
    queries = tl.arange(0, QUERIES)
    left, right = load_halves(QKV, COS, SIN, queries, 3 * ROW, count, HALF, SPAN, TURNED)
    INTO += start64 * 3 * ROW + head * SIZE
    at = start64 * ROW + head * SIZE
    output = load_rows(OUTPUT + at, queries, ROW, count, SIZE, WIDTH, True)
    grad = load_rows(GRAD + at, queries, ROW, count, SIZE, WIDTH, True)
    delta = tl.sum(output.to(tl.float32) * grad.to(tl.float32), 1)
    lse = tl.load(
        LSE + head.to(tl.int64) * tokens + start + queries, mask=queries < count, other=float("inf")
    )
    draw = queries
    if DROP > 0:
        draw = row_keys(tl.load(SEED), head, start + queries)
    dq_left = tl.zeros([QUERIES, SPAN], tl.float32)
    dq_right = tl.zeros([QUERIES, SPAN], tl.float32)
    for begin in tl.range(0, count, KEYS, num_stages=STAGES):
        keys = begin + tl.arange(0, KEYS)
        first, second = load_halves(QKV + ROW, COS, SIN, keys, 3 * ROW, count, HALF, SPAN, TURNED)
        v = load_rows(QKV + 2 * ROW, keys, 3 * ROW, count, SIZE, WIDTH, True)
        scores = products(left, right, first, second) * (scale * LOG2E)
        weights = tl.math.exp2(tl.minimum(scores - lse[:, None], 0.0))
        if WINDOW >= 0 or CAUSAL:
            weights = tl.where(seen(queries, keys, count, WINDOW, CAUSAL), weights, 0.0)
        slope = tl.dot(grad, tl.trans(v), input_precision=EXACT)
        dropped = weights
        if DROP > 0:
            keep = kept(draw, keys, DROP)
            dropped = tl.where(keep, weights * gain, 0.0)
            slope = tl.where(keep, slope * gain, 0.0)
        slope = (weights * (slope - delta[:, None])).to(left.dtype)
        dv = tl.dot(tl.trans(dropped.to(grad.dtype)), grad, input_precision=EXACT)
        store_rows(INTO + 2 * ROW, keys, 3 * ROW, count, dv, SIZE, WIDTH)
        dk_first = tl.dot(tl.trans(slope), left, input_precision=EXACT) * scale
        dk_second = tl.dot(tl.trans(slope), right, input_precision=EXACT) * scale
        dq_left = tl.dot(slope, first, dq_left, input_precision=EXACT)
        dq_right = tl.dot(slope, second, dq_right, input_precision=EXACT)
        store_halves(INTO + ROW, COS, SIN, keys, 3 * ROW, count, dk_first, dk_second, HALF, SPAN, TURNED)
    store_halves(
        INTO, COS, SIN, queries, 3 * ROW, count, dq_left * scale, dq_right * scale, HALF, SPAN, TURNED
    )
