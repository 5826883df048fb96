"""How often does an answer change when words change that should not matter?

Each text that holds a word of a swap (swaps.py) is asked twice, as it is and with the words exchanged. The
share of answers that change says how much a model leans on such words; the mean shift of a label's
probability from the left words to the right ones, over texts with words of one side, says where to::

    shift(label) = mean of  p(label | right words) - p(label | left words)

Source: N. Garg and others (2019), Counterfactual Fairness in Text Classification through Robustness; the
interval of the share is that of E. B. Wilson (1927). Left out: whether the change would be right, as it is
where a text is about the words; look at the texts.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from minibert.data.examples import MultiLabelExample, NumberExample, TextExample
from minibert.errors import InputError
from minibert.evaluation.swaps import Swap
from minibert.tasks.classification import Classified
from minibert.tasks.model import Model
from minibert.tasks.multi_label import MultiLabelled
from minibert.tasks.regression import Estimate

COMPARED = "counterfactual compares labels, sets of labels and numbers; this model gives none of them"
OTHERS = "give other texts, or a .csv of words that are in them"
TELLING = 0.1  # share of the spread of all numbers by which an answer must move to have changed


@dataclass(frozen=True)
class Changed:
    """A text whose answer changed, both answers, and how far the numbers behind them moved."""

    text: str
    swapped: str
    before: str
    after: str
    moved: float


@dataclass(frozen=True)
class Counterfactual:
    """What became of the texts that hold a word of a swap.

    undecided  words that stay as they are, since the sentence does not tell their partner ("took her back")
    share     of them the share whose answer changed; a number has, if it moved by a tenth of their spread
    interval  its 95 % interval
    moved     mean distance between both answers: of the probabilities (largest of the labels), or numbers
    shift     for each label, the mean of p with the right words less p with the left words
    """

    swap: str
    texts: int
    with_words: int
    changed: int
    share: float
    interval: tuple[float, float]
    moved: float
    shift: dict[str, float]
    examples: tuple[Changed, ...]
    undecided: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def counterfactual(
    model: Model, examples: Sequence[Any], swap: Swap, *, limit: int = 5, progress: bool = False
) -> Counterfactual:
    """Ask a model its examples with and without exchanged words.

    limit  how many of the changed texts are kept, those that moved most

    Raises InputError for a task without labels or numbers, and where no text holds a word of the swap.
    """
    twins = [(example, *exchanged(example, swap)) for example in examples]
    asked = [(example, twin, sides) for example, twin, sides, _ in twins if sides]
    if not asked:
        none = f"none of the {len(examples)} texts holds a word of the swap {swap.name!r}"
        raise InputError(f"{none}; {OTHERS}")
    both = [example for example, _, _ in asked] + [twin for _, twin, _ in asked]
    names, values = as_numbers(answers := model.predict(both, progress=progress))
    before, after = np.split(values, 2)
    moved_N = np.abs(after - before).max(axis=1)
    told = list(map(spelled, answers))
    differs = np.array(told[: len(asked)]) != np.array(told[len(asked) :])
    if isinstance(answers[0], Estimate):
        differs = moved_N > TELLING * np.std(before)

    def changed_at(at: int) -> Changed:
        example, twin, _ = asked[at]
        return Changed(shown(example), shown(twin), told[at], told[at + len(asked)], float(moved_N[at]))

    order = [int(at) for at in np.argsort(-moved_N, kind="stable") if differs[at]][:limit]
    return Counterfactual(
        swap.name,
        len(examples),
        len(asked),
        int(differs.sum()),
        float(differs.mean()),
        wilson(int(differs.sum()), len(asked)),
        float(moved_N.mean()),
        shift_of(names, after - before, [sides for _, _, sides in asked]),
        tuple(map(changed_at, order)),
        sum(undecided for _, _, _, undecided in twins),
    )


def exchanged(example: Any, swap: Swap) -> tuple[Any, set[bool], int]:
    """Return an example with exchanged words, the sides of the words that stood in it, and how many stay.

    Raises InputError for an example with places in its text, which other words would move.
    """
    if isinstance(example, str):
        found = swap.exchange(example)
        return found.text, found.sides, found.undecided
    if not isinstance(example, TextExample | MultiLabelExample | NumberExample):
        raise InputError(COMPARED)
    found = swap.exchange(example.text)
    if example.pair is None:
        return replace(example, text=found.text), found.sides, found.undecided
    more = swap.exchange(example.pair)
    twin = replace(example, text=found.text, pair=more.text)
    return twin, found.sides | more.sides, found.undecided + more.undecided


def as_numbers(answers: Sequence[Any]) -> tuple[list[str], np.ndarray]:
    """Return the names of the columns, and the numbers (N, C) of the answers."""
    if all(isinstance(answer, Classified | MultiLabelled) for answer in answers):
        return list(answers[0].probabilities), np.array([[*one.probabilities.values()] for one in answers])
    if all(isinstance(answer, Estimate) for answer in answers):
        return ["value"], np.array([[answer.value] for answer in answers])
    raise InputError(COMPARED)


def spelled(answer: Any) -> str:
    """Say an answer in a few letters."""
    if isinstance(answer, Estimate):
        return f"{answer.value:.4f}"
    return answer.label if isinstance(answer, Classified) else ", ".join(sorted(answer.labels)) or "none"


def shown(example: Any) -> str:
    """Return the text of an example."""
    if isinstance(example, str) or example.pair is None:
        return example if isinstance(example, str) else str(example.text)
    return f"{example.text} / {example.pair}"


def shift_of(names: Sequence[str], rise_NC: np.ndarray, sides: Sequence[set[bool]]) -> dict[str, float]:
    """Return the mean rise from left words to right ones, over the texts that hold words of one side."""
    signs = np.array([float(True in one) - float(False in one) for one in sides])
    if not signs.any():
        return {}
    means = (rise_NC * signs[:, None]).sum(axis=0) / np.abs(signs).sum()
    return {name: float(mean) for name, mean in zip(names, means, strict=True)}


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share.

    >>> tuple(round(end, 3) for end in wilson(0, 10))
    (0.0, 0.278)
    """
    z, share = 1.959964, hits / count
    middle, root = (
        share + z * z / (2 * count),
        z * (share * (1 - share) / count + (z / (2 * count)) ** 2) ** 0.5,
    )
    whole = 1 + z * z / count
    return max(0.0, (middle - root) / whole), min(1.0, (middle + root) / whole)
