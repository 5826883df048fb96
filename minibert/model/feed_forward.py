"""The feed-forward network: each token by itself, through a wider space and back.

Classic (Vaswani et al., 2017, equation 2) and gated (Shazeer, 2020, "GLU Variants Improve Transformer")::

    MLP(x)      = act(x Wi + bi) Wo + bo
    GatedMLP(x) = (act(x Wa) * x Wb) Wo       Wi = [Wa, Wb] is one matrix

Letters: T tokens, D hidden size, F inner size.
"""

from torch import Tensor, nn

from minibert.model.linear import Linear, activation


class MLP(nn.Module):
    """Two linear layers around an activation."""

    def __init__(
        self, hidden_size: int, intermediate_size: int, *, act: str = "gelu", bias: bool = True
    ) -> None:
        super().__init__()
        self.act = act
        self.input = Linear(hidden_size, intermediate_size, bias=bias)
        self.output = Linear(intermediate_size, hidden_size, bias=bias)

    def forward(self, hidden_TD: Tensor) -> Tensor:
        inner_TF = activation(self.act, self.input(hidden_TD))
        output: Tensor = self.output(inner_TF)
        return output


class GatedMLP(nn.Module):
    """An MLP whose inner channels are switched by a second projection of the same input."""

    def __init__(
        self, hidden_size: int, intermediate_size: int, *, act: str = "gelu", bias: bool = True
    ) -> None:
        super().__init__()
        self.act = act
        self.input = Linear(hidden_size, 2 * intermediate_size, bias=bias)
        self.output = Linear(intermediate_size, hidden_size, bias=bias)

    def forward(self, hidden_TD: Tensor) -> Tensor:
        inner_TF, gate_TF = self.input(hidden_TD).chunk(2, dim=-1)
        output: Tensor = self.output(activation(self.act, inner_TF) * gate_TF)
        return output
