"""Folders of other people's that are unusual and sound, or wrong in one file: opened, or one clear error."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from minibert.errors import InputError
from minibert.interop.kinds import foreign_kind
from minibert.interop.sentence_transformers import (
    Habits,
    encoder_folder,
    makes_unit_length,
    read_habits,
    write_habits,
)
from minibert.interop.settings import encoder_config
from minibert.interop.tensors import read_tensors, stored_tensors

STEPS = [{"type": "a.models.Transformer", "path": ""}, {"type": "a.models.Pooling", "path": "1_Pooling"}]
NORMALIZE = {"type": "a.models.Normalize", "path": "2_Normalize"}


def write(folder: Path, name: str, values: Any) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(values), "utf-8")


@pytest.mark.parametrize("named", [5, "BertForMaskedLM", {}, [], None])
def test_a_list_of_architectures_that_is_none_names_no_task(tmp_path, named):
    with pytest.raises(InputError, match="architecture '' has no task here; load_encoder opens its encoder"):
        foreign_kind({"model_type": "bert", "architectures": named}, tmp_path)


@pytest.mark.parametrize(
    "family", ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"]
)
def test_each_file_of_sentence_transformers_may_say_the_limit(tmp_path, family):
    name = f"sentence_{family}_config.json"
    write(tmp_path, "tokenizer_config.json", {"model_max_length": 128})
    write(tmp_path, name, {"max_seq_length": 6})
    assert read_habits(tmp_path, 512) == Habits("mean", 6)
    write(tmp_path, name, {"max_seq_length": None})
    assert read_habits(tmp_path, 512) == Habits("mean", 128)
    write(tmp_path, name, {"max_seq_length": 6, "do_lower_case": True})
    with pytest.raises(InputError, match=f"{name}: do_lower_case true"):
        read_habits(tmp_path, 512)
    write(tmp_path, "sentence_bert_config.json", {"max_seq_length": 7})
    assert read_habits(tmp_path, 512) == Habits("mean", 7)


def test_of_several_files_the_first_that_holds_anything_counts(tmp_path):
    families = ["xlnet", "xlm-roberta", "albert", "camembert", "distilbert", "roberta", "bert"]
    for number, family in enumerate(families, 5):
        write(tmp_path, f"sentence_{family}_config.json", {"max_seq_length": number})
        assert read_habits(tmp_path, 512).max_length == number
    write(tmp_path, "sentence_bert_config.json", {})
    assert read_habits(tmp_path, 512).max_length == 10


@pytest.mark.parametrize("value", ["many", 0, -5, True, [256], 0.5, float("nan")])
@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("sentence_bert_config.json", "max_seq_length"),
        ("sentence_roberta_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ],
)
def test_a_limit_that_is_no_number_of_tokens_is_named(tmp_path, file, key, value):
    write(tmp_path, file, {key: value})
    with pytest.raises(InputError, match=rf"{file}: {key} is .*; a number of tokens, 1 or more"):
        read_habits(tmp_path, 512)


@pytest.mark.parametrize("value", [10**30, 1e30, float("inf"), None])
def test_a_limit_above_all_is_none(tmp_path, value):
    write(tmp_path, "tokenizer_config.json", {"model_max_length": value})
    write(tmp_path, "sentence_bert_config.json", {"max_seq_length": value})
    assert read_habits(tmp_path, 512) == Habits("mean", 512)


@pytest.mark.parametrize("steps", [["a"], {}, "a", [{"type": "a.Transformer", "path": 5}], [None]])
def test_steps_that_are_no_list_of_tables_are_named(tmp_path, steps):
    write(tmp_path, "modules.json", steps)
    for read in (encoder_folder, makes_unit_length, lambda folder: read_habits(folder, 512)):
        with pytest.raises(InputError, match=r"modules\.json holds .*; a list of steps is wanted"):
            read(tmp_path)


def test_a_step_may_leave_out_its_path_and_its_type(tmp_path):
    write(tmp_path, "modules.json", [{"idx": 0}, {"type": None}, {"type": "a.Transformer"}])
    assert encoder_folder(tmp_path) == tmp_path
    with pytest.raises(InputError, match=r"modules\.json: the step None is not implemented"):
        read_habits(tmp_path, 512)


@pytest.mark.parametrize("told", [5, {"mean": True}])
def test_a_pooling_that_is_no_name_is_refused(tmp_path, told):
    write(tmp_path, "modules.json", STEPS)
    write(tmp_path, "1_Pooling/config.json", {"pooling_mode": told})
    with pytest.raises(
        InputError, match=r"1_Pooling.config\.json: pooling_mode is .*; the name of a pooling"
    ):
        read_habits(tmp_path, 512)


@pytest.mark.parametrize("steps", [STEPS, [*STEPS, NORMALIZE]])
def test_the_step_to_unit_length_is_written_back_where_it_was(tmp_path, steps):
    write(tmp_path, "modules.json", steps)
    (tmp_path / "new").mkdir()
    write_habits(tmp_path / "new", "mean", 9, 18, unit_length=makes_unit_length(tmp_path))
    again = json.loads((tmp_path / "new" / "modules.json").read_text("utf-8"))
    kinds = [step["type"].rpartition(".")[2] for step in again]
    assert kinds == [step["type"].rpartition(".")[2] for step in steps]
    assert read_habits(tmp_path / "new", 512) == Habits("mean", 9)


def test_a_folder_without_steps_is_written_with_unit_length(tmp_path):
    assert makes_unit_length(tmp_path)
    write_habits(tmp_path, "first", 9, 18)
    assert makes_unit_length(tmp_path)


@pytest.mark.parametrize(
    "files", [["pytorch_model.bin"], ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]]
)
def test_the_line_that_converts_pickled_weights_does_so(tmp_path, monkeypatch, files):
    tensors = {f"weight.{number}": torch.full((2, number + 1), float(number)) for number in range(4)}
    tensors["tied"] = tensors["weight.3"]
    names = list(tensors)
    for number, file in enumerate(files):
        torch.save({name: tensors[name] for name in names[number :: len(files)]}, tmp_path / file)
    (tmp_path / "training_args.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(InputError, match=f"only {', '.join(files)}, a pickle") as refused:
        stored_tensors(tmp_path)
    words = shlex.split(str(refused.value).partition("once: ")[2])
    assert words[:2] == ["python", "-c"] and len(words) == 3
    monkeypatch.chdir(tmp_path)
    exec(words[2], {})
    found = load_file(tmp_path / "model.safetensors")
    assert sorted(found) == sorted(tensors) and all(found[name].equal(tensors[name]) for name in names)
    stored = stored_tensors(tmp_path)
    assert [tensor.shape for tensor in read_tensors(stored.values())] == [
        one.shape for one in stored.values()
    ]


def test_a_pickle_that_holds_no_weights_is_not_called_weights(tmp_path):
    (tmp_path / "training_args.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"has neither model\.safetensors nor"):
        stored_tensors(tmp_path)


def test_an_index_of_nothing_is_named(tmp_path):
    write(tmp_path, "model.safetensors.index.json", {"weight_map": {}})
    with pytest.raises(InputError, match=r"model\.safetensors\.index\.json: weight_map is empty"):
        stored_tensors(tmp_path)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("bert", {"eos_token_ids": 0, "unk_token_id": 1, "mask_token_id": 4, "xla_device": None}),
        ("bert", {"_attn_implementation": "sdpa", "attn_implementation": "eager"}),
        ("roberta", {"transformers.js_config": {"dtype": "q8"}, "auto_map": {}, "causal_mask": False}),
        ("modernbert", {"position_embedding_type": "sans_pos", "causal_mask": False, "is_causal": False}),
        ("modernbert", {"position_embedding_type": "absolute"}),
    ],
)
def test_keys_that_change_no_number_are_read_over(family, changes):
    assert encoder_config({"model_type": family, **changes}, "c") == encoder_config(
        {"model_type": family}, "c"
    )


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("bert", {"causal_mask": True}, "causal_mask True is not implemented, only False"),
        ("bert", {"is_causal": True}, "is_causal True is not implemented"),
        ("bert", {"auto_map": {"AutoModel": "x.Y"}}, "auto_map .* is not implemented, only {}"),
        ("bert", {"position_embedding_type": "sans_pos"}, "'sans_pos' is not implemented, only 'absolute'$"),
        ("modernbert", {"position_embedding_type": "rope"}, "only 'absolute' or 'sans_pos'"),
        ("bert", {"layer_norm_epsilon": None}, "layer_norm_epsilon None is not known for bert"),
        ("bert", {"hidden_act": ["gelu"]}, r"activation \['gelu'\] is not implemented"),
        (["bert"], {}, r"model_type \['bert'\] is not an encoder"),
        ("roberta", {"pad_token_id": "1"}, "pad_token_id is '1'; a whole number is wanted"),
    ],
)
def test_settings_that_change_numbers_or_are_no_settings_are_named(family, changes, message):
    with pytest.raises(InputError, match=f"config.json: .*{message}"):
        encoder_config({"model_type": family, **changes}, "config.json")
