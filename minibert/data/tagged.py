"""From CoNLL columns or JSON lines to examples of tagged words.

Words are joined to a text by single spaces, except between two characters of a script that is written without
them, and where a .conllu says that none follows; the spans say where each word is. Tags stay as the file has
them: schemes are the business of `tasks/spans`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

from minibert.data.conllu import conllu_words, is_joined
from minibert.data.entities import tags_of_entities
from minibert.data.examples import TaggedExample
from minibert.data.files import kind_of, open_text
from minibert.data.readers import read_texts
from minibert.data.rows import rows_of
from minibert.errors import InputError
from minibert.text.scripts import stand_together

WORDS, TAGS = ("tokens", "words"), ("tags", "ner_tags", "labels", "pos_tags")
TAGGED_FILES = (".conll", ".conllu", ".bio", ".bmes")
Sentence = tuple[list[str], list[str], list[bool]]  # words, their tags, and whether no space follows them
FORM = 1  # the column of .conllu that holds words as they are written
TAG = re.compile(r"O|[BIESMLU]-\S+")
PEEPED = 100  # lines
BLANKS = " \t\r"  # an ideographic space is a character like others: Chinese files tag it


def read_tagged(
    path: str | Path,
    *,
    token_column: int | str | None = None,
    tag_column: int | str | None = None,
    join_words: int = 0,
) -> list[TaggedExample]:
    """Read sentences of tagged words; columns are counted from 0, or from the end with -1.

    join_words  neighbouring sentences of one document become one text of at most so many words (a longer
                sentence stays whole), so that a word is read with more around it; 0 keeps sentences apart

    Without numbers the word is in the first column and the tag in the last; in .conllu they are in columns 1
    and 3, and comments, multiword tokens and empty nodes are passed over. Blank lines part sentences,
    columns by tabs or spaces; -DOCSTART- lines are passed over. Rows of .jsonl hold {"tokens": [...],
    "tags": [...]}, or other keys if these are named, or {"text": ..., "entities": [{"start", "end",
    "label"}]}, and are not joined: nothing says which belong together. Raises InputError with file and line.

    >>> read_tagged("people.conll")[0]
    TaggedExample(text='Anna lives', spans=((0, 4), (5, 10)), tags=('B-PER', 'O'))
    """
    return _read(Path(path), token_column, tag_column=tag_column, join_words=join_words)


def read_untagged(
    path: str | Path, *, text_column: str | None = None, token_column: int | str | None = None
) -> list[TaggedExample | str]:
    """Read what is to be tagged: the words of a file of `read_tagged`, or the texts of any other.

    A file of CoNLL columns may have any name: it is known by the tags at the ends of its first lines.

    >>> read_untagged("people.conll")[0].tags, read_untagged("cats.txt")[0]
    (None, 'The cat sat.')
    """
    path = Path(path)
    if token_column is not None or _holds_words(path):
        examples = _read(path, token_column, tagged=False)
        return [replace(example, tags=None) for example in examples]
    return [example.text for example in read_texts(path, text_column=text_column)]


def _read(
    path: Path,
    token_column: int | str | None,
    *,
    tag_column: int | str | None = None,
    join_words: int = 0,
    tagged: bool = True,
) -> list[TaggedExample]:
    """Read words and tags; of untagged columns the tags are all "O", and a file of words alone will do."""
    if kind_of(path) in (".jsonl", ".json"):
        keys = tuple(None if name is None else str(name) for name in (token_column, tag_column))
        examples = [
            example_of_row(row, where=f"{path}, line {number}", keys=keys) for number, row in rows_of(path)
        ]
    else:
        usual = (FORM, 3) if kind_of(path) == ".conllu" else (0, -1)
        column = _column(tag_column, usual[1]) if tagged else None
        examples = list(_texts(_sentences(path, _column(token_column, usual[0]), column), join_words))
    if not examples:
        raise InputError(f"{path}: empty; a file of tagged sentences is wanted")
    return examples


def _holds_words(path: Path) -> bool:
    if kind_of(path) in (".jsonl", ".json"):
        return any(name in row for _, row in islice(rows_of(path), 1) for name in WORDS)
    if kind_of(path) in TAGGED_FILES:
        return True
    lines = [line.split() for line in islice(open_text(path), PEEPED)]
    words = [fields for fields in lines if fields and fields[0] != "-DOCSTART-"]
    return bool(words) and all(len(fields) > 1 and TAG.fullmatch(fields[-1]) for fields in words)


def from_words(
    words: Sequence[str], tags: Sequence[str] | None = None, *, joined: Sequence[bool] = ()
) -> TaggedExample:
    """Join words to a text and say where each of them is.

    joined  whether no space follows each word; without it, spaces are put where a script has them

    >>> from_words(["Anna", "lives"], ["B-PER", "O"])
    TaggedExample(text='Anna lives', spans=((0, 4), (5, 10)), tags=('B-PER', 'O'))
    """
    pieces, spans, end, last, near = [], [], 0, "", True
    for word, next_near in zip(words, joined or [False] * len(words), strict=True):
        gap = "" if near or stand_together(last, word[0]) else " "
        start = end + len(gap)
        end = start + len(word)
        spans.append((start, end))
        pieces += [gap, word]
        last, near = word[-1], next_near
    return TaggedExample("".join(pieces), tuple(spans), None if tags is None else tuple(tags))


def _column(given: int | str | None, usual: int) -> int:
    if given is None:
        return usual
    if isinstance(given, str) and not re.fullmatch(r"-?\d+", given):
        raise InputError(
            f"column {given!r} is no number; columns are counted from 0, or from the end with -1"
        )
    return int(given)


def example_of_row(
    row: dict[str, Any], *, where: str, keys: Sequence[str | None] = (None, None)
) -> TaggedExample:
    """Turn {"tokens", "tags"} or {"text", "entities"} into an example.

    keys  the names of the words and of the tags, if they are not the usual ones
    Without tags, the example has none. Raises InputError, whose message begins with `where`.
    """
    for key in keys:
        if key is not None and key not in row:
            raise InputError(f"{where}: no key {key!r}; the row has {', '.join(row)}")
    if "text" in row and "entities" in row and tuple(keys) == (None, None):
        return tags_of_entities(row["text"], row["entities"], where=where)
    words_key, tags_key = keys
    words = next((row[name] for name in ([words_key] if words_key else WORDS) if name in row), None)
    tags = next((row[name] for name in ([tags_key] if tags_key else TAGS) if name in row), None)
    if not isinstance(words, list) or not words:
        raise InputError(f"{where}: no list of 'tokens' that holds some; the row has {', '.join(row)}")
    for word in words:
        if not isinstance(word, str) or not word:
            raise InputError(f"{where}: {word!r} among the tokens; each must be a word")
    if tags is None:
        return from_words(words)
    if not isinstance(tags, list) or len(tags) != len(words):
        raise InputError(f"{where}: {len(words)} tokens need as many tags, found {tags!r:.60}")
    return from_words(words, [str(tag).strip() for tag in tags])


def _texts(sentences: Iterator[Sentence], most: int) -> Iterator[TaggedExample]:
    """Join neighbouring sentences to texts of at most `most` words; an empty sentence parts documents."""
    words: list[str] = []
    tags: list[str] = []
    joined: list[bool] = []
    for more, their_tags, near in chain(sentences, [([], [], [])]):
        if words and (not more or len(words) + len(more) > most):
            yield from_words(words, tags, joined=joined)
            words, tags, joined = [], [], []
        words += more
        tags += _apart(tags, their_tags)
        joined += near


def _apart(before: Sequence[str], tags: Sequence[str]) -> list[str]:
    """Let a span that opens a sentence not run on from one that closes the sentence before it (IOB1)."""
    runs_on = bool(before and tags) and tags[0].startswith("I-") and before[-1][1:] == tags[0][1:]
    return [f"B{tags[0][1:]}", *tags[1:]] if runs_on else list(tags)


def _sentences(path: Path, token_column: int, tag_column: int | None) -> Iterator[Sentence]:
    """Yield the words and tags of each sentence, and an empty one before each document.

    Without a column of tags all are "O".
    """
    words: list[str] = []
    tags: list[str] = []
    joined: list[bool] = []
    width, tells_spaces = 0, kind_of(path) == ".conllu" and token_column == FORM
    for number, fields in chain(_without_comments(_fields(path)), [(0, [])]):
        if not fields or fields[0] == "-DOCSTART-":
            if words:
                yield words, tags, joined
                words, tags, joined = [], [], []
            if fields:
                yield [], [], []
            continue
        width = width or len(fields)
        if len(fields) != width:
            raise InputError(
                f"{path}, line {number}: {len(fields)} columns, the lines before have {width}: "
                f"{' '.join(fields)[:60]!r}"
            )
        if tag_column is not None and width < 2:
            raise InputError(
                f"{path}, line {number}: {fields[0][:60]!r} alone; a word and its tag are wanted"
            )
        for column in (token_column, tag_column):
            if column is not None and (not -width <= column < width or not fields[column]):
                raise InputError(
                    f"{path}, line {number}: nothing in column {column} of {width}: "
                    f"{' '.join(fields)[:60]!r}; a word and its tag are wanted"
                )
        words.append(fields[token_column])
        tags.append("O" if tag_column is None else fields[tag_column])
        joined.append(tells_spaces and is_joined(fields))


def _without_comments(lines: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Leave out a line with # before a sentence, if it has no tag at its end and the next line has one."""
    begins = True
    for (number, fields), (_, following) in pairwise(chain(lines, [(0, [])])):
        marked = begins and fields and fields[0].startswith("#") and not TAG.fullmatch(fields[-1])
        if not (marked and following and TAG.fullmatch(following[-1])):
            yield number, fields
            begins = not fields


def _fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the columns of each line, [] for a blank one; what is no word of a .conllu is left out."""
    split = (_columns_of(line.rstrip(BLANKS)) for line in open_text(path))
    lines = enumerate(split, 1)
    return conllu_words(lines) if kind_of(path) == ".conllu" else lines


def _columns_of(line: str) -> list[str]:
    fields = line.split("\t") if "\t" in line else [field for field in line.split(" ") if field]
    return [field.strip(BLANKS) for field in fields] if line else []
