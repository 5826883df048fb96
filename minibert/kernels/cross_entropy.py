"""Linear layer and cross-entropy in one, a few rows at a time: the logits of all rows never exist together.

For the rows h of hidden states, the table W and bias b of the output layer, and the classes y that are
wanted::

    logits = h W' + b                         (M, V): for V = 8,192 far larger than h itself
    loss   = sum over rows of  logsumexp(logits) - logits[y]

The gradient with respect to the logits is softmax(logits) - onehot(y). It is known as soon as the logits are,
so the forward pass turns each chunk at once into its share of the gradients of h, W and b and forgets it.
The idea is Wijmans et al., 2024, "Cut Your Losses in Large-Vocabulary Language Models"; this is plain
PyTorch. With label smoothing (Szegedy et al., 2016, section 7) a share s of the target is spread evenly over
all classes: (1 - s) onehot(y) + s / V stands for onehot(y).

Letters: M rows, D hidden size, V vocabulary, C rows of one chunk.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from minibert.kernels.outside_graphs import outside_graphs
from minibert.kernels.round_rows import filled

CHUNK_BYTES = 32 * 2**20


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, labels_M: Tensor, smoothing: float
    ) -> Tensor:
        even = smoothing / weight_VD.shape[0]
        chunk = max(1, CHUNK_BYTES // (4 * weight_VD.shape[0]))
        weight = weight_VD.to(hidden_MD.dtype)
        grad_hidden = torch.empty_like(hidden_MD)
        grad_weight = torch.zeros_like(weight_VD)
        grad_bias = torch.zeros_like(bias_V)
        total = hidden_MD.new_zeros((), dtype=_accumulator(hidden_MD.dtype))
        for start in range(0, len(hidden_MD), chunk):
            labels_C = labels_M[start : start + chunk, None]
            count = len(labels_C)
            hidden_CD = filled(hidden_MD[start : start + chunk])
            logits_CV = torch.addmm(bias_V.to(weight.dtype), hidden_CD, weight.T).to(total.dtype)
            log_p_CV = logits_CV.log_softmax(1)
            total -= (1 - smoothing) * log_p_CV[:count].gather(1, labels_C).sum()
            if smoothing:
                total -= even * log_p_CV[:count].sum()
            grad_CV = log_p_CV.exp_()
            grad_CV[count:] = 0  # rows that fill the chunk up teach nothing
            if smoothing:
                grad_CV[:count] -= even
            grad_CV[:count].scatter_add_(1, labels_C, grad_CV.new_full(labels_C.shape, smoothing - 1))
            grad_bias += grad_CV.sum(0)
            grad_CV = grad_CV.to(hidden_CD.dtype)
            grad_hidden[start : start + count] = torch.mm(grad_CV, weight)[:count]
            if grad_weight.dtype == grad_CV.dtype:
                grad_weight.addmm_(grad_CV.T, hidden_CD)
            else:
                grad_weight += grad_CV.T @ hidden_CD
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        (grad,) = grads
        hidden, weight, bias = ctx.saved_tensors
        return hidden * grad.to(hidden.dtype), weight * grad, bias * grad, None, None


def _accumulator(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


@outside_graphs
def linear_cross_entropy(
    hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, labels_M: Tensor, *, smoothing: float = 0.0
) -> Tensor:
    """Return the summed cross-entropy of `hidden W' + b` against the labels, a scalar in float32 (or
    float64).

    The product runs in the dtype of `hidden`; weight and bias may be of a wider one and get their own
    gradient. `smoothing` is the share of each target that is spread over all classes.

    >>> h, w, b = torch.zeros(3, 4), torch.zeros(10, 4), torch.zeros(10)
    >>> round(linear_cross_entropy(h, w, b, torch.tensor([1, 2, 3])).item() / 3, 4)    # ln 10
    2.3026
    """
    if torch.is_grad_enabled():
        loss: Tensor = _LinearCrossEntropy.apply(hidden_MD, weight_VD, bias_V, labels_M, smoothing)
        return loss
    chunk = max(1, CHUNK_BYTES // (4 * weight_VD.shape[0]))
    weight, bias = weight_VD.to(hidden_MD.dtype), bias_V.to(hidden_MD.dtype)
    accumulator = _accumulator(hidden_MD.dtype)
    losses = []
    for h, y in zip(hidden_MD.split(chunk), labels_M.split(chunk), strict=True):
        logits_CV = (filled(h) @ weight.T + bias)[: len(y)].to(accumulator)
        losses.append(
            torch.nn.functional.cross_entropy(logits_CV, y, reduction="sum", label_smoothing=smoothing)
        )
    return torch.stack(losses).sum() if losses else hidden_MD.new_zeros((), dtype=accumulator)


def linear_log_p(
    hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, labels_M: Tensor
) -> tuple[Tensor, Tensor]:
    """Return log softmax(hidden W' + b) of the labels, (M,), and its mean over all classes, (M,).

    For losses that are more than a sum of cross-entropies. The logits of a chunk are worked out again on the
    way back, so that those of all rows never exist together.

    >>> h, w, b = torch.zeros(2, 4), torch.zeros(10, 4), torch.zeros(10)
    >>> [round(value, 4) for value in linear_log_p(h, w, b, torch.tensor([1, 2]))[0].tolist()]    # -ln 10
    [-2.3026, -2.3026]
    """
    rows = max(1, CHUNK_BYTES // (4 * weight_VD.shape[0]))

    def of_chunk(hidden_CD: Tensor, labels_C: Tensor) -> tuple[Tensor, Tensor]:
        logits_CV = hidden_CD @ weight_VD.to(hidden_CD.dtype).T + bias_V.to(hidden_CD.dtype)
        log_p_CV = logits_CV.to(_accumulator(hidden_CD.dtype)).log_softmax(1)
        return log_p_CV.gather(1, labels_C[:, None])[:, 0], log_p_CV.mean(1)

    parts = [
        checkpoint(of_chunk, h, y, use_reentrant=False, preserve_rng_state=False)
        for h, y in zip(hidden_MD.split(rows), labels_M.split(rows), strict=True)
    ]
    of_labels, means = zip(*parts, strict=True)
    return torch.cat(of_labels), torch.cat(means)
