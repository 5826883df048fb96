"""Labels: their order, and how good answers are where a text has any number of them.

Averages of F1 are those of metrics.py: *macro* is the plain mean over the labels that occur in the gold sets.
Left out: Hamming loss, which flatters whoever gives no labels at all.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from minibert.checkpoint import LONE
from minibert.errors import InputError
from minibert.tasks.metrics import class_scores


def natural(label: str) -> tuple[bool, float, str]:
    """Sort numbers by value before words by letter; "nan" and "inf" are words.

    >>> sorted({"10", "nan", "9", "b", "a"}, key=natural)
    ['9', '10', 'a', 'b', 'nan']
    """
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (False, number, label) if math.isfinite(number) else (True, 0.0, label)


def refuse_broken(labels: Iterable[str]) -> None:
    """Raise InputError for a label with half a character (a lone surrogate), which no file can hold.

    In a text it is no matter: tokenizers read something else in its place.
    """
    for label in map(str, labels):
        if LONE.search(label):
            raise InputError(
                f"label {label!r} has half of a character, a lone surrogate; mend it where the data come from"
            )


def label_set_scores(
    gold: Sequence[Collection[str]], predicted: Sequence[Collection[str]], labels: Sequence[str]
) -> dict[str, Any]:
    """Score answers that are any number of labels: micro-F1, macro-F1, accuracy, and each label.

    *Micro* F1 counts all labels of all texts together; *accuracy* is the share of texts whose labels are all
    right. Two empty sets are equal, but add nothing to F1.

    >>> list(label_set_scores([["a"], ["a", "b"]], [["a"], ["a"]], ["a", "b"]).values())[:3]
    [0.8, 0.5, 0.5]
    """
    if len(gold) != len(predicted) or not len(gold):
        raise InputError(f"{len(gold)} texts with labels but {len(predicted)} answers; give one for each")
    wanted, given = [set(some) for some in gold], [set(some) for some in predicted]
    strange = set().union(*wanted, *given) - set(labels)
    if strange:
        raise InputError(f"label {min(strange)!r} is not among the labels {list(labels)}; add it")
    pairs = list(zip(wanted, given, strict=True))
    per_class = {
        label: class_scores(
            sum(label in one and label in other for one, other in pairs),
            sum(label in other for _, other in pairs),
            gold=sum(label in one for one, _ in pairs),
        )
        for label in labels
    }
    right, answers, truths = (sum(map(len, some)) for some in ([a & b for a, b in pairs], given, wanted))
    present = [scores["f1"] for scores in per_class.values() if scores["support"]]
    return {
        "micro_f1": class_scores(right, answers, gold=truths)["f1"],
        "macro_f1": sum(present) / max(1, len(present)),
        "accuracy": sum(one == other for one, other in pairs) / len(pairs),
        "per_class": per_class,
    }
