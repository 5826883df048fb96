"""How good the relations are that were found.

A label may name a relation alone, "USED-FOR", or its direction too, "Cause-Effect(e2,e1)". The scores follow
the official scorer of SemEval-2010 task 8 in its third way (Hendrickx and others, 2010): each relation is
counted over both directions, an answer with the wrong direction is wrong, and the label that stands for no
relation ("Other") has no F1 of its own: it only costs the others precision and recall. *Macro* F1 is the mean
over the relations that occur in the gold labels; *micro* F1 counts all pairs alike.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from minibert.errors import InputError
from minibert.tasks.metrics import class_scores

DIRECTED = re.compile(r"(.+)\((e[12]),(e[12])\)")
NEGATIVE = (  # in the order of their weight
    "no_relation", "Other", "NONE", "None", "NA", "unknown",
    "无关系", "没有关系", "不存在关系", "未知", "其他", "其它", "无",
)  # fmt: skip


def relation_of(label: str) -> tuple[str, bool]:
    """Return the relation that a label names, and whether it runs from the tail to the head.

    >>> relation_of("Cause-Effect(e2,e1)"), relation_of("USED-FOR")
    (('Cause-Effect', True), ('USED-FOR', False))
    """
    match = DIRECTED.fullmatch(label)
    return (match[1], match[2] == "e2") if match else (label, False)


def negative_of(labels: Sequence[str], chosen: str = "auto") -> str | None:
    """Return the label that stands for no relation: the one that was chosen, or the first usual one.

    "none" chooses none. Raises InputError for a label that is not there.

    >>> negative_of(["Other", "Cause-Effect(e1,e2)"])
    'Other'
    """
    if chosen == "none":
        return None
    if chosen == "auto":
        return next((label for label in NEGATIVE if label in labels), None)
    if chosen not in labels:
        raise InputError(f"negative_label {chosen!r} is not among the labels {', '.join(labels)}")
    return chosen


def relation_scores(gold: Sequence[str], predicted: Sequence[str], *, negative: str | None) -> dict[str, Any]:
    """Return macro-F1, micro-F1, accuracy, and the scores of each relation, all in 0..1.

    The main measure comes first: macro-F1 where labels have directions, micro-F1 where one label stands for
    no relation, else accuracy.

    >>> gold = ["A(e1,e2)", "A(e2,e1)", "Other"]
    >>> relation_scores(gold, ["A(e1,e2)", "A(e1,e2)", "Other"], negative="Other")["macro_f1"]
    0.5
    """
    if len(gold) != len(predicted) or not gold:
        raise InputError(f"{len(gold)} gold relations and {len(predicted)} predicted; as many are wanted")
    right: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for truth, answer in zip(gold, predicted, strict=True):
        wanted[relation_of(truth)[0]] += truth != negative
        answered[relation_of(answer)[0]] += answer != negative
        right[relation_of(truth)[0]] += truth == answer != negative
    names = sorted(name for name in wanted | answered if wanted[name] or answered[name])
    per_relation = {name: class_scores(right[name], answered[name], gold=wanted[name]) for name in names}
    occurring = [scores["f1"] for scores in per_relation.values() if scores["support"]]
    micro = class_scores(right.total(), answered.total(), gold=wanted.total())
    scores = {
        "macro_f1": sum(occurring) / len(occurring) if occurring else 0.0,
        "micro_f1": micro["f1"],
        "accuracy": sum(map(str.__eq__, gold, predicted)) / len(gold),
        "micro_precision": micro["precision"],
        "micro_recall": micro["recall"],
        "per_relation": per_relation,
    }
    directed = any(DIRECTED.fullmatch(label) for label in gold)
    main = "macro_f1" if directed else "micro_f1" if negative is not None else "accuracy"
    return {main: scores[main], **scores}
