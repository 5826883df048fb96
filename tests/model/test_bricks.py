"""The bricks of the encoder, each against a hand-computed value or torch's own."""

import math

import pytest
import torch
from torch import nn

from minibert.kernels.rotary import rotary_angles, rotate
from minibert.model.attention import MultiHeadAttention
from minibert.model.block import PreNormBlock
from minibert.model.embeddings import Embeddings
from minibert.model.feed_forward import MLP, GatedMLP
from minibert.model.linear import LayerNorm, Linear, RMSNorm, activation, make_norm
from minibert.packed import Layout, Packed


def test_embeddings_are_the_sum_of_three_rows_normed():
    norm = nn.LayerNorm(2, eps=0.0, elementwise_affine=False)
    embeddings = Embeddings(3, 2, positions=2, segments=2, norm=norm, dropout=0.0)
    embeddings.token.weight.data = torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, -1.0]])
    embeddings.position.weight.data = torch.tensor([[10.0, 0.0], [0.0, 20.0]])
    embeddings.segment.weight.data = torch.tensor([[0.0, 0.5], [200.0, 0.0]])
    batch = Packed.of([[1, 2], [2]], [[0, 1], [0]])
    # sums: (11, 2.5), (203, 19), (13, -.5); a norm over two numbers leaves their signs around the mean
    assert embeddings(batch).tolist() == [[1.0, -1.0], [1.0, -1.0], [1.0, -1.0]]
    embeddings.norm = nn.Identity()
    assert embeddings(batch).tolist() == [[11.0, 2.5], [203.0, 19.0], [13.0, -0.5]]
    without = Packed.of([[1, 2], [2]])
    assert embeddings(without).tolist() == [[11.0, 2.5], [3.0, 19.5], [13.0, -0.5]]
    assert embeddings(without, torch.bfloat16).dtype == torch.bfloat16


def test_embeddings_without_tables_are_the_token_row():
    embeddings = Embeddings(3, 2, positions=0, segments=0, norm=nn.Identity(), dropout=0.0)
    found = embeddings(Packed.of([[1, 2]], [[0, 1]]))
    assert torch.equal(found, embeddings.token.weight[1:])


def test_rotary_angles_are_the_hand_computed_ones():
    cos, sin = rotary_angles(torch.tensor([0, 1, 5]), head_size=4, base=100.0)
    angles = torch.tensor([[0.0, 0.0], [1.0, 0.1], [5.0, 0.5]])[:, None]
    assert cos.shape == (3, 1, 2)
    torch.testing.assert_close(cos, angles.cos())
    torch.testing.assert_close(sin, angles.sin())


def test_a_turn_by_ninety_degrees_is_the_hand_computed_one():
    angles = torch.zeros(1, 1, 2), torch.ones(1, 1, 2)
    assert rotate(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), angles).tolist() == [[[-3.0, -4.0, 1.0, 2.0]]]


def test_scores_of_rotated_tokens_depend_on_their_distance_alone():
    q, k = torch.randn(2, 1, 1, 14).double()
    places = torch.arange(0, 400, 7)
    angles = rotary_angles(places, 14, 10_000.0)
    queries, keys = (rotate(x.expand(len(places), 1, 14), angles)[:, 0] for x in (q, k))
    scores = queries @ keys.T
    for distance in range(-20, 21):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-5)
    assert scores[0].std() > 0.1


def test_a_turn_keeps_lengths_and_place_zero_is_no_turn():
    x = torch.randn(11, 3, 10)
    turned = rotate(x, rotary_angles(torch.arange(11), 10, 10_000.0))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[0], x[0])
    assert rotate(x.bfloat16(), rotary_angles(torch.arange(11), 10, 10_000.0)).dtype == torch.bfloat16


def test_far_places_still_turn_exactly():
    cos, _ = rotary_angles(torch.tensor([1_000_003]), head_size=2, base=10_000.0)
    assert cos.item() == pytest.approx(math.cos(1_000_003), abs=1e-7)


def test_the_pre_norm_block_is_torchs_own():
    d, f, heads = 21, 13, 7
    attention = MultiHeadAttention(d, heads)
    norms = {"attention_norm": LayerNorm(d), "feed_forward_norm": LayerNorm(d)}
    block = PreNormBlock(attention, MLP(d, f), **norms, dropout=0.0).double()
    for weight in block.parameters():
        weight.data = 0.4 * torch.randn_like(weight)
    theirs = nn.TransformerEncoderLayer(
        d, heads, f, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    ours = block.state_dict()
    names = {
        "self_attn.in_proj_": "attention.qkv.",
        "self_attn.out_proj.": "attention.output.",
        "linear1.": "feed_forward.input.",
        "linear2.": "feed_forward.output.",
        "norm1.": "attention_norm.",
        "norm2.": "feed_forward_norm.",
    }
    theirs.load_state_dict(
        {a + kind: ours[b + kind] for a, b in names.items() for kind in ("weight", "bias")}
    )
    x = torch.randn(17, d, dtype=torch.float64)
    torch.testing.assert_close(block(x, Layout.of([17])), theirs(x[None])[0])


def test_the_gate_is_the_second_half_and_the_activation_the_first():
    mlp = GatedMLP(1, 2, act="relu", bias=False)
    mlp.input.weight.data = torch.tensor([[1.0], [-1.0], [10.0], [100.0]])
    mlp.output.weight.data = torch.tensor([[1.0, 1.0]])
    assert mlp(torch.tensor([[3.0], [-2.0]])).tolist() == [[90.0], [-400.0]]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("gelu", nn.GELU()), ("gelu_tanh", nn.GELU("tanh")), ("relu", nn.ReLU()), ("silu", nn.SiLU())],
)
def test_activations_go_by_their_names(name, theirs):
    x = torch.randn(101)
    assert torch.equal(activation(name, x), theirs(x))


def test_norms_are_the_hand_computed_ones():
    x = torch.tensor([[1.0, 3.0]])
    layer, rms = make_norm("layernorm", 2, 0.0, True), make_norm("rmsnorm", 2, 0.5, True)
    layer.weight.data, layer.bias.data = torch.tensor([2.0, 1.0]), torch.tensor([0.0, 5.0])
    rms.weight.data = torch.tensor([1.0, 2.0])
    assert layer(x).tolist() == [[-2.0, 6.0]]
    torch.testing.assert_close(rms(x), torch.tensor([[1.0, 6.0]]) / math.sqrt(5.5))
    assert make_norm("layernorm", 2, 0.0, False).bias is None


@pytest.mark.parametrize("layer", [Linear(6, 4), LayerNorm(6), RMSNorm(6)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_layers_compute_in_the_dtype_that_comes_in(layer, dtype):
    assert layer(torch.randn(3, 6, dtype=dtype)).dtype == dtype
    assert layer.weight.dtype == torch.float32
