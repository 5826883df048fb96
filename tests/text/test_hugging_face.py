"""Other people's tokenizers: their ids, and our promises about characters, words and control tokens."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibert.errors import InputError
from minibert.tasks.windows import fit_text
from minibert.text.hugging_face import HuggingFaceTokenizer
from minibert.text.loading import load_tokenizer

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
import foreign_tokenizers

ODD = [
    "",
    " ",
    "The list, a19 and don't.",
    "caf\u00e9 nai\u0308ve \ufb01ne \u2168 \uff21\uff22\uff23 \u337f",
    "\u4e2d\u6587a19\u548cEnglish\u6df7\u5408",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family\ttab\r\nline\u3000wide",
    "\u200f\u0627\u0644\u0639\u0631\u0628\u064a\u0629\u200e right to left",
    "  two  spaces  ",
    "[CLS] [MASK] <mask> </s> <s>",
    "un" * 90,
    "half \ud83d a character",
]
UNICODE = st.text(st.characters(), max_size=40) | st.text(
    "a1 .\u4e2d\u0301\u00e9\ufb01\u200d\U0001f600\t\n", max_size=20
)


@pytest.fixture(scope="session", params=list(foreign_tokenizers.KINDS))
def folder(request, tmp_path_factory) -> Path:
    return foreign_tokenizers.KINDS[request.param](tmp_path_factory.mktemp("kind") / request.param)


@pytest.fixture(scope="session")
def tokenizer(folder) -> HuggingFaceTokenizer:
    return load_tokenizer(folder)


@pytest.fixture(scope="session")
def auto(folder):
    library = pytest.importorskip("transformers", reason="transformers is not installed")
    return library.AutoTokenizer.from_pretrained(folder)


def sound(text: str) -> str:
    """Return a text as UTF-8 can say it."""
    return "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text)


def test_ids_are_those_of_transformers(tokenizer, auto):
    texts = [*map(sound, ODD), *foreign_tokenizers.texts()[:5]]
    for text in texts:
        wanted = auto(text, split_special_tokens=True)
        if tokenizer.mask_id in wanted["input_ids"]:
            continue  # the pieces of their Unigram model match control tokens that are typed; ours do not
        found = tokenizer.build(tokenizer.encode(text))
        assert found.ids.tolist() == wanted["input_ids"]


def test_pairs_are_those_of_transformers_and_cut_alike(tokenizer, auto):
    for first in ODD[2:8]:
        for second in ODD[2:8]:
            for limit in (9, 12, 13, 500):
                wanted = auto(first, second, truncation=True, max_length=limit, split_special_tokens=True)
                [found] = fit_text(tokenizer, first, second, max_length=limit, on_long="truncate")
                assert found.ids.tolist() == wanted["input_ids"]
                types = wanted.encodings[0].type_ids
                assert found.segments.tolist() == types


def test_single_texts_are_cut_as_transformers_cuts_them(tokenizer, auto):
    for text in map(sound, ODD[:8]):
        wanted = auto(text, truncation=True, max_length=6, split_special_tokens=True)
        [found] = fit_text(tokenizer, text, None, max_length=6, on_long="truncate")
        assert found.ids.tolist() == wanted["input_ids"]


def test_many_texts_at_once_get_the_same_ids(tokenizer):
    for text, ids in zip(ODD, tokenizer.encode_ids(ODD), strict=True):
        assert ids.tolist() == tokenizer.encode(text).ids.tolist()
        assert ids.dtype == np.int32


@settings(max_examples=200)
@given(text=UNICODE)
def test_spans_lie_in_the_text_and_hold_what_the_piece_says(tokenizer, text):
    encoded = tokenizer.encode(text)
    starts, ends = encoded.offsets.T
    assert ((starts >= 0) & (starts <= ends) & (ends <= len(text))).all()
    assert (np.diff(starts) >= 0).all() and (np.diff(encoded.words) >= 0).all()
    for piece, token, (start, end) in zip(
        tokenizer.tokens(encoded.ids), encoded.ids, encoded.offsets, strict=True
    ):
        part = sound(text)[start:end]
        assert part == part.strip()
        if not part:
            assert text[start : start + 1].isspace() or text[start - 1 : start].isspace()
            continue
        letters = piece.removeprefix("##").strip("\u0120\u2581").strip()
        if token == tokenizer.unknown_id or not letters:
            continue
        if tokenizer._space == "\u0120":
            forms = (part, unicodedata.normalize("NFC", part))
            assert any(bytes_of(letters) in form.encode() for form in forms)
        else:
            assert letters in folded(tokenizer, part)


def bytes_of(piece: str) -> bytes:
    """Return the bytes that a byte-level piece spells."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
    return bytes(table[letter] for letter in piece).strip()


def folded(tokenizer: HuggingFaceTokenizer, part: str) -> str:
    """Return a part of a text as its tokenizer sees it."""
    return tokenizer._engine.normalizer.normalize_str(part).replace(" ", "\u2581")


@given(text=UNICODE, data=st.data())
def test_no_token_crosses_a_boundary(tokenizer, text, data):
    borders = data.draw(st.lists(st.integers(0, len(text)), max_size=3))
    for start, end in tokenizer.encode(text, borders).offsets:
        assert not any(start < border < end for border in borders)


def test_a_boundary_inside_a_word_keeps_its_number_and_its_space(tokenizer):
    whole, cut = tokenizer.encode("the lists are"), tokenizer.encode("the lists are", [6])
    assert 6 in cut.offsets[:, 0]
    assert cut.ids[-1] == whole.ids[-1] and cut.words[-1] == whole.words[-1]
    start = np.searchsorted(cut.offsets[:, 0], 4)
    assert cut.ids[start] == tokenizer.encode("the li").ids[start]


def test_control_tokens_that_are_typed_are_only_letters(tokenizer):
    text = "a [CLS] [SEP] [MASK] [PAD] [UNK] <s> </s> <mask> <pad> <unk>"
    ids = set(tokenizer.encode(text).ids.tolist()) - {tokenizer.unknown_id}
    assert not ids & set(tokenizer.special_ids.tolist())


@pytest.mark.parametrize("text", ["the [MASK] of lists", "[MASK]", "[MASK][MASK] x", "li[MASK]t", "none"])
def test_masks_stand_where_the_text_says(tokenizer, text):
    encoded = tokenizer.encode_with_masks(text)
    spans = encoded.offsets[encoded.ids == tokenizer.mask_id].tolist()
    assert [text[start:end] for start, end in spans] == ["[MASK]"] * text.count("[MASK]")
    assert (np.diff(encoded.offsets[:, 0]) >= 0).all()


def test_what_surrounds_a_text_is_told(tokenizer):
    built = tokenizer.build(tokenizer.encode("list"))
    before, after = tokenizer.around()
    assert built.ids.tolist() == [*before, *tokenizer.encode("list").ids, *after]
    assert tokenizer.special_count() == len(before) + len(after)
    pair = tokenizer.build(tokenizer.encode("list"), tokenizer.encode("a"))
    assert len(pair) == len(tokenizer.encode("list")) + len(tokenizer.encode("a")) + tokenizer.special_count(
        pair=True
    )
    assert pair.words.max() == 1


def test_decoding_gives_the_text_back(tokenizer):
    assert tokenizer.decode(tokenizer.build(tokenizer.encode("the list of lists")).ids) == "the list of lists"
    with pytest.raises(InputError, match=f"token id {tokenizer.vocab_size} is not"):
        tokenizer.decode([tokenizer.vocab_size])


def test_saving_and_opening_changes_nothing(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "new")
    again = load_tokenizer(tmp_path / "new")
    assert isinstance(again, HuggingFaceTokenizer)
    for text in ODD:
        assert again.encode(text).ids.tolist() == tokenizer.encode(text).ids.tolist()
    assert (again.word_starts == tokenizer.word_starts).all()
    assert again.special_ids.tolist() == tokenizer.special_ids.tolist()


def test_a_list_of_pieces_is_enough_for_wordpiece(tmp_path):
    whole = foreign_tokenizers.wordpiece(tmp_path / "whole")
    values = json.loads((whole / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "vocab.txt").write_text("\n".join(sorted(values, key=values.get)), "utf-8")
    new, old = load_tokenizer(whole), load_tokenizer(tmp_path / "old")
    for text in ODD:
        assert old.build(old.encode(text)).ids.tolist() == new.build(new.encode(text)).ids.tolist()


def test_pieces_and_merges_are_enough_for_byte_level_bpe(tmp_path):
    whole = foreign_tokenizers.byte_bpe(tmp_path / "whole")
    model = json.loads((whole / "tokenizer.json").read_text("utf-8"))["model"]
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "vocab.json").write_text(json.dumps(model["vocab"]), "utf-8")
    merges = [" ".join(pair) for pair in model["merges"]]
    (tmp_path / "old" / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]), "utf-8")
    new, old = load_tokenizer(whole), load_tokenizer(tmp_path / "old")
    for text in ODD:
        for pair in (None, "a pair"):
            built = [t.build(t.encode(text), pair and t.encode(pair)).ids.tolist() for t in (old, new)]
            assert built[0] == built[1]


def test_folders_that_cannot_be_opened_say_why(tmp_path):
    folder = foreign_tokenizers.wordpiece(tmp_path / "kind")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({"mask_token": "<hide>"}), "utf-8")
    with pytest.raises(InputError, match=r"kind.*no mask_token <hide>"):
        load_tokenizer(folder)
    path.unlink()
    assert load_tokenizer(folder).mask_id == 4
    (folder / "tokenizer.json").write_text("{", "utf-8")
    with pytest.raises(InputError, match=r"tokenizer\.json: damaged"):
        load_tokenizer(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "sentencepiece.bpe.model").write_bytes(b"x")
    with pytest.raises(InputError, match=r"no tokenizer\.json; make one with transformers"):
        load_tokenizer(folder)


def test_chinese_is_decoded_without_the_spaces_that_wordpiece_writes(tmp_path):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"我们用。：“”", "bert", "##s", "really"]
    engine = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    engine.normalizer = normalizers.BertNormalizer()
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece()
    tokenizer = load_tokenizer(foreign_tokenizers.save(engine, tmp_path / "zh", foreign_tokenizers.BERT))
    for text, wanted in (
        ("我们用BERTs。“我们”", "我们用 berts 。“我们”"),
        ("bert “really” bert", "bert “ really ” bert"),
    ):
        assert tokenizer.decode(tokenizer.encode(text).ids) == wanted
