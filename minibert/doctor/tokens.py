"""What becomes of the texts as tokens: cut off or split, unknown to the vocabulary, or spelt in bytes.

A WordPiece vocabulary has one token for all that it does not know. A SentencePiece vocabulary with bytes
spells it, three tokens for an ideograph: the model then sees no words, and texts get long.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minibert.doctor.findings import Finding, share
from minibert.tasks.task import Task
from minibert.text.tokenizer import Tokenizer

MANY_LONG = 0.1  # share of the texts that do not fit
STRANGE, HOPELESS = 0.05, 0.5  # shares of unknown tokens
BARE = 0.02  # share of a vocabulary that ought to occur in many texts
ENOUGH_TOKENS = 20  # for each piece of the vocabulary, before the coverage says anything
BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class Tokens:
    """The tokens of some examples.

    lengths   of each window, control tokens included
    fits      how each example went in: whole, split or cut
    counts    (V,) how often each piece occurs
    asked     windows that a step learns from; of a pair that is read text by text one of the two
    """

    lengths: tuple[int, ...]
    fits: tuple[str, ...]
    counts: np.ndarray
    asked: int

    @staticmethod
    def of(task: Task, examples: Sequence[Any]) -> "Tokens":
        """Encode examples as the task will."""
        windows = [task.encode(example) for example in examples]
        ids = [window.tokens.ids for parts in windows for window in parts]
        lengths = tuple(map(len, ids))
        fits = tuple(task.fit_of(parts) for parts in windows)
        asked = sum(bool(len(window.rows)) for parts in windows for window in parts)
        return Tokens(lengths, fits, count_ids(ids, task.tokenizer), asked)

    @staticmethod
    def of_texts(tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> "Tokens":
        """Encode documents, which are cut into runs of at most `max_length` tokens."""
        ids = tokenizer.encode_ids(texts)
        room = max_length - tokenizer.special_count()
        lengths = [min(room, len(row) - start) + 2 for row in ids for start in range(0, len(row), room)]
        return Tokens(tuple(lengths), (), count_ids(ids, tokenizer), len(lengths))

    @property
    def total(self) -> int:
        """All tokens, control tokens included."""
        return sum(self.lengths)


def count_ids(ids: Sequence[np.ndarray], tokenizer: Tokenizer) -> np.ndarray:
    """Return how often each id occurs, (V,); control tokens other than the unknown one are left out."""
    flat = np.concatenate([*ids, np.zeros(0, np.int32)]).astype(np.int64)
    counts = np.bincount(flat, minlength=tokenizer.vocab_size)
    control = tokenizer.special_ids
    counts[control[control != tokenizer.unknown_id]] = 0
    return counts


def token_findings(tokens: Tokens, tokenizer: Tokenizer, max_length: int) -> list[Finding]:
    """Check how texts go into a model of at most `max_length` tokens with this vocabulary."""
    return [*_long(tokens, max_length), *_unknown(tokens, tokenizer), *_coverage(tokens, tokenizer)]


def _long(tokens: Tokens, max_length: int) -> Iterator[Finding]:
    examples = len(tokens.fits)
    longer = f"texts have more than {max_length} tokens and are"
    for fit, name, seen, advice in (
        ("cut", "truncated", f"{longer} cut", "raise --max-seq-length, or --on-long head_tail or split"),
        (
            "target_cut",
            "targets",
            "targets are cut off before their end",
            "raise --max-target-length",
        ),
        (
            "long_answer",
            "long-answers",
            "answers have more tokens than an answer may have",
            "raise --max-answer-length",
        ),
        ("split", "split", f"{longer} split", "raise --max-seq-length if their parts need each other"),
    ):
        count = tokens.fits.count(fit)
        if count > MANY_LONG * examples:
            severity = "note" if fit == "split" else "warning"
            yield Finding(name, severity, f"{share(count, examples)} {seen}", advice)  # type: ignore[arg-type]


def unknown_share(tokens: Tokens, tokenizer: Tokenizer) -> float:
    """Return the share of tokens that are unknown, or single bytes of what is."""
    strange = np.array([bool(BYTE.fullmatch(piece)) for piece in tokenizer.tokens(_met(tokens))], bool)
    met = _met(tokens)
    strange |= met == tokenizer.unknown_id
    return float(tokens.counts[met[strange]].sum() / max(1, tokens.counts.sum()))


def _met(tokens: Tokens) -> np.ndarray:
    return np.flatnonzero(tokens.counts)


def _unknown(tokens: Tokens, tokenizer: Tokenizer) -> Iterator[Finding]:
    part = unknown_share(tokens, tokenizer)
    if part > STRANGE:
        seen = f"{part:.0%} of the tokens are unknown to this vocabulary, or single bytes of what it lacks"
        advice = "the vocabulary is of another language or alphabet: take a model that knows these texts"
        yield Finding("unknown-tokens", "error" if part > HOPELESS else "warning", seen, advice)


def _coverage(tokens: Tokens, tokenizer: Tokenizer) -> Iterator[Finding]:
    size = tokenizer.vocab_size
    used = len(_met(tokens)) / size
    if tokens.counts.sum() > ENOUGH_TOKENS * size and used < BARE:
        seen = f"the texts use {used:.1%} of the vocabulary's {size:,} pieces"
        advice = "the model knows another language or field; one that was trained on such texts does better"
        yield Finding("vocabulary-coverage", "warning", seen, advice)
