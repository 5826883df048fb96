"""Columns of a table that hold texts and are not read: half of a pair, mostly."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from minibert.data.columns import NO_LABEL, choose_columns
from minibert.data.files import kind_of
from minibert.data.remote import local
from minibert.data.rows import ROW_KINDS, rows_of
from minibert.doctor.findings import Finding, some
from minibert.evaluation.baselines import WORD
from minibert.tasks.task import Task
from minibert.text.scripts import HAN_LETTER

OF_TEXTS = ("classification", "cloze", "multi_label", "regression", "similarity")
LOOKED_AT = 50  # rows
PROSE = 4  # words in the middle cell of a column from which on it holds texts
IN_A_WORD = 2.5  # Han characters, about
OF_LABELS = ("label", "labels")  # which other checks read


def unread_findings(
    kind: type[Task], given: Any, *, columns: Mapping[str, str] | None = None
) -> list[Finding]:
    """Check a file of texts, or pairs of texts, that was read before; all else passes.

    columns  text_column and pair_column, where a person named them
    """
    is_table = isinstance(given, str | Path) and kind_of(Path(given)) in ROW_KINDS
    if not is_table or kind.name not in OF_TEXTS:
        return []
    rows = [row for _, row in islice(rows_of(Path(local(given))), LOOKED_AT)]
    text, pair = ((columns or {}).get(name) for name in ("text_column", "pair_column"))
    read = choose_columns(str(given), list(rows[0]), text=text, pair=pair, label=NO_LABEL)
    known = (read.text, read.pair, *OF_LABELS)
    unread = [name for name in rows[0] if name not in known and _holds_texts(rows, name)]
    if not unread:
        return []
    seen = f"{given}: {some(unread)} hold texts and are not read; read is {read.text}" + (
        f" with {read.pair}" if read.pair else ""
    )
    advice = "name the two texts of a pair: --text-column, --pair-column; or leave it out"
    return [Finding("unread-text", "warning", seen, advice)]


def _holds_texts(rows: list[dict[str, Any]], name: str) -> bool:
    sizes = sorted(_words(str(row.get(name) or "")) for row in rows)
    return sizes[len(sizes) // 2] >= PROSE and len({str(row.get(name)) for row in rows}) > len(rows) // 2


def _words(text: str) -> float:
    """Return about how many words a text has, numbers left out.

    >>> _words("a red cat, 2018"), _words("2018年2月1日公布")
    (3.0, 2.0)
    """
    found = WORD.findall(text)
    han = sum(bool(HAN_LETTER.fullmatch(word)) for word in found)
    return han / IN_A_WORD + sum(word.isalpha() for word in found) - han
