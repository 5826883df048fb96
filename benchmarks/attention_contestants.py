"""Who takes part in the attention benchmark. All begin with the same numbers, each has them as it likes them.

Ours begin with a packed qkv (T, 3, H, K) and end with a packed (T, H, K), padding and unpadding included
where an implementation does that. Theirs begin with what a padded model has in its hands, a padded qkv
(N, S, 3, H, K), and end padded: they are not charged for padding, only for computing on it. The two *modules*
have the same two linear layers around attention, in both cases counted.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from attention_shapes import Shape
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from minibert.kernels.attention import attend_packed
from minibert.kernels.attention.triton import triton_packed_attention
from minibert.model.attention import MultiHeadAttention
from minibert.packed import Layout

BACKENDS = {
    "sdpa flash": SDPBackend.FLASH_ATTENTION,
    "sdpa cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa efficient": SDPBackend.EFFICIENT_ATTENTION,
}
MANY = 128  # sequences that the reference, which takes one at a time, is still timed on


@dataclass(frozen=True)
class Contestant:
    """A way to attend.

    inputs    what gradients are asked for; the first one is the data
    function  inputs to output
    grad      the gradient of the output
    packed    turns an output, or a gradient of the data, into packed rows
    """

    name: str
    inputs: tuple[Tensor, ...]
    function: Callable[..., Tensor]
    grad: Tensor
    packed: Callable[[Tensor], Tensor]

    def forward(self) -> Tensor:
        """Compute the output alone."""
        with torch.no_grad():
            return self.function(*self.inputs)

    def both(self) -> tuple[Tensor, ...]:
        """Compute the output and all gradients, and return them."""
        output = self.function(*self.inputs)
        return output, *torch.autograd.grad(output, self.inputs, self.grad)


@dataclass(frozen=True)
class Problem:
    """The numbers that all begin with: qkv (T, 3, H, K), and the output's gradient (T, H, K)."""

    shape: Shape
    layout: Layout
    qkv: Tensor
    grad: Tensor

    @staticmethod
    def of(shape: Shape, dtype: torch.dtype, device: str) -> "Problem":
        """Draw the numbers of a shape, the same ones every time."""
        generator = torch.Generator().manual_seed(0)
        tokens = sum(shape.lengths())
        qkv, grad = (
            torch.randn(tokens, *more, shape.heads, shape.size, generator=generator).to(device, dtype)
            for more in ((3,), ())
        )
        return Problem(shape, Layout.of(shape.lengths(), device), qkv.requires_grad_(), grad)

    def ours(self, name: str, function: Callable[[Tensor], Tensor]) -> Contestant:
        """Return a contestant that begins and ends packed."""
        return Contestant(name, (self.qkv,), function, self.grad, lambda x: x)

    def padded(self, name: str, function: Callable[[Tensor], Tensor]) -> Contestant:
        """Return a contestant that begins and ends padded."""
        with torch.no_grad():
            qkv, grad = self.layout.pad(self.qkv), self.layout.pad(self.grad)
        return Contestant(name, (qkv.requires_grad_(),), function, grad, self.layout.unpad)

    @functools.cached_property
    def mask(self) -> Tensor | None:
        """Return which keys a padded model hides, (N, 1, 1 or S, S), or None where it hides none."""
        layout, window = self.layout, self.shape.window
        places = torch.arange(layout.max_seqlen, device=self.qkv.device)
        inside = (places < layout.cu_seqlens.diff()[:, None])[:, None, None]
        if window is not None:
            near = (places - places[:, None]).abs() <= window
            return (inside & near) | torch.eye(len(places), dtype=torch.bool, device=places.device)
        return None if self.shape.kind == "equal" else inside


def sdpa(problem: Problem, backend: SDPBackend | None, qkv_NS3HK: Tensor) -> Tensor:
    """Attend on a padded batch by `scaled_dot_product_attention`, by one of its kernels if one is named."""
    q, k, v = qkv_NS3HK.permute(2, 0, 3, 1, 4)
    if backend is None:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=problem.mask).transpose(1, 2)
    with sdpa_kernel(backend):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=problem.mask).transpose(1, 2)


def varlen(problem: Problem) -> Contestant:
    """Return torch's own attention on packed sequences."""
    from torch.nn.attention.varlen import varlen_attn

    layout, window = problem.layout, problem.shape.window
    reach = -1 if window is None else window
    borders, longest = layout.cu_seqlens, layout.max_seqlen

    def attend(qkv_T3HK: Tensor) -> Tensor:
        q, k, v = qkv_T3HK.unbind(1)
        output: Tensor = varlen_attn(q, k, v, borders, borders, longest, longest, window_size=(reach, reach))
        return output

    return problem.ours("torch varlen", attend)


def flex(problem: Problem) -> Contestant:
    """Return FlexAttention with a mask of documents; the mask is made before the clock starts."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    owner, window = problem.layout.sequence_T, problem.shape.window
    tokens, on_gpu = problem.layout.tokens, problem.qkv.is_cuda

    def visible(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        same = owner[query] == owner[key]
        return same if window is None else same & ((query - key).abs() <= window)

    make = torch.compile(create_block_mask) if on_gpu else create_block_mask
    mask = make(visible, None, None, tokens, tokens, device=problem.qkv.device)
    function = torch.compile(flex_attention) if on_gpu else flex_attention

    def attend(qkv_T3HK: Tensor) -> Tensor:
        q, k, v = qkv_T3HK.permute(1, 2, 0, 3)[:, None]
        output: Tensor = function(q, k, v, block_mask=mask)[0].transpose(0, 1)
        return output

    return problem.ours("flex", attend)


def ours(problem: Problem, backend: str) -> Contestant:
    """Return one of our implementations, or the one that `auto` takes."""
    function = functools.partial(
        attend_packed, layout=problem.layout, window=problem.shape.window, backend=backend
    )
    return problem.ours("minibert" if backend == "auto" else f"minibert {backend}", function)


def triton(problem: Problem) -> Contestant:
    """Return our Triton kernels, called past the door, which keeps them from a CPU's interpreter."""

    function = functools.partial(triton_packed_attention, layout=problem.layout, window=problem.shape.window)
    return problem.ours("minibert triton", function)


def modules(problem: Problem) -> tuple[Contestant, Contestant]:
    """Return our module and torch's, with the same weights; both project in and out."""
    shape, layout, width = problem.shape, problem.layout, problem.shape.heads * problem.shape.size
    torch.manual_seed(0)
    mine = MultiHeadAttention(width, shape.heads, window=shape.window)
    theirs = nn.MultiheadAttention(width, shape.heads, batch_first=True)
    theirs.in_proj_weight, theirs.in_proj_bias = mine.qkv.weight, mine.qkv.bias
    theirs.out_proj.weight, theirs.out_proj.bias = mine.output.weight, mine.output.bias
    for module in (mine, theirs):
        module.to(problem.qkv.device, problem.qkv.dtype).eval()
    weights = tuple(mine.parameters())
    hidden, grad = problem.qkv.detach()[:, 0].flatten(1), problem.grad.flatten(1)
    inside = torch.arange(layout.max_seqlen, device=hidden.device) < layout.cu_seqlens.diff()[:, None]
    hides = None if shape.kind == "equal" else ~inside

    def their_way(hidden_NSD: Tensor, *weights: Tensor) -> Tensor:
        output: Tensor = theirs(
            hidden_NSD, hidden_NSD, hidden_NSD, key_padding_mask=hides, need_weights=False
        )[0]
        return output

    def our_way(hidden_TD: Tensor, *weights: Tensor) -> Tensor:
        output: Tensor = mine(hidden_TD, layout)
        return output

    padded, padded_grad = layout.pad(hidden), layout.pad(grad)
    return (
        Contestant(
            "minibert module", (hidden.clone().requires_grad_(), *weights), our_way, grad, lambda x: x
        ),
        Contestant("torch module", (padded.requires_grad_(), *weights), their_way, padded_grad, layout.unpad),
    )
