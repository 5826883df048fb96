"""Top layers that begin anew: what pretraining taught them last helps other tasks least.

"Re-initialising" the highest one to three layers makes fine-tuning on a few thousand rows better and more
alike from seed to seed (Zhang et al., 2021, "Revisiting Few-sample BERT Fine-tuning", section 5).
"""

from torch import nn

from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.model.linear import initialize
from minibert.training.freezing import frozen_names


def redraw_top(encoder: Encoder, layers: int, *, frozen: int | str = 0) -> None:
    """Draw the weights of the top `layers` blocks as at the beginning of a pretraining, in place.

    frozen  what will not be trained, as `freeze` has it
    Raises InputError where the encoder has fewer blocks, and where some would stay as they were drawn.
    """
    blocks = len(encoder.blocks)
    if not 0 <= layers <= blocks:
        raise InputError(f"reinit_layers {layers} must be between 0 and the encoder's {blocks} layers")
    if layers:
        refuse_frozen(encoder, layers, frozen)
    for block in encoder.blocks[blocks - layers :]:
        for part in block.modules():
            if isinstance(part, nn.LayerNorm | nn.RMSNorm):
                part.reset_parameters()
        initialize(block, encoder.config.initializer_range)


def refuse_frozen(encoder: Encoder, layers: int, frozen: int | str) -> None:
    """Raise InputError where weights of the top `layers` blocks would not be trained."""
    blocks = len(encoder.blocks)
    drawn = tuple(f"encoder.blocks.{number}." for number in range(blocks - layers, blocks))
    names = [f"encoder.{name}" for name, _ in encoder.named_parameters()]
    stuck = [name for name in frozen_names(names, frozen, layers=blocks) if name.startswith(drawn)]
    if stuck:
        name = stuck[0].removeprefix("encoder.")
        raise InputError(
            f"freeze {frozen!r} would keep {name} as reinit_layers {layers} draws it, at random; freeze "
            "less, or draw fewer layers anew"
        )
