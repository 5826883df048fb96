"""The door to attention: all that lies above these two functions sees tokens and borders, never masks.

`attend_packed` is self-attention over what one projection leaves, `attend` takes queries, keys and values
apart. Both ask `choose` who does the work.

Letters: T tokens, U tokens of the memory, H heads, K head size.
"""

from torch import Tensor

from minibert.errors import InputError
from minibert.kernels.attention.choose import choose
from minibert.kernels.attention.request import Machine, Request
from minibert.kernels.outside_graphs import outside_graphs
from minibert.kernels.rotary import Angles, take_apart
from minibert.packed import Layout


@outside_graphs
def attend(
    q_THK: Tensor,
    k_UHK: Tensor,
    v_UHK: Tensor,
    layout: Layout,
    memory: Layout | None = None,
    *,
    window: int | None = None,
    causal: bool = False,
    dropout: float = 0.0,
    backend: str = "auto",
) -> Tensor:
    """Let every token look at the tokens of its own sequence.

    q (T, H, K), k and v (U, H, K) hold the heads of all tokens, packed as `layout` says (k and v as `memory`
    says in cross-attention). `window` is how many places a token sees on either side; None is all of them.
    Returns (T, H, K). Raises InputError for other rows than the layouts have tokens, and where `backend`
    names an implementation that cannot do this.

    >>> import torch
    >>> layout = Layout.of([2, 3])
    >>> q = k = v = torch.ones(5, 1, 4)
    >>> attend(q, k, v, layout).shape
    torch.Size([5, 1, 4])
    """
    check_rows(layout, "q", q_THK)
    for name, rows_UHK in (("k", k_UHK), ("v", v_UHK)):
        check_rows(layout if memory is None else memory, name, rows_UHK)
    request = Request(
        dtype=q_THK.dtype,
        head_size=q_THK.shape[-1],
        max_seqlen=layout.max_seqlen,
        window=window,
        causal=causal,
        dropout=dropout,
        cross=memory is not None,
        padded=layout.inside_NS is not None,
    )
    function = choose(request, Machine.of(q_THK.device), backend=backend).implementation.function
    extra = () if memory is None else (memory,)
    return function(q_THK, k_UHK, v_UHK, layout, *extra, window=window, causal=causal, dropout=dropout)


@outside_graphs
def attend_packed(
    qkv_T3HK: Tensor,
    layout: Layout,
    angles: Angles | None = None,
    *,
    window: int | None = None,
    causal: bool = False,
    dropout: float = 0.0,
    backend: str = "auto",
) -> Tensor:
    """Let every token look at its own sequence: `attend` for queries, keys and values that lie together.

    qkv (T, 3, H, K) stays as one projection left it and gets its gradient as one tensor. With `angles`
    (`rotary_angles`), queries and keys are turned by their places first. Returns (T, H, K).

    >>> import torch
    >>> attend_packed(torch.ones(5, 3, 1, 4), Layout.of([2, 3])).shape
    torch.Size([5, 1, 4])
    """
    check_rows(layout, "qkv", qkv_T3HK)
    request = Request(
        dtype=qkv_T3HK.dtype,
        head_size=qkv_T3HK.shape[-1],
        max_seqlen=layout.max_seqlen,
        window=window,
        causal=causal,
        dropout=dropout,
        padded=layout.inside_NS is not None,
    )
    implementation = choose(request, Machine.of(qkv_T3HK.device), backend=backend).implementation
    if implementation.packed is not None:
        return implementation.packed(qkv_T3HK, layout, angles, window=window, causal=causal, dropout=dropout)
    parts = take_apart(qkv_T3HK, angles)
    return implementation.function(*parts, layout, window=window, causal=causal, dropout=dropout)


def check_rows(layout: Layout, name: str, rows: Tensor) -> None:
    """Raise InputError where a layout has other tokens than there are rows; kernels read past neither."""
    if layout.inside_NS is None and len(rows) != len(layout.positions):
        tokens = len(layout.positions)
        raise InputError(f"{name} has {len(rows)} rows, and its layout {tokens} tokens; give one for each")
