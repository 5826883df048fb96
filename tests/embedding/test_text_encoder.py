"""A text encoder: rows in the caller's order, whatever the chunks and batches were."""

import numpy as np
import pytest
import tiny_runs
import torch

import minibert as mb
from minibert.embedding import chunks
from minibert.embedding.text_encoder import TextEncoder
from minibert.errors import InputError
from minibert.packed import Packed

TEXTS = [tiny_runs.sentence(number) * (1 + number % 3) for number in range(23)] + ["", "x", "The cat " * 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("embedding") / "enc")


@pytest.fixture
def encoder(folder) -> TextEncoder:
    return mb.load_encoder(folder)


def alone(encoder: TextEncoder, text: str, pooling: str) -> np.ndarray:
    """Embed one text by hand, in float64."""
    room = encoder.max_length - encoder.tokenizer.special_count()
    tokens = encoder.tokenizer.build(encoder.tokenizer.encode(text)[:room])
    encoder.encoder.double().dtype = torch.float64
    with torch.no_grad():
        hidden_TD = encoder.encoder(Packed.of([tokens.ids]))
    encoder.encoder.float().dtype = torch.float32
    vector = hidden_TD[0] if pooling == "first" else hidden_TD.mean(0)
    return (vector / vector.norm()).numpy()


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_rows_are_those_of_each_text_alone_in_the_order_given(encoder, pooling):
    rows = encoder.embed(TEXTS, pooling, batch_tokens=50)
    assert rows.shape == (len(TEXTS), 32) and rows.dtype == np.float32
    for text, row in zip(TEXTS, rows, strict=True):
        np.testing.assert_allclose(row, alone(encoder, text, pooling), atol=1e-6)


def test_chunks_batches_and_iterators_change_nothing(encoder, monkeypatch):
    whole = encoder.embed(TEXTS)
    monkeypatch.setattr(chunks, "MOST_TEXTS", 5)
    np.testing.assert_allclose(encoder.embed(iter(TEXTS), batch_tokens=7), whole, atol=1e-6)
    parts = list(encoder.embed_chunks(iter(TEXTS)))
    assert [len(part) for part in parts] == [5, 5, 5, 5, 5, 1]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)


def test_a_stream_is_read_only_a_few_chunks_ahead(encoder, monkeypatch):
    monkeypatch.setattr(chunks, "MOST_TEXTS", 4)
    taken = []
    stream = encoder.embed_chunks(text for text in TEXTS if taken.append(text) is None)
    next(stream)
    assert len(taken) <= 3 * 4


def test_long_texts_are_cut_and_counted(encoder, capsys):
    texts = ["The cat sat.", "The cat " * 40, ""]
    encoder.embed(texts)
    assert "1 of 3 texts were cut at 64 tokens" in capsys.readouterr().err
    assert max(len(text.tokens) for text in encoder.hidden(texts)) == 64
    assert "1 of 3 texts were cut" in capsys.readouterr().err


def test_rows_keep_their_length_where_they_are_not_normed(encoder):
    rows = encoder.embed(TEXTS, normalize=False)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    assert (abs(lengths - 1) > 0.1).any()
    np.testing.assert_allclose(rows / lengths, encoder.embed(TEXTS), atol=1e-6)


def test_bf16_is_near_fp32_and_leaves_the_encoder_as_it_was(encoder):
    before = encoder.embed(TEXTS)
    near = encoder.embed(TEXTS, dtype="bf16")
    assert near.dtype == np.float32
    assert 0 < abs(near - before).max() < 0.05
    assert (encoder.embed(TEXTS) == before).all()


def test_the_bf16_copy_follows_the_weights(encoder):
    before = encoder.embed(TEXTS, dtype="bf16")
    assert (encoder.embed(TEXTS, dtype="bf16") == before).all()
    assert encoder._in("bf16").embeddings is encoder.encoder.embeddings
    with torch.no_grad():
        encoder.encoder.blocks[0].feed_forward.output.weight.mul_(-30)
    after = encoder.embed(TEXTS, dtype="bf16")
    assert abs(after - encoder.embed(TEXTS)).max() < 0.05 < abs(after - before).max()


def test_hidden_states_come_with_the_characters_they_stand_for(encoder):
    for text, found in zip(TEXTS, encoder.hidden(TEXTS, batch_tokens=40), strict=True):
        assert found.hidden_nD.shape == (len(found.tokens), 32)
        assert found.spans[0].tolist() == found.spans[-1].tolist() == [0, 0]
        for piece, (start, end) in zip(found.tokens[1:-1], found.spans[1:-1], strict=True):
            if not piece.startswith("<0x"):
                assert text[start:end] == piece.removeprefix("\u2581")
        vector = found.hidden_nD.mean(0)
        np.testing.assert_allclose(vector / np.linalg.norm(vector), alone(encoder, text, "mean"), atol=1e-6)


def test_no_texts_give_no_rows(encoder):
    assert encoder.embed([]).shape == (0, 32)
    assert encoder.hidden([]) == []


def test_bad_input_is_named(encoder):
    with pytest.raises(InputError, match="one string, 'The cat'"):
        encoder.embed("The cat")
    with pytest.raises(InputError, match="'The cat' came where a list is wanted"):
        encoder.hidden("The cat")
    with pytest.raises(InputError, match="text 1 is 7, a int"):
        encoder.embed(["a", 7])
    with pytest.raises(InputError, match="pooling 'max' is unknown"):
        encoder.embed(["a"], "max")
    with pytest.raises(InputError, match="dtype 'fp8' is unknown"):
        encoder.embed(["a"], dtype="fp8")


def test_the_first_chunks_are_small_so_that_the_device_starts_soon(monkeypatch):
    monkeypatch.setattr(chunks, "FIRST_TEXTS", 2)
    monkeypatch.setattr(chunks, "MOST_TEXTS", 8)
    assert [len(group) for group in chunks.gather("a" for _ in range(29))] == [2, 4, 8, 8, 7]
    monkeypatch.setattr(chunks, "MOST_CHARACTERS", 10)
    assert [len(group) for group in chunks.gather(["a" * 6] * 3 + ["a" * 99])] == [2, 2]
