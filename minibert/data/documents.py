"""Documents with entities and relations, in the JSON lines of DyGIE++ (Wadden and others, 2019), as SciERC's.

    {"doc_key": ..., "sentences": [["The", "parser", ...], ...],
     "ner": [[[1, 1, "Method"], ...], ...], "relations": [[[1, 1, 4, 5, "USED-FOR"], ...], ...]}

"ner" and "relations" have a list for each sentence. Spans count the tokens of the whole document, and their
last token belongs to them. Coreference and events are left out.
"""

from itertools import islice
from pathlib import Path
from typing import Any

from minibert.data.examples import AnnotatedSentence, RelationExample, TaggedExample
from minibert.data.files import kind_of
from minibert.data.rows import rows_of
from minibert.data.tagged import from_words
from minibert.errors import InputError

NO_RELATION = "no_relation"  # TACRED's word for a pair that nobody related


def documents_in(path: Path) -> bool:
    """Whether the rows of a file are documents of this format."""
    rows = islice(rows_of(path), 1) if kind_of(path) in (".jsonl", ".json") else ()
    return any("sentences" in row for _, row in rows)


def read_annotated(path: str | Path) -> list[AnnotatedSentence]:
    """Read the sentences of all documents; raises InputError with file, line and value.

    >>> row = '{"sentences": [["a", "b"]], "ner": [[[0, 0, "X"], [1, 1, "Y"]]], '
    >>> row += '"relations": [[[1, 1, 0, 0, "of"]]]}'
    >>> Path("docs.jsonl").write_text(row) and read_annotated("docs.jsonl")[0].relations
    ((1, 0, 'of'),)
    """
    path = Path(path)
    found = []
    for number, row in rows_of(path):
        where = f"{path}, line {number}"
        parts = [_lists(row, name, where) for name in ("sentences", "ner", "relations")]
        counts = [len(part) for part in parts]
        if len(set(counts)) != 1:
            raise InputError(
                f"{where}: {counts[0]} sentences, {counts[1]} lists of ner and {counts[2]} of relations; "
                "one for each sentence is wanted"
            )
        first = 0
        for words, entities, relations in zip(*parts, strict=True):
            found.append(_sentence(words, entities, relations, first=first, where=where))
            first += len(words)
    if not found:
        raise InputError(f"{path}: empty; a file of documents is wanted")
    return found


def pairs_of(sentence: AnnotatedSentence) -> list[RelationExample]:
    """Return every ordered pair of entities with its relation, "no_relation" where there is none.

    A pair with two relations gets the first of them.
    """
    known: dict[tuple[int, int], str] = {}
    for head, tail, label in sentence.relations:
        known.setdefault((head, tail), label)
    places = [entity[:2] for entity in sentence.entities]
    return [
        RelationExample(sentence.text, head, tail, known.get((i, j), NO_RELATION))
        for i, head in enumerate(places)
        for j, tail in enumerate(places)
        if head != tail
    ]


def tags_of(sentence: AnnotatedSentence) -> TaggedExample:
    """Return the entities of a sentence as BIO tags; of two that overlap, the longer one stays.

    >>> tags_of(AnnotatedSentence("a b", ((0, 1), (2, 3)), ((0, 3, "X"), (2, 3, "Y")))).tags
    ('B-X', 'I-X')
    """
    tags = ["O"] * len(sentence.spans)
    for start, end, label in sorted(sentence.entities, key=lambda entity: entity[0] - entity[1]):
        inside = [n for n, (begin, stop) in enumerate(sentence.spans) if start <= begin and stop <= end]
        if all(tags[word] == "O" for word in inside):
            for word in inside:
                tags[word] = f"{'B' if word == inside[0] else 'I'}-{label}"
    return TaggedExample(sentence.text, sentence.spans, tuple(tags))


def _lists(row: dict[str, Any], name: str, where: str) -> list[list[Any]]:
    value = row.get(name)
    if not isinstance(value, list) or not all(isinstance(part, list) for part in value):
        raise InputError(f"{where}: {name!r} is {value!r:.60}; a list for each sentence is wanted")
    return value


def _sentence(
    words: list[Any], entities: list[Any], relations: list[Any], *, first: int, where: str
) -> AnnotatedSentence:
    if not all(isinstance(word, str) and word for word in words):
        raise InputError(f"{where}: the words {words!r:.80} must all be text")
    text = from_words(words)
    places: dict[tuple[int, int], int] = {}
    found: list[tuple[int, int, str]] = []
    for entity in entities:
        start, end = _words_of(entity, first, len(words), where=where)
        places.setdefault((entity[0], entity[1]), len(found))
        found.append((text.spans[start][0], text.spans[end][1], str(entity[2])))
    related = []
    for relation in relations:
        whole = isinstance(relation, list) and len(relation) == 5
        if not whole or not all(type(place) is int for place in relation[:4]):
            raise InputError(f"{where}: the relation {relation!r:.80} is not [start, end, start, end, label]")
        ends = tuple(relation[:2]), tuple(relation[2:4])
        if not all(end in places for end in ends):
            raise InputError(f"{where}: the relation {relation!r} is not between entities of its sentence")
        related.append((places[ends[0]], places[ends[1]], str(relation[4])))
    return AnnotatedSentence(text.text, text.spans, tuple(found), tuple(related))


def _words_of(entity: Any, first: int, words: int, *, where: str) -> tuple[int, int]:
    """Return the first and last word of an entity in its sentence."""
    whole = isinstance(entity, list) and len(entity) == 3
    if not whole or not all(type(place) is int for place in entity[:2]):
        raise InputError(f"{where}: the entity {entity!r:.60} is not [start, end, label]")
    start, end = entity[0] - first, entity[1] - first
    if not 0 <= start <= end < words:
        raise InputError(
            f"{where}: the entity {entity!r} is not inside its sentence, "
            f"tokens {first} to {first + words - 1}"
        )
    return start, end
