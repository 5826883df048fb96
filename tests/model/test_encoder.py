"""The whole encoder against two others, and the promise that packing changes nothing."""

from dataclasses import replace

import pytest
import torch
from encoder_oracle import modern_hidden
from torch import Tensor, nn

from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed

CLASSIC = EncoderConfig(
    vocab_size=53,
    hidden_size=22,
    num_hidden_layers=3,
    num_attention_heads=11,
    intermediate_size=29,
    max_position_embeddings=43,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
MODERN = replace(
    CLASSIC,
    hidden_size=24,
    num_attention_heads=3,
    num_hidden_layers=4,
    model_type="modernbert",
    gated_mlp=True,
    bias=False,
    type_vocab_size=0,
    global_attn_every_n_layers=3,
    local_attention=7,
    layer_norm_eps=1e-5,
)
RECIPES = {"classic": CLASSIC, "modern": MODERN}
SENTENCES = [[5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41], [43], [47, 2, 3], [52] * 17, [1, 6, 8, 9, 4, 5, 7]]


def shaken(config: EncoderConfig) -> Encoder:
    """Return an encoder in float64 none of whose weights is at its plain start."""
    encoder = Encoder(config).double().eval()
    encoder.dtype = torch.float64
    for weight in encoder.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    return encoder


def torch_layer(block: nn.Module, config: EncoderConfig, norm_first: bool) -> nn.TransformerEncoderLayer:
    """Return torch's own layer with this block's weights."""
    layer = nn.TransformerEncoderLayer(
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=config.layer_norm_eps,
        batch_first=True,
        norm_first=norm_first,
        dtype=torch.float64,
    )
    names = {
        "self_attn.in_proj_": "attention.qkv.",
        "self_attn.out_proj.": "attention.output.",
        "linear1.": "feed_forward.input.",
        "linear2.": "feed_forward.output.",
        "norm1.": "attention_norm.",
        "norm2.": "feed_forward_norm.",
    }
    weights = block.state_dict()
    layer.load_state_dict(
        {theirs + kind: weights[mine + kind] for theirs, mine in names.items() for kind in ("weight", "bias")}
    )
    return layer


def test_the_classic_encoder_is_torchs_own_layers_on_summed_embeddings():
    encoder = shaken(CLASSIC)
    weights = encoder.state_dict()
    for ids in SENTENCES:
        x = weights["embeddings.token.weight"][ids] + weights["embeddings.position.weight"][: len(ids)]
        x = x + weights["embeddings.segment.weight"][0]
        norm = weights["embeddings.norm.weight"], weights["embeddings.norm.bias"]
        x = nn.functional.layer_norm(x, (22,), *norm, CLASSIC.layer_norm_eps)[None]
        for block in encoder.blocks:
            x = torch_layer(block, CLASSIC, norm_first=False)(x)
        torch.testing.assert_close(encoder(Packed.of([ids])), x[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_the_modern_encoder_is_the_one_written_a_second_time(norm, qk_norm):
    config = replace(MODERN, norm=norm, qk_norm=qk_norm)
    encoder = shaken(config)
    found = encoder(Packed.of(SENTENCES)).split([len(ids) for ids in SENTENCES])
    for mine, ids in zip(found, SENTENCES, strict=True):
        wanted = modern_hidden(config, encoder.state_dict(), torch.tensor(ids))
        torch.testing.assert_close(mine, wanted, rtol=3e-6, atol=3e-6)  # angles are kept in float32


def gradients(encoder: Encoder, sentences: list[list[int]], weigh: list[Tensor]) -> list[Tensor]:
    encoder.zero_grad()
    (encoder(Packed.of(sentences)) * torch.cat(weigh)).sum().backward()
    return [weight.grad.clone() for weight in encoder.parameters()]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("backend", ["cpu", "sdpa", "reference"])
def test_packed_neighbours_change_neither_hidden_states_nor_gradients(recipe, backend):
    torch.manual_seed(2)
    encoder = Encoder(RECIPES[recipe])
    encoder.use_attention(backend)
    size = RECIPES[recipe].hidden_size
    together = encoder(Packed.of(SENTENCES)).split([len(ids) for ids in SENTENCES])
    for mine, ids in zip(together, SENTENCES, strict=True):
        alone = encoder(Packed.of([ids]))
        assert (mine - alone).norm() <= 1e-5 * alone.norm()
    weigh = [torch.randn(len(ids), size) for ids in SENTENCES]
    among = gradients(encoder, SENTENCES, weigh)
    apart = [gradients(encoder, [ids], [w]) for ids, w in zip(SENTENCES, weigh, strict=True)]
    for name, mine, *others in zip(dict(encoder.named_parameters()), among, *apart, strict=True):
        total = torch.stack(others).sum(0)
        # The keys' bias moves all scores of a query alike: its gradient is zero but for rounding.
        assert (mine - total).norm() <= 1e-5 * max(total.norm(), 1e-2 * size), name


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_gradient_between_two_documents_is_exactly_zero(recipe):
    encoder = Encoder(RECIPES[recipe])
    vectors = []
    encoder.embeddings.register_forward_hook(lambda module, inputs, output: vectors.append(output))
    hidden = encoder(Packed.of(SENTENCES))
    first = len(SENTENCES[0])
    (slope,) = torch.autograd.grad(hidden[:first].square().sum() + hidden[:first].sum(), vectors)
    assert (slope[first:] == 0).all()
    assert (slope[:first] != 0).any(-1).all()


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_implementation_of_attention_does_not_change_the_hidden_states(recipe):
    encoder = shaken(RECIPES[recipe])
    batch = Packed.of(SENTENCES)
    auto = encoder(batch)
    for backend in ("cpu", "sdpa", "reference"):
        encoder.use_attention(backend)
        torch.testing.assert_close(encoder(batch), auto, rtol=1e-10, atol=1e-10)
    encoder.use_attention("nonsense")
    with pytest.raises(InputError, match="nonsense"):
        encoder(batch)


def test_a_token_of_a_local_layer_sees_its_window_and_no_farther():
    encoder = shaken(MODERN)
    assert [MODERN.window(layer) for layer in range(4)] == [None, 3, 3, None]
    encoder.blocks = encoder.blocks[1:2]
    ids = list(range(1, 18))
    other = [*ids[:8], 50, *ids[9:]]
    changed = (encoder(Packed.of([ids])) != encoder(Packed.of([other]))).any(-1)
    assert torch.nonzero(changed)[:, 0].tolist() == list(range(5, 12))


def test_a_global_layer_sees_the_whole_text():
    encoder = shaken(MODERN)
    encoder.blocks = encoder.blocks[:1]
    ids = list(range(1, 18))
    changed = (encoder(Packed.of([ids])) != encoder(Packed.of([[50, *ids[1:]]]))).any(-1)
    assert changed.all()


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_dtype_decides_the_arithmetic_and_weights_stay_in_float32(recipe, dtype):
    encoder = Encoder(replace(RECIPES[recipe], qk_norm=True))
    encoder.dtype = dtype
    seen = set()
    for module in encoder.modules():
        module.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    hidden = encoder(Packed.of(SENTENCES))
    hidden.float().sum().backward()
    assert hidden.dtype == dtype
    assert seen - {torch.float32} == {dtype} - {torch.float32}
    assert {weight.grad.dtype for weight in encoder.parameters()} == {torch.float32}


@pytest.mark.parametrize("recipe", RECIPES)
def test_bfloat16_stays_near_float32(recipe):
    encoder = Encoder(RECIPES[recipe])
    exact = encoder(Packed.of(SENTENCES))
    encoder.dtype = torch.bfloat16
    rough = encoder(Packed.of(SENTENCES)).float()
    assert 0 < (rough - exact).norm() < 0.02 * exact.norm()


def test_dropout_acts_in_training_alone():
    encoder = Encoder(replace(CLASSIC, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1))
    batch = Packed.of(SENTENCES)
    assert not torch.equal(encoder.train()(batch), encoder(batch))
    assert torch.equal(encoder.eval()(batch), encoder(batch))


@pytest.mark.parametrize("size", ["tiny", "mini", "modern-tiny", "modern-mini"])
def test_the_number_of_weights_is_the_formulas(size):
    config = EncoderConfig.preset(size, vocab_size=1009)
    d, f, n = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    if config.modern:
        blocks = n * (4 * d * d + 3 * d * f) + (2 * n - 1) * d
        wanted = 1009 * d + d + blocks + d
    else:
        blocks = n * (4 * d * d + 4 * d + 2 * d * f + f + d + 4 * d)
        wanted = (1009 + 512 + 2) * d + 2 * d + blocks
    assert sum(weight.numel() for weight in Encoder(config).parameters()) == wanted


def test_weights_start_as_berts_do():
    encoder = Encoder(EncoderConfig.preset("tiny", vocab_size=1009))
    for name, weight in encoder.named_parameters():
        if weight.ndim == 2 and weight.numel() > 1000:
            assert 0.018 < weight.std() < 0.022, name
        elif weight.ndim == 1:
            assert (weight == (1 if name.endswith("norm.weight") else 0)).all(), name


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_empty_batch_and_an_empty_sentence_pass_through(recipe):
    encoder = Encoder(RECIPES[recipe])
    size = RECIPES[recipe].hidden_size
    assert encoder(Packed.of([])).shape == (0, size)
    with_empty = encoder(Packed.of([[1, 2], [], [3]]))
    torch.testing.assert_close(with_empty, encoder(Packed.of([[1, 2], [3]])))


def test_a_text_longer_than_the_position_table_is_an_error_with_both_numbers():
    with pytest.raises(InputError, match=r"44 tokens.*43"):
        Encoder(CLASSIC)(Packed.of([[1] * 44]))
    Encoder(CLASSIC)(Packed.of([[1] * 43]))
