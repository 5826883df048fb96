"""From token ids to vectors.

Each token's first vector is the sum of three rows (Devlin et al., 2019, figure 2)::

    hidden = norm(token[id] + segment[0 or 1] + position[place])

The modern recipe leaves out the last two: places enter later, as rotations (see `rotary`). Where the tables
are narrower than the hidden states, a projection follows (Clark et al., 2020, "ELECTRA").

Letters: T tokens in the batch, D hidden size, V vocabulary.
"""

import torch
from torch import Tensor, nn

from minibert.errors import InputError
from minibert.model.linear import Dropout
from minibert.packed import Packed


class Embeddings(nn.Module):
    """Sum of token, segment and position rows, normed, with dropout.

    size            channels of the tables
    positions       rows of the position table; 0 for none (rotary positions)
    first_position  row of a text's first place
    segments        rows of the segment table; 0 for none
    project         from the tables' channels to those of the hidden states; None where they are the same
    """

    def __init__(
        self,
        vocab_size: int,
        size: int,
        *,
        positions: int,
        first_position: int = 0,
        segments: int,
        norm: nn.Module,
        dropout: float,
        project: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.token = nn.Embedding(vocab_size, size)
        self.position = nn.Embedding(positions, size) if positions else None
        self.first_position = first_position
        self.segment = nn.Embedding(segments, size) if segments else None
        self.norm = norm
        self.dropout = Dropout(dropout)
        self.project = project

    def forward(self, batch: Packed, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the first hidden states (T, D) in `dtype`.

        Raises InputError where a sequence is longer than the position table.
        """
        hidden_TD: Tensor = self.token(batch.ids)
        if self.position is not None:
            limit = self.position.num_embeddings - self.first_position
            if batch.layout.max_seqlen > limit:
                raise InputError(
                    f"a text has {batch.layout.max_seqlen} tokens, more than this model's {limit} positions; "
                    "truncate or split it"
                )
            hidden_TD = hidden_TD + self.position(batch.layout.positions + self.first_position)
        if self.segment is not None:
            segments = torch.zeros_like(batch.ids) if batch.segments is None else batch.segments
            hidden_TD = hidden_TD + self.segment(segments)
        hidden_TD = self.dropout(self.norm(hidden_TD.to(dtype)))
        return hidden_TD if self.project is None else self.project(hidden_TD)
