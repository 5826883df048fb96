"""Re-drawn top layers: they alone are new, and new they are as at the beginning."""

from dataclasses import replace

import pytest
import torch
from small_models import SHAPE

from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.training.fresh_layers import redraw_top

BLOCKS = 3


def trained(config=SHAPE):
    """Return an encoder all of whose weights are far from where an encoder begins."""
    torch.manual_seed(0)
    encoder = Encoder(config)
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.normal_(5.0, 1.0)
    return encoder


@pytest.mark.parametrize("layers", range(BLOCKS + 1))
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_only_the_highest_layers_are_drawn_anew(layers, norm):
    encoder = trained(replace(SHAPE, norm=norm))
    before = {name: weight.clone() for name, weight in encoder.named_parameters()}
    redraw_top(encoder, layers)
    for name, weight in encoder.named_parameters():
        block = int(name.split(".")[1]) if name.startswith("blocks.") else -1
        assert torch.equal(weight, before[name]) == (block < BLOCKS - layers), name


def test_they_are_what_a_new_encoder_has():
    encoder = trained()
    torch.manual_seed(3)
    redraw_top(encoder, BLOCKS)
    fresh = Encoder(SHAPE)
    for (name, weight), other in zip(
        encoder.blocks.named_parameters(), fresh.blocks.parameters(), strict=True
    ):
        if weight.ndim == 1:
            assert torch.equal(weight, other), name
        else:
            assert abs(weight.mean().item()) < 0.005
            assert weight.std().item() == pytest.approx(SHAPE.initializer_range, rel=0.2)
    assert encoder(Packed.of([[7, 4, 9]])).isfinite().all()


@pytest.mark.parametrize("layers", [-1, BLOCKS + 1])
def test_more_layers_than_there_are_is_refused(layers):
    with pytest.raises(InputError, match=rf"reinit_layers {layers} .* {BLOCKS} layers"):
        redraw_top(trained(), layers)


@pytest.mark.parametrize("frozen", ["encoder", 3, "blocks.2.attention", "*norm"])
def test_what_is_drawn_anew_may_not_be_frozen(frozen):
    encoder = trained()
    before = {name: weight.clone() for name, weight in encoder.named_parameters()}
    with pytest.raises(InputError, match=r"would keep blocks\.2\..* as reinit_layers 1 draws it"):
        redraw_top(encoder, 1, frozen=frozen)
    assert all(torch.equal(weight, before[name]) for name, weight in encoder.named_parameters())
    redraw_top(encoder, 0, frozen=frozen)


@pytest.mark.parametrize("frozen", [0, 2, "embeddings", "blocks.[01]"])
def test_what_is_frozen_below_does_not_matter(frozen):
    redraw_top(trained(), 1, frozen=frozen)
