"""Looking into an encoder: the attention weights of every layer.

The weights come from the reference implementation, which is the only one that has them: the fast ones never
keep them. Letters: H heads, S sequence length.
"""

import torch
from torch import Tensor

from minibert.kernels.attention.reference import attention_weights
from minibert.kernels.rotary import Angles, take_apart
from minibert.model.attention import MultiHeadAttention
from minibert.model.encoder import Encoder
from minibert.packed import Layout, Packed


@torch.no_grad()
def attention_maps(encoder: Encoder, ids: list[int]) -> list[Tensor]:
    """Return for each layer the weights (H, S, S) with which the tokens of one text look at each other.

    The rows of soft prompts, if the encoder has some, are among the S, before the tokens.

    >>> from minibert.model.config import EncoderConfig
    >>> encoder = Encoder(EncoderConfig.preset("tiny", vocab_size=100))
    >>> [tuple(weights.shape) for weights in attention_maps(encoder, [7, 4, 9])]
    [(2, 3, 3), (2, 3, 3)]
    """
    maps: list[Tensor] = []

    def look(module: torch.nn.Module, given: tuple[Tensor, Layout, Angles | None], output: Tensor) -> None:
        assert isinstance(module, MultiHeadAttention)
        hidden_TD, layout, angles = given
        q_THK, k_THK, _ = take_apart(module.project(hidden_TD), angles)
        maps.append(attention_weights(q_THK, k_THK, layout, window=module.window)[0])

    hooks = [
        module.register_forward_hook(look)
        for module in encoder.modules()
        if isinstance(module, MultiHeadAttention)
    ]
    training = encoder.training
    try:
        encoder.eval()(Packed.of([ids]))
    finally:
        encoder.train(training)
        for hook in hooks:
            hook.remove()
    return maps
