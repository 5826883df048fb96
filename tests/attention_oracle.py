"""Attention and its gradients as loops over plain numbers, in float64: shares nothing with the library."""

import numpy as np

Arrays = tuple[np.ndarray, ...]


def loop_attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    grad: np.ndarray,
    *,
    lengths: list[int],
    memory: list[int] | None = None,
    window: int | None = None,
    causal: bool = False,
) -> Arrays:
    """Return the output (T, H, K) and the gradients of q, k and v for the output's gradient `grad`."""
    output, dq, dk, dv = np.zeros_like(q), np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    scale = 1 / np.sqrt(q.shape[-1])
    query_start = key_start = 0
    for queries, keys in zip(lengths, memory or lengths, strict=True):
        for head in range(q.shape[1]):
            for i in range(queries):
                row = query_start + i
                seen = [
                    key_start + j
                    for j in range(keys)
                    if (window is None or abs(i - j) <= window) and not (causal and j > i)
                ]
                if not seen:
                    continue
                scores = np.array([sum(q[row, head] * k[j, head]) * scale for j in seen])
                weights = np.exp(scores - scores.max())
                weights /= weights.sum()
                output[row, head] = sum(w * v[j, head] for w, j in zip(weights, seen, strict=True))
                slopes = np.array([sum(grad[row, head] * v[j, head]) for j in seen])
                slopes = weights * (slopes - sum(weights * slopes)) * scale
                for weight, slope, j in zip(weights, slopes, seen, strict=True):
                    dv[j, head] += weight * grad[row, head]
                    dq[row, head] += slope * k[j, head]
                    dk[j, head] += slope * q[row, head]
        query_start += queries
        key_start += keys
    return output, dq, dk, dv
