"""Tags and the spans that they spell.

A tag is a letter and a type, "B-PER", or "O" outside all spans; a bare letter is a span without a type.
Inside the library, and in its answers, tags are BIO; the other schemes are converted when they come, and
`from_bio` writes them again:

    BIO    B begin, I inside; also called IOB2
    IOB1   I begin and inside, B only after a span of the same type (L. Ramshaw, M. Marcus, 1995)
    BIOES  B begin, I inside, E end, S single; read also in the letters B I L U
    BMES   B begin, M middle, E end, S single; read also in the letters B M E W

One rule reads them all, and agrees with the conlleval script of the CoNLL-2000 shared task (E. Tjong Kim
Sang, S. Buchholz): a span starts at B or S, at a letter that follows O or another type, and after E or S.
It runs until the next O or start.
Left out: nested and discontinuous spans.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np

from minibert.errors import InputError
from minibert.tasks.metrics import ClassScores, class_scores

Scheme = Literal["BIO", "IOB1", "BIOES", "BMES"]

# What a scheme may be spelled with (O apart), the first that fits first: BIOES and BMES have two dialects.
_DIALECTS: tuple[tuple[Scheme, frozenset[str]], ...] = (
    ("BIO", frozenset("BI")),
    ("BIOES", frozenset("BIES")),
    ("BIOES", frozenset("BILU")),
    ("BMES", frozenset("BMES")),
    ("BMES", frozenset("BMEW")),
)
# What each letter of a scheme means in the words of BIOES.
_MEANING: Mapping[str, Mapping[str, str]] = {
    "BIO": {"B": "B", "I": "I"},
    "IOB1": {"B": "B", "I": "I"},
    "BIOES": {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S"},
    "BMES": {"B": "B", "M": "I", "E": "E", "S": "S", "W": "S"},
}


@dataclass(frozen=True)
class Span:
    """Tokens start..end (end not included) of one sentence, and what they are."""

    start: int
    end: int
    label: str


class SpanScores(TypedDict):
    """Micro-averaged scores in 0..1, and the same for each type, sorted by name."""

    precision: float
    recall: float
    f1: float
    per_type: dict[str, ClassScores]


def detect_scheme(tag_sequences: Iterable[Sequence[str]]) -> Scheme | None:
    """Say which scheme the tags of a whole data set follow; None for plain tags such as parts of speech.

    One tag that is neither "O" nor letter-dash-type makes them all plain. Bare letters count only where all
    tags but "O" are bare, "B" is among them and there are two kinds of tag. Then the letters decide: the
    first of B I, B I E S, B I L U, B M E S, B M E W that has them all. B and I spell IOB1 if some span
    starts with I and every B follows a token of its own type.

    >>> detect_scheme([["O", "B-PER", "E-PER"], ["S-LOC", "O"]])
    'BIOES'
    """
    sequences = [list(tags) for tags in tag_sequences]
    kinds = {tag for tags in sequences for tag in tags}
    parts = {tag: tag.partition("-") for tag in kinds if tag != "O"}
    if any(len(letter) != 1 or bool(dash) != bool(label) for letter, dash, label in parts.values()):
        return None
    typed = {bool(label) for _, _, label in parts.values()}
    letters = {letter for letter, _, _ in parts.values()}
    bare_but_not_a_scheme = typed == {False} and ("B" not in letters or len(kinds) < 2)
    if len(typed) != 1 or bare_but_not_a_scheme:
        return None
    scheme = next((scheme for scheme, known in _DIALECTS if letters <= known), None)
    return "IOB1" if scheme == "BIO" and _looks_like_iob1(sequences) else scheme


def spans_of(tags: Sequence[str]) -> list[Span]:
    """Read the spans of one sentence of BIO (or IOB1) tags.

    >>> spans_of(["I-PER", "I-LOC", "O"])
    [Span(start=0, end=1, label='PER'), Span(start=1, end=2, label='LOC')]
    """
    return _read(tags, "BIO")


def to_bio(tags: Sequence[str], scheme: str) -> list[str]:
    """Rewrite the tags of one sentence as well-formed BIO.

    >>> to_bio(["S-LOC", "B-PER", "E-PER"], "BIOES")
    ['B-LOC', 'B-PER', 'I-PER']
    """
    return _write(_read(tags, scheme), len(tags), scheme="BIO")


def from_bio(tags: Sequence[str], scheme: str) -> list[str]:
    """Rewrite the BIO tags of one sentence in another scheme.

    >>> from_bio(["B-PER", "I-PER", "I-PER", "B-LOC"], "BMES")
    ['B-PER', 'M-PER', 'E-PER', 'S-LOC']
    """
    _meaning(scheme)
    return _write(_read(tags, "BIO"), len(tags), scheme=scheme)


def repair_bio(tags: Sequence[str]) -> list[str]:
    """Make every span begin with B, without changing the spans.

    >>> repair_bio(["I-PER", "I-PER", "I-LOC"])
    ['B-PER', 'I-PER', 'B-LOC']
    """
    return to_bio(tags, "BIO")


def span_scores(
    gold_sequences: Sequence[Sequence[str]], predicted_sequences: Sequence[Sequence[str]]
) -> SpanScores:
    """Score the predicted spans of many sentences of BIO tags; a span is right if its ends and its type are.

    >>> span_scores([["B-PER", "O", "B-LOC"]], [["B-PER", "O", "B-ORG"]])["f1"]
    0.5
    """
    if len(gold_sequences) != len(predicted_sequences):
        raise InputError(
            f"{len(gold_sequences)} gold sentences but {len(predicted_sequences)} predicted; give as many"
        )
    right: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for number, (gold, predicted) in enumerate(zip(gold_sequences, predicted_sequences, strict=True)):
        if len(gold) != len(predicted):
            raise InputError(f"sentence {number} has {len(gold)} gold but {len(predicted)} predicted tags")
        gold_spans, predicted_spans = set(spans_of(gold)), set(spans_of(predicted))
        right.update(span.label for span in gold_spans & predicted_spans)
        answered.update(span.label for span in predicted_spans)
        wanted.update(span.label for span in gold_spans)
    total = class_scores(right.total(), answered.total(), gold=wanted.total())
    per_type = {
        label: class_scores(right[label], answered[label], gold=wanted[label])
        for label in sorted(answered | wanted)
    }
    return {
        "precision": total["precision"],
        "recall": total["recall"],
        "f1": total["f1"],
        "per_type": per_type,
    }


def allowed_transitions(labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Say which BIO label may follow which, (C, C) bool [before, after], and which may begin, (C,) bool.

    Raises InputError for an I label without its B, which could never be reached.

    >>> allowed_transitions(["O", "B-PER", "I-PER"])[0].astype(int).tolist()
    [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    """
    parts = [_split(label, "BIO") for label in labels]
    for label, (letter, kind) in zip(labels, parts, strict=True):
        if letter == "I" and ("B", kind) not in parts:
            raise InputError(
                f"label {label!r} has no B label beside it in {list(labels)}; apply repair_bio to the tags"
            )
    start_C = np.array([letter != "I" for letter, _ in parts], dtype=bool)
    same_type_CC = np.array(
        [[before != "O" and kind == after for _, after in parts] for before, kind in parts], dtype=bool
    )
    return start_C[None, :] | same_type_CC.reshape(len(parts), len(parts)), start_C


def _looks_like_iob1(sequences: list[list[str]]) -> bool:
    starts_with_inside = False
    for tags in sequences:
        before = "O"
        for tag in tags:
            continues = before != "O" and before[1:] == tag[1:]
            if tag[0] == "B" and not continues:
                return False
            starts_with_inside |= tag[0] == "I" and not continues
            before = tag
    return starts_with_inside


def _meaning(scheme: str) -> Mapping[str, str]:
    if scheme not in _MEANING:
        raise InputError(f"tag scheme {scheme!r} is not known; use one of {', '.join(_MEANING)}")
    return _MEANING[scheme]


def _split(tag: str, scheme: str) -> tuple[str, str]:
    """Take a tag apart into one of the letters O B I E S, whatever the dialect calls it, and a type."""
    if tag == "O":
        return "O", ""
    letter, dash, label = tag.partition("-")
    meaning = _meaning(scheme)
    if letter not in meaning or bool(dash) != bool(label):
        raise InputError(
            f"tag {tag!r} is not a tag of {scheme}; write all tags in one scheme (minibert.tasks.spans has "
            "detect_scheme and to_bio)"
        )
    return meaning[letter], label


def _read(tags: Sequence[str], scheme: str) -> list[Span]:
    _meaning(scheme)
    spans: list[Span] = []
    start, before, kind = 0, "O", ""
    for position, tag in enumerate([*tags, "O"]):
        letter, label = _split(tag, scheme)
        inside = letter in "IE" and before in "BI" and label == kind
        if not inside:
            if before != "O":
                spans.append(Span(start, position, kind))
            start = position
        before, kind = letter, label
    return spans


def _write(spans: Sequence[Span], length: int, *, scheme: str) -> list[str]:
    tags = ["O"] * length
    previous = Span(-1, -1, "")
    for span in spans:
        size = span.end - span.start
        if scheme in ("BIO", "IOB1"):
            touches = previous.end == span.start and previous.label == span.label
            letters = ("B" if scheme == "BIO" or touches else "I") + "I" * (size - 1)
        else:
            letters = "S" if size == 1 else "B" + ("I" if scheme == "BIOES" else "M") * (size - 2) + "E"
        tags[span.start : span.end] = [
            f"{letter}-{span.label}" if span.label else letter for letter in letters
        ]
        previous = span
    return tags
