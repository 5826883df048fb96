"""Templates and verbalizers: a text as a sentence with a gap, and labels as words that may fill it.

T. Schick and H. Schuetze, 2021, *Exploiting Cloze Questions for Few-Shot Text Classification and Natural
Language Inference* (PET)::

    template    "{text} It was [MASK]."                  {text_b} is the second text of a pair
    verbalizer  positive=great|good,negative=terrible    a word is one token of the vocabulary

A text that is too long is cut at its own end; the template stays whole. Words are looked up where they would
stand, since "great" within a sentence and "great" at its beginning may be two tokens.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minibert.errors import InputError
from minibert.tasks.windows import shares
from minibert.text.alignment import MARK
from minibert.text.encoded import Encoded
from minibert.text.scripts import HAN_LETTER
from minibert.text.tokenizer import MASK_TEXT, Tokenizer

TEXT, PAIR = "{text}", "{text_b}"
EXAMPLE = "{text} It was [MASK]."
PARTS = re.compile(r"(\{\w*\}|\[MASK\])")
NEAR = 4  # words that an error names
Words = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Filled:
    """A template with its texts: the string, where its gap is, and where the texts stand, in characters."""

    text: str
    gap: tuple[int, int]
    slots: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Template:
    """A template, cut at its fields and its gap; made by `of`."""

    parts: tuple[str, ...]

    @staticmethod
    def of(text: str) -> "Template":
        """Read a template; raises InputError unless it has one [MASK] and each field at most once.

        >>> Template.of("[MASK] news: {text}").parts
        ('[MASK]', ' news: ', '{text}')
        """
        parts = tuple(part for part in PARTS.split(text) if part)
        masks = parts.count(MASK_TEXT)
        if masks != 1:
            found = "no [MASK]" if not masks else f"{masks} times [MASK]"
            raise InputError(
                f"template {text!r} has {found}; one is wanted where the word goes, as in {EXAMPLE!r}"
            )
        for part in parts:
            if part[0] == "{" and part[-1] == "}" and part not in (TEXT, PAIR):
                raise InputError(
                    f"template {text!r}: the field {part} is unknown; the texts are {TEXT}, {PAIR}"
                )
        if parts.count(TEXT) != 1 or parts.count(PAIR) > 1:
            counts = " and ".join(f"{parts.count(field)} times {field}" for field in (TEXT, PAIR))
            raise InputError(
                f"template {text!r} has {counts}; {TEXT} is wanted once, and {PAIR} once for pairs"
            )
        return Template(parts)

    def __str__(self) -> str:
        return "".join(self.parts)

    def fill(self, text: str, pair: str | None, *, gap: str = MASK_TEXT) -> Filled:
        """Put texts into the fields, and a word into the gap."""
        if (pair is not None) != (PAIR in self.parts):
            has = "has a second text" if pair is not None else "has no second text"
            raise InputError(
                f"template {str(self)!r} and {text[:40]!r}, which {has}: {PAIR} in a template goes with pairs"
            )
        values = {TEXT: text, PAIR: pair or "", MASK_TEXT: gap}
        filled, spans = "", {}
        for part in self.parts:
            start = len(filled)
            filled += values.get(part, part)
            spans[part] = (start, len(filled))
        slots = tuple(spans[field] for field in (TEXT, PAIR) if field in self.parts)
        return Filled(filled, spans[MASK_TEXT], slots)

    def encode(
        self, tokenizer: Tokenizer, text: str, pair: str | None, *, max_length: int, word: str | None = None
    ) -> tuple[Encoded, np.ndarray]:
        """Return the tokens of a filled template, control tokens included, and the rows of its gap.

        word  what stands in the gap; None for the mask token
        Raises InputError where the template itself is longer than the model.
        """
        filled = self.fill(text, pair, gap=MASK_TEXT if word is None else word)
        encoded = (
            tokenizer.encode_masking(filled.text, [filled.gap])
            if word is None
            else tokenizer.encode(filled.text, filled.gap)
        )
        gap = np.arange(*np.searchsorted(encoded.offsets[:, 0], filled.gap))
        kept = self._kept(tokenizer, encoded, filled, max_length)
        rows = np.searchsorted(kept, gap) + len(tokenizer.around()[0])
        return tokenizer.build(encoded.kept(kept)), rows

    def _kept(self, tokenizer: Tokenizer, encoded: Encoded, filled: Filled, max_length: int) -> np.ndarray:
        """Return the places of the tokens that fit into the model: texts lose their ends."""
        runs = [np.searchsorted(encoded.offsets[:, 0], slot) for slot in filled.slots]
        lengths = [int(stop - first) for first, stop in runs]
        around = len(encoded) - sum(lengths) + tokenizer.special_count()
        if around > max_length:
            raise InputError(
                f"template {str(self)!r} alone has {around} tokens; the model takes {max_length}"
            )
        kept = np.ones(len(encoded), dtype=bool)
        if sum(lengths) > max_length - around:
            fitting = shares(lengths[0], sum(lengths[1:]), max_length - around)
            for (first, stop), left in zip(runs, fitting, strict=False):
                kept[first + left : stop] = False
        return np.flatnonzero(kept)


def read_verbalizer(given: str | Mapping[str, Any], labels: list[str]) -> Words:
    """Return the words of each label; without any, the labels are the words.

    given  "label=word,label=word|word", or a table from labels to a word or several
    Raises InputError for a label without a word, and for a word that stands for two.

    >>> read_verbalizer("good=great|fine,bad=terrible", ["bad", "good"])
    {'good': ('great', 'fine'), 'bad': ('terrible',)}
    """
    words: Words = _table(given) if given else {label: (label,) for label in labels}
    missing = [label for label in labels if not words.get(label)]
    if missing:
        known = ", ".join(f"{label}={'|'.join(told)}" for label, told in words.items())
        raise InputError(
            f"the verbalizer has no word for label {', '.join(map(repr, missing))}; it has {known}; give one "
            f"for each label: label=word,label=word"
        )
    owners: dict[str, str] = {}
    for label, told in words.items():
        for word in told:
            if word in owners:
                both = f"{owners[word]!r} and for {label!r}"
                raise InputError(f"verbalizer: {word!r} stands for {both}; a word says one label alone")
            owners[word] = label
    return words


def _table(given: str | Mapping[str, Any]) -> Words:
    if not isinstance(given, str):
        several = {str(label): [told] if isinstance(told, str) else told for label, told in given.items()}
        return {label: tuple(map(str, told)) for label, told in several.items()}
    words: Words = {}
    for entry in given.split(","):
        label, equals, told = (part.strip() for part in entry.partition("="))
        if not (label and equals and told) or label in words:
            raise InputError(
                f"verbalizer {given!r}: {entry.strip()!r} is not one label=word, each label once; several "
                "words of a label are parted by |"
            )
        words[label] = tuple(word.strip() for word in told.split("|") if word.strip())
    return words


def word_numbers(tokenizer: Tokenizer, template: Template, words: Words) -> dict[str, tuple[int, ...]]:
    """Return the token of each word where it stands in the template.

    Raises InputError, which names near words that are one token, for a word that is unknown or several, and
    where two words are the same token.
    """
    owners: dict[int, tuple[str, str]] = {}
    numbers: dict[str, tuple[int, ...]] = {}
    for label, told in words.items():
        for word in told:
            ids = ids_in_place(tokenizer, template, word)
            if len(ids) != 1 or ids[0] in tokenizer.special_ids:
                raise InputError(_not_one(tokenizer, template, word, ids))
            if ids[0] in owners:
                other, its = owners[ids[0]]
                raise InputError(
                    f"verbalizer: {other!r} of {its!r} and {word!r} of {label!r} are the same token; choose "
                    "another word"
                )
            owners[ids[0]] = word, label
            numbers[label] = (*numbers.get(label, ()), ids[0])
    return numbers


def ids_in_place(tokenizer: Tokenizer, template: Template, word: str) -> list[int]:
    """Return the tokens of a word where it stands in the template."""
    filled = template.fill("x", "x" if PAIR in template.parts else None, gap=word)
    encoded = tokenizer.encode(filled.text, filled.gap)
    first, stop = np.searchsorted(encoded.offsets[:, 0], filled.gap)
    ids = [int(number) for number in encoded.ids[first:stop]]
    return ids[1:] if tokenizer.tokens(ids[:1]) == [MARK] else ids  # a space may be a token of its own


def _not_one(tokenizer: Tokenizer, template: Template, word: str, ids: list[int]) -> str:
    """Say why a word cannot be used, and which ones near it can."""
    pieces = tokenizer.tokens(range(tokenizer.vocab_size))
    begins = np.flatnonzero(tokenizer.word_starts)
    names = {pieces[number].strip(f"{MARK}\u0120") for number in begins}
    long = [name for name in sorted(names) if name.isalpha() and 2 * len(name) > len(word)]
    near = difflib.get_close_matches(word, long, n=4 * NEAR, cutoff=0.5)
    fit = [name for name in near if len(ids_in_place(tokenizer, template, name)) == 1][:NEAR]
    if not fit and HAN_LETTER.search(word):
        fit = [letter for letter in word if len(ids_in_place(tokenizer, template, letter)) == 1][:NEAR]
    what = " ".join(tokenizer.tokens(ids)) if len(ids) > 1 else "unknown to the vocabulary"
    hint = f"near words that are one: {', '.join(fit)}" if fit else "choose another word"
    return f"verbalizer: {word!r} is {what}, and the gap takes one token; {hint}"
