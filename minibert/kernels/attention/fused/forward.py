"""The forward kernel: softmax(Q K' / sqrt K) V, block by block, without ever storing the scores.

One program takes a block of queries of one sequence and one head and walks over the blocks of keys that they
may see (Dao et al., 2022, "FlashAttention", algorithm 1; Milakov and Gimelshein, 2018, for the running
softmax). It carries, for each query, the highest score so far m, the sum l of exp(score - m) and the weighted
sum of values::

    m' = max(m, max(scores))     p = exp(scores - m')     shrink = exp(m - m')
    l' = l shrink + sum(p)       output' = output shrink + p V

and divides at the end. What the backward pass needs besides is one number a query, lse = m + log(l).
Exponents are to the base 2, with log2(e) in the scale. Keys that all queries of the block see take the loop
without a mask; those before and after them take the loop with it.

Letters: T tokens, U tokens of the memory, H heads, K head size. Q, K, V are pointers to rows of H * K
numbers, `stride` numbers apart: views of a packed (T, 3, H, K) will do.
"""

import triton
import triton.language as tl

from minibert.kernels.attention.fused.access import columns_of, load_rows, seen, span, store_rows, tile
from minibert.kernels.attention.fused.draws import kept, row_keys

LOG2E = tl.constexpr(1.4426950408889634)
EXACT = tl.constexpr("ieee")  # float32 stays float32; bfloat16 and float16 are multiplied as they are
HIDDEN = tl.constexpr(-1.0e30)  # finite, so that a row whose first blocks are all hidden recovers


@triton.jit
def walk(
    output, total, top, q, draw, queries, K, V, k_stride, v_stride, start, stop, end, scale,
    SIZE: tl.constexpr, WIDTH: tl.constexpr, WINDOW: tl.constexpr, CAUSAL: tl.constexpr, DROP: tl.constexpr,
    KEYS: tl.constexpr, STAGES: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Go on over the keys start .. stop and return the new output, sum and highest score of each query."""
    for first in tl.range(start, stop, KEYS, num_stages=STAGES):
        keys = first + tl.arange(0, KEYS)
        k = load_rows(K, keys, k_stride, end, SIZE, WIDTH, MASKED)
        v = load_rows(V, keys, v_stride, end, SIZE, WIDTH, MASKED)
        scores = tl.dot(q, tl.trans(k), input_precision=EXACT)
        if MASKED:
            # Scaled before they are hidden: a fused multiply-add of HIDDEN * scale would not cancel to zero.
            scores = tl.where(seen(queries, keys, end, WINDOW, CAUSAL), scores * scale, HIDDEN)
            higher = tl.maximum(top, tl.max(scores, 1))
            p = tl.math.exp2(scores - higher[:, None])
        else:
            higher = tl.maximum(top, tl.max(scores, 1) * scale)
            p = tl.math.exp2(scores * scale - higher[:, None])
        shrink = tl.math.exp2(top - higher)
        total = total * shrink + tl.sum(p, 1)
        if DROP > 0:
            p = tl.where(kept(draw, keys, DROP), p, 0.0)
        output = tl.dot(p.to(v.dtype), v, output * shrink[:, None], input_precision=EXACT)
        top = higher
    return output, total, top


@triton.jit
def attention_forward(
    Q, K, V, OUTPUT, LSE, Q_BORDERS, K_BORDERS, TILES, SEED,
    q_stride, k_stride, v_stride, tokens, scale, gain,
    HEADS: tl.constexpr, SIZE: tl.constexpr, WIDTH: tl.constexpr, WINDOW: tl.constexpr, CAUSAL: tl.constexpr,
    DROP: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Write OUTPUT (T, H, K) and LSE (H, T). Grid: (tiles, heads); `gain` is 1 / (1 - dropout)."""
    sequence, first = tile(TILES, QUERIES)
    if sequence < 0:
        return
    head = tl.program_id(1)
    q_start, q_count = span(Q_BORDERS, sequence)
    k_start, k_count = span(K_BORDERS, sequence)
    # Places in the whole batch may pass 2**31 numbers; places in a sequence may not.
    Q += q_start.to(tl.int64) * q_stride + head * SIZE
    K += k_start.to(tl.int64) * k_stride + head * SIZE
    V += k_start.to(tl.int64) * v_stride + head * SIZE
    queries = first + tl.arange(0, QUERIES)
    q = load_rows(Q, queries, q_stride, q_count, SIZE, WIDTH, True)
    scale *= LOG2E
    top = tl.full([QUERIES], HIDDEN, tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    output = tl.zeros([QUERIES, WIDTH], tl.float32)
    draw = queries
    if DROP > 0:
        draw = row_keys(tl.load(SEED), head, q_start + queries)
    start, whole, rest, stop = columns_of(first, k_count, WINDOW, CAUSAL, False, QUERIES, KEYS)
    if WINDOW >= 0:
        output, total, top = walk(
            output, total, top, q, draw, queries, K, V, k_stride, v_stride, start, whole, k_count, scale,
            SIZE, WIDTH, WINDOW, CAUSAL, DROP, KEYS, STAGES, True,
        )  # fmt: skip
    output, total, top = walk(
        output, total, top, q, draw, queries, K, V, k_stride, v_stride, whole, rest, k_count, scale,
        SIZE, WIDTH, WINDOW, CAUSAL, DROP, KEYS, STAGES, False,
    )  # fmt: skip
    if rest < stop:
        output, total, top = walk(
            output, total, top, q, draw, queries, K, V, k_stride, v_stride, rest, stop, k_count, scale,
            SIZE, WIDTH, WINDOW, CAUSAL, DROP, KEYS, STAGES, True,
        )  # fmt: skip
    blind = top <= 0.5 * HIDDEN  # a query that sees no key hears nothing
    output = tl.where(blind[:, None], 0.0, output * (gain / tl.where(blind, 1.0, total))[:, None])
    lse = tl.where(blind, float("inf"), top + tl.math.log2(tl.where(blind, 1.0, total)))
    store_rows(
        OUTPUT + q_start.to(tl.int64) * HEADS * SIZE + head * SIZE,
        queries,
        HEADS * SIZE,
        q_count,
        output,
        SIZE,
        WIDTH,
    )
    tl.store(LSE + head.to(tl.int64) * tokens + q_start + queries, lse, mask=queries < q_count)
