"""Attention through torch's own fused kernel: pad, `scaled_dot_product_attention`, unpad.

Works on every device that torch knows. What it costs is the padding: every sequence is as long as the
longest.

Torch chooses a kernel of its own, with one exception: on a CPU the backward pass of its flash kernel takes
five times as long in bfloat16 as in float32, so short texts that are trained on in bfloat16 go through plain
matrix products.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from minibert.kernels.attention.reference import visible
from minibert.packed import Layout

SHORT = 512  # tokens: the plain products store all weights for the backward pass


def sdpa_attention(
    q_THK: Tensor,
    k_UHK: Tensor,
    v_UHK: Tensor,
    layout: Layout,
    memory: Layout | None = None,
    *,
    window: int | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Return softmax(Q K' / sqrt K) V for every sequence, (T, H, K)."""
    memory = memory or layout
    if not layout.tokens or not memory.tokens:
        return torch.zeros_like(q_THK)
    q, k, v = (x.transpose(1, 2) for x in (layout.pad(q_THK), memory.pad(k_UHK), memory.pad(v_UHK)))
    with _kernel(q, max(layout.max_seqlen, memory.max_seqlen)):
        output_NHSK = torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=_mask(layout, memory, window, causal), dropout_p=dropout
        )
    return layout.unpad(output_NHSK.transpose(1, 2))


def _kernel(q: Tensor, longest: int) -> AbstractContextManager[None]:
    plain = q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad and longest <= SHORT
    return sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()


def _mask(layout: Layout, memory: Layout, window: int | None, causal: bool) -> Tensor | None:
    """Return what may be seen, broadcastable to (N, H, S, S), or None where everything may."""
    device = layout.positions.device
    narrow = window is not None and window < memory.max_seqlen - 1
    if len(set(memory.lengths)) == 1 and not narrow and not causal:
        return None
    inside_NS = torch.arange(memory.max_seqlen, device=device) < memory.cu_seqlens.diff()[:, None]
    mask = inside_NS[:, None, None, :]
    if narrow or causal:
        # A padded query may see no true key at all; the first key keeps its softmax finite.
        places = range(layout.max_seqlen), range(memory.max_seqlen)
        seen = visible(*places, window=window, causal=causal, device=device)
        mask = (mask & seen) | (~mask & ~(mask & seen).any(-1, keepdim=True))
    return mask
