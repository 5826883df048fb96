"""LoRA: computed by hand in float64, folded into matrices and out again, and put where patterns say."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import SHAPE, classifier, language_model, masked_batches, texts

from minibert.adapt.build import adapt
from minibert.adapt.lora import QKV, LowRankParts, add_lora, targets, updates_of
from minibert.adapt.merging import merged, shared, unmerged
from minibert.adapt.options import AdaptOptions
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.training.config import TrainingConfig
from minibert.training.finetuning import Settings
from minibert.training.loop import Run

BATCH = [[7, 4, 9, 30], [5], [8, 6, 11]]


def stirred(encoder: Encoder, seed: int = 5) -> Encoder:
    """Give every B something to say."""
    torch.manual_seed(seed)
    for update in updates_of(encoder).values():
        for part in update.parts.values():
            torch.nn.init.normal_(part.up.weight, std=0.3)
    return encoder


def lora(encoder: Encoder | None = None, **options) -> Encoder:
    encoder = encoder or Encoder(SHAPE)
    given = {f"lora_{name}": value for name, value in options.items()}
    add_lora(encoder, AdaptOptions(adapter="lora", **given))
    return encoder.eval()


def test_a_layer_gives_what_the_equation_says_in_float64():
    random = np.random.default_rng(0)
    layer = torch.nn.Linear(11, 21, dtype=torch.float64)
    options = AdaptOptions(adapter="lora", lora_rank=2, lora_alpha=7.0)
    update = LowRankParts(layer, ("query", "value"), options).double()
    for part in update.parts.values():
        part.up.weight.data = torch.from_numpy(random.normal(size=(7, 2)))
    x = torch.from_numpy(random.normal(size=(5, 11)))
    w = layer.weight.detach().numpy().copy()
    for name, rows in (("query", slice(0, 7)), ("value", slice(14, 21))):
        a, b = (getattr(update.parts[name], side).weight.detach().numpy() for side in ("down", "up"))
        w[rows] += 7.0 / 2 * (b @ a)
    wanted = x.numpy() @ w.T + layer.bias.detach().numpy()
    np.testing.assert_allclose(update(x, layer(x)).detach().numpy(), wanted, rtol=1e-12)


def test_a_new_adapter_changes_nothing_bit_for_bit():
    encoder = Encoder(SHAPE).eval()
    plain = encoder(Packed.of(BATCH))
    assert torch.equal(lora(encoder, target_modules="all-linear")(Packed.of(BATCH)), plain)


@given(
    st.sampled_from(["query,value", "qkv", "key", "attention.output,feed_forward", "all-linear", "blocks.1"]),
    st.integers(1, 5),
    st.floats(1, 16),
)
def test_a_merged_encoder_says_the_same_and_gives_its_base_back(wanted, rank, alpha):
    model = language_model().eval()
    with torch.no_grad():
        for weight in model.encoder.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    adapt(model, AdaptOptions("lora", rank, alpha, 0.0, wanted), base="base")
    stirred(model.encoder)
    base = shared(model.encoder)
    adapted = model.encoder(Packed.of(BATCH))
    assert (adapted - base(Packed.of(BATCH))).abs().max() > 3e-3
    plain = merged(model)
    assert not any("adapter" in name for name in plain.state_dict())
    torch.testing.assert_close(plain.encoder(Packed.of(BATCH)), adapted, atol=1e-4, rtol=0)
    again = unmerged(plain, model).state_dict()
    for name, weight in base.state_dict().items():
        torch.testing.assert_close(again[name], weight, atol=1e-6, rtol=0)
    torch.testing.assert_close(model.encoder(Packed.of(BATCH)), adapted, atol=0, rtol=0)


def test_two_adapters_share_the_tensors_of_one_base_and_do_not_hear_each_other():
    base = Encoder(SHAPE).eval()
    before = base(Packed.of(BATCH))
    first, second = stirred(lora(shared(base)), 1), stirred(lora(shared(base)), 2)
    for name, weight in base.named_parameters():
        assert first.get_parameter(name) is weight
    torch.testing.assert_close(base(Packed.of(BATCH)), before, atol=0, rtol=0)
    one, two = first(Packed.of(BATCH)), second(Packed.of(BATCH))
    assert (one - two).abs().max() > 1e-3
    assert (one - before).abs().max() > 1e-3


def test_training_moves_the_adapter_and_the_head_and_nothing_else():
    model = language_model()
    adapt(model, AdaptOptions("lora", lora_dropout=0.2), base="base")
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    config = TrainingConfig(precision="fp32", max_steps=3, learning_rate=1e-2)
    run = Run(model, masked_batches(model), config)
    list(run)
    for name, weight in model.named_parameters():
        own = ".adapter." in name or name.startswith("task.")
        assert torch.equal(weight, before[name]) != own, name
        assert weight.requires_grad == own
    trained = sum(weight.numel() for weight in run.optimizers.weights)
    head = sum(weight.numel() for weight in model.task.parameters())
    assert trained == head + 3 * 2 * (20 * 8 + 8 * 20)  # layers, query and value, A and B


def test_only_dropout_in_training_makes_two_passes_differ():
    encoder = stirred(lora(dropout=0.5))
    twice = [encoder(Packed.of(BATCH)) for _ in range(2)]
    assert torch.equal(*twice)
    encoder.train()
    assert not torch.equal(*(encoder(Packed.of(BATCH)) for _ in range(2)))


def test_bfloat16_stays_near_float32():
    encoder = stirred(lora(target_modules="all-linear"))
    exact = encoder(Packed.of(BATCH))
    encoder.dtype = torch.bfloat16
    assert (encoder(Packed.of(BATCH)).float() - exact).abs().max() < 0.1


@pytest.mark.parametrize(
    ("wanted", "layers"),
    [
        ("query,value", {f"blocks.{n}.attention.qkv": ("query", "value") for n in range(3)}),
        ("blocks.[01].attention.key", {f"blocks.{n}.attention.qkv": ("key",) for n in range(2)}),
        ("qkv", {f"blocks.{n}.attention.qkv": ("whole",) for n in range(3)}),
        ("blocks.2.feed_forward.input", {"blocks.2.feed_forward.input": ("whole",)}),
        (
            "blocks.0.attention",
            {f"blocks.0.attention.{name}": ("whole",) for name in ("qkv", "output")},
        ),
    ],
)
def test_patterns_choose_layers_and_their_parts(wanted, layers):
    assert targets(Encoder(SHAPE), wanted) == layers


def test_all_linear_is_every_matrix_of_the_blocks():
    assert len(targets(Encoder(SHAPE), "all-linear")) == 3 * 4
    assert set(QKV) == {"query", "key", "value"}


@pytest.mark.parametrize(("wanted", "nearest"), [("querry", "query"), ("feedforward", "feed_forward")])
def test_a_target_that_names_nothing_tells_the_nearest(wanted, nearest):
    model = classifier()
    before = set(model.state_dict())
    with pytest.raises(InputError, match=rf"lora_target_modules {wanted!r} names nothing.*mean {nearest}"):
        adapt(model, AdaptOptions("lora", lora_target_modules=f"value,{wanted}"), base="base")
    assert set(model.state_dict()) == before
    assert model.adaptation is None


@pytest.mark.parametrize(
    ("option", "value"),
    [("lora_rank", 0), ("lora_alpha", 0.0), ("lora_dropout", 1.0), ("lora_target_modules", " ,")],
)
def test_options_that_make_no_sense_are_named(option, value):
    with pytest.raises(InputError, match=option):
        adapt(classifier(), AdaptOptions(**{"adapter": "lora", option: value}), base="base")


def test_freezing_beside_an_adapter_is_refused():
    model = classifier()
    adapt(model, AdaptOptions("lora"), base="base")
    with pytest.raises(InputError, match="freeze 2 beside adapter 'lora'"):
        Run(model, None, TrainingConfig(freeze=2))


def test_a_merged_classifier_has_equal_logits():
    model = classifier()
    adapt(model, AdaptOptions("lora"), base="base")
    stirred(model.encoder)
    windows = [window for row in texts(8) for window in model.task.encode(row)]
    batch = model.eval().task.pack(windows)
    logits = [m.task.logits(m.encoder, batch) for m in (model, merged(model))]
    torch.testing.assert_close(logits[1], logits[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("adapter", "option", "value", "owner"),
    [
        ("none", "lora_rank", 4, "lora"),
        ("bitfit", "lora_target_modules", "all-linear", "lora"),
        ("lora", "bottleneck_size", 8, "bottleneck"),
        ("bottleneck", "prompt_tokens", 3, "prompt or prefix"),
    ],
)
def test_an_option_of_an_adapter_that_is_not_there_is_refused(adapter, option, value, owner):
    with pytest.raises(InputError, match=f"^{option} {value!r} means nothing .*choose adapter {owner}, or"):
        Settings.of({"adapt.adapter": adapter, f"adapt.{option}": value})
