"""Folders that name a class of `transformers`: the ids are those of what the class makes of the files."""

import json
from itertools import product

import pytest

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
import foreign_tokenizers  # noqa: E402

from minibert.text.loading import load_tokenizer  # noqa: E402

TEXTS = [
    "",
    " ",
    "\t \n\u3000",
    "a",
    "The list, a19 and don't.",
    "  two  spaces  ",
    "tab\tand\r\nline\n",
    "no\u00a0break thin\u2009space zero\u200bwidth",
    "ALL CAPS, McDonald's",
    "3.14159 x 1,000,000 = ?",
    "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m \u0130stanbul stra\u00dfe",
    "cafe\u0301 nai\u0308ve lone \u0301 accent",
    "\ufb01ne \u2168 \uff21\uff22\uff23 \u337f \u00bd \u2460 \uff76\uff9e",
    "\u4e2d\u6587a19\u548cEnglish\u6df7\u5408",
    "\u6e21\u8239\u65e9\u4e0a\u4e03\u70b9\u79bb\u5f00\u6e2f\u53e3\uff0c\u5929\u9ed1\u4ee5\u524d\u56de\u6765\u3002",
    "\u8001 \u5e08 \u6559 \u9605\u8bfb\u3001\u5199\u5b57",
    "\u3053\u3093\u306b\u3061\u306f \uc548\ub155\ud558\uc138\uc694",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u03ba\u03cc\u03c3\u03bc\u03b5",
    "\u200f\u0627\u0644\u0639\u0631\u0628\u064a\u0629\u200e right to left",
    "\U0001f600 smile\U0001f600\U0001f600",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family \u2764\ufe0f heart",
    "\U0001f44d\U0001f3fd \U0001f1eb\U0001f1f7 1\ufe0f\u20e3",
    "\ufffd \ufeffmark \u00adsoft",
    "\u2581 \u2581already\u2581marked \u0120",
    "un" * 90,
    "http://example.org/a_b?c=d&e#f",
    "def f(x):\n    return {x: [1, 2]}",
    "\u201cquoted\u201d \u2014 and\u2026 so",
    "e\u0301" * 9 + "\u0301\u0302",
    *foreign_tokenizers.texts()[:3],
    *(line for line in foreign_tokenizers.texts()[5].splitlines()[:10]),
]


@pytest.fixture(scope="module", params=list(foreign_tokenizers.CLASSES))
def folder(request, tmp_path_factory):
    place = foreign_tokenizers.CLASSES[request.param](tmp_path_factory.mktemp("class") / "t")
    settings = json.loads((place / "tokenizer_config.json").read_text("utf-8"))
    assert settings["tokenizer_class"] == request.param.partition(",")[0]
    return place


@pytest.fixture(scope="module")
def auto(folder):
    found = transformers.AutoTokenizer.from_pretrained(folder)
    assert type(found).__name__ in ("RobertaTokenizer", "XLMRobertaTokenizer")
    return found


def test_ids_are_those_of_the_class(folder, auto):
    ours = load_tokenizer(folder)
    for text in TEXTS:
        found = ours.build(ours.encode(text)).ids.tolist()
        assert found == auto(text, split_special_tokens=True)["input_ids"], ascii(text)


def test_ids_of_pairs_are_those_of_the_class(folder, auto):
    ours = load_tokenizer(folder)
    for first, second in product(TEXTS[3:28:4], TEXTS[1:28:5]):  # an empty second is no second there
        found = ours.build(ours.encode(first), ours.encode(second)).ids.tolist()
        assert found == auto(first, second, split_special_tokens=True)["input_ids"], ascii((first, second))


def test_control_tokens_are_those_of_the_class(folder, auto):
    ours = load_tokenizer(folder)
    wanted = [auto.pad_token_id, auto.unk_token_id, auto.cls_token_id, auto.sep_token_id, auto.mask_token_id]
    assert [ours.pad_id, ours.unknown_id, ours.cls_id, ours.sep_id, ours.mask_id] == wanted


def test_the_normalizer_of_sentencepiece_is_in_the_file(tmp_path):
    place = foreign_tokenizers.xlm_roberta(tmp_path / "t")
    values = json.loads((place / "tokenizer.json").read_text("utf-8"))
    assert values["normalizer"]["type"] == "Precompiled"
    assert [part["type"] for part in values["pre_tokenizer"]["pretokenizers"]] == [
        "WhitespaceSplit",
        "Metaspace",
    ]
