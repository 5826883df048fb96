"""DyGIE++ documents: sentences with entities and relations, as pairs and as tags."""

import json

import pytest

from minibert.data.documents import NO_RELATION, documents_in, pairs_of, read_annotated, tags_of
from minibert.data.relations import read_relations
from minibert.errors import InputError
from minibert.tasks.tagging import Tagging

DOCUMENT = {
    "doc_key": "x",
    "sentences": [["Our", "parser", "works", "."], ["It", "uses", "charts", "and", "LR", "tables"]],
    "ner": [[[1, 1, "Method"]], [[4, 4, "Generic"], [6, 6, "Method"], [8, 9, "Method"]]],
    "relations": [[], [[6, 6, 4, 4, "USED-FOR"], [8, 9, 4, 4, "USED-FOR"], [6, 6, 8, 9, "CONJUNCTION"]]],
    "clusters": [],
}


def write(folder, **changes):
    path = folder / "docs.jsonl"
    path.write_text(json.dumps({**DOCUMENT, **changes}), encoding="utf-8")
    return path


def test_spans_of_the_document_become_characters_of_the_sentence(tmp_path):
    first, second = read_annotated(write(tmp_path))
    assert first.text == "Our parser works ."
    assert [(first.text[a:b], label) for a, b, label in first.entities] == [("parser", "Method")]
    names = [second.text[a:b] for a, b, _ in second.entities]
    assert names == ["It", "charts", "LR tables"]
    assert [(names[i], label, names[j]) for i, j, label in second.relations] == [
        ("charts", "USED-FOR", "It"),
        ("LR tables", "USED-FOR", "It"),
        ("charts", "CONJUNCTION", "LR tables"),
    ]


def test_every_ordered_pair_of_a_sentence_is_a_pair_of_mentions(tmp_path):
    path = write(tmp_path)
    pairs = read_relations(path)
    assert pairs == [pair for sentence in read_annotated(path) for pair in pairs_of(sentence)]
    found = {(pair.text[slice(*pair.head)], pair.text[slice(*pair.tail)]): pair.label for pair in pairs}
    assert len(pairs) == len(found) == 6
    assert found["charts", "It"] == "USED-FOR"
    assert found["It", "charts"] == NO_RELATION
    assert sum(label != NO_RELATION for label in found.values()) == 3


def test_the_entities_are_tags_for_a_tagger(tmp_path):
    path = write(tmp_path)
    assert documents_in(path)
    tagged = Tagging.read(path)
    assert [example.tags for example in tagged] == [
        ("O", "B-Method", "O", "O"),
        ("B-Generic", "O", "B-Method", "O", "B-Method", "I-Method"),
    ]


def test_of_two_entities_that_overlap_the_longer_is_tagged_and_both_are_asked(tmp_path):
    ner = [[[1, 1, "A"], [0, 2, "B"]], []]
    (sentence, _) = read_annotated(write(tmp_path, ner=ner, relations=[[[1, 1, 0, 2, "part"]], []]))
    assert tags_of(sentence).tags == ("B-B", "I-B", "I-B", "O")
    assert [pair.label for pair in pairs_of(sentence)] == ["part", NO_RELATION]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ner": [[]]}, "2 sentences, 1 lists of ner and 2 of relations"),
        ({"ner": None}, "'ner' is None; a list for each sentence"),
        ({"ner": [[[4, 4, "A"]], []]}, r"the entity \[4, 4, 'A'\] is not inside its sentence, tokens 0 to 3"),
        ({"ner": [[[2, 1, "A"]], []]}, r"the entity \[2, 1, 'A'\] is not inside"),
        ({"ner": [[[1, "A"]], []]}, r"the entity \[1, 'A'\] is not \[start, end, label\]"),
        ({"relations": [[[1, 1, 2, 2, "x"]], []]}, r"the relation .*1, 1, 2, 2, 'x'\] is not between"),
        ({"relations": [[[1, 1, "x"]], []]}, r"the relation \[1, 1, 'x'\] is not \[start"),
        ({"sentences": [["Our", "", "a", "b"], ["c"]]}, ".* must all be text"),
    ],
)
def test_a_bad_document_is_named_by_file_line_and_value(tmp_path, changes, message):
    with pytest.raises(InputError, match=f"docs.jsonl, line 1: {message}"):
        read_annotated(write(tmp_path, **changes))


def test_other_rows_are_no_documents(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"tokens": ["a"], "tags": ["O"]}', encoding="utf-8")
    (tmp_path / "a.conll").write_text("a O\n", encoding="utf-8")
    assert not documents_in(tmp_path / "a.jsonl")
    assert not documents_in(tmp_path / "a.conll")
