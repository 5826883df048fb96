"""The texts of CoNLL-U files are those that were annotated, and so are the places of their words."""

import pytest

from minibert.data.tagged import read_tagged


def line(number, form, misc="_", lemma="_"):
    return "\t".join([str(number), form, lemma, "X", *"_" * 5, misc])


ENGLISH = [
    '# text = I don\'t (e.g. "now").',
    line(1, "I"),
    line("2-3", "don't"),
    line(2, "do", lemma="do"),
    line(3, "n't", lemma="not"),
    line(4, "(", "SpaceAfter=No"),
    line(5, "e.g."),
    line("5.1", "left", "CopyOf=1"),
    line(6, '"', "Ref=1|SpaceAfter=No"),
    line("7-7", "now", "SpaceAfter=No"),
    line(7, "now"),
    line(8, '"', "SpaceAfter=No"),
    line(9, ")", "SpaceAfter=No"),
    line(10, ".", "SpacesAfter=\\n"),
]


def read(folder, lines, **columns):
    (folder / "a.conllu").write_text("\n".join(lines) + "\n\n", "utf-8")
    return read_tagged(folder / "a.conllu", **columns)


def test_words_stand_together_where_the_file_says_so(tmp_path):
    [found] = read(tmp_path, ENGLISH)
    assert found.text == 'I don\'t (e.g. "now").'
    words = [found.text[start:end] for start, end in found.spans]
    assert words == ["I", "do", "n't", "(", "e.g.", '"', "now", '"', ")", "."]


def test_parts_that_do_not_spell_their_token_stand_apart(tmp_path):
    lines = [line("1-2", "zum", "SpaceAfter=No"), line(1, "zu"), line(2, "dem"), line(3, "!")]
    assert read(tmp_path, lines)[0].text == "zu dem!"


def test_a_range_that_the_file_does_not_finish_loses_no_word(tmp_path):
    lines = [line("1-3", "abc"), line(1, "a"), line(2, "b")]
    assert read(tmp_path, [*lines, "", line(1, "c")])[0].text == "a b"
    (tmp_path / "b.conllu").write_text("\n".join(lines), "utf-8")
    assert read_tagged(tmp_path / "b.conllu")[0].text == "a b"


def test_sentences_that_become_one_text_keep_their_spaces(tmp_path):
    lines = [line(1, "So", "SpaceAfter=No"), line(2, "."), "", line(1, "Yes"), "", line(1, "No")]
    assert [found.text for found in read(tmp_path, lines)] == ["So.", "Yes", "No"]
    assert read(tmp_path, lines, join_words=9)[0].text == "So. Yes No"


def test_spaces_are_those_of_forms_and_not_of_lemmas(tmp_path):
    assert read(tmp_path, ENGLISH[2:5], token_column=2)[0].text == "do not"


@pytest.mark.parametrize("text", ["用BERT", "用 BERT"])
def test_chinese_beside_latin_is_as_it_was_written(tmp_path, text):
    misc = "_" if " " in text else "SpaceAfter=No"
    assert read(tmp_path, [line(1, "用", misc), line(2, "BERT", misc)])[0].text == text
