"""What a person may choose about questions and their answers."""

from dataclasses import dataclass
from typing import Literal

from minibert.errors import InputError
from minibert.tasks.pooling import Activation, check_shares


@dataclass(frozen=True)
class QuestionAnsweringOptions:
    """What a person may choose; lengths are in tokens.

    max_length   of a window, all included; 0 for as long as the encoder allows, which is the limit anyway
    doc_stride   tokens by which two windows overlap, at most half a window's passage
    gold_answers "all" that several people gave, each with its share, or the "first" alone
    null_score_diff_threshold  by how much "no answer" must be better than the best span to be the answer;
                 None is 0 until validation data choose it
    """

    max_length: int = 384
    doc_stride: int = 128
    max_question_length: int = 64
    max_answer_length: int = 30
    n_best: int = 20
    gold_answers: Literal["all", "first"] = "all"
    null_score_diff_threshold: float | None = None
    classifier_dropout: float = 0.0
    projection: Activation = "auto"
    projection_norm: bool = False


def check(options: QuestionAnsweringOptions, room: int) -> None:
    """Raise InputError for a length that leaves nothing to read or to answer with, and for a bad share."""
    check_shares(options, "classifier_dropout")
    if room < 2:
        raise InputError(
            f"max_length {options.max_length} leaves {room} tokens for question and passage; use 16 or more"
        )
    for name in ("max_question_length", "max_answer_length", "n_best"):
        if getattr(options, name) < 1:
            raise InputError(f"{name} is {getattr(options, name)}; at least 1 is wanted")
    if options.doc_stride < 0:
        raise InputError(f"doc_stride is {options.doc_stride}; it is an overlap, 0 or more tokens")
