"""How much each class counts in the loss, so that rare ones are not drowned by frequent ones.

weight of c = 1 / (classes that occur * share of c)         over all rows the mean weight is 1
"""

from collections import Counter
from collections.abc import Sequence


def balanced(labels: Sequence[str], *parts: Sequence[object]) -> list[float]:
    """Return a weight for each label from the labels of the rows to train on; 1 where there is no such row.

    parts  are shown equally often, however many rows each has; what is none of `labels` is not counted

    >>> balanced("abc", "aaab")
    [0.6666666666666666, 2.0, 1.0]
    >>> balanced("abc", "aa", "bbbbbc")
    [0.6666666666666666, 0.8, 4.0]
    """
    known = set(labels)
    told = ([str(label) for label in part if label is not None] for part in parts)
    found = [Counter(label for label in part if label in known) for part in told]
    counted = [part for part in found if part]
    shares = [sum(part[label] / part.total() for part in counted) / max(1, len(counted)) for label in labels]
    present = sum(share > 0 for share in shares)
    return [1 / (present * share) if share else 1.0 for share in shares]
