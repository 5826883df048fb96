"""The pointer: the next token of a target, said out of the vocabulary or copied from the source.

Names, numbers and rare words of a headline stand in its article. A decoder that has read few pairs cannot
say them, but it can learn soon where they stand (See et al., 2017, "Get To The Point", equations 8 and 9)::

    a_u  = softmax over the source's places u of  (h Wq)(m_u Wk)' / sqrt(D)
    g    = sigmoid(h w + c)
    p(y) = g p_vocabulary(y)  +  (1 - g) sum of a_u over the places u that hold y

h is the decoder's hidden state, m the encoder's. Here the pointer has weights of its own, where See et al.
take the attention of their one layer. Left out: coverage, and copied words that the vocabulary lacks (its
pieces spell them).

Letters: N sources, S places of a target, U places of a source, T target tokens, D hidden size, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minibert.model.cross_attention import Memory
from minibert.model.decoder import State
from minibert.model.linear import Linear, initialize
from minibert.packed import Layout

NO_TOKEN = -1
LEAST = 1e-30  # a probability whose logarithm is still a number


@dataclass(frozen=True)
class Copies:
    """What can be copied: for each source its keys (N, U, D) and ids (N, U), or `NO_TOKEN` for no token."""

    keys_NUD: Tensor
    ids_NU: Tensor

    def select(self, sources: list[int]) -> "Copies":
        """Keep these sources, in this order."""
        return Copies(self.keys_NUD[sources], self.ids_NU[sources])


@dataclass(frozen=True)
class Writing:
    """What is kept between two tokens: the decoder's state, and what can be copied, if anything."""

    state: State
    copies: Copies | None

    def select(self, rows: Tensor, sources: list[int] | None = None) -> "Writing":
        """Keep these sequences, in this order, and these sources (None: all of them)."""
        copies = self.copies if sources is None or self.copies is None else self.copies.select(sources)
        return Writing(self.state.select(rows, sources), copies)


class Pointer(nn.Module):
    """Where to copy from, and how much to trust the vocabulary.

    >>> pointer = Pointer(4, spread=0.02)
    >>> copies = pointer.remember(Memory(torch.zeros(3, 4), Layout.of([3])), torch.tensor([7, 5, 7]))
    >>> p = pointer.mix(torch.full((1, 10), 0.1), torch.zeros(1, 4), copies)    # half of each at first
    >>> [round(value, 3) for value in p[0].tolist()]
    [0.05, 0.05, 0.05, 0.05, 0.05, 0.217, 0.05, 0.383, 0.05, 0.05]
    """

    def __init__(self, hidden_size: int, *, spread: float) -> None:
        super().__init__()
        self.query = Linear(hidden_size, hidden_size)
        self.key = Linear(hidden_size, hidden_size)
        self.gate = Linear(hidden_size, 1)
        initialize(self, spread)

    def remember(self, memory: Memory, ids_U: Tensor) -> Copies:
        """Return what can be copied: ids (U,) of the tokens whose hidden states (U, D) the memory holds.

        Those that must not be copied are `NO_TOKEN`; each source has to have another one.
        """
        layout = memory.layout
        return Copies(layout.pad(self.key(memory.rows_U)), layout.pad(ids_U, NO_TOKEN))

    def look(self, hidden_NSD: Tensor, copies: Copies) -> tuple[Tensor, Tensor]:
        """Return the shares (N, S, U) of the places of each source, and g (N, S, 1): float32, or wider."""
        wide = torch.promote_types(hidden_NSD.dtype, torch.float32)
        scores_NSU = self.query(hidden_NSD) @ copies.keys_NUD.transpose(1, 2)
        scores_NSU = scores_NSU.to(wide) / hidden_NSD.shape[-1] ** 0.5
        outside_NU = copies.ids_NU == NO_TOKEN
        shares_NSU = scores_NSU.masked_fill(outside_NU[:, None], -torch.inf).softmax(-1)
        return shares_NSU, self.gate(hidden_NSD).to(wide).sigmoid()

    def mix(self, said_RV: Tensor, hidden_RD: Tensor, copies: Copies) -> Tensor:
        """Return p (R, V) of the next token of each sequence; `said` is p_vocabulary.

        The R sequences are as many for each source, side by side.
        """
        hidden_NSD = hidden_RD.unflatten(0, (len(copies.ids_NU), -1))
        shares_NSU, gate_NS1 = self.look(hidden_NSD, copies)
        ids_NSU = copies.ids_NU.clamp(min=0)[:, None].expand(shares_NSU.shape)
        copied_RU = ((1 - gate_NS1) * shares_NSU).flatten(0, 1)
        return (gate_NS1.flatten(0, 1) * said_RV).scatter_add(1, ids_NSU.flatten(0, 1), copied_RU)

    def log_p(
        self, log_said_T: Tensor, hidden_TD: Tensor, labels_T: Tensor, layout: Layout, copies: Copies
    ) -> Tensor:
        """Return log p (T,) of the labels, whose log p_vocabulary is log_said; `layout` is the targets'."""
        shares_NSU, gate_NS1 = self.look(layout.pad(hidden_TD), copies)
        here_TU = copies.ids_NU[layout.sequence_T] == labels_T[:, None]
        copied_T = (layout.unpad(shares_NSU) * here_TU).sum(1)
        gate_T = layout.unpad(gate_NS1)[:, 0]
        return (gate_T * log_said_T.exp() + (1 - gate_T) * copied_T).clamp(min=LEAST).log()
