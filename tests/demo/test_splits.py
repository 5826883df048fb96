"""The cut by file, on the real standard library (without the packages, which only pretraining reads)."""

from dataclasses import replace
from pathlib import Path

import pytest

from minibert.data.examples import TaggedExample, TextExample
from minibert.demo.docstrings import Document, EmbeddedData, collect, text_key
from minibert.demo.roles import ROLES
from minibert.demo.sources import SourceFile
from minibert.demo.splits import (
    Splits,
    classification_splits,
    held_out_files,
    pretraining_documents,
    row_text,
    tagging_splits,
    texts_by_file,
)
from minibert.errors import InputError

PARTS = ("train", "validation", "test")
Everything = tuple[EmbeddedData, Splits[TextExample], Splits[TaggedExample]]


@pytest.fixture(scope="module")
def everything(standard_library_data: EmbeddedData) -> Everything:
    data = standard_library_data
    return data, classification_splits(data), tagging_splits(data, limits=(200, 40, 40))


def test_no_file_and_no_text_stands_in_two_parts(everything: Everything) -> None:
    _, classification, tagging = everything
    for split in (classification, tagging):
        files = [set(split.files[part]) for part in PARTS]
        texts = [{text_key(row.text) for row in rows} for rows in (split.train, split.validation, split.test)]
        for sets in (files, texts):
            assert all(sets)
            assert sets[0].isdisjoint(sets[1] | sets[2])
            assert sets[1].isdisjoint(sets[2])
    assert held_out_files(classification).isdisjoint(tagging.files["train"])


def test_every_class_is_in_every_part_in_about_the_same_share(everything: Everything) -> None:
    _, classification, _ = everything
    labels = {row.label for row in classification.train}
    assert len(labels) >= 7  # eight where Tk is installed
    total = sum(len(rows) for rows in (classification.train, classification.validation, classification.test))
    assert total > 3000
    for rows, share in (
        (classification.train, 0.7),
        (classification.validation, 0.15),
        (classification.test, 0.15),
    ):
        assert {row.label for row in rows} == labels
        assert abs(len(rows) / total - share) < 0.1


def test_pretraining_sees_no_held_out_file_and_no_held_out_text(everything: Everything) -> None:
    data, classification, tagging = everything
    held_out = held_out_files(classification, tagging)
    kept = pretraining_documents(data, classification, tagging)
    assert len(kept) > 3000
    assert len(held_out) > 50
    assert held_out.isdisjoint(file for document in kept for file in (document.file, *document.also))
    rows = {text_key(row.text) for row in classification.validation + classification.test}
    assert rows.isdisjoint(text_key(row_text(document)) for document in kept)


def test_a_text_that_begins_like_a_held_out_row_is_held_out_wherever_it_stands(
    everything: Everything,
) -> None:
    data, classification, tagging = everything
    row = max(classification.test, key=lambda row: len(row.text))
    begins_alike = Document("copies/a.py", "copies", "a", f"{row.text.upper()} {'x' * 300}")
    other = Document("copies/a.py", "copies", "b", f"Not that: {row.text}")
    longer = replace(data, documents=(*data.documents, begins_alike, other))
    texts = [document.text for document in pretraining_documents(longer, classification, tagging)]
    assert begins_alike.text not in texts
    assert other.text in texts


def test_the_texts_of_a_file_are_joined_in_order() -> None:
    documents = [Document(file, "p", "n", text) for file, text in (("a", "1"), ("b", "2"), ("a", "3"))]
    assert texts_by_file(documents) == ["1\n\n3", "2"]


def test_every_span_is_a_whole_name_with_a_known_role(everything: Everything) -> None:
    _, _, tagging = everything
    for row in tagging.train + tagging.test:
        assert row.tags is not None
        assert set(row.tags) <= set(ROLES)
        assert all(row.text[start:end].isidentifier() for start, end in row.spans)
        assert list(row.spans) == sorted(row.spans)
        bounds = {row.text[start - 1 : start] + row.text[end : end + 1] for start, end in row.spans}
        assert not any(character.isalnum() or character == "_" for bound in bounds for character in bound)


def test_the_seed_decides_and_nothing_else(everything: Everything) -> None:
    data, classification, _ = everything
    assert classification_splits(data) == classification
    assert set(classification_splits(data, seed=1).files["test"]) != set(classification.files["test"])


def test_limits_cap_the_rows_of_each_part(everything: Everything) -> None:
    data, classification, tagging = everything
    small = classification_splits(data, limits=(50, 20, 10))
    assert (len(small.train), len(small.validation), len(small.test)) == (50, 20, 10)
    assert small.train == classification.train[:50]
    assert len(tagging.train) == 200
    assert len(pretraining_documents(data, classification, tagging, limit=100)) <= 100


def test_too_few_documented_modules_is_an_error_that_names_the_part(tmp_path: Path) -> None:
    path = tmp_path / "json.py"
    path.write_text('"""A text of sufficient length."""')
    data = collect([SourceFile("python", path, "json.py")])
    with pytest.raises(InputError, match="no rows for train"):
        classification_splits(data)


def test_no_held_out_row_has_a_role_that_training_lacks(everything: Everything) -> None:
    data, _, _ = everything
    for seed in range(4):
        splits = tagging_splits(data, seed, limits=(6, 40, 40))
        known = {role for row in splits.train for role in row.tags}
        every = {role for row in tagging_splits(data, seed, limits=(200, 40, 40)).train for role in row.tags}
        assert len(known) < len(every)
        for part in ("validation", "test"):
            rows = getattr(splits, part)
            assert known >= {role for row in rows for role in row.tags}
            assert len(rows) == len(splits.files[part]) > 0
