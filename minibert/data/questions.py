"""From files of questions about passages to examples: SQuAD's JSON, and flat rows.

SQuAD (Rajpurkar et al., 2016, and 2.0, 2018) nests questions in passages and passages in articles; CMRC 2018
and DRCD do the same. A flat row (.jsonl, .csv, .tsv, or a list in a .json) holds one question: `question`,
`context`, and `answers`, which are {"text": [...], "answer_start": [...]} or a list of {"text",
"answer_start"}, or a bare text, with its `answer_start` beside it. No answers means that the passage holds
none (`is_impossible` in SQuAD 2.0); no such column, that they are to be found.

Starts are often wrong: counted in bytes or UTF-16 units, or -1. An answer that does not stand at its start is
moved to the nearest place where its text does; without a start the first place is taken. One that stands
nowhere keeps no start: answers are compared with it, but nothing is learnt from it. All of these are counted
on stderr, and the first ten of each are listed.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from minibert.data.examples import GoldAnswer, QuestionExample
from minibert.data.files import kind_of, open_text
from minibert.data.rows import is_true, rows_of
from minibert.errors import InputError

LISTED = 10  # answers that are named of those to complain about
MOVED = "moved to where their text stands"
LOST = "stand nowhere in their passage, nothing is learnt from them"
DOUBTFUL = "have no start and stand in several places, the first is taken"
ANSWERS_TOLD = (MOVED, LOST, DOUBTFUL)
USUAL = {"question": ("question",), "passage": ("context", "passage"), "answers": ("answers", "answer")}
PARTS = ("question", "answers")
Placed = tuple[str, dict[str, Any]]  # where a row stands, and the row


def read_questions(
    path: str | Path,
    *,
    question_column: str | None = None,
    passage_column: str | None = None,
    answers_column: str | None = None,
) -> list[QuestionExample]:
    """Read questions, their passages and, if the file has any, their answers.

    Columns of flat rows are found by their usual names unless they are named. Raises InputError with file,
    passage (or line) and id for an empty question or passage, and for answers of another form. An empty
    question with an answer teaches nothing: it is passed over, and stderr says where.

    >>> rows = '{"id": "7", "question": "Who sat?", "context": "The cat sat.", "answers": "The cat"}'
    >>> _ = Path("cats.jsonl").write_text(rows)
    >>> read_questions("cats.jsonl")[0].answers
    (GoldAnswer(text='The cat', start=0),)
    """
    path = Path(path)
    named = {"question": question_column, "passage": passage_column, "answers": answers_column}
    names = {part: (name,) if name else USUAL[part] for part, name in named.items()}
    placed = list(_rows(path))
    empty = [_asks_nothing(row, names) for _, row in placed]
    if any(empty) and not all(empty):
        told = [place for (place, _), nothing in zip(placed, empty, strict=True) if nothing]
        _tell(f"{len(told):,} questions are empty, and passed over", told)
        placed = [one for one, nothing in zip(placed, empty, strict=True) if not nothing]
    rows = [_example(place, row, names) for place, row in placed]
    if not rows:
        raise InputError(
            f"{path}: holds no questions; SQuAD's JSON or rows of question and context are wanted"
        )
    for what in ANSWERS_TOLD:
        places = [place for _, told in rows for place in told[what]]
        if places:
            _tell(f"{len(places):,} answers {what}", places)
    return [example for example, _ in rows]


def _asks_nothing(row: dict[str, Any], names: dict[str, tuple[str, ...]]) -> bool:
    """Whether a row with answers has an empty question; one to be answered is an error instead."""
    asked, answered = (next((row[name] for name in names[part] if name in row), None) for part in PARTS)
    return isinstance(asked, str) and not asked.strip() and bool(answered)


def _tell(what: str, places: Sequence[str]) -> None:
    more = f"; the first {LISTED}" if len(places) > LISTED else ""
    print("\n    ".join([f"  {what}{more}:", *places[:LISTED]]), file=sys.stderr)


def _rows(path: Path) -> Iterator[Placed]:
    """Yield every question as a flat row, and say where it stands."""
    if kind_of(path) == ".json":
        whole = _whole(path)
        if whole is not None:
            yield from _articles(whole, path)
            return
    for number, row in rows_of(path):
        yield _place(f"{path}, line {number}", row), row


def _whole(path: Path) -> list[Any] | None:
    """Return the articles or rows of a file that is one JSON value; None for one object a line."""
    lines = list(open_text(path))
    try:
        whole = json.loads("\n".join(lines))
    except (ValueError, RecursionError) as error:
        if _is_object(next(filter(str.strip, lines), "")):
            return None
        raise InputError(f"{path}: not JSON: {error}; is the file cut short?") from error
    whole = whole.get("data", [whole]) if isinstance(whole, dict) else whole
    if not isinstance(whole, list):
        raise InputError(f"{path}: a list of articles under 'data' is wanted, found {str(whole)[:60]!r}")
    return whole


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _articles(entries: list[Any], path: Path) -> Iterator[Placed]:
    passages = 0
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise InputError(f"{path}, entry {number}: {str(entry)[:60]!r} is neither an article nor a row")
        if "paragraphs" not in entry:
            yield _place(f"{path}, row {number}", entry), entry
            continue
        for paragraph in _list(entry["paragraphs"], f"{path}, article {number}", "paragraphs"):
            passages += 1
            where = f"{path}, passage {passages}"
            for row in _list(paragraph.get("qas"), where, "qas"):
                yield _place(where, row), {**row, "context": paragraph.get("context")}


def _list(value: Any, where: str, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise InputError(f"{where}: {name!r} must be a list of objects, found {str(value)[:60]!r}")
    return value


def _place(where: str, row: dict[str, Any]) -> str:
    return f"{where}, question {row['id']!r}" if "id" in row else where


def _example(
    where: str, row: dict[str, Any], names: dict[str, tuple[str, ...]]
) -> tuple[QuestionExample, dict[str, list[str]]]:
    """Return a row's example, and of which answers there is something to tell."""
    found = {part: next((name for name in usual if name in row), None) for part, usual in names.items()}
    texts = {}
    for part in ("question", "passage"):
        text = row.get(found[part] or "")
        if not isinstance(text, str) or not text.strip():
            there = f"found {text!r}" if found[part] else f"the row has {', '.join(row)}"
            raise InputError(f"{where}: no text in {' or '.join(names[part])}; {there}")
        texts[part] = text
    column, empty = found["answers"], is_true(row.get("is_impossible") or False, "is_impossible", where)
    if names["answers"] != USUAL["answers"] and column is None:
        raise InputError(f"{where}: no column {names['answers'][0]!r}; the row has {', '.join(row)}")
    given = _answers(row.get(column or ""), where, beside=row.get("answer_start"))
    given = [] if empty and given is None else given
    if empty and given:
        raise InputError(f"{where}: is_impossible, and yet it has answers: {given[0][0]!r}; which is right?")
    golds: list[GoldAnswer] = []
    told: dict[str, list[str]] = {what: [] for what in ANSWERS_TOLD}
    for text, start in given or ():
        gold = GoldAnswer(text, nearest(texts["passage"], text, start))
        golds.append(gold)
        place = f"{where}: {text[:40]!r}"
        if gold.start is None:
            told[LOST].append(place)
        elif start is None and texts["passage"].count(text) > 1:
            told[DOUBTFUL].append(place)
        elif start not in (None, gold.start):
            told[MOVED].append(f"{place} from {start} to {gold.start}")
    answers = None if given is None else tuple(golds)
    return QuestionExample(texts["question"], texts["passage"], answers, str(row.get("id", ""))), told


def _answers(value: Any, where: str, *, beside: Any) -> list[tuple[str, int | None]] | None:
    """Return texts and starts out of any of the forms, None for none; raises InputError for another.

    beside  what the row says of the start of an answer that is a bare text
    """
    if value is None:
        return None
    value = _unfolded(value)
    if isinstance(value, str):
        if isinstance(beside, str):  # the cell of a table
            beside = int(beside) if beside.strip().isdecimal() else beside.strip() or None
        return [(value, _start(beside, value, where))] if value.strip() else []
    if isinstance(value, dict):
        texts, starts = value.get("text"), value.get("answer_start", value.get("start"))
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise InputError(f"{where}: answers need as many texts as starts, found {str(value)[:60]!r}")
        pairs = list(zip(texts, starts, strict=True))
    else:
        parts = _list(value, where, "answers")
        pairs = [(part.get("text"), part.get("answer_start")) for part in parts]
    for text, _ in pairs:
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{where}: {text!r} among the answers; a text is wanted, or no answers at all")
    return [(text, _start(start, text, where)) for text, start in pairs]


def _start(value: Any, text: str, where: str) -> int | None:
    """Return the start of an answer, or None where nothing is said of it."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{where}: answer_start {value!r:.60} of {text[:40]!r} is no whole number")
    return value


def _unfolded(value: Any) -> Any:
    """Return the answers that a cell holds as JSON; a text that is none, such as [1990], as it is."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            told = json.loads(value)
            objects = told if isinstance(told, list) else [told]
            return told if all(isinstance(one, dict) for one in objects) else value
    return value


def nearest(passage: str, text: str, start: int | None) -> int | None:
    """Return where a text stands in a passage, the place nearest to `start`; None if it stands nowhere.

    >>> nearest("a cat, a cat", "cat", 8), nearest("a cat, a cat", "cat", None), nearest("a cat", "dog", 2)
    (9, 2, None)
    """
    wanted = max(0, start or 0)
    before = passage.rfind(text, 0, wanted + len(text))
    behind = passage.find(text, wanted)
    found = [place for place in (before, behind) if place >= 0]
    return min(found, key=lambda place: abs(place - wanted), default=None)
