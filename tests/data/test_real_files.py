"""Real data sets, where they are beside the project: rows and tokens as their lists of contents say."""

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from minibert.data.documents import read_annotated
from minibert.data.files import open_text
from minibert.data.intents import read_intents
from minibert.data.readers import columns_of, read_documents, read_texts
from minibert.data.relations import read_relations
from minibert.data.tagged import read_tagged
from minibert.tasks.tagging import Tagging

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the real data sets are not beside the project (../shared/data)"
)


@pytest.mark.parametrize(
    ("name", "columns", "rows", "labels"),
    [
        ("sst2/train.jsonl", ("text", None, "label"), 6920, 2),
        ("ag_news_small/train.jsonl.xz", ("text", None, "label"), 6000, 4),
        ("banking77/train.csv", ("text", None, "category"), 10003, 77),
        ("waimai_10k/train.csv", ("review", None, "label"), 9898, 2),
        ("chnsenticorp/train.jsonl.xz", ("text", None, "label"), 7896, 2),
        ("online_shopping_10_cats/online_shopping_10_cats.csv.xz", ("review", None, "label"), 61606, 2),
        ("trecqa/dev.csv", ("qtext", "atext", "label"), 1148, 2),
        ("rte123/test.jsonl", ("premise", "hypothesis", "label"), 800, 2),
    ],
)
def test_texts(name, columns, rows, labels):
    chosen = columns_of(DATA / name)
    assert (chosen.text, chosen.pair, chosen.label) == columns
    examples = read_texts(DATA / name)
    assert len(examples) == rows
    assert len({example.label for example in examples}) == labels


@pytest.mark.parametrize(
    ("name", "sentences", "tokens", "tags"),
    [
        ("conll2003/eng.testa", 3250, 51362, {"I-PER", "B-MISC", "O"}),
        ("msra_ner/test.txt.xz", 4631, 172601, {"B-PER", "I-LOC", "O"}),
        ("resume_ner/dev.char.bmes", 463, 13890, {"M-NAME", "E-ORG", "O"}),
        ("conll2000/test.txt", 2012, 47377, {"B-NP", "I-VP", "O"}),
        ("slu_snips/dev.jsonl", 700, 6384, {"B-playlist", "O"}),
        ("ud_zh_gsdsimp/zh_gsdsimp-ud-dev.conllu.xz", 500, 12663, {"NOUN", "PUNCT"}),
        ("ud_en_ewt/en_ewt-ud-dev.conllu.xz", 2001, 25147, {"VERB", "AUX"}),
    ],
)
def test_tagged_words(name, sentences, tokens, tags):
    examples = read_tagged(DATA / name)
    counts = Counter(tag for example in examples for tag in example.tags or ())
    assert (len(examples), counts.total()) == (sentences, tokens)
    assert tags <= counts.keys()
    for example in examples[:500]:
        assert all(example.text[start:end].strip() for start, end in example.spans)


@pytest.mark.parametrize("name", ["ud_en_ewt/en_ewt-ud-dev", "ud_zh_gsdsimp/zh_gsdsimp-ud-test"])
def test_the_text_of_a_treebank_is_the_one_that_was_annotated(name):
    path = DATA / f"{name}.conllu.xz"
    wanted = [line[9:] for line in open_text(path) if line.startswith("# text = ")]
    assert [example.text for example in read_tagged(path)] == [text.rstrip("\n") for text in wanted]


def test_requests_with_intents():
    for name, rows, intents in (("slu_atis/test.jsonl", 893, 20), ("slu_snips/train.jsonl.xz", 13084, 7)):
        examples = read_intents(DATA / name)
        assert len(examples) == rows
        assert len({example.intent for example in examples}) == intents


@pytest.mark.parametrize(
    ("name", "pairs", "labels"),
    [
        ("semeval2010_task8/test.jsonl", 2717, 19),
        ("zh_people_relation/train.jsonl", 1000, 12),
        ("scierc/test.jsonl", 5062, 8),
    ],
)
def test_pairs_of_mentions(name, pairs, labels):
    examples = read_relations(DATA / name)
    assert len(examples) == pairs
    assert len({example.label for example in examples}) == labels
    assert all(example.text[slice(*example.head)].strip() for example in examples)


def test_every_entity_and_relation_of_a_document_is_read():
    sentences = read_annotated(DATA / "scierc" / "test.jsonl")
    counts = (
        len(sentences),
        sum(len(s.entities) for s in sentences),
        sum(len(s.relations) for s in sentences),
    )
    assert counts == (551, 1685, 974)
    assert len(Tagging.read(DATA / "scierc" / "test.jsonl")) == 551


def test_chinese_characters_are_joined_to_a_text():
    assert read_tagged(DATA / "msra_ner" / "test.txt.xz")[0].text == "中共中央致中国致公党十一大的贺词"


def test_an_encyclopedias_articles_are_documents():
    documents = list(islice(read_documents([DATA / "en_wiki" / "en_wiki.txt.xz"]), 500))
    assert len(documents) == 500
    assert all(len(document) >= 200 and "\n\n" not in document for document in documents)
