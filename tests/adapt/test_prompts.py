"""Prompts and prefixes: one text by the plain formula, apart from other texts, and trained alone."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import FakeTokenizer
from small_models import SHAPE, VOCABULARY, language_model, masked_batches

import minibert as mb
from minibert.adapt.build import adapt, add_adapter
from minibert.adapt.merging import shared
from minibert.adapt.options import AdaptOptions
from minibert.adapt.prompts import rows_before
from minibert.errors import InputError
from minibert.interop.graphs import trace
from minibert.interop.padded import PaddedModel, Source
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Layout, Packed
from minibert.training.config import TrainingConfig
from minibert.training.finetuning import Settings
from minibert.training.loop import Run

TEXTS = [[7, 4, 9, 30, 2, 5, 17], [5], [8, 6, 11]]
MODERN = replace(
    EncoderConfig.preset("modern-tiny", vocab_size=VOCABULARY),
    hidden_size=24, num_attention_heads=3, intermediate_size=28, num_hidden_layers=4, local_attention=6,
    max_position_embeddings=31,
)  # fmt: skip
KINDS = ("prompt", "prefix")


def options(kind, tokens=5):
    return AdaptOptions(adapter=kind, prompt_tokens=tokens)


def prompted(kind, shape=SHAPE, tokens=5):
    """Return an encoder in float64 with loud prompts and loud weights, so that an error is not lost."""
    torch.manual_seed(3)
    encoder = Encoder(shape)
    add_adapter(encoder, options(kind, tokens))
    for weight in encoder.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    encoder.dtype = torch.float64
    return encoder.double().eval()


def norm(x, layer):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + layer.eps) * array(layer.weight) + array(layer.bias)


def array(tensor):
    return tensor.detach().numpy()


def through(layer, x):
    return x @ array(layer.weight).T + array(layer.bias)


def by_hand(encoder, text):
    """Return the hidden states of one text after BERT's blocks: nothing here knows of packing or hooks."""
    x = array(encoder.embeddings(Packed.of([text]), torch.float64))
    size, rows = SHAPE.head_size, None
    for number, block in enumerate(encoder.blocks):
        own = array(block.adapter.rows) if "adapter" in dict(block.named_children()) else None
        rows = own if own is not None else rows
        x = np.concatenate([rows, x]) if number == 0 else x
        x = np.concatenate([own, x[len(own) :]]) if own is not None else x
        q, k, v = np.split(through(block.attention.qkv, x), 3, axis=-1)
        heads = []
        for at in range(0, SHAPE.hidden_size, size):
            scores = q[:, at : at + size] @ k[:, at : at + size].T / np.sqrt(size)
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(shares / shares.sum(-1, keepdims=True) @ v[:, at : at + size])
        x = norm(x + through(block.attention.output, np.concatenate(heads, -1)), block.attention_norm)
        inner = through(block.feed_forward.input, x)
        inner = inner * (1 + np.vectorize(math.erf)(inner / np.sqrt(2))) / 2
        x = norm(x + through(block.feed_forward.output, inner), block.feed_forward_norm)
    return x[len(rows) :]


@pytest.mark.parametrize("kind", KINDS)
def test_every_text_of_a_batch_is_what_the_plain_formula_says_of_it_alone(kind):
    encoder = prompted(kind)
    batch = Packed.of(TEXTS)
    for text, found in zip(TEXTS, batch.layout.split(encoder(batch)), strict=True):
        np.testing.assert_allclose(array(found), by_hand(encoder, text), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_rotary_places_count_on_from_the_prompt(kind):
    encoder = prompted(kind, MODERN)
    encoder.use_attention("reference")
    text = [*range(6, 19)]
    rows = [block.adapter.rows for block in encoder.blocks if "adapter" in dict(block.named_children())]
    wide = torch.cat([rows[0], encoder.embeddings(Packed.of([text]), torch.float64)])
    layout, angles = Layout.of([len(wide)]), encoder.rotary(torch.arange(len(wide)))
    for number, block in enumerate(encoder.blocks):
        wide = torch.cat([rows[number], wide[5:]]) if number < len(rows) else wide
        unhooked = copy.copy(block)
        unhooked._forward_pre_hooks = {}
        wide = unhooked(wide, layout, angles[MODERN.rope_theta(number)])
    encoder.use_attention("auto")
    torch.testing.assert_close(encoder(Packed.of([text])), encoder.norm(wide)[5:], rtol=1e-9, atol=1e-10)


def test_a_window_hides_a_prompt_from_all_but_the_first_tokens():
    encoder = prompted("prefix", MODERN)
    encoder.blocks = encoder.blocks[1:2]
    assert encoder.blocks[0].attention.window == 3
    batch = Packed.of([range(6, 19)])
    before = encoder(batch)
    encoder.blocks[0].adapter.rows.data += torch.randn(5, 24)
    assert (encoder(batch) != before).any(-1).tolist() == [place < 3 for place in range(13)]


@pytest.mark.parametrize("shape", [SHAPE, MODERN])
@pytest.mark.parametrize("kind", KINDS)
def test_texts_do_not_hear_each_other_whatever_batch_they_are_in(kind, shape):
    encoder = prompted(kind, shape)
    random = np.random.default_rng(0)
    for _ in range(5):
        texts = [random.integers(5, VOCABULARY, random.integers(0, 30)) for _ in range(7)]
        batch = Packed.of(texts)
        for text, found in zip(texts, batch.layout.split(encoder(batch)), strict=True):
            torch.testing.assert_close(found, encoder(Packed.of([text])), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_may_be_as_long_as_without_prompts_and_not_longer(kind):
    encoder = prompted(kind, tokens=40)
    assert encoder(Packed.of([[7] * 31])).shape == (31, 20)
    with pytest.raises(InputError, match="32 tokens, more than this model's 31"):
        encoder(Packed.of([[7] * 32]))


@pytest.mark.parametrize("kind", KINDS)
def test_batches_filled_up_to_round_sizes_say_the_same_in_bfloat16(kind):
    encoder = prompted(kind).float()
    batch = Packed.of([range(5, 30), *TEXTS])  # 36 tokens, 56 rows
    encoder.dtype = torch.float32
    wanted = encoder(batch)
    encoder.dtype = torch.bfloat16
    found = encoder(batch)
    assert found.dtype == torch.bfloat16 and found.shape == wanted.shape
    assert (found.float() - wanted).norm() < 0.05 * wanted.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_and_the_head_are_trained_and_nothing_else_moves(kind):
    base = language_model(dropout=0.1)
    kept = copy.deepcopy(base.encoder.state_dict())
    model = mb.Model(shared(base.encoder), base.task)
    adapt(model, options(kind), base="base")
    prompts = {name for name in model.adaptation.own if name.startswith("encoder.")}
    blocks = range(3 if kind == "prefix" else 1)
    assert prompts == {f"encoder.blocks.{number}.adapter.rows" for number in blocks}
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    list(Run(model, masked_batches(model), TrainingConfig(precision="fp32", max_steps=3, learning_rate=1e-2)))
    for name, weight in model.named_parameters():
        own = name in prompts or name.startswith("task.")
        assert (weight.grad is not None or not torch.equal(weight, before[name])) == own, name
    for name, weight in base.encoder.state_dict().items():
        assert torch.equal(weight, kept[name]), name


def test_prompts_begin_as_embeddings_of_tokens_and_every_layer_draws_its_own():
    torch.manual_seed(0)
    encoder = Encoder(replace(SHAPE, hidden_dropout_prob=0.5)).train()
    add_adapter(encoder, options("prefix", 4))
    everything = encoder.eval().embeddings(Packed.of([[token] for token in range(VOCABULARY)]))
    drawn = [block.adapter.rows for block in encoder.blocks]
    for row in torch.cat(drawn):
        assert (everything == row).all(-1).any()
    assert not torch.equal(drawn[0], drawn[1])
    assert rows_before(encoder) == 4 and rows_before(Encoder(SHAPE)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_copied_encoder_has_prompts_of_its_own(kind):
    encoder = prompted(kind)
    copied = copy.deepcopy(encoder)
    before = encoder(Packed.of(TEXTS))
    copied.blocks[0].adapter.rows.data += 1.0
    assert torch.equal(encoder(Packed.of(TEXTS)), before)
    assert not torch.allclose(copied(Packed.of(TEXTS)), before)
    copied.blocks[2].feed_forward.output.weight.data += 1.0
    assert torch.equal(encoder(Packed.of(TEXTS)), before)


def test_where_no_rate_is_named_prompts_are_trained_faster_than_other_adapters():
    rates = {
        kind: Settings.of({"adapt.adapter": kind}, learning_rate=1e-4).train.learning_rate
        for kind in ("none", "lora", *KINDS)
    }
    assert rates == pytest.approx({"none": 1e-4, "lora": 1e-3, "prompt": 5e-3, "prefix": 5e-3})


@pytest.mark.parametrize("tokens", [0, -3])
def test_a_prompt_of_no_rows_is_refused(tokens):
    with pytest.raises(InputError, match=f"prompt_tokens {tokens} must be at least 1"):
        options("prompt", tokens)


def test_a_graph_holds_the_prompts_for_texts_of_every_length():
    encoder = prompted("prompt", MODERN).float()
    encoder.dtype = torch.float32
    source = Source(encoder, FakeTokenizer(VOCABULARY), max_length=31)
    program = trace(PaddedModel(source).eval(), encoder).module()
    for texts in (TEXTS, [[9] * 31, [5, 6]]):
        width = max(map(len, texts))
        ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in texts])
        mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts])
        found = program(input_ids=ids, attention_mask=mask)
        wanted = encoder(Packed.of(texts))
        torch.testing.assert_close(found["last_hidden_state"][mask > 0], wanted, atol=1e-4, rtol=1e-4)
