"""The lines of CoNLL-U files (Universal Dependencies), and which words no space follows.

A line is a word in ten columns; the last, MISC, holds SpaceAfter=No where the text goes on without a space.
Comments (#), and the empty nodes of enhanced graphs (8.1), are no words. What is written as one and read as
several has a line of its own before them: `8-9 don't` before `8 do` and `9 n't`.

    https://universaldependencies.org/format.html
"""

import re
from collections.abc import Iterator

NUMBER, RANGE = re.compile(r"\d+"), re.compile(r"(\d+)-(\d+)")
COLUMNS, NO_SPACE = 10, "SpaceAfter=No"
Line = tuple[int, list[str]]  # its number in the file, and its columns; none for a blank line


def conllu_words(lines: Iterator[Line]) -> Iterator[Line]:
    """Leave out what is no word, and say of every word in its MISC column whether a space follows.

    The parts of a multiword token stand together where they spell it (do, n't), and apart where not (zu, dem
    for zum).

    >>> told = [["1-2", "don't", *"_" * 7, "SpaceAfter=No"], ["1", "do", *"_" * 8], ["2", "n't", *"_" * 8]]
    >>> [(fields[1], fields[9]) for _, fields in conllu_words(enumerate(told))]
    [('do', 'SpaceAfter=No'), ("n't", 'SpaceAfter=No')]
    """
    whole: list[str] = []  # the line of a multiword token whose parts are being read
    parts: list[Line] = []
    last = ""
    for number, fields in lines:
        if fields and (span := RANGE.fullmatch(fields[0])):
            whole, last = fields, span[2]
        elif not fields or NUMBER.fullmatch(fields[0]):
            parts.append((number, fields))
            if not whole or not fields or fields[0] == last:
                yield from _spaced(whole, parts)
                whole, parts = [], []
    yield from parts


def _spaced(whole: list[str], parts: list[Line]) -> Iterator[Line]:
    """Hand the spaces of a multiword token, if there is one, on to its parts."""
    if len(whole) == COLUMNS and all(len(fields) == COLUMNS for _, fields in parts):
        together = "".join(fields[1] for _, fields in parts) == whole[1]
        for _, fields in parts[:-1]:
            fields[-1] = NO_SPACE if together else "_"
        parts[-1][1][-1] = whole[-1]
    yield from parts


def is_joined(fields: list[str]) -> bool:
    """Whether no space follows a word."""
    return len(fields) == COLUMNS and NO_SPACE in fields[-1].split("|")
