"""Folders as they are found: in several files, with old names, in half precision; or broken.

What is broken is one clear error, found in headers and settings: no weight has been read when it is raised.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers", reason="transformers is not installed")
from foreign_models import make_model, odd_config, save_model, write_vocabulary

import minibert as mb
from minibert.errors import InputError, MissingExtra
from minibert.interop import checkpoints
from minibert.interop.sentence_transformers import Habits, read_habits
from minibert.text import vocabularies

pytestmark = pytest.mark.usefixtures("nothing_executes")

TEXTS = ["w7 w9 w8", "", "w11"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("folders") / "whole"
    config = odd_config("bert", 0, hidden_act="gelu")
    return write_vocabulary(save_model(make_model(config, "Model"), folder))


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in whole.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


@pytest.fixture
def unread(monkeypatch) -> None:
    """Fail where a weight is read."""

    def read(stored: Any) -> None:
        raise AssertionError("a weight was read before the error was found")

    monkeypatch.setattr(checkpoints, "read_tensors", read)


def configure(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    values = {**json.loads(path.read_text("utf-8")), **changes}
    path.write_text(json.dumps({key: value for key, value in values.items() if value != "absent"}), "utf-8")


def reweigh(folder: Path, **changes: torch.Tensor | None) -> None:
    path = folder / "model.safetensors"
    tensors = {**load_file(path), **{name.replace("__", "."): tensor for name, tensor in changes.items()}}
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)


def test_weights_in_several_files_are_read_like_those_in_one(whole, folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {f"part-{number}.safetensors": names[number::3] for number in range(3)}
    for file, inside in parts.items():
        save_file({name: tensors[name] for name in inside}, folder / file)
    index = {"weight_map": {name: file for file, inside in parts.items() for name in inside}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    assert (mb.load_encoder(folder).embed(TEXTS) == mb.load_encoder(whole).embed(TEXTS)).all()


def test_prefixes_old_names_and_buffers_are_understood(whole, folder):
    tensors = load_file(folder / "model.safetensors")
    old = {".LayerNorm.weight": ".LayerNorm.gamma", ".LayerNorm.bias": ".LayerNorm.beta"}
    renamed = {}
    for name, tensor in tensors.items():
        for new, before in old.items():
            name = name.replace(new, before)
        renamed[f"bert.{name}"] = tensor
    renamed["bert.embeddings.position_ids"] = torch.arange(29)[None]
    renamed["cls.predictions.bias"] = torch.zeros(97)
    save_file(renamed, folder / "model.safetensors")
    assert (mb.load_encoder(folder).embed(TEXTS) == mb.load_encoder(whole).embed(TEXTS)).all()


def test_an_encoder_one_folder_deeper_is_found(whole, folder, tmp_path):
    outer = tmp_path / "outer"
    outer.mkdir()
    folder.rename(outer / "0_Transformer")
    steps = [
        {"type": "x.models.Transformer", "path": "0_Transformer"},
        {"type": "x.Pooling", "path": "1_Pooling"},
    ]
    (outer / "modules.json").write_text(json.dumps(steps), "utf-8")
    (outer / "1_Pooling").mkdir()
    (outer / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}), "utf-8")
    (outer / "0_Transformer" / "sentence_bert_config.json").write_text('{"max_seq_length": 4}', "utf-8")
    found = mb.load_encoder(outer)
    assert (found.max_length, found.pooling) == (4, "first")
    wanted = mb.load_encoder(whole).embed(TEXTS[1:], "first")
    np.testing.assert_allclose(found.embed(TEXTS[1:]), wanted, atol=1e-6)


def test_half_precision_is_widened(whole, folder):
    path = folder / "model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path)
    encoder = mb.load_encoder(folder)
    assert {parameter.dtype for parameter in encoder.encoder.parameters()} == {torch.float32}
    np.testing.assert_allclose(encoder.embed(TEXTS), mb.load_encoder(whole).embed(TEXTS), atol=5e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "t5"}, r"config\.json: model_type 't5' is not an encoder.*known: bert, roberta"),
        ({"model_type": "gpt2"}, "model_type 'gpt2'"),
        ({"model_type": "absent"}, "model_type None"),
        ({"is_decoder": True}, "is_decoder True is not implemented, only False"),
        (
            {"position_embedding_type": "relative_key"},
            "position_embedding_type 'relative_key' is not implemen",
        ),
        ({"auto_map": {"AutoModel": "x.Y"}}, r"auto_map \{'AutoModel': 'x\.Y'\} is not implemented"),
        ({"hidden_act": "quick_gelu"}, "activation 'quick_gelu' is not implemented; known: gelu"),
        ({"scale_of_everything": 2}, "scale_of_everything 2 is not known for bert"),
        ({"num_attention_heads": 7}, "not a multiple of num_attention_heads 7"),
        ({"vocab_size": "many"}, "vocab_size is 'many', expected int"),
        ({"num_hidden_layers": 2}, r"encoder\.layer\.1\..* and 8 more missing from the weights"),
        ({"num_hidden_layers": 0}, r"encoder\.layer\.0\..* in the weights, and config\.json does not ask"),
        ({"intermediate_size": 19}, r"intermediate\.dense\.weight has shape .* asks for \(19, "),
        ({"vocab_size": 96}, "the tokenizer has 97 pieces and the encoder 96 rows"),
        ({"max_position_embeddings": 31}, r"position_embeddings\.weight has shape \(29, .* asks for \(31, "),
    ],
)
def test_settings_that_do_not_fit_are_named(folder, unread, changes, message):
    configure(folder, **changes)
    with pytest.raises(InputError, match=message):
        mb.load_encoder(folder)


def test_weights_that_do_not_fit_are_named(folder, unread):
    reweigh(folder, embeddings__LayerNorm__bias=None)
    with pytest.raises(InputError, match=r"embeddings\.LayerNorm\.bias missing from the weights"):
        mb.load_encoder(folder)
    reweigh(folder, embeddings__LayerNorm__bias=torch.zeros(3))
    with pytest.raises(InputError, match=r"LayerNorm\.bias has shape \(3,\)"):
        mb.load_encoder(folder)


def test_weights_of_nothing_known_are_named(folder, unread):
    reweigh(folder, adapter__down__weight=torch.zeros(2))
    with pytest.raises(InputError, match=r"adapter\.down\.weight in the weights"):
        mb.load_encoder(folder)


def test_damaged_and_absent_files_are_named(folder, unread, tmp_path):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for size in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"model\.safetensors: damaged or not safetensors"):
            mb.load_encoder(folder)
    path.unlink()
    with pytest.raises(InputError, match=r"neither model\.safetensors nor"):
        mb.load_encoder(folder)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(InputError, match=r"only pytorch_model\.bin, a pickle.*convert.*save_file\("):
        mb.load_encoder(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}), "utf-8")
    (folder / "one.safetensors").write_bytes(whole)
    with pytest.raises(InputError, match=r"names two\.safetensors, which is not in"):
        mb.load_encoder(folder)
    index.write_text("[]", "utf-8")
    with pytest.raises(InputError, match="no table weight_map"):
        mb.load_encoder(folder)
    for text in ("{", "[1]"):
        (folder / "config.json").write_text(text, "utf-8")
        with pytest.raises(InputError, match=r"config\.json.*(not valid JSON|table of settings)"):
            mb.load_encoder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"has no config\.json"):
        mb.load_encoder(folder)
    with pytest.raises(InputError, match=r"gone: no such folder.*hf download"):
        mb.load_encoder(tmp_path / "gone")


def test_a_folder_without_a_tokenizer_says_so(folder):
    (folder / "vocab.txt").unlink()
    with pytest.raises(InputError, match="no tokenizer in"):
        mb.load_encoder(folder)


def test_without_the_library_the_extra_is_named(folder, monkeypatch):
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(vocabularies, "import_module", absent)
    with pytest.raises(MissingExtra, match=r"pip install 'minibert-encoder\[huggingface\]'"):
        mb.load_encoder(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_dropout": 0.1}, "attention_dropout 0.1 is not implemented"),
        ({"norm_bias": True}, "norm_bias True: biases in some layers only"),
        ({"layer_types": ["sliding_attention", "full_attention"]}, "do not come at one distance"),
        (
            {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}},
            "rope_type 'yarn' is not implemented",
        ),
    ],
)
def test_what_modernbert_may_have_and_ours_does_not_is_named(tmp_path, unread, changes, message):
    config = odd_config("modernbert", 1, norm_bias=False, attention_bias=False, mlp_bias=False)
    save_model(make_model(config, "Model"), tmp_path)
    configure(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        checkpoints.read_config(tmp_path)


def test_old_settings_of_modernbert_are_read(tmp_path):
    values = {
        "model_type": "modernbert",
        "global_attn_every_n_layers": 2,
        "global_rope_theta": 5000.0,
        "local_rope_theta": 700.0,
        "layer_norm_eps": 1e-5,
        "num_hidden_layers": 3,
    }
    (tmp_path / "config.json").write_text(json.dumps(values), "utf-8")
    config = checkpoints.read_config(tmp_path)
    assert [config.rope_theta(layer) for layer in range(3)] == [5000.0, 700.0, 5000.0]
    assert (config.longest_text, config.type_vocab_size, config.bias) == (8192, 0, False)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"modules.json": [{"type": "a.Dense", "path": "2_Dense"}]}, "the step Dense is not implemented"),
        (
            {
                "modules.json": [{"type": "a.Pooling", "path": ""}],
                "config.json": {"pooling_mode_max_tokens": True},
            },
            "pooling pooling_mode_max_tokens is not implemented",
        ),
        ({"sentence_bert_config.json": {"do_lower_case": True}}, "do_lower_case true is not implemented"),
    ],
)
def test_steps_of_sentence_transformers_that_ours_lacks_are_named(tmp_path, files, message):
    for name, values in files.items():
        (tmp_path / name).write_text(json.dumps(values), "utf-8")
    with pytest.raises(InputError, match=message):
        read_habits(tmp_path, 512)


def test_limits_and_poolings_are_those_of_the_folder(tmp_path):
    assert read_habits(tmp_path, 512) == Habits("mean", 512)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10**30}), "utf-8")
    assert read_habits(tmp_path, 512) == Habits("mean", 512)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 128}), "utf-8")
    assert read_habits(tmp_path, 512) == Habits("mean", 128)
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 256}), "utf-8")
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "x.Pooling", "path": "p"}]), "utf-8")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}), "utf-8")
    assert read_habits(tmp_path, 512) == Habits("first", 256)
    assert read_habits(tmp_path, 100) == Habits("first", 100)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("Model", {}, "architecture 'BertModel' has no task here; load_encoder opens"),
        ("ForNextSentencePrediction", {}, "'BertForNextSentencePrediction' has no task here"),
        ("ForSequenceClassification", {"problem_type": "regression"}, "'regression' with 2 labels is not"),
        ("ForSequenceClassification", {"problem_type": "ranking"}, "problem_type 'ranking' with 2 labels"),
        (
            "ForSequenceClassification",
            {"problem_type": "single_label_classification", "id2label": {"0": "score"}},
            "with 1 labels is not implemented",
        ),
        (
            "ForSequenceClassification",
            {"id2label": {"0": "a", "1": "b", "2": "c"}},
            r"classifier\.weight has sh",
        ),
    ],
)
def test_heads_that_have_no_task_here_are_named(tmp_path, kind, changes, message):
    folder = write_vocabulary(save_model(make_model(odd_config("bert", 0), kind), tmp_path))
    configure(folder, **changes)
    with pytest.raises(InputError, match=message):
        mb.load(folder)


def test_a_bias_that_our_head_lacks_is_named(tmp_path):
    biases = dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias"), False)
    config = odd_config("modernbert", 1, **biases, classifier_bias=True)
    folder = write_vocabulary(save_model(make_model(config, "ForMaskedLM"), tmp_path))
    with pytest.raises(InputError, match=r"head\.dense\.bias in the weights, and this head has no place"):
        mb.load(folder)
    assert mb.load_encoder(folder).embed(TEXTS).shape[0] == 3
