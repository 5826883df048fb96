"""What a config.json says of the labels of a classifier, and which problem it solves.

`transformers` has one architecture for one label, several labels and a number; `problem_type` tells them
apart and, where it is silent, the number of labels: a single one is a number. The labels of a tagger may
spell spans, in any scheme of `tasks.spans`.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from minibert.errors import InputError
from minibert.tasks.spans import Scheme, detect_scheme

PROBLEMS = {  # theirs -> the name of our task
    "single_label_classification": "classification",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}


# Labels that stand beside the tags of some models, for tokens that are no words: no tag of any scheme.
NO_WORD = re.compile(r"\[\w+\]|</?\w+>|X|PAD|IGNORED?", re.IGNORECASE)


def label_names(values: Mapping[str, Any]) -> list[str]:
    """Return the names of the labels in the order of their numbers.

    Raises InputError where they have no numbers, and where two have one name: an answer tells labels apart
    by their names.

    >>> label_names({"id2label": {"1": "yes", "0": "no"}}), label_names({"num_labels": 1})
    (['no', 'yes'], ['LABEL_0'])
    """
    table, count = values.get("id2label"), values.get("num_labels", 2)
    if not table:
        if not isinstance(count, int):
            raise InputError(f"config.json: num_labels is {count!r:.60}; a whole number is wanted")
        return [f"LABEL_{number}" for number in range(count)]
    if not isinstance(table, dict) or not all(str(number).isdecimal() for number in table):
        raise InputError(
            f"config.json: id2label is {table!r:.100}; a table from numbers to names is wanted, such as "
            '{"0": "no", "1": "yes"}'
        )
    names = [str(table[number]) for number in sorted(table, key=int)]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"config.json: id2label calls {times} labels {name!r}; give each a name of its own, in id2label "
            "and label2id"
        )
    return names


def spelling_of(labels: Sequence[str]) -> Scheme | None:
    """Say in which scheme a tagger's labels spell spans; None where they spell none.

    >>> spelling_of(["O", "B-PER", "I-PER", "E-PER", "S-PER", "[PAD]"]), spelling_of(["NOUN", "VERB", "X"])
    ('BIOES', None)
    """
    return detect_scheme([label] for label in labels if not NO_WORD.fullmatch(label))


def problem_of(values: Mapping[str, Any]) -> str:
    """Return the name of our task for a classifier of texts; raises InputError for what is not here.

    >>> problem_of({"num_labels": 1}), problem_of({"problem_type": "multi_label_classification"})
    ('regression', 'multi_label')
    """
    count = len(label_names(values))
    problem = values.get("problem_type") or ("regression" if count == 1 else "single_label_classification")
    fits = {"single_label_classification": count > 1, "regression": count == 1}
    if problem not in PROBLEMS or not fits.get(problem, count > 0):
        raise InputError(
            f"config.json: problem_type {problem!r} with {count} labels is not implemented; "
            "one label of at least two, several labels, and one number are"
        )
    return PROBLEMS[problem]
