"""The decoder against torch's own layers and a second writing; packing, causality and the cache."""

import math
from dataclasses import replace

import pytest
import torch
from encoder_oracle import turned
from torch import Tensor, nn

from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.cross_attention import Memory
from minibert.model.decoder import ROTARY_BASE, Decoder
from minibert.packed import Layout

PLAIN = EncoderConfig(
    vocab_size=53,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=29,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    layer_norm_eps=1e-5,
)
GATED = replace(PLAIN, gated_mlp=True, bias=False, norm="rmsnorm", qk_norm=True, hidden_act="silu")
TARGETS, SOURCES = (5, 1, 7, 3), (11, 2, 1, 13)
LAYERS, POSITIONS = 3, 17


def shaken(config: EncoderConfig, positions: int) -> Decoder:
    """Return a decoder in float64 none of whose weights is at its plain start."""
    decoder = Decoder(config, LAYERS, positions=positions).double().eval()
    for weight in decoder.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    return decoder


def draw(config: EncoderConfig = PLAIN, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Layout, Memory]:
    """Return token rows of four targets and the memory of their sources."""
    tokens = torch.randn(sum(TARGETS), config.hidden_size, dtype=dtype)
    memory = torch.randn(sum(SOURCES), config.hidden_size, dtype=dtype)
    return tokens, Layout.of(TARGETS), Memory(memory, Layout.of(SOURCES))


def torch_layer(weights: dict[str, Tensor], config: EncoderConfig) -> nn.TransformerDecoderLayer:
    """Return torch's own pre-norm layer with a block's weights."""
    layer = nn.TransformerDecoderLayer(
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=config.layer_norm_eps,
        batch_first=True,
        norm_first=True,
        dtype=torch.float64,
    )
    names = {
        "self_attn.in_proj_": "attention.qkv.",
        "self_attn.out_proj.": "attention.output.",
        "multihead_attn.out_proj.": "cross_attention.output.",
        "linear1.": "feed_forward.input.",
        "linear2.": "feed_forward.output.",
        "norm1.": "attention_norm.",
        "norm2.": "cross_norm.",
        "norm3.": "feed_forward_norm.",
    }
    values = {
        theirs + kind: weights[ours + kind] for theirs, ours in names.items() for kind in ("weight", "bias")
    }
    for kind in ("weight", "bias"):
        both = [weights[f"cross_attention.{part}.{kind}"] for part in ("query", "key_value")]
        values[f"multihead_attn.in_proj_{kind}"] = torch.cat(both)
    layer.load_state_dict(values)
    return layer


def test_with_learned_positions_it_is_torchs_own_layers_on_padded_texts():
    decoder = shaken(PLAIN, POSITIONS)
    tokens, layout, memory = draw()
    longest, widest = max(TARGETS), max(SOURCES)
    x = layout.pad(tokens) + decoder.position.weight[:longest]
    x = nn.functional.layer_norm(
        x, (24,), decoder.embedding_norm.weight, decoder.embedding_norm.bias, PLAIN.layer_norm_eps
    )
    later = torch.ones(longest, longest, dtype=torch.bool).triu(1)
    past_the_end = torch.arange(widest) >= torch.tensor(SOURCES)[:, None]
    for block in decoder.blocks:
        layer = torch_layer(block.state_dict(), PLAIN)
        x = layer(x, memory.layout.pad(memory.rows_U), tgt_mask=later, memory_key_padding_mask=past_the_end)
    wanted = nn.functional.layer_norm(x, (24,), decoder.norm.weight, decoder.norm.bias, PLAIN.layer_norm_eps)
    hidden = decoder(tokens, layout, memory)
    torch.testing.assert_close(hidden, layout.unpad(wanted), rtol=1e-10, atol=1e-10)


def normed(w: dict[str, Tensor], name: str, x: Tensor, eps: float = PLAIN.layer_norm_eps) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * w[name + ".weight"]


def rotary_hidden(w: dict[str, Tensor], x: Tensor, memory: Tensor) -> Tensor:
    """Write the gated decoder of one target a second time, head by head."""
    size, heads = 24, 3
    width = size // heads
    x = normed(w, "embedding_norm", x)
    for layer in range(LAYERS):
        name = f"blocks.{layer}."
        heard = []
        q, k, v = (normed(w, name + "attention_norm", x) @ w[name + "attention.qkv.weight"].T).split(size, -1)
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            turned_q, turned_k = (
                turned(normed(w, name + f"attention.{which}_norm", y[:, part], 1e-6), ROTARY_BASE)
                for which, y in (("q", q), ("k", k))
            )
            scores = turned_q @ turned_k.T / math.sqrt(width)
            scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -math.inf)
            heard.append(scores.softmax(-1) @ v[:, part])
        x = x + torch.cat(heard, -1) @ w[name + "attention.output.weight"].T
        q = normed(w, name + "cross_norm", x) @ w[name + "cross_attention.query.weight"].T
        k, v = (memory @ w[name + "cross_attention.key_value.weight"].T).split(size, -1)
        parts = [slice(h * width, (h + 1) * width) for h in range(heads)]
        heard = [(q[:, p] @ k[:, p].T / math.sqrt(width)).softmax(-1) @ v[:, p] for p in parts]
        x = x + torch.cat(heard, -1) @ w[name + "cross_attention.output.weight"].T
        wide = normed(w, name + "feed_forward_norm", x) @ w[name + "feed_forward.input.weight"].T
        inner, gate = wide.chunk(2, -1)
        x = x + (inner * torch.sigmoid(inner) * gate) @ w[name + "feed_forward.output.weight"].T
    return normed(w, "norm", x)


def test_with_rotary_positions_it_is_what_the_equations_say():
    decoder = shaken(GATED, 0)
    tokens, layout, memory = draw(GATED)
    weights = dict(decoder.state_dict())
    pairs = zip(layout.split(tokens), memory.layout.split(memory.rows_U), strict=True)
    wanted = torch.cat([rotary_hidden(weights, *pair) for pair in pairs])
    # Angles are kept in float32.
    torch.testing.assert_close(decoder(tokens, layout, memory), wanted, rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("positions", [0, POSITIONS])
def test_a_token_changes_nothing_before_it_and_something_from_it_on(positions):
    decoder = shaken(PLAIN, positions)
    tokens, layout, memory = draw()
    before = decoder(tokens, layout, memory)
    changed = tokens.clone()
    row = layout.starts[2] + 4
    changed[row] = torch.randn(24)
    moved = (decoder(changed, layout, memory) - before).abs().amax(-1) > 1e-12
    after = (layout.sequence_T == 2) & (layout.positions >= 4)
    assert torch.equal(moved, after)


def test_a_source_is_seen_by_its_own_target_and_by_all_of_it():
    decoder = shaken(PLAIN, 0)
    tokens, layout, memory = draw()
    before = decoder(tokens, layout, memory)
    rows = memory.rows_U.clone()
    rows[memory.layout.starts[3] + 12] += 1
    moved = (decoder(tokens, layout, Memory(rows, memory.layout)) - before).abs().amax(-1) > 1e-12
    assert torch.equal(moved, layout.sequence_T == 3)


@pytest.mark.parametrize("positions", [0, POSITIONS])
def test_packed_neighbours_do_not_change_a_target(positions):
    decoder = shaken(PLAIN, positions)
    tokens, layout, memory = draw()
    together = layout.split(decoder(tokens, layout, memory))
    for number, part in enumerate(layout.split(tokens)):
        alone = decoder(part, Layout.of([len(part)]), memory.select([number]))
        torch.testing.assert_close(alone, together[number], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "config, positions, dtype, distance",
    [
        (PLAIN, 0, torch.float64, 1e-10),
        (PLAIN, POSITIONS, torch.float64, 1e-10),
        (GATED, 0, torch.float64, 1e-10),
        (PLAIN, 0, torch.float32, 1e-5),
    ],
)
def test_token_by_token_with_a_cache_gives_the_rows_of_all_at_once(config, positions, dtype, distance):
    decoder = shaken(config, positions).to(dtype)
    _, _, memory = draw(config, dtype)
    beams, length = 2, 6
    tokens = torch.randn(len(SOURCES), beams, length, config.hidden_size, dtype=dtype)
    state = decoder.start(memory, beams)
    steps = []
    for place in range(length):
        assert state.place == place
        hidden, state = decoder.step(tokens[:, :, place].flatten(0, 1), state)
        steps.append(hidden.unflatten(0, (len(SOURCES), beams)))
    for beam in range(beams):
        whole = decoder(tokens[:, beam].flatten(0, 1), Layout.of([length] * len(SOURCES)), memory)
        mine = torch.stack([step[:, beam] for step in steps], dim=1).flatten(0, 1)
        torch.testing.assert_close(mine, whole, rtol=distance, atol=distance)


def test_chosen_rows_and_sources_go_on_as_if_they_had_been_alone():
    decoder = shaken(PLAIN, 0)
    _, _, memory = draw()
    tokens = torch.randn(3, 8, 24, dtype=torch.float64)  # three steps, two beams for each of four sources
    state = decoder.start(memory, 2)
    for rows in tokens[:2]:
        _, state = decoder.step(rows, state)
    chosen, sources = torch.tensor([7, 7, 2, 3]), [3, 1]  # both beams of the last source from one parent
    mine, _ = decoder.step(tokens[2, :4], state.select(chosen, sources))
    for row, (parent, source) in enumerate(zip(chosen.tolist(), [3, 3, 1, 1], strict=True)):
        path = torch.stack([tokens[0, parent], tokens[1, parent], tokens[2, row]])
        whole = decoder(path, Layout.of([3]), memory.select([source]))
        torch.testing.assert_close(mine[row], whole[-1], rtol=1e-10, atol=1e-10)


def test_every_weight_has_a_gradient_and_an_empty_batch_passes():
    decoder = Decoder(PLAIN, 2, positions=POSITIONS)
    tokens, layout, memory = draw(dtype=torch.float32)
    decoder(tokens, layout, memory).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in decoder.parameters())
    empty = Layout.of([])
    assert decoder(tokens[:0], empty, Memory(tokens[:0], empty)).shape == (0, 24)


def test_bfloat16_comes_out_where_it_goes_in_and_stays_near():
    decoder = Decoder(PLAIN, 2).eval()
    tokens, layout, memory = draw(dtype=torch.float32)
    wanted = decoder(tokens, layout, memory)
    mine = decoder(tokens, layout, Memory(memory.rows_U.bfloat16(), memory.layout))
    assert mine.dtype == torch.bfloat16
    torch.testing.assert_close(mine.float(), wanted, rtol=0.1, atol=0.1)


def test_a_target_longer_than_the_learned_positions_is_refused():
    decoder = Decoder(PLAIN, 1, positions=6)
    tokens, layout, memory = draw(dtype=torch.float32)
    with pytest.raises(InputError, match="7 tokens, more than the 6 positions"):
        decoder(tokens, layout, memory)


def test_rotary_positions_refuse_an_odd_head():
    with pytest.raises(InputError, match="head size, and this encoder's is 11"):
        Decoder(replace(PLAIN, hidden_size=22, num_attention_heads=2), 1)
