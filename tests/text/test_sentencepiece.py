import io

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from minibert.errors import InputError
from minibert.text.alignment import without_surrogates
from minibert.text.scripts import IDEOGRAPH
from minibert.text.sentencepiece import SentencePieceTokenizer, train_sentencepiece

# Characters that normalisation joins, splits, folds or drops, next to ordinary ones and to all of Unicode.
AWKWARD = st.sampled_from(
    list("abe tTs.,-'\t\r\n\u00a0\u3000\u200b\u200d\u200f\ufeff\u00ad\u2581\u0000")
    + list("\u0301\u0308\u00a8\u00e9\ufb01\u2460\u337f\uff28\uff76\uff9e\u1100\u1161\uac00\u0130\u00df")
    + list("钟楼的々〇豈中。👩👧\ud800\udfff\ufdd0[MASK]<0x41>")
)
TEXTS = st.text(st.one_of(AWKWARD, st.characters()), max_size=40)


def normalize(tokenizer: SentencePieceTokenizer, text: str) -> str:
    """What the model makes of a text, without the mark that stands before it."""
    return tokenizer._inside.normalize(without_surrogates(text)).replace("\u2581", " ")


def survivors(tokenizer: SentencePieceTokenizer, text: str) -> list[int]:
    """Positions of characters of which something is left when they are normalised alone."""
    return [position for position, character in enumerate(text) if normalize(tokenizer, character).strip()]


def covered(spans: np.ndarray) -> set[int]:
    return {position for start, end in spans for position in range(start, end)}


@settings(max_examples=60)
@given(text=TEXTS)
def test_spans_lie_in_the_text_in_order_and_cover_what_survives(any_tokenizer, text):
    encoded = any_tokenizer.encode(text)
    starts, ends = encoded.offsets.T
    assert (starts >= 0).all() and (starts <= ends).all() and (ends <= len(text)).all()
    assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all()
    assert set(survivors(any_tokenizer, text)) <= covered(encoded.offsets)


@settings(max_examples=60)
@given(text=TEXTS)
def test_spans_do_not_begin_or_end_with_a_space(any_tokenizer, text):
    for start, end in any_tokenizer.encode(text).offsets:
        piece = text[start:end]
        assert piece.strip(" \t\r\n\u00a0\u3000") == piece


@settings(max_examples=60)
@given(text=TEXTS, data=st.data())
def test_no_token_crosses_a_boundary_and_nothing_is_lost(any_tokenizer, text, data):
    boundaries = data.draw(st.lists(st.integers(0, len(text)), max_size=6))
    encoded = any_tokenizer.encode(text, boundaries)
    starts, ends = encoded.offsets.T
    for boundary in boundaries:
        assert not ((starts < boundary) & (boundary < ends)).any()
    assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all()
    assert (np.diff(encoded.words) >= 0).all()
    assert set(survivors(any_tokenizer, text)) <= covered(encoded.offsets)


@settings(max_examples=60)
@given(texts=st.lists(TEXTS, max_size=4))
def test_the_fast_way_gives_the_same_ids(any_tokenizer, texts):
    fast = any_tokenizer.encode_ids(texts)
    assert [ids.tolist() for ids in fast] == [any_tokenizer.encode(text).ids.tolist() for text in texts]
    assert all(ids.dtype == np.int32 for ids in fast)


@settings(max_examples=60)
@given(text=TEXTS)
def test_decoding_gives_the_normalised_text_back(any_tokenizer, text):
    encoded = any_tokenizer.encode(text)
    assert any_tokenizer.decode(encoded.ids) == normalize(any_tokenizer, text)


@settings(max_examples=60)
@given(text=TEXTS)
def test_text_never_becomes_a_control_token(any_tokenizer, text):
    assert not np.isin(any_tokenizer.encode(text).ids, any_tokenizer.special_ids).any()


def spans_and_pieces(tokenizer, text, boundaries=()):
    encoded = tokenizer.encode(text, boundaries)
    return [
        (text[start:end], piece)
        for (start, end), piece in zip(encoded.offsets, tokenizer.tokens(encoded.ids), strict=True)
    ]


def test_a_character_that_becomes_several_gives_all_of_them_its_span(tokenizer):
    encoded = tokenizer.encode("a \u337f")  # a square of four ideographs
    corporation = [i for i, (start, _) in enumerate(encoded.offsets) if start == 2]
    assert tokenizer.decode(encoded.ids) == "a \u682a\u5f0f\u4f1a\u793e"
    assert encoded.offsets[corporation[-1]].tolist() == [2, 3]
    assert {tuple(encoded.offsets[i]) for i in corporation} <= {(2, 2), (2, 3)}
    assert encoded.words[-1] == 4  # "a", and each ideograph


def test_characters_that_become_one_are_covered_together(tokenizer):
    encoded = tokenizer.encode("cafe\u0301 x")
    accented = encoded.offsets[(encoded.offsets[:, 0] == 3) & (encoded.offsets[:, 1] > 3)]
    assert (accented == [3, 5]).all() and len(accented) >= 1
    assert "".join(tokenizer.decode(encoded.ids)) == "caf\u00e9 x"


def test_bytes_of_one_character_share_its_span(tokenizer):
    encoded = tokenizer.encode("the \U0001f41d")
    assert tokenizer.tokens(encoded.ids)[-4:] == ["<0xF0>", "<0x9F>", "<0x90>", "<0x9D>"]
    assert encoded.offsets[-4:].tolist() == [[4, 5]] * 4
    assert len(set(encoded.words[-5:])) == 1  # the mark before them belongs to their word


def test_runs_of_space_are_outside_of_every_span(tokenizer):
    text = "\t the\r\n  bees \u3000"
    encoded = tokenizer.encode(text)
    words = [encoded.offsets[encoded.words == word] for word in (0, 1)]
    assert [text[spans[:, 0].min() : spans[:, 1].max()] for spans in words] == ["the", "bees"]
    assert encoded.words.max() == 1


def test_ideographs_are_tokens_and_words_of_their_own(tokenizer):
    text = "1987年x村里 has 钟"
    assert [span for span, _ in spans_and_pieces(tokenizer, text) if span in tuple("年村里钟")] == list(
        "年村里钟"
    )
    encoded = tokenizer.encode(text)
    starts = [int(encoded.offsets[encoded.words == word, 0].min()) for word in range(encoded.words.max() + 1)]
    assert [text[start] for start in starts] == ["1", "年", "x", "村", "里", "h", "钟"]


def test_no_piece_holds_an_ideograph_and_anything_else(tokenizer, corpus):
    for trained in (tokenizer, train_sentencepiece(corpus, 600, model_type="bpe")):
        pieces = trained.tokens(np.arange(trained.vocab_size))
        with_ideograph = [piece for piece in pieces if IDEOGRAPH.search(piece)]
        assert len(with_ideograph) > 50
        assert all(len(piece) == 1 for piece in with_ideograph)


def test_ideographs_join_when_they_may(corpus):
    joined = train_sentencepiece(corpus * 3, 400, cjk_characters=False)
    assert joined.encode("没有人知道").words.tolist() == [0] * len(joined.encode("没有人知道"))


def test_a_lone_mark_is_dropped_before_the_first_ideograph_and_empty_inside(tokenizer):
    assert tokenizer.tokens(tokenizer.encode("钟楼").ids) == ["钟", "楼"]
    inside = tokenizer.encode("钟 楼")
    assert tokenizer.tokens(inside.ids) == ["钟", "\u2581", "楼"]
    assert inside.offsets.tolist() == [[0, 1], [2, 2], [2, 3]]
    assert inside.words.tolist() == [0, 1, 1]
    assert tokenizer.tokens(tokenizer.encode("\U0001f41d").ids)[0] == "\u2581"


def test_only_the_pieces_that_cross_a_boundary_change(tokenizer):
    text = "The village had 240 people, and the river rose."
    whole = spans_and_pieces(tokenizer, text)
    crossing = [index for index, (span, _) in enumerate(whole) if len(span) > 2]
    start, _ = tokenizer.encode(text).offsets[crossing[0]]
    cut = spans_and_pieces(tokenizer, text, [int(start) + 1])
    index = crossing[0]
    tail = len(whole) - index - 1
    assert cut[:index] == whole[:index] and cut[-tail:] == whole[-tail:]
    assert "".join(span for span, _ in cut[index:-tail]) == whole[index][0]
    assert cut[index][0] == whole[index][0][0]


def test_the_second_half_of_a_cut_word_does_not_look_like_a_new_word(tokenizer):
    encoded = tokenizer.encode("the village", [2, 7])
    pieces = tokenizer.tokens(encoded.ids)
    assert "".join(pieces) == "\u2581the\u2581village"
    assert encoded.words.max() == 1


def test_a_boundary_inside_a_composed_character_parts_it(tokenizer):
    assert len({tuple(span) for span in tokenizer.encode("cafe\u0301").offsets if span[1] == 5}) == 1
    encoded = tokenizer.encode("cafe\u0301", [4])
    assert tokenizer.decode(encoded.ids) == "cafe\u0301"
    assert [tuple(span) for span in encoded.offsets[-3:]] == [
        (3, 4),
        (4, 5),
        (4, 5),
    ]  # the accent is two bytes


def test_a_boundary_after_a_character_that_two_pieces_share_repeats_nothing():
    trained = train_sentencepiece(["in in in pin tin bin"] * 3, 268, model_type="bpe")
    text = "\ufb01n"  # the ligature fi, and n
    assert trained.tokens(trained.encode(text).ids)[-2:] == ["<0x66>", "in"]
    encoded = trained.encode(text, [1])
    assert trained.decode(encoded.ids) == "fin"
    assert encoded.offsets[-3:].tolist() == [[0, 1], [0, 1], [1, 2]]


@pytest.mark.parametrize("outside", [-1, 4])
def test_a_boundary_outside_the_text_is_refused(tokenizer, outside):
    with pytest.raises(InputError, match=rf"boundary {outside} .* 3 characters"):
        tokenizer.encode("the", [1, outside])


def test_texts_without_anything_have_no_tokens(tokenizer):
    for text in ("", "  ", "\u200b\n", "\u2581"):
        assert len(tokenizer.encode(text)) == 0
        assert tokenizer.encode_ids([text])[0].shape == (0,)
        assert tokenizer.encode(text).offsets.shape == (0, 2)
    assert tokenizer.decode([]) == "" and tokenizer.encode_ids([]) == []


def test_control_tokens_come_first_and_vanish_in_decoding(tokenizer):
    assert tokenizer.tokens(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.special_ids.tolist() == [0, 1, 2, 3, 4]
    ids = [tokenizer.cls_id, *tokenizer.encode("the river").ids, tokenizer.sep_id, tokenizer.pad_id]
    assert tokenizer.decode(ids) == "the river"


@pytest.mark.parametrize("outside", [-1, 430])
def test_an_id_outside_the_vocabulary_is_refused(tokenizer, outside):
    for method in (tokenizer.decode, tokenizer.tokens):
        with pytest.raises(InputError, match=rf"{outside} .* 0 \.\. 429"):
            method([5, outside])


def test_a_model_without_bytes_gives_unknown_tokens_with_true_spans(corpus):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus),
        model_writer=model,
        vocab_size=180,
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        minloglevel=2,
    )
    foreign = SentencePieceTokenizer(model.getvalue())
    encoded = foreign.encode("the \U0001f41d\u05d0 river")
    assert encoded.offsets[encoded.ids == foreign.unknown_id].tolist() == [[4, 6]]
    assert encoded.offsets[-1, 1] == 12
