"""A linear classifier on vectors: multinomial logistic regression with a squared penalty.

For a hundred vectors or a thousand the exact optimum is a matter of milliseconds (L-BFGS in float64), and
nothing has to be tuned::

    minimise  1/2 |W|^2 + strength * sum_n cross-entropy(x_n W' + b, y_n)

This is scikit-learn's LogisticRegression for three classes or more; for two, its penalty is half as large.

Letters: N vectors, D their size, C classes.
"""

import torch
from torch import Tensor, nn


def fit_logistic(
    vectors_ND: Tensor, labels_N: Tensor, classes: int, *, strength: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return the weights (C, D) and biases (C,), float64, of the optimum.

    >>> vectors = torch.tensor([[-1.0], [1.0]])
    >>> weight, bias = fit_logistic(vectors, torch.tensor([0, 1]), 2)
    >>> (vectors.double() @ weight.T + bias).argmax(1).tolist()
    [0, 1]
    """
    vectors_ND = vectors_ND.detach().double()
    weight_CD = torch.zeros(classes, vectors_ND.shape[1], dtype=torch.float64, requires_grad=True)
    bias_C = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [weight_CD, bias_C],
        max_iter=500,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        search.zero_grad()
        fit = nn.functional.cross_entropy(vectors_ND @ weight_CD.T + bias_C, labels_N, reduction="sum")
        total = strength * fit + weight_CD.square().sum() / 2
        total.backward()
        return total

    with torch.enable_grad():
        search.step(loss)
    return weight_CD.detach(), bias_C.detach()
