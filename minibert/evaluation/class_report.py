"""A report by class with three averages, in the form and the numbers of scikit-learn's classification_report.

    precision = r / k    recall = r / n    F1 = 2 r / (k + n)        r right of k given and n wanted

*micro* counts all classes together, *macro* is the plain mean over the classes, *weighted* weighs each by its
n, *samples* is the mean over texts with several labels. Where each text has one label, the micro averages are
all the accuracy, which stands in their place. A ratio with nothing below its line is 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minibert.evaluation.outcomes import Outcomes
from minibert.tasks.metrics import width_of

RATIOS = ("precision", "recall", "f1-score")
NAMES = ("accuracy", "micro avg", "macro avg", "weighted avg", "samples avg")
Row = dict[str, float]


@dataclass(frozen=True)
class ClassReport:
    """Rows of precision, recall, f1-score and support; accuracy is None where the micro average has a row."""

    classes: dict[str, Row]
    accuracy: float | None
    averages: dict[str, Row]

    def to_dict(self) -> dict[str, Any]:
        """Return what scikit-learn's output_dict holds; a class with the name of an average is marked."""
        classes = {f"{name} (class)" if name in NAMES else name: row for name, row in self.classes.items()}
        accuracy = {} if self.accuracy is None else {"accuracy": self.accuracy}
        return {**classes, **accuracy, **self.averages}

    def text(self, digits: int = 4) -> str:
        """Return the report as scikit-learn prints it."""
        table = self.to_dict()
        width = max(len("weighted avg"), digits, *map(width_of, table))
        total = int(sum(row["support"] for row in self.classes.values()))
        lines = [" " * width + " " + "".join(f" {name:>9}" for name in (*RATIOS, "support")), ""]
        for number, (name, row) in enumerate(table.items()):
            if number == len(self.classes):
                lines.append("")
            if isinstance(row, dict):
                ratios = "".join(f" {row[ratio]:>9.{digits}f}" for ratio in RATIOS)
                lines.append(f"{' ' * (width - width_of(name))}{name} {ratios} {int(row['support']):>9}")
            else:
                lines.append(f"{name:>{width}} {'':>20} {row:>9.{digits}f} {total:>9}")
        return "\n".join(lines) + "\n"


def class_report(outcomes: Outcomes) -> ClassReport:
    """Score each class and all of them together.

    >>> from minibert.evaluation.outcomes import of_choices
    >>> outcomes = of_choices([["no"], ["no"], ["yes"]], [["no"], ["yes"], ["yes"]], ["no", "yes"])
    >>> class_report(outcomes).classes["no"]
    {'precision': 1.0, 'recall': 0.5, 'f1-score': 0.6666666666666666, 'support': 2}
    """
    right, given, wanted = (part.sum(axis=0) for part in (outcomes.right, outcomes.given, outcomes.wanted))
    scores = ratios(right, given, wanted)
    total = int(wanted.sum())
    classes = {
        label: _row([part[number] for part in scores], int(wanted[number]))
        for number, label in enumerate(outcomes.labels)
    }
    averages = {} if outcomes.one_label else {"micro avg": micro(right, given, wanted)}
    averages["macro avg"] = _row([part.mean() if len(part) else 0.0 for part in scores], total)
    averages["weighted avg"] = _row([share(part @ wanted, wanted.sum()) for part in scores], total)
    several = any((part.sum(axis=1) > 1).any() for part in (outcomes.given, outcomes.wanted))
    if several and (outcomes.units == 1).all():  # labels of texts, not of words
        of_texts = ratios(*(part.sum(axis=1) for part in (outcomes.right, outcomes.given, outcomes.wanted)))
        averages["samples avg"] = _row([part.mean() for part in of_texts], total)
    return ClassReport(classes, float(share(right.sum(), total)) if outcomes.one_label else None, averages)


def micro(right: np.ndarray, given: np.ndarray, wanted: np.ndarray) -> Row:
    """Return the scores of all classes counted together."""
    return _row(ratios(right.sum(), given.sum(), wanted.sum()), int(wanted.sum()))


def ratios(right: Any, given: Any, wanted: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F1 of counts of any shape."""
    return share(right, given), share(right, wanted), share(2 * right, given + wanted)


def share(part: Any, whole: Any) -> np.ndarray:
    """Divide, and return 0 for a part of nothing."""
    whole = np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole != 0)


def _row(scores: Any, support: int) -> Row:
    return {**{name: float(score) for name, score in zip(RATIOS, scores, strict=True)}, "support": support}
