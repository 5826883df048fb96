"""Fitting a text into what the model can see at once: cut it off, split it, or refuse it."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.tasks.given import listed
from minibert.tasks.task import Task, Window
from minibert.text.encoded import Encoded
from minibert.text.tokenizer import Tokenizer


def window_length(max_length: int, config: EncoderConfig, tokenizer: Tokenizer) -> int:
    """Return the tokens of a window, all included: `max_length`, or for 0 what the encoder allows.

    Raises InputError for more than an encoder has positions (rotary ones have no end), and for too few to
    hold a token of a text.
    """
    if not max_length:
        return config.longest_text
    room_for(tokenizer, max_length)
    if max_length > config.longest_text and not config.modern:
        raise InputError(
            f"max_length {max_length} is more than the {config.longest_text} tokens that the encoder has "
            f"positions for; use at most {config.longest_text}, or 0 for all of them"
        )
    return max_length


def room_for(tokenizer: Tokenizer, max_length: int, *, pair: bool = False) -> int:
    """Return how many tokens of a text, or a pair, a window has room for; raises InputError for too few."""
    control = tokenizer.special_count(pair=pair)
    fewest = control + (2 if pair else 1)
    if max_length < fewest:
        what = "a token of each text of a pair" if pair else "a token of a text"
        raise InputError(
            f"max_length {max_length} has no room for {what} beside {control} control tokens; "
            f"use {fewest} or more"
        )
    return max_length - control


def windows_of(task: Task, examples: Iterable[Any]) -> list[list[Window]]:
    """Return the windows of each example; raises InputError with the place of the first that has none."""
    found = []
    for number, example in enumerate(listed(examples), 1):
        try:
            found.append(task.encode(example))
        except InputError as error:
            raise InputError(f"example {number}: {error}") from error
    return found


def grouped(windows: Sequence[Sequence[Window]], capacity: int) -> Iterator[list[tuple[int, int]]]:
    """Yield windows by length, at most so many tokens at a time; each told by its example and its place."""
    flat = [(number, place) for number, parts in enumerate(windows) for place in range(len(parts))]
    flat.sort(key=lambda at: len(windows[at[0]][at[1]]))
    group: list[tuple[int, int]] = []
    tokens = 0
    for number, place in flat:
        size = len(windows[number][place])
        if group and tokens + size > capacity:
            yield group
            group, tokens = [], 0
        group.append((number, place))
        tokens += size
    if group:
        yield group


def long_ones(windows: Sequence[Sequence[Window]], task: Task) -> Counter[str]:
    """Count the examples, those that were split into several windows, and those that were cut off."""
    return Counter(examples=len(windows)) + Counter(task.fit_of(parts) for parts in windows)


def tell_long(counts: Counter[str], max_length: int) -> None:
    """Say on stderr how many examples did not fit into the model whole."""
    told = f"{counts['split']:,} split, {counts['cut']:,} cut off at {max_length} tokens"
    if counts["target_cut"]:
        told += f", {counts['target_cut']:,} targets cut off at --max-target-length"
    if counts["long_answer"]:
        told += f", {counts['long_answer']:,} answers longer than --max-answer-length"
    print(f"  {counts['examples']:,} examples; {told}", file=sys.stderr)


def tell_cut(counts: Counter[str], max_length: int) -> None:
    """Say on stderr how many examples lost a part before they were asked; nothing where none did."""
    if counts["cut"]:
        print(
            f"{counts['cut']:,} of {counts['examples']:,} examples were cut off at {max_length} tokens",
            file=sys.stderr,
        )


def spread(length: int, room: int, overlap: int) -> list[tuple[int, int]]:
    """Cut [0, length) into runs of at most `room` that overlap by `overlap`; the last ends at the end.

    >>> spread(10, 6, 2)
    [(0, 6), (4, 10)]
    """
    if length <= room:
        return [(0, length)]
    starts = list(range(0, length - room, room - overlap)) + [length - room]
    return [(start, start + room) for start in starts]


def fit_text(
    tokenizer: Tokenizer, text: str, pair: str | None, *, max_length: int, on_long: str
) -> list[Encoded]:
    """Return the text (and its pair) with special tokens, in windows of at most `max_length` tokens.

    "truncate" shortens the longer of the two until both fit, at their ends; "head_tail" shortens them as
    much, in the middle; "split" gives windows over the first text, with the pair in each; "error" raises
    InputError with the length.
    """
    first = tokenizer.encode(text)
    second = None if pair is None else tokenizer.encode(pair)
    room = room_for(tokenizer, max_length, pair=second is not None)
    length = len(first) + (0 if second is None else len(second))
    if length <= room:
        return [tokenizer.build(first, second)]
    if on_long == "error":
        raise InputError(
            f"a text has {length} tokens and the model takes {room}: {text[:60]!r}...; "
            "use on_long truncate, head_tail or split, or a larger max_length"
        )
    if on_long != "split":
        shorten = head_and_tail if on_long == "head_tail" else head
        kept = shares(len(first), 0 if second is None else len(second), room)
        return [
            tokenizer.build(shorten(first, kept[0]), None if second is None else shorten(second, kept[1]))
        ]
    if second is not None:
        second = second.kept(slice(room // 2))
        room -= len(second)
    return [tokenizer.build(first[start:end], second) for start, end in spread(len(first), room, 0)]


def head(tokens: Encoded, room: int) -> Encoded:
    """Return the first tokens, as many as there is room for."""
    return tokens.kept(slice(room))


def head_and_tail(tokens: Encoded, room: int) -> Encoded:
    """Return the first tokens of a text for a quarter of the room, and its last ones for the rest.

    Source: C. Sun et al. (2019), How to Fine-Tune BERT for Text Classification?, section 5.3.1, where the
    first 128 and the last 382 of 510 tokens did best on long reviews and news.
    """
    if len(tokens) <= room:
        return tokens
    return tokens.kept(np.r_[0 : room // 4, len(tokens) - room + room // 4 : len(tokens)])


def shares(first: int, second: int, room: int) -> tuple[int, int]:
    """Share the room between two texts: the longer is cut, and both to one half where the shorter is longer.

    An odd token is the longer's, the second's where they are equal: what Hugging Face calls "longest first".
    """
    shorter, longer = sorted((first, second))
    longer = max(shorter, room - shorter)
    if shorter + longer > room:
        shorter, longer = room // 2, room - room // 2
    return (longer, shorter) if first > second else (shorter, longer)


def fit_words(
    tokenizer: Tokenizer,
    text: str,
    spans: Sequence[tuple[int, int]],
    *,
    labels: np.ndarray,
    max_length: int,
    on_long: str,
) -> list[Window]:
    """Return windows in which every word is asked exactly once, at its first token.

    A word of which the tokenizer makes no token, such as a lone joiner, is not asked.

    spans, labels  (start, end) in characters, and the number of the label wanted, of each of the M words
    on_long        "split" gives windows that overlap by a quarter, "truncate" the first of them alone
    Raises InputError where words and labels differ in number, and for on_long="error" where the text is long.
    """
    if len(labels) != len(spans):
        raise InputError(f"{len(spans)} words but {len(labels)} tags: {text[:60]!r}; each word needs one")
    tokens = tokenizer.encode(text, sorted({border for span in spans for border in span}))
    starts_M, ends_M = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    first_M = np.searchsorted(tokens.offsets[:, 1], starts_M, side="right")
    asked_M = np.append(tokens.offsets[:, 0], len(text))[first_M] < ends_M
    room = room_for(tokenizer, max_length)
    if len(tokens) > room and on_long == "error":
        raise InputError(
            f"a text has {len(tokens)} tokens and the model takes {room}: {text[:60]!r}...; "
            "use on_long split or truncate, or a larger max_length"
        )
    runs = spread(len(tokens), room, room // 4)[: 1 if on_long == "truncate" else None]
    owner_M = np.where(asked_M, owners(first_M, runs), -1)
    before = len(tokenizer.around()[0])
    windows = []
    for number, (start, end) in enumerate(runs):
        mine = np.flatnonzero(owner_M == number)
        part = tokens.kept(slice(start, end)) if on_long == "truncate" else tokens[start:end]
        rows = first_M[mine] - start + before
        windows.append(Window(tokenizer.build(part), rows=rows, labels=labels[mine], units=mine))
    return windows


def owners(first_M: np.ndarray, runs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return for each word the window in which its first token is farthest from the borders; -1 for none.

    first_M  the first token of each word; runs  (start, end) of each window in tokens

    >>> owners(np.array([0, 4, 9]), [(0, 6), (3, 10)])
    array([0, 0, 1])
    """
    last = len(runs) - 1
    slack_RM = np.stack(
        [
            np.minimum(
                np.where(number == 0, np.inf, first_M - start),
                np.where(number == last, np.inf, end - 1 - first_M),
            )
            for number, (start, end) in enumerate(runs)
        ]
    )
    inside_RM = np.stack([(start <= first_M) & (first_M < max(end, 1)) for start, end in runs])
    slack_RM = np.where(inside_RM, slack_RM, -1.0)
    return np.where(slack_RM.max(0) >= 0, slack_RM.argmax(0), -1)
