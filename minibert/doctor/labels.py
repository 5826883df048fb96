"""Labels: names that lack, differ by a space, or outweigh all others; and values that point outside.

A tag's name counts without its letter (B-PER and I-PER are PER): schemes are converted anyway.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from minibert.doctor.examples import names_of, single_name
from minibert.doctor.findings import Finding, share, some

HEAVY = 0.9  # share of the rows with one label from which on the others are hardly learnt
PARTED = "[,;/、，；｜]"  # signs that may stand between two labels
LISTED = 20  # known labels in one sentence
RARE = 5  # rows that a class needs at least
ENOUGH_ROWS = 100  # below, every class is rare
NAMES_PER_ROW = 0.5  # with more names than that, the column holds no classes
SCHEME = re.compile(r"^[BIESMLU]-(?=.)")


def label_findings(
    rows: Sequence[Any], held: Sequence[Any], *, reject: str = "", takes_unseen: bool = False
) -> list[Finding]:
    """Check the labels of the examples to train on, and of those held out.

    reject        the label that is no class: nothing is learnt from it, so held-out rows alone may have it
    takes_unseen  whether any label may be in the held-out rows alone
    """
    counts = Counter(_bare(names) for names in _names(rows))
    classes = Counter(name for name in map(single_name, rows) if name is not None)
    return [
        *_unanswered(rows, "training"),
        *_unanswered(held, "validation"),
        *_balance(classes, len(rows)),
        *_constant(rows),
        *([] if takes_unseen else _unknown(counts, held, reject)),
        *_similar(counts),
        *_number_tags(rows),
        *_joined(rows),
        *_out_of_range(rows, "training"),
        *_out_of_range(held, "validation"),
    ]


def _names(rows: Iterable[Any]) -> Iterator[str]:
    for row in rows:
        yield from names_of(row)


def _bare(name: str) -> str:
    return SCHEME.sub("", name)


def _unanswered(rows: Sequence[Any], which: str) -> Iterator[Finding]:
    """Rows whose `label` is None: nothing can be learnt from them."""
    numbers = [n for n, row in enumerate(rows, 1) if getattr(row, "label", "") is None]
    if numbers:
        seen = f"{share(len(numbers), len(rows))} {which} rows have no label, such as row {numbers[0]}"
        yield Finding("no-label", "error", seen, "name the column that holds it, or remove the rows")


def _unknown(counts: Counter[str], held: Sequence[Any], reject: str) -> Iterator[Finding]:
    known = set(counts)
    strange = Counter(_bare(name) for name in _names(held) if _bare(name) not in known and name != reject)
    if strange and known:
        seen = f"{sum(strange.values()):,} labels of the validation data are never trained on: "
        seen += f"{some(sorted(strange))}; known labels: {', '.join(sorted(known)[:LISTED])}"
        yield Finding("unknown-label", "error", seen, "add rows of them to the training data")


def _similar(counts: Counter[str]) -> Iterator[Finding]:
    """Names that are equal once case, width, white space, dashes and underscores are left out."""
    groups: dict[str, list[str]] = {}
    for name in counts:
        plain = re.sub(r"[\s_\-]+", "", unicodedata.normalize("NFKC", name)).casefold()
        groups.setdefault(plain, []).append(name)
    alike = [sorted(names) for key, names in groups.items() if len(names) > 1 and key]
    if alike:
        shown = some([f"{' / '.join(names)}" for names in alike])
        yield Finding("similar-labels", "warning", f"labels that look the same: {shown}", "write them alike")


def _number_tags(rows: Sequence[Any]) -> Iterator[Finding]:
    """Tags that are all numbers mark no spans, whatever their list of names says elsewhere."""
    tags = {tag for row in rows for tag in getattr(row, "tags", None) or ()}
    if tags and all(tag.isdecimal() for tag in tags):
        seen = (
            f"all tags are numbers: {some(sorted(tags))}; they mark no spans, and each word is scored alone"
        )
        yield Finding("number-tags", "warning", seen, "write their names, such as B-PER, if they mark spans")


def _joined(rows: Sequence[Any]) -> Iterator[Finding]:
    """Sets of labels that were parted by something else than |."""
    sets = {label for row in rows for label in getattr(row, "labels", None) or ()}
    parts = Counter(part.strip() for label in sets for part in re.split(PARTED, label))
    joined = sorted(label for label in sets if re.search(PARTED, label))
    if len(joined) > 1 and max(parts.values()) > 1:
        seen = f"labels that seem to be several: {some(joined)}"
        yield Finding("joined-labels", "warning", seen, "part labels by |, or give a list in JSON")


def _balance(classes: Counter[str], rows: int) -> Iterator[Finding]:
    if len(classes) == 1:
        seen = f"the labels of the training data are {list(classes)}"
        yield Finding("one-label", "error", seen, "give at least two, or name another label column")
        return
    if rows >= ENOUGH_ROWS and len(classes) > NAMES_PER_ROW * rows:
        seen = f"{len(classes):,} different labels in {rows:,} rows: {some(list(classes))}"
        yield Finding("too-many-labels", "error", seen, "that column seems to hold no classes: name another")
        return
    if rows < ENOUGH_ROWS or not classes:
        return
    name, count = classes.most_common(1)[0]
    if count > HEAVY * rows:
        seen = f"{share(count, rows)} rows are {name!r}: who always says so is right that often"
        advice = "watch macro-F1, try --class-weights balanced, or give more rows of the others"
        yield Finding("imbalance", "warning", seen, advice)
    rare = [name for name, count in classes.items() if count < RARE]
    if rare:
        seen = f"{len(rare)} of {len(classes)} classes have fewer than {RARE} rows: {some(sorted(rare))}"
        yield Finding("rare-labels", "warning", seen, "give more of them, or join or drop those classes")


def _constant(rows: Sequence[Any]) -> Iterator[Finding]:
    numbers = {row.label for row in rows if isinstance(getattr(row, "label", None), float)}
    if len(numbers) == 1 and len(rows) > 1:
        seen = f"all {len(rows):,} training rows have the number {numbers.pop()}"
        yield Finding("one-label", "error", seen, "give at least two different numbers")


def _out_of_range(rows: Sequence[Any], which: str) -> Iterator[Finding]:
    """Values that point at nothing: a choice, a stretch of the text, an answer in the passage."""
    bad = [(number, why) for number, row in enumerate(rows, 1) if (why := outside(row))]
    if bad:
        number, why = bad[0]
        seen = f"{share(len(bad), len(rows))} {which} rows point outside; the first is row {number}: {why}"
        yield Finding("label-range", "error", seen, "mend or remove those rows")


def outside(example: Any) -> str | None:
    """Say which value of an example points at nothing, or None.

    >>> from minibert.data.examples import ChoiceExample
    >>> outside(ChoiceExample("It rains.", ("Stay in.", "Go out."), 2))
    'label 2, and the 2 choices are numbered from 0'
    """
    return _choice(example) or _stretch(example) or _answer(example)


def _choice(example: Any) -> str | None:
    choices, label = getattr(example, "choices", None), getattr(example, "label", None)
    if choices is None or label is None or 0 <= label < len(choices):
        return None
    return f"label {label}, and the {len(choices)} choices are numbered from 0"


def _stretch(example: Any) -> str | None:
    """Words, and the mentions of a relation, are stretches of the text."""
    text, spans, tags = (getattr(example, name, None) or () for name in ("text", "spans", "tags"))
    if tags and len(spans) != len(tags):
        return f"{len(spans)} words and {len(tags)} tags"
    mentions = [getattr(example, name, None) for name in ("head", "tail")]
    for start, end in [*spans, *(span for span in mentions if span is not None)]:
        if not 0 <= start < end <= len(text):
            return f"({start}, {end}) is no stretch of a text of {len(text)} characters"
    return None


def _answer(example: Any) -> str | None:
    passage = getattr(example, "passage", "")
    for answer in getattr(example, "answers", None) or ():
        if answer.start is not None and not passage.startswith(answer.text, answer.start):
            return f"the answer {answer.text[:40]!r} does not stand at character {answer.start}"
    return None
