"""Columns, JSON lines and marked stretches to tagged words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.data.entities import tags_of_entities
from minibert.data.tagged import from_words, read_tagged, read_untagged
from minibert.errors import InputError
from minibert.tasks.spans import detect_scheme, spans_of, to_bio
from minibert.tasks.tagging import Tagging

CONLL = """-DOCSTART- -X- O O

EU NNP I-NP I-ORG
rejects VBZ I-VP O

# NN I-NP O
Blackburn NNP I-NP I-PER
"""
CONLLU = """# text = I don't
1\tI\ti\tPRON\tPRP
2-3\tdon't\t_\t_\t_
2\tdo\tdo\tAUX\tVBP
3\tn't\tnot\tPART\tRB
3.1\tgo\tgo\tVERB\tVB

1\t10 000\t10000\tNUM\tCD
"""


def write(folder, name, content):
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def words(example):
    return [example.text[start:end] for start, end in example.spans]


def test_conll_sentences_keep_the_tags_of_their_file(tmp_path):
    first, second = read_tagged(write(tmp_path, "eng.testa", CONLL))
    assert (first.text, first.tags) == ("EU rejects", ("I-ORG", "O"))
    assert (words(second), second.tags) == (["#", "Blackburn"], ("O", "I-PER"))
    assert read_tagged(tmp_path / "eng.testa", tag_column=1)[0].tags == ("NNP", "VBZ")


def test_columns_may_be_named_as_a_command_line_names_them(tmp_path):
    path = write(tmp_path, "eng.testa", CONLL)
    assert read_tagged(path, tag_column="2")[0].tags == ("I-NP", "I-VP")
    assert Tagging.read(path, {"tag_column": "-3"})[0].tags == ("NNP", "VBZ")
    with pytest.raises(InputError, match="column 'ner' is no number"):
        read_tagged(path, tag_column="ner")


def test_keys_of_json_lines_may_be_named(tmp_path):
    row = {"tokens": ["Anna"], "form": ["Ann"], "upos": ["PROPN"], "tags": ["B-PER"]}
    path = write(tmp_path, "a.jsonl", json.dumps(row))
    assert Tagging.read(path, {"tag_column": "upos"})[0].tags == ("PROPN",)
    assert read_tagged(path, token_column="form")[0].text == "Ann"
    assert Tagging.read_unanswered(path, {"token_column": "form", "tag_column": "upos"})[0].text == "Ann"
    with pytest.raises(InputError, match="line 1: no key 'xpos'; the row has tokens, form, upos, tags"):
        read_tagged(path, tag_column="xpos")


def test_conllu_leaves_out_comments_ranges_and_empty_nodes(tmp_path):
    first, second = read_tagged(write(tmp_path, "a.conllu", CONLLU))
    assert (words(first), first.tags) == (["I", "do", "n't"], ("PRON", "AUX", "PART"))
    assert (words(second), second.tags) == (["10 000"], ("NUM",))
    assert read_tagged(tmp_path / "a.conllu", token_column=2, tag_column=4)[0].text == "i do not"


@pytest.mark.parametrize(
    ("given_words", "text"),
    [
        ("The cat", "The cat"),
        ("猫 坐 。", "猫坐。"),
        ("ネコ が いる", "ネコがいる"),
        ("고양이 가", "고양이 가"),
        ("买 iPhone 了", "买 iPhone 了"),
        ("他 说 “ 好 ”", "他说“好”"),
        ("says “ yes ”", "says “ yes ”"),
        ("𠀀 𠀁", "𠀀𠀁"),
        ("A股 市场", "A股市场"),
    ],
)
def test_words_of_unspaced_scripts_are_joined_without_spaces(given_words, text):
    example = from_words(given_words.split(" "))
    assert (example.text, words(example)) == (text, given_words.split(" "))


@given(st.lists(st.text(st.sampled_from("aé1.猫。ー　𠀀“ ") | st.characters(), min_size=1), max_size=20))
def test_spans_find_every_word_again(some_words):
    assert words(from_words(some_words)) == some_words


@pytest.mark.parametrize("name", ["test.txt", "eng.testa", "dev.tsv"])
def test_columns_of_words_are_known_by_their_tags_whatever_the_file_is_called(tmp_path, name):
    path = tmp_path / name
    path.write_text("-DOCSTART- -X- O\n\nAnna NNP B-PER\nlives VBZ O\n", "utf-8")
    assert read_untagged(path) == [from_words(["Anna", "lives"])]


def test_a_comment_before_a_sentence_is_no_word(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("# id 3 domain=en\nAnna _ _ B-PER\n\n# _ _ O\n1 _ _ O\n", "utf-8")
    assert read_tagged(path) == [from_words(["Anna"], ["B-PER"]), from_words(["#", "1"], ["O", "O"])]
    path.write_text("# SYM\nDET DET\n", "utf-8")
    assert read_tagged(path)[0].tags == ("SYM", "DET")


def test_words_to_be_tagged_need_no_column_of_tags(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Anna\nlives\n\nBob\n", "utf-8")
    assert read_untagged(path) == [from_words(["Anna", "lives"]), from_words(["Bob"])]


def test_lines_of_texts_are_no_columns_although_one_ends_like_a_tag(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("He chose plan B-2\nAnna lives\n", "utf-8")
    assert read_untagged(path) == ["He chose plan B-2", "Anna lives"]


def test_an_ideographic_space_is_a_character_like_others(tmp_path):
    (example,) = read_tagged(write(tmp_path, "a.txt", "中 B-ORG\n\u3000 I-ORG\n国 I-ORG\n"))
    assert (words(example), len(example.tags)) == (["中", "\u3000", "国"], 3)


@pytest.mark.parametrize("names", [("tokens", "tags"), ("words", "ner_tags"), ("tokens", "labels")])
def test_json_lines_hold_words_and_tags(tmp_path, names):
    row = dict(zip(names, (["Anna", "lives"], ["B-PER", 0]), strict=True))
    (example,) = read_tagged(write(tmp_path, "a.jsonl", json.dumps(row)))
    assert (example.text, example.spans, example.tags) == ("Anna lives", ((0, 4), (5, 10)), ("B-PER", "0"))


def test_json_lines_without_tags_are_to_be_predicted(tmp_path):
    assert read_tagged(write(tmp_path, "a.jsonl", '{"tokens": ["Anna"]}'))[0].tags is None


@pytest.mark.parametrize(
    ("text", "marked", "expected"),
    [
        ("Anna Lee lives.", ["Anna Lee"], "Anna/B Lee/I lives/O ./O"),
        ("in Bad Homburg, Ulm", ["Bad Homburg", "Ulm"], "in/O Bad/B Homburg/I ,/O Ulm/B"),
        ("UlmBonn", ["Ulm", "Bonn"], "Ulm/B Bonn/B"),
        ("Ulmer", ["Ulm"], "Ulm/B er/O"),
        ("go to  Ulm ", ["  Ulm "], "go/O to/O Ulm/B"),
        ("在abc北京市", ["北京"], "在/O abc/O 北/B 京/I 市/O"),
    ],
)
def test_marked_stretches_become_tags_of_their_words(text, marked, expected):
    entities = [
        {"start": text.index(part), "end": text.index(part) + len(part), "label": "X"} for part in marked
    ]
    example = tags_of_entities(text, entities[::-1], where="row")
    pairs = zip(words(example), example.tags, strict=True)
    assert " ".join(f"{word}/{tag.removesuffix('-X')}" for word, tag in pairs) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "EU I-ORG\nrejects\n", "line 2: 1 columns, the lines before have 2: 'rejects'"),
        ("a.txt", "EU\n", "line 1: 'EU' alone; a word and its tag are wanted"),
        ("a.txt", "EU\tO\n\tB-PER\n", "line 2: nothing in column 0 of 2"),
        ("a.txt", "-DOCSTART- O\n\n", "empty; a file of tagged sentences"),
        (
            "a.jsonl",
            '{"tokens": ["a", "b"], "tags": ["O"]}',
            r"line 1: 2 tokens need as many tags, found \['O'\]",
        ),
        ("a.jsonl", '{"tokens": ["a", ""], "tags": ["O", "O"]}', "line 1: '' among the tokens"),
        ("a.jsonl", '{"tokens": "ab"}', "line 1: no list of 'tokens' .* the row has tokens"),
        (
            "a.jsonl",
            '{"text": "ab", "entities": [{"start": 0, "end": 3, "label": "X"}]}',
            "text of 2 characters",
        ),
        (
            "a.jsonl",
            '{"text": "ab", "entities": [{"start": 0, "stop": 2}]}',
            "'stop': 2} needs 'start', 'end'",
        ),
        ("a.jsonl", '{"text": "a  b", "entities": [{"start": 1, "end": 3, "label": "X"}]}', "only '  '"),
        ("a.jsonl", '{"text": "ab", "entities": 3}', "'entities' is 3"),
    ],
)
def test_a_bad_line_is_named_by_file_line_and_value(tmp_path, name, content, message):
    with pytest.raises(InputError, match=f"{name}.*{message}"):
        read_tagged(write(tmp_path, name, content))


def test_a_column_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="line 1: nothing in column 7 of 2: 'EU O'"):
        read_tagged(write(tmp_path, "a.txt", "EU O\n"), tag_column=7)


def test_overlapping_entities_are_refused():
    entities = [{"start": 0, "end": 4, "label": "A"}, {"start": 3, "end": 6, "label": "B"}]
    with pytest.raises(InputError, match="row 5: entities 'A' and 'B' overlap at character 3"):
        tags_of_entities("abcdefgh", entities, where="row 5")


DOCUMENTS = (
    "-DOCSTART- O\n\nEU I-ORG\nrejects O\n\nGermany I-LOC\n\nUN I-ORG\nsays O\nso O\n\n"
    "-DOCSTART- O\n\nRome I-LOC\n\nParis I-LOC\nis O\nfar O\n"
)


@pytest.mark.parametrize(
    "most, texts",
    [
        (0, ["EU rejects", "Germany", "UN says so", "Rome", "Paris is far"]),
        (3, ["EU rejects Germany", "UN says so", "Rome", "Paris is far"]),
        (4, ["EU rejects Germany", "UN says so", "Rome Paris is far"]),
        (99, ["EU rejects Germany UN says so", "Rome Paris is far"]),
    ],
)
def test_sentences_are_joined_within_their_document(tmp_path, most, texts):
    path = tmp_path / "news.conll"
    path.write_text(DOCUMENTS, "utf-8")
    found = read_tagged(path, join_words=most)
    assert [example.text for example in found] == texts
    assert all(len(example.spans) == len(example.tags) for example in found)


def test_joined_sentences_have_the_spans_that_they_had_apart(tmp_path):
    """In IOB1 two neighbours of one type would run into one another: Rome | Paris are two places."""
    path = tmp_path / "news.conll"
    path.write_text(DOCUMENTS, "utf-8")

    def spans(most):
        examples = read_tagged(path, join_words=most)
        scheme = detect_scheme([example.tags for example in examples])
        assert scheme == "IOB1"
        return [
            (span.label, example.text[example.spans[span.start][0] : example.spans[span.end - 1][1]])
            for example in examples
            for span in spans_of(to_bio(example.tags, scheme))
        ]

    wanted = [("ORG", "EU"), ("LOC", "Germany"), ("ORG", "UN"), ("LOC", "Rome"), ("LOC", "Paris")]
    assert spans(0) == wanted
    assert spans(99) == wanted
