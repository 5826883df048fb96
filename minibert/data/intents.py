"""Requests with an intent and tagged slots: from JSON lines, or from the three files of the slot-gated data.

A row is {"tokens": [...], "tags": [...], "intent": "..."}. A folder holds seq.in, seq.out and label, with a
request on each line (C.-W. Goo and others, 2018, Slot-Gated Modeling for Joint Slot Filling and Intent
Prediction): the words, their tags, and the intent.
"""

from pathlib import Path

from minibert.data.examples import IntentExample, TaggedExample
from minibert.data.files import open_text
from minibert.data.rows import rows_of
from minibert.data.tagged import example_of_row, from_words, read_untagged
from minibert.errors import InputError

INTENTS = ("intent", "label")
PARTS = ("seq.in", "seq.out", "label")


def read_intents(path: str | Path, *, label_column: str | None = None) -> list[IntentExample]:
    """Read requests from a .jsonl, or from a folder of seq.in, seq.out and label.

    label_column  the key of the intent, if it is neither "intent" nor "label"
    Raises InputError with file and line; a row may lack its tags or its intent.

    >>> row = '{"tokens": ["play", "jazz"], "tags": ["O", "B-genre"], "intent": "PlayMusic"}'
    >>> Path("requests.jsonl").write_text(row) and read_intents("requests.jsonl")[0].intent
    'PlayMusic'
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    examples = []
    for number, row in rows_of(path):
        where = f"{path}, line {number}"
        if label_column is not None and label_column not in row:
            raise InputError(f"{where}: no key {label_column!r}; the row has {', '.join(row)}")
        tagged = example_of_row(row, where=where)
        key = label_column or next((name for name in INTENTS if name in row), None)
        examples.append(_joined(tagged, None if key is None else row[key], where))
    if not examples:
        raise InputError(f"{path}: empty; a file of requests is wanted")
    return examples


def read_unanswered_intents(path: str | Path, *, text_column: str | None = None) -> list[IntentExample | str]:
    """Read what is to be predicted: the words of a file of `read_intents`, or the texts of any other."""
    if Path(path).is_dir():
        return [IntentExample(example.text, example.spans) for example in read_intents(path)]
    return [
        example if isinstance(example, str) else IntentExample(example.text, example.spans)
        for example in read_untagged(path, text_column=text_column)
    ]


def _joined(tagged: TaggedExample, intent: object, where: str) -> IntentExample:
    if intent is None:
        return IntentExample(tagged.text, tagged.spans, tagged.tags)
    if isinstance(intent, bool) or not isinstance(intent, str | int) or not str(intent).strip():
        raise InputError(f"{where}: the intent is {intent!r:.60}; one word is wanted")
    return IntentExample(tagged.text, tagged.spans, tagged.tags, str(intent).strip())


def _read_folder(folder: Path) -> list[IntentExample]:
    columns = [list(open_text(folder / name)) for name in PARTS]
    counts = [len(lines) for lines in columns]
    if len(set(counts)) != 1:
        told = ", ".join(f"{name} {count}" for name, count in zip(PARTS, counts, strict=True))
        raise InputError(f"{folder}: the files differ in lines ({told}); line n of each is one request")
    examples = []
    for number, (words, tags, intent) in enumerate(zip(*columns, strict=True), 1):
        where = f"{folder / 'seq.in'}, line {number}"
        tokens, labels = words.split(), tags.split()
        if not tokens or len(tokens) != len(labels):
            raise InputError(f"{where}: {len(tokens)} words and {len(labels)} tags: {words[:60]!r}")
        examples.append(_joined(from_words(tokens, labels), intent, where))
    if not examples:
        raise InputError(f"{folder}: empty; requests are wanted")
    return examples
