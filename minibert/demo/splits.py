"""Train, validation and test for the demo's two tasks, cut by source file.

Docstrings of one file resemble each other and its code repeats its names, so rows of one file never stand on
both sides of a cut. Files are taken class by class in an order given by a hash of the seed and their name,
and each goes to the part that is furthest below its share of rows: 70, 15 and 15 percent, and every class is
in every part. Both tasks use the same cut; what stands in files of validation and test is kept out of
pretraining as well.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from minibert.data.examples import TaggedExample, TextExample
from minibert.demo.chapters import load_chapters
from minibert.demo.docstrings import Document, EmbeddedData, read_source, text_key
from minibert.demo.snippets import Snippet, cut_snippets
from minibert.demo.sources import STANDARD_LIBRARY
from minibert.errors import InputError

Row = TypeVar("Row")
SHARES = (("train", 0.70), ("validation", 0.15), ("test", 0.15))
LONGEST = 300  # characters of a docstring that make a row
MOST_ROWS_PER_FILE = 80  # so that no part is one big module
MOST_SNIPPETS_PER_FILE = 30
FEWEST_FILES = 6  # a class with fewer, as where Tk is not installed, cannot be in three parts


@dataclass(frozen=True)
class Splits(Generic[Row]):
    """The rows of a task in three parts; `files` has the file of every row, part by part."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    files: dict[str, list[str]]


def classification_splits(
    data: EmbeddedData, seed: int = 0, *, limits: tuple[int, int, int] | None = None
) -> Splits[TextExample]:
    """Make rows (beginning of a docstring, class of its chapter); `limits` caps the rows of each part.

    splits = classification_splits(collect())
    print(splits.train[0].label, splits.files["train"][0])
    """
    rows = labelled_rows(data)
    part_of = split_files(data, seed)
    parts: dict[str, list[tuple[str, TextExample]]] = defaultdict(list)
    for document, label in rows:
        parts[part_of[document.file]].append((document.file, TextExample(row_text(document), label=label)))
    return cap_and_shuffle(parts, limits, seed)


def tagging_splits(
    data: EmbeddedData, seed: int = 0, *, limits: tuple[int, int, int] = (4000, 700, 700)
) -> Splits[TaggedExample]:
    """Make rows (a few lines of code, the role of each name in them) from the files of the same cut.

    splits = tagging_splits(collect(), limits=(400, 70, 70))
    print(splits.test[0].text, splits.test[0].tags)
    """
    part_of = split_files(data, seed)
    parts: dict[str, list[tuple[str, TaggedExample]]] = defaultdict(list)
    seen: set[str] = set()  # train comes first: code that stands there is in no other part
    for (part, _), limit in zip(SHARES, limits, strict=True):
        sources = [source for source in data.sources if part_of.get(source.key) == part]
        for source in sorted(sources, key=lambda source: ranking(seed, source.key)):
            if len(parts[part]) >= limit:
                break
            for snippet in choose_snippets(read_source(source), seed):
                if text_key(snippet.text) not in seen:
                    seen.add(text_key(snippet.text))
                    row = TaggedExample(snippet.text, snippet.spans, snippet.roles)
                    parts[part].append((source.key, row))
    return without_new_roles(cap_and_shuffle(parts, limits, seed))


def without_new_roles(splits: Splits[TaggedExample]) -> Splits[TaggedExample]:
    """Leave out rows of validation and test with a role that training lacks: it may, where it is small."""
    known = {role for row in splits.train for role in row.tags or ()}
    rows, files = {}, {"train": splits.files["train"]}
    for part, every in (("validation", splits.validation), ("test", splits.test)):
        kept = [at for at, row in enumerate(every) if known.issuperset(row.tags or ())]
        rows[part], files[part] = [every[at] for at in kept], [splits.files[part][at] for at in kept]
    return Splits(splits.train, rows["validation"], rows["test"], files)


def choose_snippets(source: str, seed: int) -> list[Snippet]:
    """Cut a source text into snippets and keep some of them, so that a long file does not fill a part."""
    snippets = sorted(cut_snippets(source), key=lambda snippet: ranking(seed, snippet.text))
    return snippets[:MOST_SNIPPETS_PER_FILE]


def pretraining_documents(
    data: EmbeddedData,
    classification: Splits[TextExample],
    tagging: Splits[TaggedExample],
    *,
    limit: int | None = None,
) -> list[Document]:
    """List what to pretrain on: nothing from a held-out file, nothing that begins like a held-out row.

    `limit` keeps an even selection of at most so many.
    """
    held_out = held_out_files(classification, tagging)
    held_out_keys = {text_key(row.text) for row in classification.validation + classification.test}
    documents = [
        document
        for document in data.documents
        if held_out.isdisjoint((document.file, *document.also))
        and text_key(row_text(document)) not in held_out_keys
    ]
    step = 1 if limit is None else max(1, -(-len(documents) // limit))
    return documents[::step]


def texts_by_file(documents: Iterable[Document]) -> list[str]:
    """Join the texts of each file: docstrings are short, and their neighbours tell what they are about."""
    texts: dict[str, list[str]] = defaultdict(list)
    for document in documents:
        texts[document.file].append(document.text)
    return ["\n\n".join(parts) for parts in texts.values()]


def held_out_files(*splits: Splits[TextExample] | Splits[TaggedExample]) -> frozenset[str]:
    """Collect the files that any row of validation or test comes from."""
    return frozenset(
        file for split in splits for part in ("validation", "test") for file in split.files[part]
    )


def split_files(data: EmbeddedData, seed: int) -> dict[str, str]:
    """Assign every file of the eight classes to a part."""
    rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for document, label in labelled_rows(data):
        rows[label][document.file] += 1
    part_of: dict[str, str] = {}
    for label in sorted(rows):
        taken = dict.fromkeys((part for part, _ in SHARES), 0)
        for file in sorted(rows[label], key=lambda file: ranking(seed, file)):
            part = min(SHARES, key=lambda share: taken[share[0]] / share[1])[0]
            part_of[file] = part
            taken[part] += rows[label][file]
    return part_of


def labelled_rows(data: EmbeddedData) -> list[tuple[Document, str]]:
    """Pair the standard library's docstrings with their class; a text that stands in two is dropped."""
    chapters = load_chapters()
    label_of = {
        source.key: label
        for source in data.sources
        if source.package == STANDARD_LIBRARY and (label := chapters.label(source.module)) is not None
    }
    rows: list[tuple[Document, str]] = []
    seen: set[str] = set()
    count_of_file: dict[str, int] = defaultdict(int)
    for document in data.documents:
        labels = {label_of[file] for file in (document.file, *document.also) if file in label_of}
        key = text_key(row_text(document))
        if document.file not in label_of or len(labels) > 1 or key in seen:
            continue
        if count_of_file[document.file] < MOST_ROWS_PER_FILE:
            seen.add(key)
            count_of_file[document.file] += 1
            rows.append((document, label_of[document.file]))
    files_of: dict[str, set[str]] = defaultdict(set)
    for document, label in rows:
        files_of[label].add(document.file)
    return [(document, label) for document, label in rows if len(files_of[label]) >= FEWEST_FILES]


def row_text(document: Document) -> str:
    """Put the beginning of a text on one line, cut between words."""
    line = " ".join(document.text.split())
    return line if len(line) <= LONGEST else line[: LONGEST + 1].rpartition(" ")[0]


def cap_and_shuffle(
    parts: dict[str, list[tuple[str, Row]]], limits: tuple[int, int, int] | None, seed: int
) -> Splits[Row]:
    """Order the rows of each part by a hash of the seed and keep the first."""
    rows: dict[str, list[Row]] = {}
    files: dict[str, list[str]] = {}
    for place, (part, _) in enumerate(SHARES):
        numbered = list(enumerate(parts[part]))
        numbered.sort(key=lambda entry: ranking(seed, f"{entry[1][0]} {entry[0]}"))
        kept = [row for _, row in numbered[: None if limits is None else limits[place]]]
        if not kept:
            raise InputError(
                f"no rows for {part}: "
                "the standard library here has too few documented modules of the eight classes"
            )
        rows[part] = [row for _, row in kept]
        files[part] = [file for file, _ in kept]
    return Splits(rows["train"], rows["validation"], rows["test"], files)


def ranking(seed: int, name: str) -> bytes:
    """Give a name its place in an order that looks random and is the same everywhere."""
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
