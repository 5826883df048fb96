"""Bottlenecks and BitFit: computed by hand, nothing at the start, and apart from the base they share."""

import copy

import numpy as np
import pytest
import torch
from small_models import SHAPE, classifier, language_model, masked_batches

import minibert as mb
from minibert.adapt.bottleneck import Bottleneck
from minibert.adapt.build import adapt, add_adapter
from minibert.adapt.merging import shared
from minibert.adapt.options import AdaptOptions
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run

BATCH = Packed.of([[7, 4, 9, 30], [5], [8, 6, 11]])


def options(kind="bottleneck", **given):
    return AdaptOptions(adapter=kind, **{f"bottleneck_{name}": value for name, value in given.items()})


def test_a_bottleneck_gives_what_the_equation_says_in_float64():
    random = np.random.default_rng(0)
    part = Bottleneck(11, options(size=3, act="relu"), 0.5).double()
    part.up.weight.data = torch.from_numpy(random.normal(size=(11, 3)))
    part.up.bias.data = torch.from_numpy(random.normal(size=11))
    y = random.normal(size=(5, 11))
    down, up = (layer.weight.detach().numpy() for layer in (part.down, part.up))
    inner = np.maximum(y @ down.T + part.down.bias.detach().numpy(), 0)
    wanted = y + inner @ up.T + part.up.bias.detach().numpy()
    found = part(torch.zeros(5, 11), torch.from_numpy(y))
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("layout", ["pfeiffer", "houlsby"])
def test_a_new_bottleneck_changes_nothing_and_stands_where_it_should(layout):
    encoder = Encoder(SHAPE).eval()
    plain = encoder(BATCH)
    add_adapter(encoder, options(layout=layout))
    assert torch.equal(encoder(BATCH), plain)
    places = {
        name.removesuffix(".adapter") for name, _ in encoder.named_modules() if name.endswith("adapter")
    }
    parts = ("attention", "feed_forward") if layout == "houlsby" else ("feed_forward",)
    assert places == {f"blocks.{n}.{part}" for n in range(3) for part in parts}


@pytest.mark.parametrize(
    ("chosen", "trained"),
    [
        (options(size=7), lambda name: ".adapter." in name),
        (options(size=7, layout="houlsby"), lambda name: ".adapter." in name or "_norm." in name),
        (options("bitfit"), lambda name: name.endswith(".bias")),
    ],
)
def test_what_is_trained_moves_and_the_rest_and_the_shared_base_do_not(chosen, trained):
    base = language_model()
    kept = copy.deepcopy(base.encoder.state_dict())
    model = mb.Model(shared(base.encoder), base.task)
    adapt(model, chosen, base="base")
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    list(Run(model, masked_batches(model), TrainingConfig(precision="fp32", max_steps=3, learning_rate=1e-2)))
    for name, weight in model.named_parameters():
        moves = trained(name) or name.startswith("task.")
        assert torch.equal(weight, before[name]) != moves, name
    for name, weight in base.encoder.state_dict().items():
        assert torch.equal(weight, kept[name]), name


def test_bitfit_is_refused_where_there_are_no_biases():
    encoder = Encoder(EncoderConfig.preset("modern-tiny", vocab_size=61))
    with pytest.raises(InputError, match=r"bitfit trains biases.*modernbert.*lora"):
        add_adapter(encoder, options("bitfit"))


def test_a_bottleneck_of_no_channels_is_refused():
    with pytest.raises(InputError, match="bottleneck_size 0"):
        options(size=0)


def test_a_graph_holds_the_bottlenecks(tmp_path):
    model = classifier().eval()
    adapt(model, options(layout="houlsby"), base="base")
    for name, weight in model.named_parameters():
        if ".adapter." in name:
            torch.nn.init.normal_(weight, std=0.3)
    from minibert.interop.graphs import trace
    from minibert.interop.padded import PaddedModel, Source

    source = Source(model.encoder, model.task.tokenizer, model.task.max_length, model.task)
    program = trace(PaddedModel(source).eval(), model.encoder)
    ids = torch.tensor([[7, 4, 9, 30], [8, 6, 11, 2]])
    segments = torch.zeros_like(ids)
    found = program.module()(input_ids=ids, attention_mask=torch.ones_like(ids), token_type_ids=segments)
    wanted = model.task.logits(model.encoder, Packed.of(ids.tolist()))
    torch.testing.assert_close(found["logits"], wanted, atol=1e-5, rtol=0)
