"""Drawing a few examples of each class, so that several draws show how much of a score is luck.

A draw is a function of its seed alone. The larger of two draws with one seed holds the smaller: what the
additional examples bring is not mixed up with other examples.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.tasks.label_sets import natural


def draw_few(examples: Sequence[TextExample], per_class: int, seed: int) -> list[TextExample]:
    """Return `per_class` examples of each class, in a drawn order.

    Raises InputError, with the count of each class, where one has fewer, and for an example without a label.

    >>> rows = [TextExample(f"text {n}", label="ab"[n % 2]) for n in range(10)]
    >>> sorted(row.label for row in draw_few(rows, 2, seed=0))
    ['a', 'a', 'b', 'b']
    """
    check_counts(examples, per_class)
    random = np.random.default_rng(seed)
    drawn: list[TextExample] = []
    for label in sorted({str(example.label) for example in examples}, key=natural):
        places = [place for place, example in enumerate(examples) if str(example.label) == label]
        drawn += [examples[place] for place in random.permutation(places)[:per_class]]
    return [drawn[place] for place in random.permutation(len(drawn))]


def check_counts(examples: Sequence[TextExample], per_class: int) -> None:
    """Raise InputError where a class has fewer examples than are to be drawn."""
    if per_class < 1:
        raise InputError(f"{per_class} examples per class: at least 1 is wanted")
    for number, example in enumerate(examples, 1):
        if example.label is None:
            raise InputError(f"example {number} has no label: {example.text[:60]!r}; leave it out")
    counts = Counter(str(example.label) for example in examples)
    if not counts or min(counts.values()) < per_class:
        told = (
            ", ".join(f"{label}: {counts[label]}" for label in sorted(counts, key=natural)) or "no examples"
        )
        raise InputError(
            f"{per_class} examples per class are asked for, and the data have {told}; ask for fewer"
        )
