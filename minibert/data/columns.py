"""Which columns of a file hold the text, its partner and the label: as named, or by their usual names.

A usual name is taken only where it is the only candidate: a wrong column would train a model on nonsense
without a word, so where two would do, the person is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from minibert.errors import InputError

TEXTS = ("sentence", "review", "content", "utterance", "title", "query")
PAIRS = (
    ("text", "pair"),
    ("text", "text_pair"),
    ("text", "text_b"),
    ("text", "text2"),
    ("a", "b"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("sentence", "sentence2"),
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("question", "answer"),
    ("qtext", "atext"),
)
NO_LABEL = ""  # a column of no name: labels may be missing or of any kind
LABELS = ("label", "labels", "category", "intent", "class")


@dataclass(frozen=True)
class Columns:
    """The names of the columns to read; None where there is no such column."""

    text: str
    pair: str | None = None
    label: str | None = None


def choose_columns(
    where: str,
    columns: Sequence[str],
    *,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    usual: Sequence[str] = LABELS,
) -> Columns:
    """Return the columns to read; those that are not named are found by their usual names.

    label  NO_LABEL for a file of which labels are not to be read
    usual  names of a label's column: the first of them, or else the only one

    A named text stays alone unless its pair is named too. Raises InputError, which begins with `where` and
    lists the columns, for a name that is not there, and where none or several columns would do.

    >>> choose_columns("train.csv", ["premise", "hypothesis", "label"])
    Columns(text='premise', pair='hypothesis', label='label')
    """
    there = f"there are {', '.join(columns)}"
    for named in (text, pair, label):
        if named not in (None, NO_LABEL) and named not in columns:
            raise InputError(f"{where}: no column {named!r}; {there}; is the first line a header?")
    if text is None:
        text, found = _find_text(where, columns, there)
        pair = pair or found
    if pair == text:
        raise InputError(f"{where}: column {text!r} cannot be both the text and its pair; {there}")
    if label == NO_LABEL:
        return Columns(text, pair)
    return Columns(text, pair, label or _find_label(where, columns, there, usual))


def _find_text(where: str, columns: Sequence[str], there: str) -> tuple[str, str | None]:
    pairs = [names for names in PAIRS if names[0] in columns and names[1] in columns]
    if "text" in columns:
        pairs = [names for names in pairs if names[0] == "text"]
        if len(pairs) < 2:
            return pairs[0] if pairs else ("text", None)
    paired = {name for names in pairs for name in names}
    found = [*pairs, *((name, None) for name in TEXTS if name in columns and name not in paired)]
    if len(found) == 1:
        return found[0]
    if not found:
        if len(columns) == 1 and ";" in columns[0]:
            raise InputError(
                f"{where}: the one column is {columns[0]!r}; part columns by commas, or save .tsv"
            )
        raise InputError(f"{where}: no column 'text'; {there}; name yours: text_column (--text-column)")
    candidates = " or ".join("+".join(name for name in names if name) for names in found)
    raise InputError(f"{where}: the text may be {candidates}; {there}; name it: text_column (--text-column)")


def _find_label(where: str, columns: Sequence[str], there: str, usual: Sequence[str]) -> str | None:
    found = [name for name in usual if name in columns]
    if usual[0] in found:
        return usual[0]
    if len(found) > 1:
        raise InputError(
            f"{where}: the label may be {' or '.join(found)}; {there}; name it: label_column (--label-column)"
        )
    return found[0] if found else None
