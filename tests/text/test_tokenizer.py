import numpy as np
import pytest

from minibert.text.sentencepiece import train_sentencepiece


def test_a_pair_has_control_tokens_segments_and_continued_words(tokenizer):
    first, second = tokenizer.encode("the river"), tokenizer.encode("bees")
    pair = tokenizer.build(first, second)
    n, m = len(first), len(second)
    assert pair.ids.tolist() == [
        tokenizer.cls_id, *first.ids, tokenizer.sep_id, *second.ids, tokenizer.sep_id
    ]  # fmt: skip
    assert pair.segments.tolist() == [0] * (n + 2) + [1] * (m + 1)
    special = np.isin(pair.ids, tokenizer.special_ids)
    assert (pair.words[special] == -1).all() and (pair.offsets[special] == 0).all()
    assert pair.words[~special].tolist() == [*first.words, *(second.words + 2)]
    assert pair.offsets[n + 2 : -1].tolist() == second.offsets.tolist()
    assert [pair.ids.dtype, pair.offsets.dtype, pair.words.dtype] == [np.int32] * 3
    assert pair.segments.dtype == np.int8


def test_one_text_is_built_with_two_control_tokens(tokenizer):
    text = tokenizer.encode("the river")
    built = tokenizer.build(text)
    assert built.ids.tolist() == [tokenizer.cls_id, *text.ids, tokenizer.sep_id]
    assert not built.segments.any()


def test_empty_texts_are_built_of_control_tokens_alone(tokenizer):
    empty = tokenizer.encode("")
    assert tokenizer.build(empty, empty).ids.tolist() == [
        tokenizer.cls_id,
        tokenizer.sep_id,
        tokenizer.sep_id,
    ]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("the [MASK] rose.", [(4, 10)]),
        ("[MASK]", [(0, 6)]),
        ("[MASK][MASK] x", [(0, 6), (6, 12)]),
        ("钟[MASK]楼", [(1, 7)]),
        ("vill[MASK]ge", [(4, 10)]),
        ("no mask [mask]", []),
        ("", []),
    ],
)
def test_masks_stand_where_the_text_says(any_tokenizer, text, spans):
    encoded = any_tokenizer.encode_with_masks(text)
    masks = encoded.ids == any_tokenizer.mask_id
    assert [tuple(span) for span in encoded.offsets[masks].tolist()] == spans
    others = encoded.offsets[~masks]
    assert all(end <= start or begin >= stop for begin, end in others for start, stop in spans)
    assert (np.diff(encoded.offsets[:, 0]) >= 0).all() and (np.diff(encoded.words) >= 0).all()


def test_what_follows_a_mask_is_encoded_as_in_running_text(tokenizer):
    plain = tokenizer.tokens(tokenizer.encode("the river.").ids)
    masked = tokenizer.tokens(tokenizer.encode_with_masks("the [MASK].").ids)
    assert masked == [plain[0], "[MASK]", "."] and plain[-1] == "."


def test_a_piece_that_reaches_into_a_mask_is_cut():
    tokenizer = train_sentencepiece(["([a]). ([b]). ([c])."] * 5, 273, model_type="bpe")
    assert "])." in tokenizer.tokens(tokenizer.encode("([MASK]).").ids)
    encoded = tokenizer.encode_with_masks("([MASK]).")
    assert tokenizer.decode(encoded.ids) == "()."
    assert encoded.offsets[encoded.ids == tokenizer.mask_id].tolist() == [[1, 7]]


def test_the_letters_of_a_mask_are_only_letters_to_encode(tokenizer):
    encoded = tokenizer.encode("the [MASK].")
    assert tokenizer.mask_id not in encoded.ids
    assert tokenizer.decode(encoded.ids) == "the [MASK]."


def test_word_starts_agree_with_word_numbers(tokenizer, corpus):
    for text in corpus:
        encoded = tokenizer.encode(text)
        starts = tokenizer.word_starts[encoded.ids]
        new_word = np.diff(encoded.words, prepend=-1) > 0
        follows_ideograph = np.roll([len(p) == 1 and p > "\u3400" for p in tokenizer.tokens(encoded.ids)], 1)
        assert (starts[new_word & ~follows_ideograph][1:]).all()
        lone_mark = np.roll([piece == "\u2581" for piece in tokenizer.tokens(encoded.ids)], 1)
        assert (new_word | lone_mark)[starts].all()


def test_whole_words_are_told_apart_only_where_pieces_show_them(tokenizer):
    assert tokenizer.tells_words
    assert tokenizer.word_starts[tokenizer.special_ids].all()
    chinese = ["没有人知道钟楼的钟为什么停在三点十分", "老师教阅读写字和星星的名字", "没有人知道老师的名字"]
    assert train_sentencepiece(chinese, 289).tells_words
    assert not train_sentencepiece(chinese * 3, 293, cjk_characters=False).tells_words
