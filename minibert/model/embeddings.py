"""From token ids to vectors.

Each token's first vector is the sum of three rows (Devlin et al., 2019, figure 2)::

    hidden = norm(token[id] + segment[0 or 1] + position[place])

The modern recipe leaves out the last two: places enter later, as rotations (see `rotary`).

Letters: T tokens in the batch, D hidden size, V vocabulary.
"""

import torch
from torch import Tensor, nn

from minibert.errors import InputError
from minibert.model.linear import Dropout
from minibert.packed import Packed


class Embeddings(nn.Module):
    """Sum of token, segment and position rows, normed, with dropout.

    positions  rows of the position table; 0 for none (rotary positions)
    segments   rows of the segment table; 0 for none
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        *,
        positions: int,
        segments: int,
        norm: nn.Module,
        dropout: float,
    ) -> None:
        super().__init__()
        self.token = nn.Embedding(vocab_size, hidden_size)
        self.position = nn.Embedding(positions, hidden_size) if positions else None
        self.segment = nn.Embedding(segments, hidden_size) if segments else None
        self.norm = norm
        self.dropout = Dropout(dropout)

    def forward(self, batch: Packed, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the first hidden states (T, D) in `dtype`.

        Raises InputError where a sequence is longer than the position table.
        """
        hidden_TD: Tensor = self.token(batch.ids)
        if self.position is not None:
            limit = self.position.num_embeddings
            if batch.layout.max_seqlen > limit:
                raise InputError(
                    f"a text has {batch.layout.max_seqlen} tokens, more than this model's {limit} positions; "
                    "truncate or split it"
                )
            hidden_TD = hidden_TD + self.position(batch.layout.positions)
        if self.segment is not None:
            segments = torch.zeros_like(batch.ids) if batch.segments is None else batch.segments
            hidden_TD = hidden_TD + self.segment(segments)
        result: Tensor = self.dropout(self.norm(hidden_TD.to(dtype)))
        return result
