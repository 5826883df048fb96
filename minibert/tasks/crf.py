"""A linear-chain conditional random field: tags that know their neighbours.

The score of a path of tags y over a sentence is
    start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_(t-1), y_t] + end[y_last]
and its probability is softmax over all paths. The forward recursion sums over the paths, Viterbi's finds the
best one. J. Lafferty, A. McCallum, F. Pereira (2001), Conditional Random Fields: Probabilistic Models for
Segmenting and Labeling Sequence Data.

Sentences lie end to end and are never padded. Both recursions walk over all of them at once: longest first,
the sentences that still run at step t are the first A, so a step is one (A, C, C) operation. Everything is
computed in float32 or better. Transitions begin at zero, where the field is a softmax for each token.

Letters: T tokens in the batch, N sequences, S longest sequence, C classes, A sequences running at a step.
Left out: higher orders, segment-level (semi-Markov) fields, the k best paths.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from minibert.errors import InputError

Lengths = Sequence[int] | Tensor


class LinearChainCRF(nn.Module):
    """Transition scores between C classes; the emissions come from a linear layer above the encoder.

    transitions_CC[i, j] is the score of class j after class i.

    >>> crf = LinearChainCRF(2)
    >>> crf.decode(torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]), [2, 1])
    [[0, 1], [0]]
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        if num_classes < 1:
            raise InputError(f"num_classes is {num_classes}; at least 1 is needed")
        self.transitions_CC = nn.Parameter(torch.zeros(num_classes, num_classes))
        self.start_C = nn.Parameter(torch.zeros(num_classes))
        self.end_C = nn.Parameter(torch.zeros(num_classes))

    def log_likelihood(self, emissions_TC: Tensor, tags_T: Tensor, lengths: Lengths) -> Tensor:
        """Return log p(tags | emissions) of each sentence, (N,); 0 for a sentence without tokens.

        emissions_TC (T, C); tags_T (T,) int64; lengths: N ints that sum to T, kept on the CPU.
        """
        if tags_T.shape != emissions_TC.shape[:1]:
            raise InputError(
                f"tags have shape {tuple(tags_T.shape)}, wanted one for each of {len(emissions_TC)} tokens"
            )
        walk = self._walk(emissions_TC, lengths)
        emissions_TC = _upcast(emissions_TC)
        return self._path_score(emissions_TC, tags_T, walk=walk) - self._log_partition(emissions_TC, walk)

    def decode(
        self,
        emissions_TC: Tensor,
        lengths: Lengths,
        *,
        allowed_CC: Tensor | None = None,
        allowed_start_C: Tensor | None = None,
    ) -> list[list[int]]:
        """Return the most probable tags of each sentence.

        allowed_CC (C, C) bool says which class (column) may follow which (row), allowed_start_C (C,) bool
        which one may begin a sentence; spans.allowed_transitions makes both for BIO tags.
        Raises InputError if the masks leave no path for some sentence.
        """
        walk = self._walk(emissions_TC, lengths)
        with torch.no_grad():
            emissions_TC = _upcast(emissions_TC)
            dtype = emissions_TC.dtype
            transitions_CC = _forbid(self.transitions_CC.to(dtype), allowed_CC)
            start_C = _forbid(self.start_C.to(dtype), allowed_start_C)
            end_C = self.end_C.to(dtype)
            tags_T = _viterbi(emissions_TC, walk, start_C=start_C, transitions_CC=transitions_CC, end_C=end_C)
        tags = iter(tags_T.tolist())
        return [list(islice(tags, int(length))) for length in lengths]

    def marginals(self, emissions_TC: Tensor, lengths: Lengths) -> Tensor:
        """Return p(tag of token t is c | emissions), (T, C), for confidences; no gradient flows through it.

        A marginal is the derivative of the log partition by an emission, so autograd is the backward
        recursion. What is the same for all classes of a token changes nothing, and is taken away first: the
        log partition of a long sentence would else be too large for float32.
        """
        if not len(emissions_TC):
            return _upcast(emissions_TC)
        # Tensors made outside inference mode, the clone too, may be differentiated.
        with torch.inference_mode(False), torch.enable_grad():
            leaf_TC = _upcast(emissions_TC.detach().clone()).log_softmax(-1).requires_grad_()
            total = self._log_partition(leaf_TC, self._walk(leaf_TC, lengths)).sum()
            (marginal_TC,) = torch.autograd.grad(total, leaf_TC)
        return marginal_TC.clamp(0, 1)

    def _walk(self, emissions_TC: Tensor, lengths: Lengths) -> "_Walk":
        classes = len(self.start_C)
        if emissions_TC.ndim != 2 or emissions_TC.shape[1] != classes:
            raise InputError(f"emissions have shape {tuple(emissions_TC.shape)}, wanted (T, {classes})")
        counts = [int(length) for length in (lengths.tolist() if isinstance(lengths, Tensor) else lengths)]
        if min(counts, default=0) < 0 or sum(counts) != len(emissions_TC):
            wanted = f"wanted numbers from 0 up that sum to {len(emissions_TC)} tokens"
            raise InputError(f"lengths {counts} sum to {sum(counts)}; {wanted}")
        return _plan_walk(counts, emissions_TC.device)

    def _path_score(self, emissions_TC: Tensor, tags_T: Tensor, *, walk: "_Walk") -> Tensor:
        """Score the given path of each sentence, (N,)."""
        dtype = emissions_TC.dtype
        first_T = walk.position_T == 0
        last_T = first_T.roll(-1)
        arrival_T = self.transitions_CC.to(dtype)[tags_T.roll(1), tags_T]
        score_T = emissions_TC.gather(1, tags_T[:, None])[:, 0]
        score_T = score_T + torch.where(first_T, self.start_C.to(dtype)[tags_T], arrival_T)
        score_T = score_T + torch.where(last_T, self.end_C.to(dtype)[tags_T], 0.0)
        # Each token has a cell of its own, so the sum has one order on every device (index_add has not).
        cells_NS = score_T.new_zeros(walk.num_sentences, len(walk.running))
        return cells_NS.index_put((walk.sentence_T, walk.position_T), score_T).sum(dim=1)

    def _log_partition(self, emissions_TC: Tensor, walk: "_Walk") -> Tensor:
        """Sum over all paths of each sentence, (N,), in the log domain."""
        dtype = emissions_TC.dtype
        transitions_CC, end_C = self.transitions_CC.to(dtype), self.end_C.to(dtype)
        result_N = emissions_TC.new_zeros(walk.num_sentences)
        alpha_AC = self.start_C.to(dtype)[None]
        finished = []
        for step, emission_AC in enumerate(torch.split(emissions_TC[walk.token_T], walk.running)):
            if step > 0:
                alpha_AC = torch.logsumexp(alpha_AC[:, :, None] + transitions_CC, dim=1)
            alpha_AC = alpha_AC + emission_AC
            staying = walk.staying(step)
            finished.append(torch.logsumexp(alpha_AC[staying:] + end_C, dim=1))
            alpha_AC = alpha_AC[:staying]
        if not finished:
            return result_N
        return result_N.index_copy(0, walk.order_N[: walk.running[0]], torch.cat(finished[::-1]))


@dataclass(frozen=True)
class _Walk:
    """The order in which a recursion visits packed tokens.

    running     running[t] sentences have a token at position t; S numbers, never rising
    order_N     sentences, longest first
    token_T     tokens, position by position, inside a position in the order of order_N
    sentence_T, position_T  where each packed token stands
    """

    num_sentences: int
    running: list[int]
    order_N: Tensor
    token_T: Tensor
    sentence_T: Tensor
    position_T: Tensor

    def staying(self, step: int) -> int:
        """Count the sentences that go on after `step`."""
        return self.running[step + 1] if step + 1 < len(self.running) else 0


def _plan_walk(counts: list[int], device: torch.device) -> _Walk:
    length_N = torch.tensor(counts, dtype=torch.int64)
    order_N = length_N.argsort(descending=True, stable=True)
    rank_N = order_N.argsort()
    sentence_T = torch.repeat_interleave(length_N)
    first_N = length_N.cumsum(0) - length_N
    position_T = torch.arange(len(sentence_T)) - first_N[sentence_T]
    token_T = (position_T * len(counts) + rank_N[sentence_T]).argsort()
    running = torch.bincount(position_T).tolist()
    moved = [index.to(device, non_blocking=True) for index in (order_N, token_T, sentence_T, position_T)]
    return _Walk(len(counts), running, *moved)


def _viterbi(
    emissions_TC: Tensor, walk: _Walk, *, start_C: Tensor, transitions_CC: Tensor, end_C: Tensor
) -> Tensor:
    best_AC = start_C[None]
    came_from: list[Tensor] = []
    last_tags: list[Tensor] = []
    last_scores: list[Tensor] = []
    for step, emission_AC in enumerate(torch.split(emissions_TC[walk.token_T], walk.running)):
        if step > 0:
            best_AC, back_AC = (best_AC[:, :, None] + transitions_CC).max(dim=1)
            came_from.append(back_AC)
        best_AC = best_AC + emission_AC
        score_A, tag_A = (best_AC[walk.staying(step) :] + end_C).max(dim=1)
        last_scores.append(score_A)
        last_tags.append(tag_A)
        best_AC = best_AC[: walk.staying(step)]
    tags_T = walk.token_T.new_empty(len(emissions_TC))
    if not last_tags:
        return tags_T
    if bool(torch.cat(last_scores).isneginf().any()):
        raise InputError("allowed_CC and allowed_start_C leave no path for some sentence; allow one")
    steps = [last_tags[-1]]
    for back_AC, tag_A in zip(reversed(came_from), reversed(last_tags[:-1]), strict=True):
        before_A = back_AC.gather(1, steps[-1][:, None])[:, 0]
        steps.append(torch.cat([before_A, tag_A]))
    tags_T[walk.token_T] = torch.cat(steps[::-1])
    return tags_T


def _upcast(emissions_TC: Tensor) -> Tensor:
    return emissions_TC.to(torch.promote_types(emissions_TC.dtype, torch.float32))


def _forbid(scores: Tensor, allowed: Tensor | None) -> Tensor:
    if allowed is None:
        return scores
    if allowed.shape != scores.shape or allowed.dtype != torch.bool:
        raise InputError(
            f"a mask is {allowed.dtype} {tuple(allowed.shape)}, wanted bool {tuple(scores.shape)}"
        )
    return scores.masked_fill(~allowed.to(scores.device), -torch.inf)
