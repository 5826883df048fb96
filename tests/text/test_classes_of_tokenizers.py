"""Folders whose tokenizer_config.json, or list of added tokens, says more than the file of the vocabulary."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from minibert.errors import InputError
from minibert.text.loading import load_tokenizer

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
import foreign_tokenizers
import tokenizers

TEXTS = [
    "The Lists Are CAF\u00c9 \u4e2d\u6587a19",
    "na\u00efve <ent> w7</ent>  two <ent>x",
    " a19",
    "BAZ baz lists <Ent>",
]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "w7", "w8", "a", "##z", "b", "<", ">", "e"]
NEVER = {"lstrip": False, "rstrip": False, "single_word": False}


def wanted(folder: Path) -> Any:
    library = pytest.importorskip("transformers", reason="transformers is not installed")
    return library.AutoTokenizer.from_pretrained(folder)


def check(folder: Path) -> None:
    """Compare ids with those of transformers, for texts and pairs."""
    theirs, ours = wanted(folder), load_tokenizer(folder)
    for text in TEXTS:
        assert (
            ours.build(ours.encode(text)).ids.tolist() == theirs(text, split_special_tokens=True)["input_ids"]
        )
        pair = ours.build(ours.encode(text), ours.encode("a list"))
        told = theirs(text, "a list", split_special_tokens=True)
        assert pair.ids.tolist() == told["input_ids"]
        assert pair.segments.tolist() == told.encodings[0].type_ids


@cache
def learnt(kind: str) -> str:
    """Return the tokenizer.json of a kind, learnt once."""
    with TemporaryDirectory() as folder:
        return (foreign_tokenizers.KINDS[kind](Path(folder)) / "tokenizer.json").read_text("utf-8")


def pieces(folder: Path, lines: list[str], **settings: Any) -> Path:
    """Write an old folder: a vocab.txt and the settings beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_bytes("".join(f"{line}\n" for line in lines).encode())
    return configure(folder, "bert", tokenizer_class="BertTokenizer", **settings)


def configure(folder: Path, family: str, **settings: Any) -> Path:
    (folder / "config.json").write_text(json.dumps({"model_type": family}), "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return folder


def whole(folder: Path, kind: str, family: str, steps: dict[str, Any], **settings: Any) -> Path:
    """Write a tokenizer.json, some of its steps changed, and settings of our own beside it."""
    folder.mkdir(exist_ok=True)
    values = json.loads(learnt(kind))
    for step, changes in steps.items():
        values[step] = changes and {**values[step], **changes}
    (folder / "tokenizer.json").write_text(json.dumps(values), "utf-8")
    return configure(folder, family, **settings)


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        ({}, {}),
        ({"special": True}, {}),
        ({"lstrip": True, "rstrip": True}, {}),
        ({"normalized": True}, {"do_lower_case": True}),
        ({"single_word": True}, {"do_lower_case": False}),
    ],
)
def test_added_tokens_of_the_settings_have_the_ids_of_transformers(tmp_path, flags, settings):
    tokens = {"13": "<ent>", "14": "</ent>", "15": "BAZ"}
    told = {
        number: {"content": token, **NEVER, "normalized": False, "special": False, **flags}
        for number, token in tokens.items()
    }
    folder = pieces(tmp_path, PIECES, added_tokens_decoder=told, **settings)
    check(folder)
    found = load_tokenizer(folder)
    assert found.vocab_size == len(wanted(folder)) == 16
    assert (found.tokens(found.encode("<ent>").ids) == ["<ent>"]) is not flags.get("special", False)


def test_an_added_token_of_a_slow_tokenizer_is_one_token(tmp_path):
    folder = pieces(tmp_path, PIECES, extra_special_tokens=["BAZ"])
    (folder / "added_tokens.json").write_text('{"</ent>": 14, "<ent>": 13, "BAZ": 15, "w8": 6}', "utf-8")
    check(folder)
    found = load_tokenizer(folder)
    assert found.tokens(found.encode("<ent> w7 </ent> w8").ids) == ["<ent>", "w7", "</ent>", "w8"]
    found.save(tmp_path / "again")
    again = load_tokenizer(tmp_path / "again")
    assert [again.encode(text).ids.tolist() for text in TEXTS] == [
        found.encode(text).ids.tolist() for text in TEXTS
    ]


def test_added_tokens_stand_behind_a_vocabulary_of_bytes_too(tmp_path):
    model = json.loads(learnt("byte_bpe"))
    folder = tmp_path / "old"
    folder.mkdir()
    vocabulary = model["model"]["vocab"]
    (folder / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    merges = [" ".join(pair) for pair in model["model"]["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]), "utf-8")
    size = len(vocabulary)
    (folder / "added_tokens.json").write_text(json.dumps({"<ent>": size, "</ent>": size + 1}), "utf-8")
    check(configure(folder, "roberta", tokenizer_class="RobertaTokenizer"))


def test_a_control_token_may_be_an_added_one(tmp_path):
    folder = pieces(tmp_path, [*PIECES[:4], *PIECES[5:]])
    (folder / "added_tokens.json").write_text('{"[MASK]": 12}', "utf-8")
    found = load_tokenizer(folder)
    assert found.mask_id == wanted(folder).mask_token_id == 12
    assert 12 not in found.encode("a [MASK]").ids
    (folder / "added_tokens.json").write_text('{"[MASK]": 12, "[UNK]": 13}', "utf-8")
    pieces(folder, ["one", *PIECES[:1], *PIECES[2:4], *PIECES[5:]])
    with pytest.raises(InputError, match=r"unk_token \[UNK\] is not in vocab\.txt; add it"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("decoder", "older", "message"),
    [
        (None, {"<ent>": 14}, r"added_tokens\.json: '<ent>' has the id 14, and its place .* is 13; correct"),
        (None, {"w7": 13}, r"added_tokens\.json: 'w7' has the id 13, and its place .* is 5"),
        (None, {"<ent>": "13"}, r"added_tokens\.json: '<ent>' has the id '13'; a whole number"),
        (None, ["<ent>"], r"added_tokens\.json holds \['<ent>'\]; a table"),
        (
            {"5": {"content": "<ent>"}},
            None,
            r"_config\.json, added_tokens_decoder: '<ent>' has the id 5, and",
        ),
        ({"13": "<ent>"}, None, r"added_tokens_decoder: '13' is '<ent>'; an id and a token"),
        ({"x": {"content": "<ent>"}}, None, "added_tokens_decoder: 'x' is"),
        ({"13": {"content": "<ent>", "lstrip": 2}}, None, "lstrip of '<ent>' is 2; true or false"),
    ],
)
def test_added_tokens_that_cannot_be_followed_are_named(tmp_path, decoder, older, message):
    folder = pieces(tmp_path, PIECES, **({"added_tokens_decoder": decoder} if decoder else {}))
    if older:
        (folder / "added_tokens.json").write_text(json.dumps(older), "utf-8")
    with pytest.raises(InputError, match=message):
        load_tokenizer(folder)


@pytest.mark.parametrize("odd", ["a\u2028b", "\x85", "a\x0cb", "w7\r", "\u2028", "x\x1ey"])
def test_only_line_ends_part_the_pieces_of_a_vocabulary(tmp_path, odd):
    folder = pieces(tmp_path, [*PIECES[:5], odd, *PIECES[5:]])
    assert load_tokenizer(folder).encode("w8").ids.tolist() == [7]
    check(folder)


BERTS = ["BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "ElectraTokenizerFast"]
CASED = {"normalizer": {"lowercase": False, "strip_accents": False}}
PLAIN = {"do_lower_case": False, "strip_accents": None, "tokenize_chinese_chars": True}


@pytest.mark.parametrize("name", BERTS)
@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        ({}, {"do_lower_case": False}),
        ({}, {"do_lower_case": True, "strip_accents": False}),
        ({}, {"do_lower_case": True, "tokenize_chinese_chars": False}),
        (CASED, {"do_lower_case": True}),
        (CASED, {"strip_accents": True}),
        ({"post_processor": None}, {}),
    ],
)
def test_settings_beside_a_tokenizer_of_berts_class_are_followed(tmp_path, name, steps, changes):
    check(whole(tmp_path, "wordpiece", "bert", steps, tokenizer_class=name, **{**PLAIN, **changes}))


def test_a_key_that_is_absent_leaves_the_step_as_it_is(tmp_path):
    folder = whole(tmp_path, "wordpiece", "bert", CASED, tokenizer_class="BertTokenizer", strip_accents=True)
    engine = load_tokenizer(folder)._engine
    assert (engine.normalizer.lowercase, engine.normalizer.strip_accents) == (False, True)


@pytest.mark.parametrize("name", ["RobertaTokenizer", "RobertaTokenizerFast", None])
@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        ({}, {"add_prefix_space": True}),
        ({"pre_tokenizer": {"add_prefix_space": True}}, {"add_prefix_space": False}),
        ({"post_processor": None}, {"add_prefix_space": True}),
        ({"post_processor": None}, {}),
    ],
)
def test_settings_beside_a_tokenizer_of_robertas_class_are_followed(tmp_path, name, steps, changes):
    check(whole(tmp_path, "byte_bpe", "roberta", steps, tokenizer_class=name, **changes))


@pytest.mark.parametrize(
    ("kind", "family", "name"),
    [
        ("wordpiece", "bert", "PreTrainedTokenizerFast"),
        ("wordpiece", "modernbert", "BertTokenizer"),
        ("modern_bpe", "modernbert", None),
        ("byte_bpe", "roberta", "PreTrainedTokenizerFast"),
    ],
)
def test_other_classes_take_tokenizer_json_as_it_is(tmp_path, kind, family, name):
    told = {"do_lower_case": False, "add_prefix_space": True}
    names = {"unk_token": "<unk>"} if kind == "byte_bpe" else {}
    check(whole(tmp_path, kind, family, {}, tokenizer_class=name, **told, **names))


@pytest.mark.parametrize(
    ("kind", "step", "settings", "message"),
    [
        (
            "wordpiece",
            {"normalizer": None},
            {"do_lower_case": True, "strip_accents": None},
            "do_lower_case True, strip_accents None, .* BertNormalizer, .* has none there; remove the key",
        ),
        ("wordpiece", {}, {"do_lower_case": "no"}, "tokenizer_config.json: do_lower_case is 'no'; true or"),
        (
            "byte_bpe",
            {"pre_tokenizer": None},
            {"add_prefix_space": False},
            "add_prefix_space False, .*ByteLevel",
        ),
    ],
)
def test_settings_that_do_not_fit_the_steps_are_named(tmp_path, kind, step, settings, message):
    name = {"wordpiece": "BertTokenizer", "byte_bpe": "RobertaTokenizer"}[kind]
    folder = whole(tmp_path / "odd", kind, "bert", step, tokenizer_class=name, **settings)
    with pytest.raises(InputError, match=f"odd: .*{message}"):
        load_tokenizer(folder)


@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("value", [5, ["[PAD]"], {"content": 5}, False])
def test_the_name_of_a_control_token_that_is_no_text_is_refused(tmp_path, file, value):
    folder = pieces(tmp_path, PIECES)
    (folder / file).write_text(json.dumps({"pad_token": value, "add_bos_token": True}), "utf-8")
    with pytest.raises(InputError, match=rf"{file}: pad_token is .*; the letters of a token are wanted"):
        load_tokenizer(folder)


def test_a_token_that_is_added_to_a_tokenizer_json_stays(tmp_path):
    folder = whole(tmp_path, "wordpiece", "bert", {}, tokenizer_class="BertTokenizer", do_lower_case=False)
    engine = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    engine.add_tokens([tokenizers.AddedToken("BAZ", normalized=True), "<ent>"])
    engine.save(str(folder / "tokenizer.json"))
    check(folder)
