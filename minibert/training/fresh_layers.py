"""Top layers that begin anew: what pretraining taught them last helps other tasks least.

"Re-initialising" the highest one to three layers makes fine-tuning on a few thousand rows better and more
alike from seed to seed (Zhang et al., 2021, "Revisiting Few-sample BERT Fine-tuning", section 5).
"""

from torch import nn

from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.model.linear import initialize


def redraw_top(encoder: Encoder, layers: int) -> None:
    """Draw the weights of the top `layers` blocks as at the beginning of a pretraining, in place.

    Raises InputError where the encoder has fewer blocks.
    """
    blocks = len(encoder.blocks)
    if not 0 <= layers <= blocks:
        raise InputError(f"reinit_layers {layers} must be between 0 and the encoder's {blocks} layers")
    for block in encoder.blocks[blocks - layers :]:
        for part in block.modules():
            if isinstance(part, nn.LayerNorm | nn.RMSNorm):
                part.reset_parameters()
        initialize(block, encoder.config.initializer_range)
