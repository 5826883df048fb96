"""Bottleneck adapters: small networks between the layers of an encoder that stays as it is.

    y <- y + Wup act(Wdown y + b) + c        Wdown: B x D, Wup: D x B, zero at the start

"houlsby" has one after attention and one after the feed-forward network of every block, and trains the norms
of the blocks as well (Houlsby et al., 2019, "Parameter-Efficient Transfer Learning for NLP"). "pfeiffer" has
the second alone and leaves the norms (Pfeiffer et al., 2020, "AdapterFusion", appendix). In both, y is what a
part says before it is dropped out and added to what came in.

Letters: T tokens, D hidden size, B size of the bottleneck.
Left out: parallel adapters, their fusion, and merging: there is no matrix that such a network could go into.
"""

from torch import Tensor, nn

from minibert.adapt.hooks import attach
from minibert.adapt.options import AdaptOptions
from minibert.model.encoder import Encoder
from minibert.model.linear import Linear, activation, initialize


class Bottleneck(nn.Module):
    """Down to a few channels, an activation, up again, and added to what came in."""

    def __init__(self, hidden_size: int, options: AdaptOptions, spread: float) -> None:
        super().__init__()
        self.act = options.bottleneck_act
        self.down = Linear(hidden_size, options.bottleneck_size)
        self.up = Linear(options.bottleneck_size, hidden_size)
        initialize(self, spread)
        nn.init.zeros_(self.up.weight)

    def forward(self, read_TD: Tensor, said_TD: Tensor) -> Tensor:
        """Change what a part of the block said; what it had read is no matter."""
        change_TD: Tensor = self.up(activation(self.act, self.down(said_TD)))
        return said_TD + change_TD


def add_bottlenecks(encoder: Encoder, options: AdaptOptions) -> None:
    """Put the adapters into every block, where they change nothing yet."""
    config = encoder.config
    parts = ("attention", "feed_forward") if options.bottleneck_layout == "houlsby" else ("feed_forward",)
    for block in encoder.blocks:
        for part in parts:
            adapter = Bottleneck(config.hidden_size, options, config.initializer_range)
            attach(block.get_submodule(part), adapter)
