"""From CoNLL columns or JSON lines to examples of tagged words.

Words are joined to a text by single spaces, except between two ideographs; the spans say where each word is.
Tags stay as the file has them: schemes are the business of `tasks/spans`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from minibert.data.examples import TaggedExample
from minibert.data.files import kind_of, lines_of
from minibert.errors import InputError

IDEOGRAPH = re.compile("[\u3000-\u303f\u3400-\u9fff\uff00-\uffef\U00020000-\U0003fffe]")
WORDS, TAGS = ("tokens", "words"), ("tags", "ner_tags", "labels", "pos_tags")
NUMBER = re.compile(r"\d+")


def read_tagged(path: str | Path, *, token_column: int = 0, tag_column: int = -1) -> list[TaggedExample]:
    """Read sentences of tagged words; columns are counted from 0, or from the end with -1.

    .jsonl rows hold {"tokens": [...], "tags": [...]} or {"text": ..., "entities": [{"start", "end", "label"}]}.
    In .conllu the word is column 1 and the tag column 3 unless others are named. Raises InputError with file
    and line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if kind_of(path) in (".jsonl", ".json"):
        examples = [
            _from_json(path, number, line) for number, line in enumerate(lines_of(path), 1) if line.strip()
        ]
    else:
        if kind_of(path) == ".conllu" and (token_column, tag_column) == (0, -1):
            token_column, tag_column = 1, 3
        examples = list(_sentences(path, token_column, tag_column))
    if not examples:
        raise InputError(f"{path}: empty; a file of tagged sentences is wanted")
    return examples


def from_words(words: Sequence[str], tags: Sequence[str] | None) -> TaggedExample:
    """Join words to a text and say where each of them is.

    >>> from_words(["Anna", "lives"], ["B-PER", "O"])
    TaggedExample(text='Anna lives', spans=((0, 4), (5, 10)), tags=('B-PER', 'O'))
    """
    text, spans = "", []
    for word in words:
        if text and not (IDEOGRAPH.match(text[-1]) and IDEOGRAPH.match(word)):
            text += " "
        spans.append((len(text), len(text) + len(word)))
        text += word
    return TaggedExample(text, tuple(spans), None if tags is None else tuple(tags))


def _sentences(path: Path, token_column: int, tag_column: int) -> Iterator[TaggedExample]:
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*lines_of(path), ""], 1):
        fields = line.split("\t") if "\t" in line else line.split()
        skipped = kind_of(path) == ".conllu" and (
            line.startswith("#") or not NUMBER.fullmatch((fields or ["1"])[0])
        )
        if not line.strip() or fields[0] == "-DOCSTART-":
            if words:
                yield from_words(words, tags)
                words, tags = [], []
        elif not skipped:
            try:
                word, tag = fields[token_column].strip(), fields[tag_column].strip()
            except IndexError:
                raise InputError(
                    f"{path}, line {number}: {len(fields)} columns, no column {token_column} or {tag_column}: {line[:60]!r}"
                ) from None
            if len(fields) < 2 or not word:
                raise InputError(f"{path}, line {number}: expected a word and a tag, found {line[:60]!r}")
            words.append(word)
            tags.append(tag)


def _from_json(path: Path, number: int, line: str) -> TaggedExample:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {number}: not JSON: {error}: {line[:60]!r}") from error
    if isinstance(row, dict) and "text" in row and "entities" in row:
        return _from_entities(path, number, row)
    words = next((row[name] for name in WORDS if name in row), None) if isinstance(row, dict) else None
    if not words:
        raise InputError(f"{path}, line {number}: no list of 'tokens'; found {line[:60]!r}")
    tags = next((row[name] for name in TAGS if name in row), None)
    if tags is not None and len(tags) != len(words):
        raise InputError(f"{path}, line {number}: {len(words)} tokens but {len(tags)} tags")
    return from_words(words, None if tags is None else [str(tag) for tag in tags])


def _from_entities(path: Path, number: int, row: dict[str, Any]) -> TaggedExample:
    """Turn marked stretches of a text into BIO tags of its words."""
    text = row["text"]
    for entity in row["entities"]:
        if not 0 <= entity["start"] < entity["end"] <= len(text):
            raise InputError(
                f"{path}, line {number}: entity {entity} is not inside the text of {len(text)} characters"
            )
    borders = {border for entity in row["entities"] for border in (entity["start"], entity["end"])}
    spans, tags = [], []
    for match in re.finditer(r"[\u3400-\u9fff]|\w+|[^\w\s]", text):
        cuts = [match.start(), *sorted(b for b in borders if match.start() < b < match.end()), match.end()]
        for start, end in zip(cuts, cuts[1:], strict=False):
            inside = next((e for e in row["entities"] if e["start"] <= start and end <= e["end"]), None)
            spans.append((start, end))
            tags.append(
                "O" if inside is None else f"{'B' if inside['start'] == start else 'I'}-{inside['label']}"
            )
    return TaggedExample(text, tuple(spans), tuple(tags))
