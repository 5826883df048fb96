"""The contrastive loss: of all texts in a batch, which one belongs to mine?

A. van den Oord, Y. Li, O. Vinyals (2018), *Representation Learning with Contrastive Predictive Coding*. The
right column of row n is column n, the others are wrong answers, but for those that are right by chance: a
passage of the same text, or one that answers the same query elsewhere in the batch. They are left out::

    loss_n = - log( exp(s_nn) / (exp(s_nn) + sum over wrong m of exp(s_nm)) )

Letters: N queries, M passages, the first N of which answer the query of their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minibert.text.encoded import Encoded


@dataclass(frozen=True)
class SearchTargets:
    """How a batch is to be read: its first N texts are queries, the next N answer them, the rest do not.

    wrong_NM  which passages are wrong answers to which query
    """

    wrong_NM: Tensor

    @property
    def counts(self) -> dict[str, int]:
        """How many queries the loss is a sum over."""
        return {"loss": self.wrong_NM.shape[0]}

    def to(self, device: torch.device | str) -> "SearchTargets":
        return SearchTargets(self.wrong_NM.to(device))


def info_nce(scores_NM: Tensor, wrong_NM: Tensor) -> Tensor:
    """Sum the cross-entropy of each row's own column among its wrong ones.

    >>> scores = torch.tensor([[0.0, 0.0, 9.0]])
    >>> round(info_nce(scores, torch.tensor([[False, True, False]])).exp().item(), 4)
    2.0
    """
    right_N = torch.arange(scores_NM.shape[0], device=scores_NM.device)
    asked_NM = wrong_NM.clone()
    asked_NM[right_N, right_N] = True
    kept_NM = scores_NM.masked_fill(~asked_NM, float("-inf"))
    return nn.functional.cross_entropy(kept_NM, right_N, reduction="sum")


def wrong_answers(
    queries: Sequence[Encoded], answers: Sequence[Encoded], negatives: Sequence[Encoded]
) -> Tensor:
    """Return (N, M) which passages are wrong for which query: not what answers it anywhere in the batch.

    answers    the N passages that answer the queries, in their order
    negatives  the other M - N passages
    """
    right: dict[bytes, set[bytes]] = {}
    for query, answer in zip(queries, answers, strict=True):
        right.setdefault(query.ids.tobytes(), set()).add(answer.ids.tobytes())
    passages = [passage.ids.tobytes() for passage in (*answers, *negatives)]
    known = [right[query.ids.tobytes()] for query in queries]
    return torch.tensor([[passage not in mine for passage in passages] for mine in known])
