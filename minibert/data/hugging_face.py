"""Examples from the rows of Hugging Face's `datasets`, or from any other iterable of dicts.

Nothing here needs the package but opening a data set by its name on the hub. Class numbers become their names
where the data set knows them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from minibert.data.columns import choose_columns
from minibert.data.examples import TaggedExample, TextExample
from minibert.data.readers import examples_of
from minibert.data.rows import Row
from minibert.data.tagged import TAGS, example_of_row
from minibert.errors import InputError, MissingExtra

UNLABELLED = -1  # stands for a label that the makers of a data set keep to themselves


def read_datasets(
    dataset: str | Iterable[dict[str, Any]],
    *,
    split: str | None = None,
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
) -> list[TextExample]:
    """Turn the rows of a data set into examples of texts; columns are found as in `read_texts`.

    dataset  the name of one on the hub, one that is open, or any iterable of dicts
    split    "train", "validation", ...: needed where the data set has several
    Raises MissingExtra for a name where `datasets` is not installed, InputError for rows of no use.

    >>> read_datasets([{"sentence": "The cat sat.", "label": 1}])
    [TextExample(text='The cat sat.', pair=None, label='1')]
    """
    opened = _opened(dataset, split)
    rows = _rows(opened)
    columns = choose_columns(
        "data set", list(rows[0][1]), text=text_column, pair=pair_column, label=label_column
    )
    names = _class_names(opened, columns.label)
    label = columns.label
    if names and label:
        rows = [(number, {**row, label: _named(row.get(label), names)}) for number, row in rows]
        if all(row[label] is None for _, row in rows):
            columns = replace(columns, label=None)
    return examples_of(rows, columns, where="data set, row")


def read_tagged_datasets(
    dataset: str | Iterable[dict[str, Any]], *, split: str | None = None
) -> list[TaggedExample]:
    """Turn the rows of a data set into examples of tagged words; rows are as in a .jsonl of `read_tagged`.

    >>> read_tagged_datasets([{"tokens": ["Anna", "lives"], "ner_tags": ["B-PER", "O"]}])
    [TaggedExample(text='Anna lives', spans=((0, 4), (5, 10)), tags=('B-PER', 'O'))]
    """
    opened = _opened(dataset, split)
    rows = _rows(opened)
    column = next((name for name in TAGS if name in rows[0][1]), None)
    names = _class_names(opened, column)
    if names and column:
        rows = [
            (number, {**row, column: [_named(tag, names) for tag in row[column]]}) for number, row in rows
        ]
    return [example_of_row(row, where=f"data set, row {number}") for number, row in rows]


def _opened(dataset: Any, split: str | None) -> Any:
    """Open a data set by name, and choose one of several splits."""
    if isinstance(dataset, str):
        try:
            library = import_module("datasets")
        except ImportError:
            raise MissingExtra(
                f"opening {dataset!r} needs datasets: pip install 'minibert-encoder[datasets]'"
            ) from None
        dataset = library.load_dataset(dataset)
    if not isinstance(dataset, Mapping):
        return dataset
    if split is None and len(dataset) == 1:
        return next(iter(dataset.values()))
    if split not in dataset:
        raise InputError(f"split {split!r} is not in the data set; choose one of {', '.join(dataset)}")
    return dataset[split]


def _rows(dataset: Iterable[dict[str, Any]]) -> list[Row]:
    rows = list(enumerate(dataset))
    if not rows:
        raise InputError("the data set is empty; rows are wanted")
    for number, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"data set, row {number}: {row!r:.60} is not a dict of columns")
    return rows


def _class_names(dataset: Any, column: str | None) -> list[str] | None:
    """Return the names of a column's classes if the data set tells them, for a label or a list of labels."""
    feature = (getattr(dataset, "features", None) or {}).get(column)
    return getattr(getattr(feature, "feature", feature), "names", None)


def _named(number: Any, names: list[str]) -> str | None:
    if number is None or number == UNLABELLED:
        return None
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise InputError(f"class {number!r} has no name; the data set names {len(names)}: {', '.join(names)}")
    return names[number]
