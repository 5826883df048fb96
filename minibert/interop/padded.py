"""A model over padded rectangles: what an exported graph computes, input_ids in and named outputs out.

The encoder and the task are the library's own; three things differ. The batch is a rectangle with a mask
(`Layout.dense`), attention is the traceable one, and rotary angles are looked up in a table: few runtimes
have a cosine in float64. Inputs bear the names that other people's graphs have.

    encoder alone                last_hidden_state (N, S, D), embeddings (N, D)
    classification, multi_label  logits (N, C)
    regression                   logits (N, 1), the numbers themselves
    tagging                      logits (N, S, C), for every token: read those of each word's first
    question_answering           start_logits, end_logits (N, S)
    masked_lm                    logits (N, S, V)
    replaced_tokens              logits (N, S), above zero where a token was replaced

Letters: N texts, S tokens of the longest, T = N S, D hidden size, C classes, V vocabulary.
Left out: a CRF, whose best path is a loop over the words and no part of the graph.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minibert.adapt.prompts import rows_before
from minibert.errors import InputError
from minibert.kernels.rotary import Angles, rotary_angles
from minibert.model.encoder import Encoder
from minibert.packed import Layout, Packed
from minibert.tasks.classification import Classification
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.pooling import pool
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.regression import Regression
from minibert.tasks.replaced_tokens import ReplacedTokens
from minibert.tasks.tagging import Tagging
from minibert.tasks.task import Task
from minibert.text.tokenizer import Tokenizer

HEADS = Classification | MultiLabel | Regression | Tagging | QuestionAnswering | MaskedLM | ReplacedTokens


@dataclass(frozen=True)
class Source:
    """What becomes a graph: an encoder with the head of a task, or alone with a way to pool its rows.

    max_length  tokens at which a text is cut, control tokens included
    task        whose logits come out; None for hidden states and embeddings
    pooling     of the embeddings, which are one long: "mean" or "first"
    """

    encoder: Encoder
    tokenizer: Tokenizer
    max_length: int
    task: Task | None = None
    pooling: str = "mean"


class PaddedModel(nn.Module):
    """A source over rectangles; the weights are shared with its encoder.

    Raises InputError for a task that no graph can do.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        check(source)
        self.encoder = in_float32(source.encoder)
        bases = [source.encoder.config.rope_theta(layer) for layer in range(len(source.encoder.blocks))]
        if source.encoder.config.modern:
            places = source.encoder.config.max_position_embeddings + rows_before(source.encoder)
            self.encoder.rotary = RotaryTable(bases, places, source.encoder.config.head_size)
        self.head = source.task  # so that its weights are this module's
        self.source = source

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the outputs by name; all inputs are (N, S) int64, texts begin in the first column."""
        for axis in (0, 1):  # said, so that a traced program takes both for one number
            torch._check(attention_mask.shape[axis] == input_ids.shape[axis])
        segments = None if token_type_ids is None else token_type_ids.flatten()
        batch = Packed(input_ids.flatten(), segments, Layout.dense(attention_mask > 0))
        found = outputs_of(self.encoder, self.source, batch)
        return {
            name: rows if has_row_for_text(name, self.source) else rows.unflatten(0, input_ids.shape)
            for name, rows in found.items()
        }


class RotaryTable(nn.Module):
    """The rotary angles of all places that a text may have, by base: looked up, not worked out."""

    def __init__(self, bases: Sequence[float], places: int, head_size: int) -> None:
        super().__init__()
        self.bases = tuple(sorted(set(bases)))
        every = torch.arange(places)
        for number, base in enumerate(self.bases):
            for name, part in zip(("cos", "sin"), rotary_angles(every, head_size, base), strict=True):
                self.register_buffer(f"{name}{number}", part)

    def forward(self, positions_T: Tensor) -> dict[float, Angles]:
        """Return for each base the cosine and sine of every token's angles, each (T, 1, K/2)."""
        table = dict(self.named_buffers())
        return {
            base: (table[f"cos{number}"][positions_T], table[f"sin{number}"][positions_T])
            for number, base in enumerate(self.bases)
        }


def in_float32(encoder: Encoder) -> Encoder:
    """Return a copy that shares the weights and computes in float32, without dropout."""
    shared: dict[int, object] = {id(weight): weight for weight in encoder.parameters()}
    copied = copy.deepcopy(encoder, shared).eval()
    copied.dtype = torch.float32
    copied.use_attention("auto")
    return copied


def check(source: Source) -> None:
    """Raise InputError for a task that no graph can do, and for a model on another device."""
    task, device = source.task, next(source.encoder.parameters()).device
    if device.type != "cpu":
        raise InputError(f"the model lies on {device}; move it first: model.to('cpu')")
    if not isinstance(task, HEADS | None):
        raise InputError(f"a graph of the task {task.name} is not implemented; export its encoder alone")
    if isinstance(task, Tagging) and task.crf is not None:
        raise InputError(
            "a CRF looks for the best path in a loop, which is no part of a graph; train without"
        )


def has_row_for_text(name: str, source: Source) -> bool:
    """Whether an output has one row for each text; the others have one for each token."""
    return name == "embeddings" or isinstance(source.task, Classification | MultiLabel | Regression)


def outputs_of(encoder: Encoder, source: Source, batch: Packed) -> dict[str, Tensor]:
    """Return the outputs of a batch, packed or a rectangle: rows of tokens (T, ...) or of texts (N, ...)."""
    task = source.task
    if isinstance(task, Classification | MultiLabel):
        return {"logits": task.logits(encoder, batch)}
    if isinstance(task, Regression):
        return {"logits": task.numbers(task.scores(encoder, batch))[:, None].float()}
    every_T = torch.arange(batch.ids.shape[0])
    if isinstance(task, QuestionAnswering):
        starts_T, ends_T = task.logits(encoder, batch, every_T).unbind(-1)
        return {"start_logits": starts_T, "end_logits": ends_T}
    if isinstance(task, Tagging):
        return {"logits": task.emissions(encoder, batch, every_T)}
    hidden_TD = encoder(batch)
    if isinstance(task, MaskedLM):
        return {"logits": task.head(hidden_TD) @ task.table(encoder).T + task.bias}
    if isinstance(task, ReplacedTokens):
        return {"logits": task.judge(hidden_TD)}
    vectors_ND = pool(source.pooling, hidden_TD, batch.layout)
    return {"last_hidden_state": hidden_TD, "embeddings": nn.functional.normalize(vectors_ND, dim=1)}


def output_names(source: Source) -> tuple[str, ...]:
    """Return what comes out of a source's graph."""
    if source.task is None:
        return ("last_hidden_state", "embeddings")
    return ("start_logits", "end_logits") if isinstance(source.task, QuestionAnswering) else ("logits",)


def input_names(encoder: Encoder) -> tuple[str, ...]:
    """Return what a graph is given: kinds of tokens only where there are several."""
    several = encoder.config.type_vocab_size > 1
    return ("input_ids", "attention_mask", *(("token_type_ids",) if several else ()))
