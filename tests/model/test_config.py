"""The encoder's numbers: presets, files and refusals."""

import json

import pytest

from minibert.errors import InputError
from minibert.model.config import SIZES, EncoderConfig


@pytest.mark.parametrize("recipe", ["", "modern-"])
@pytest.mark.parametrize("size", SIZES)
def test_every_preset_has_heads_of_64_and_comes_back_from_json(size, recipe):
    config = EncoderConfig.preset(recipe + size, vocab_size=101)
    assert config.head_size == 64
    assert config.modern == bool(recipe)
    assert (config.num_hidden_layers, config.hidden_size) == SIZES[size]
    assert EncoderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_modern_local_layers_have_their_own_window_and_angles():
    config = EncoderConfig.preset("modern-base", vocab_size=101)
    assert [config.window(layer) for layer in range(5)] == [None, 64, 64, None, 64]
    assert [config.rope_theta(layer) for layer in (0, 1)] == [160_000.0, 10_000.0]
    assert {EncoderConfig.preset("base", 101).window(layer) for layer in range(12)} == {None}


@pytest.mark.parametrize("size", ["huge", "modern-huge", "ancient-mini", "", "modern-", "-mini"])
def test_an_unknown_size_is_named_beside_the_known_ones(size):
    with pytest.raises(InputError, match=f"{size!r}.*tiny.*modern-base"):
        EncoderConfig.preset(size, vocab_size=101)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": 100, "num_attention_heads": 12}, r"100.*12; use 96 or 108"),
        ({"hidden_size": 5, "num_attention_heads": 7}, r"5.*7; use 7"),
        ({"vocab_size": 0}, r"vocab_size 0"),
        ({"num_attention_heads": 0}, r"num_attention_heads 0"),
        ({"max_position_embeddings": -1}, r"max_position_embeddings -1"),
        ({"global_attn_every_n_layers": 0}, r"global_attn_every_n_layers 0"),
        ({"local_attention": -5}, r"local_attention -5"),
        ({"num_hidden_layers": -1}, r"num_hidden_layers -1"),
        ({"type_vocab_size": -2}, r"type_vocab_size -2"),
        ({"model_type": "modernbert", "hidden_size": 21, "num_attention_heads": 3}, r"even head size.*7"),
        ({"hidden_dropout_prob": 1.0}, r"hidden_dropout_prob 1\.0"),
        ({"attention_probs_dropout_prob": -0.1}, r"attention_probs_dropout_prob -0\.1"),
        ({"hidden_sise": 3}, r"config\.json.*'hidden_sise'.*'hidden_size'"),
        ({"hidden_act": "tanh"}, r"'tanh'.*'gelu'"),
    ],
)
def test_numbers_that_do_not_go_together_are_named(values, message):
    with pytest.raises(InputError, match=message):
        EncoderConfig.from_dict({"vocab_size": 101, **values})


def test_a_file_without_a_vocabulary_size_is_refused_by_name():
    with pytest.raises(InputError, match=r"config\.json.*vocab_size"):
        EncoderConfig.from_dict({})
