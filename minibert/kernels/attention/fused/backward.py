"""The backward kernels: the gradients of q, k and v, with the weights computed anew instead of stored.

From lse the weights come back exactly: w = exp(score - lse). With dropout, d = w / (1 - p) where a weight was
kept and 0 where not (Dao et al., 2022, "FlashAttention", appendix B.2)::

    delta = rowsum(dO * O)
    dV = d' dO        dP = (dO V') kept / (1 - p)        dS = w * (dP - delta)
    dQ = dS K scale   dK = dS' Q scale

Two passes, each of which owns what it writes: one program for a block of keys sums over the queries, one for
a block of queries sums over the keys. So there are no atomic additions, and the same input gives the same
bits. Scores are always queries x keys: lse and delta are then one number for each row that a thread holds.

Rows past a sequence's end load lse as infinity, and their weights are zero. Keys past the end are zeros, so
the gradients they get are stored nowhere; only in dQ would an overflowing weight times such a zero be felt,
so there they are hidden.
"""

import triton
import triton.language as tl

from minibert.kernels.attention.fused.access import columns_of, load_rows, seen, span, store_rows, tile
from minibert.kernels.attention.fused.draws import kept, row_keys
from minibert.kernels.attention.fused.forward import EXACT, LOG2E


@triton.jit
def attention_delta(
    OUTPUT, GRAD, DELTA, grad_stride, tokens,
    HEADS: tl.constexpr, SIZE: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Write DELTA (H, T), the sums over dO * O. Grid: (T / ROWS, heads)."""
    head = tl.program_id(1)
    start = tl.program_id(0).to(tl.int64) * ROWS
    rows, left = tl.arange(0, ROWS), tokens - start
    output = load_rows(
        OUTPUT + start * HEADS * SIZE + head * SIZE, rows, HEADS * SIZE, left, SIZE, WIDTH, True
    )
    grad = load_rows(GRAD + start * grad_stride + head * SIZE, rows, grad_stride, left, SIZE, WIDTH, True)
    delta = tl.sum(output.to(tl.float32) * grad.to(tl.float32), 1)
    tl.store(DELTA + head.to(tl.int64) * tokens + start + rows, delta, mask=rows < left)


@triton.jit
def slopes(
    q, k, v, grad, lse, delta, allowed, draw, keys, scale, gain,
    MASKED: tl.constexpr, DROP: tl.constexpr,
):  # fmt: skip
    """Return (d, dS) of a block, queries x keys."""
    weights = tl.math.exp2(tl.dot(q, tl.trans(k), input_precision=EXACT) * scale - lse[:, None])
    slope = tl.dot(grad, tl.trans(v), input_precision=EXACT)
    if MASKED:
        weights = tl.where(allowed, weights, 0.0)
    dropped = weights
    if DROP > 0:
        keep = kept(draw, keys, DROP)
        dropped = tl.where(keep, weights * gain, 0.0)
        slope = tl.where(keep, slope * gain, 0.0)
    return dropped, weights * (slope - delta[:, None])


@triton.jit
def walk_down(
    dk, dv, k, v, keys, Q, GRAD, LSE, DELTA, q_stride, grad_stride, start, stop, end, k_end, scale, gain,
    SEED, head, q_start,
    SIZE: tl.constexpr, WIDTH: tl.constexpr, WINDOW: tl.constexpr, CAUSAL: tl.constexpr, DROP: tl.constexpr,
    QUERIES: tl.constexpr, STAGES: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Add dS' Q and d' dO over the queries start .. stop."""
    for first in tl.range(start, stop, QUERIES, num_stages=STAGES):
        queries = first + tl.arange(0, QUERIES)
        inside = queries < end
        q = load_rows(Q, queries, q_stride, end, SIZE, WIDTH, True)
        grad = load_rows(GRAD, queries, grad_stride, end, SIZE, WIDTH, True)
        lse = tl.load(LSE + queries, mask=inside, other=float("inf"))
        delta = tl.load(DELTA + queries, mask=inside, other=0.0)
        draw = queries
        if DROP > 0:
            draw = row_keys(tl.load(SEED), head, q_start + queries)
        allowed = inside
        if MASKED:
            allowed = seen(queries, keys, k_end, WINDOW, CAUSAL)
        dropped, slope = slopes(q, k, v, grad, lse, delta, allowed, draw, keys, scale, gain, MASKED, DROP)
        dv = tl.dot(tl.trans(dropped.to(grad.dtype)), grad, dv, input_precision=EXACT)
        dk = tl.dot(tl.trans(slope.to(q.dtype)), q, dk, input_precision=EXACT)
    return dk, dv


@triton.jit
def attention_backward_kv(
    Q, K, V, GRAD, LSE, DELTA, DK, DV, Q_BORDERS, K_BORDERS, TILES, SEED,
    q_stride, k_stride, v_stride, grad_stride, dk_stride, dv_stride, tokens, scale, gain,
    HEADS: tl.constexpr, SIZE: tl.constexpr, WIDTH: tl.constexpr, WINDOW: tl.constexpr, CAUSAL: tl.constexpr,
    DROP: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Write the gradients of a block of keys and values. Grid: (tiles of keys, heads)."""
    sequence, first = tile(TILES, KEYS)
    if sequence < 0:
        return
    head = tl.program_id(1)
    q_start, q_count = span(Q_BORDERS, sequence)
    k_start, k_count = span(K_BORDERS, sequence)
    Q += q_start.to(tl.int64) * q_stride + head * SIZE
    GRAD += q_start.to(tl.int64) * grad_stride + head * SIZE
    row = head.to(tl.int64) * tokens + q_start
    keys = first + tl.arange(0, KEYS)
    k = load_rows(
        K + k_start.to(tl.int64) * k_stride + head * SIZE, keys, k_stride, k_count, SIZE, WIDTH, True
    )
    v = load_rows(
        V + k_start.to(tl.int64) * v_stride + head * SIZE, keys, v_stride, k_count, SIZE, WIDTH, True
    )
    dk = tl.zeros([KEYS, WIDTH], tl.float32)
    dv = tl.zeros([KEYS, WIDTH], tl.float32)
    start, whole, rest, stop = columns_of(first, q_count, WINDOW, False, CAUSAL, KEYS, QUERIES)
    if WINDOW >= 0 or CAUSAL:
        dk, dv = walk_down(
            dk, dv, k, v, keys, Q, GRAD, LSE + row, DELTA + row, q_stride, grad_stride, start, whole, q_count,
            k_count, scale * LOG2E, gain, SEED, head, q_start,
            SIZE, WIDTH, WINDOW, CAUSAL, DROP, QUERIES, STAGES, True,
        )  # fmt: skip
    if WINDOW < 0:
        rest = stop  # what is left over lies past the end, where rows are zeros: that needs no mask
    dk, dv = walk_down(
        dk, dv, k, v, keys, Q, GRAD, LSE + row, DELTA + row, q_stride, grad_stride, whole, rest, q_count,
        k_count, scale * LOG2E, gain, SEED, head, q_start,
        SIZE, WIDTH, WINDOW, CAUSAL, DROP, QUERIES, STAGES, False,
    )  # fmt: skip
    if WINDOW >= 0:
        dk, dv = walk_down(
            dk, dv, k, v, keys, Q, GRAD, LSE + row, DELTA + row, q_stride, grad_stride, rest, stop, q_count,
            k_count, scale * LOG2E, gain, SEED, head, q_start,
            SIZE, WIDTH, WINDOW, CAUSAL, DROP, QUERIES, STAGES, True,
        )  # fmt: skip
    start64 = k_start.to(tl.int64)
    store_rows(DK + start64 * dk_stride + head * SIZE, keys, dk_stride, k_count, dk * scale, SIZE, WIDTH)
    store_rows(DV + start64 * dv_stride + head * SIZE, keys, dv_stride, k_count, dv, SIZE, WIDTH)


@triton.jit
def walk_back(
    dq, q, grad, lse, delta, draw, queries, K, V, k_stride, v_stride, start, stop, end, scale, gain,
    SIZE: tl.constexpr, WIDTH: tl.constexpr, WINDOW: tl.constexpr, CAUSAL: tl.constexpr, DROP: tl.constexpr,
    KEYS: tl.constexpr, STAGES: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Add dS K over the keys start .. stop."""
    for first in tl.range(start, stop, KEYS, num_stages=STAGES):
        keys = first + tl.arange(0, KEYS)
        k = load_rows(K, keys, k_stride, end, SIZE, WIDTH, MASKED)
        v = load_rows(V, keys, v_stride, end, SIZE, WIDTH, MASKED)
        allowed = queries
        if MASKED:
            allowed = seen(queries, keys, end, WINDOW, CAUSAL)
        _, slope = slopes(q, k, v, grad, lse, delta, allowed, draw, keys, scale, gain, MASKED, DROP)
        dq = tl.dot(slope.to(k.dtype), k, dq, input_precision=EXACT)
    return dq


@triton.jit
def attention_backward_q(
    Q, K, V, GRAD, LSE, DELTA, DQ, Q_BORDERS, K_BORDERS, TILES, SEED,
    q_stride, k_stride, v_stride, grad_stride, dq_stride, tokens, scale, gain,
    HEADS: tl.constexpr, SIZE: tl.constexpr, WIDTH: tl.constexpr, WINDOW: tl.constexpr, CAUSAL: tl.constexpr,
    DROP: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Write the gradient of a block of queries. Grid: (tiles of queries, heads)."""
    sequence, first = tile(TILES, QUERIES)
    if sequence < 0:
        return
    head = tl.program_id(1)
    q_start, q_count = span(Q_BORDERS, sequence)
    k_start, k_count = span(K_BORDERS, sequence)
    K += k_start.to(tl.int64) * k_stride + head * SIZE
    V += k_start.to(tl.int64) * v_stride + head * SIZE
    start64 = q_start.to(tl.int64)
    queries = first + tl.arange(0, QUERIES)
    inside = queries < q_count
    q = load_rows(Q + start64 * q_stride + head * SIZE, queries, q_stride, q_count, SIZE, WIDTH, True)
    grad = load_rows(
        GRAD + start64 * grad_stride + head * SIZE, queries, grad_stride, q_count, SIZE, WIDTH, True
    )
    row = head.to(tl.int64) * tokens + q_start + queries
    lse = tl.load(LSE + row, mask=inside, other=float("inf"))
    delta = tl.load(DELTA + row, mask=inside, other=0.0)
    draw = queries
    if DROP > 0:
        draw = row_keys(tl.load(SEED), head, q_start + queries)
    dq = tl.zeros([QUERIES, WIDTH], tl.float32)
    start, whole, rest, stop = columns_of(first, k_count, WINDOW, CAUSAL, False, QUERIES, KEYS)
    if WINDOW >= 0:
        dq = walk_back(
            dq, q, grad, lse, delta, draw, queries, K, V, k_stride, v_stride, start, whole, k_count,
            scale * LOG2E, gain, SIZE, WIDTH, WINDOW, CAUSAL, DROP, KEYS, STAGES, True,
        )  # fmt: skip
    dq = walk_back(
        dq, q, grad, lse, delta, draw, queries, K, V, k_stride, v_stride, whole, rest, k_count,
        scale * LOG2E, gain, SIZE, WIDTH, WINDOW, CAUSAL, DROP, KEYS, STAGES, False,
    )  # fmt: skip
    if rest < stop:
        dq = walk_back(
            dq, q, grad, lse, delta, draw, queries, K, V, k_stride, v_stride, rest, stop, k_count,
            scale * LOG2E, gain, SIZE, WIDTH, WINDOW, CAUSAL, DROP, KEYS, STAGES, True,
        )  # fmt: skip
    store_rows(DQ + start64 * dq_stride + head * SIZE, queries, dq_stride, q_count, dq * scale, SIZE, WIDTH)
