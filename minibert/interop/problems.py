"""What a config.json says of the labels of a classifier, and which problem it solves.

`transformers` has one architecture for one label, several labels and a number; `problem_type` tells them
apart and, where it is silent, the number of labels: a single one is a number.
"""

from collections.abc import Mapping
from typing import Any

from minibert.errors import InputError

PROBLEMS = {  # theirs -> the name of our task
    "single_label_classification": "classification",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}


def label_names(values: Mapping[str, Any]) -> list[str]:
    """Return the names of the labels in the order of their numbers.

    >>> label_names({"id2label": {"1": "yes", "0": "no"}}), label_names({"num_labels": 1})
    (['no', 'yes'], ['LABEL_0'])
    """
    names = {int(number): str(name) for number, name in (values.get("id2label") or {}).items()}
    names = names or {number: f"LABEL_{number}" for number in range(int(values.get("num_labels", 2)))}
    return [names[number] for number in sorted(names)]


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
