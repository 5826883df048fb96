"""Soft prompts: trained rows before every text, for an encoder that stays as it is.

    prompt    p_1 .. p_P  x_1 .. x_T        go through the blocks; what became of the p is taken out again
    prefix    the same, but before every block the p are new ones, that block's own

"prompt" is Lester et al., 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning". "prefix" follows
Li and Liang, 2021, "Prefix-Tuning", as rows instead of free keys and values: a block computes keys Wk p and
values Wv p as it does of tokens, with half the numbers (deep prompts: Liu et al., 2022, "P-Tuning v2").

The rows come behind the embeddings: they take none of the learned positions, and a text may be as long as
before. They stand before the control tokens, so rotary distances between the tokens of a text are what they
were. Under a window (the modern recipe's local layers) only tokens near a text's beginning see them.

They begin as what the embeddings say of tokens drawn at random (Lester et al., section 3.2, "sampled
vocabulary"), each as a text of its own.

Letters: T tokens, N sequences, P rows, U = T + N P rows with the prompts, D hidden size.
Left out: free keys and values, reparametrised prompts, their start from words that a person names.
"""

from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from minibert.adapt.hooks import CHILD
from minibert.adapt.options import AdaptOptions
from minibert.model.encoder import Encoder
from minibert.packed import Layout, Packed


class Prompt(nn.Module):
    """P trained rows, written over the first P places of every sequence."""

    def __init__(self, rows_PD: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows_PD)

    def forward(self, hidden_UD: Tensor, layout: Layout) -> Tensor:
        count = len(self.rows)
        table_PD = self.rows.to(hidden_UD.dtype)
        own_UD = nn.functional.embedding(layout.positions.clamp(max=count - 1), table_PD)
        return torch.where((layout.positions < count)[:, None], own_UD, hidden_UD)


@dataclass(frozen=True)
class Room:
    """A layout with P more rows before every sequence.

    kept_T  the places in it of the rows of the narrower layout
    """

    layout: Layout
    kept_T: Tensor


def room_before(layout: Layout, count: int) -> Room:
    """Make room for `count` rows before every sequence, one without tokens too.

    >>> room = room_before(Layout.of([3, 1]), 2)
    >>> room.layout.lengths, room.kept_T.tolist()
    ((5, 3), [2, 3, 4, 7])
    """
    places_T = torch.arange(layout.tokens, device=layout.positions.device)
    if layout.inside_NS is None:
        wide = Layout.of([length + count for length in layout.lengths], layout.positions.device)
        return Room(wide, places_T + count * (layout.sequence_T + 1))
    inside_NS = nn.functional.pad(layout.inside_NS, (count, 0), value=True)
    return Room(Layout.dense(inside_NS), places_T + count * (places_T // layout.max_seqlen + 1))


def add_prompts(encoder: Encoder, options: AdaptOptions) -> None:
    """Let an encoder read prompts before every text: those of its first block, or of every block (prefix).

    Unlike other adapters they change what it says from the start.

    >>> from minibert.model.config import EncoderConfig
    >>> encoder = Encoder(EncoderConfig.preset("tiny", vocab_size=100))
    >>> add_prompts(encoder, AdaptOptions(adapter="prompt", prompt_tokens=5))
    >>> encoder(Packed.of([[7, 4, 9], [5]])).shape, encoder.blocks[0].adapter.rows.shape
    (torch.Size([4, 128]), torch.Size([5, 128]))
    """
    for block in encoder.blocks if options.adapter == "prefix" else encoder.blocks[:1]:
        block.add_module(CHILD, Prompt(drawn(encoder, options.prompt_tokens)))
        block.register_forward_pre_hook(_write)
    vars(encoder)["contextualize"] = MethodType(_contextualize, encoder)


def rows_before(encoder: Encoder) -> int:
    """Return P, how many rows an encoder reads before every text; 0 without prompts."""
    prompts = [module for module in encoder.modules() if isinstance(module, Prompt)]
    return len(prompts[0].rows) if prompts else 0


@torch.no_grad()
def drawn(encoder: Encoder, count: int) -> Tensor:
    """Return what the embeddings say of tokens drawn at random, (P, D)."""
    table = encoder.embeddings.token.weight
    ids = torch.randint(len(table), (count,), device=table.device)
    was_training = encoder.embeddings.training
    encoder.embeddings.eval()
    rows_PD: Tensor = encoder.embeddings(Packed(ids, None, Layout.of([1] * count, table.device)))
    encoder.embeddings.train(was_training)
    return rows_PD


def _contextualize(encoder: Encoder, hidden_TD: Tensor, layout: Layout) -> Tensor:
    """Stand in for the encoder's own: make room, go through the blocks, take the tokens' rows out.

    It is bound to its encoder as a method is, so a copied encoder has one bound to the copy.
    """
    room = layout.once(room_before, rows_before(encoder))
    empty_UD = hidden_TD.new_zeros(room.layout.tokens, hidden_TD.shape[1])
    wide_UD = empty_UD.index_copy(0, room.kept_T, hidden_TD)
    return Encoder.contextualize(encoder, wide_UD, room.layout).index_select(0, room.kept_T)


def _write(block: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    hidden_UD, layout, *rest = given
    return block.get_submodule(CHILD)(hidden_UD, layout), layout, *rest
