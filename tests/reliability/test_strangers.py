"""Files of strangers: damaged or made to do harm, they end as an InputError, in little time and memory.

Nothing here may unpickle or evaluate anything: `nothing_executes` makes every such call fail.
"""

import json
import resource
import shutil
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import foreign_tokenizers
import pytest
import tiny_runs
from damaged_files import damage, damaged, safetensors
from hypothesis import example, settings
from hypothesis import given as drawn

from minibert.checkpoint import load_tensors, read_json
from minibert.config import read_file
from minibert.durable import MANIFEST
from minibert.embedding.loading import load_encoder
from minibert.errors import InputError
from minibert.interop.opening import load
from minibert.interop.tensors import INDEX, stored_tensors
from minibert.text.loading import load_tokenizer

pytestmark = pytest.mark.usefixtures("nothing_executes")

SECONDS, MEGABYTES = 10.0, 300
HUGE = 10**12


@contextmanager
def cheaply():
    """Fail where a block takes long, or much memory."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.monotonic() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024


def tensor(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


BAD_TENSORS = {
    "empty": b"",
    "seven_bytes": b"1234567",
    "length_of_2_63": safetensors({}, length=2**63),
    "length_of_2_64": safetensors({}, length=2**64 - 1),
    "longer_than_the_file": safetensors({"a": tensor([1], 0, 4)}, b"1234", length=10_000),
    "no_json": safetensors(b"nonsense"),
    "not_utf8": safetensors(b'{"\xff": 1}'),
    "a_list": safetensors([]),
    "deep": safetensors(b'{"a":' + b"[" * 100_000),
    "overlapping": safetensors({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, bytes(12)),
    "a_hole": safetensors({"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, bytes(12)),
    "beyond_the_end": safetensors({"a": tensor([4], 0, 16)}, bytes(8)),
    "backwards": safetensors({"a": tensor([1], 4, 0)}, bytes(4)),
    "a_billion": safetensors({"a": tensor([10**9], 0, 4)}, bytes(4)),
    "a_product_that_overflows": safetensors({"a": tensor([2**32, 2**32], 0, 4)}, bytes(4)),
    "a_negative_shape": safetensors({"a": tensor([-1], 0, 4)}, bytes(4)),
    "an_unknown_dtype": safetensors({"a": tensor([1], 0, 4, "OBJECT")}, bytes(4)),
    "a_pickle": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.",
}


@pytest.mark.parametrize("content", BAD_TENSORS.values(), ids=BAD_TENSORS)
def test_a_file_of_tensors_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    for opener in (lambda: load_tensors(tmp_path / "model.safetensors"), lambda: stored_tensors(tmp_path)):
        with cheaply(), pytest.raises(InputError, match=r"model\.safetensors"):
            opener()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "..", "", ".", 7, None])
def test_an_index_that_climbs_out_of_its_folder_is_refused(tmp_path, name):
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret").write_bytes(safetensors({"a": tensor([1], 0, 4)}, bytes(4)))
    (tmp_path / "inner" / INDEX).write_text(json.dumps({"weight_map": {"a": name}}), encoding="utf-8")
    with pytest.raises(InputError, match="index"):
        stored_tensors(tmp_path / "inner")


@pytest.fixture(scope="module")
def saved(given, tmp_path_factory):
    """A saved model without its manifest, which would find every change by itself."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    shutil.copytree(given / "enc", folder)
    (folder / MANIFEST).unlink()
    load(folder), load_encoder(folder)  # whatever is imported late is imported now
    return folder


@pytest.fixture
def model(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "model")
    return tmp_path / "model"


def opened_or_refused(folder: Path) -> None:
    for opener in (load, load_encoder):
        with cheaply():
            try:
                opener(folder)
            except InputError as error:
                assert str(error)


ODD = (HUGE, -1, 0, 2**70, 1e300, float("inf"), float("nan"), "x", "", None, True, [], {}, [[]], "../x")


@pytest.mark.parametrize("file", ["config.json", "task.json", "tokenizer_config.json"])
def test_no_odd_value_in_a_table_takes_time_or_memory(model, file):
    values = json.loads((model / file).read_text("utf-8"))
    for key in [*values, "new_key"]:
        for odd in ODD:
            (model / file).write_text(json.dumps({**values, key: odd}), encoding="utf-8")
            opened_or_refused(model)


@pytest.mark.parametrize("file", ["config.json", "task.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "text", ["", "[]", "7", '"x"', "null", "[" * 100_000, '{"a":' * 100_000, "9" * 9999, "\ufeff{}"]
)
def test_a_table_that_is_none_is_refused(model, file, text):
    (model / file).write_text(text, encoding="utf-8")
    for opener in (load, load_encoder):
        with cheaply(), pytest.raises(InputError):
            opener(model)
            assert file == "task.json" and opener is load_encoder, "the encoder has no need of its task"
            raise InputError


SIZES = """hidden_size num_hidden_layers intermediate_size vocab_size max_position_embeddings type_vocab_size
    embedding_size""".split()


@pytest.mark.parametrize("field", SIZES)
def test_a_config_that_asks_for_a_terabyte_is_refused_before_memory_is_taken(model, field):
    values = json.loads((model / "config.json").read_text("utf-8"))
    (model / "config.json").write_text(json.dumps({**values, field: HUGE}), encoding="utf-8")
    for opener in (load, load_encoder):
        with cheaply(), pytest.raises(InputError):
            opener(model)


@pytest.mark.parametrize("task", ["replaced_tokens", "seq2seq"])
def test_a_task_that_asks_for_endless_layers_is_refused(model, task):
    settings = {"task": task, "generator_layers": HUGE, "decoder_layers": HUGE}
    (model / "task.json").write_text(json.dumps(settings), encoding="utf-8")
    with cheaply(), pytest.raises(InputError, match="at least"):
        load(model)


def check_damaged_tokenizer(given, folder, how):
    for file in ("spiece.model", "tokenizer_config.json"):
        (folder / file).write_bytes((given / "enc" / file).read_bytes())
    (folder / "spiece.model").write_bytes(damaged((given / "enc" / "spiece.model").read_bytes(), *how))
    with suppress(InputError):
        load_tokenizer(folder)


@drawn(how=damage)
@example(how=([(0.0003, 128)], 1.0))  # a piece that is not UTF-8
def test_a_damaged_sentencepiece_model_is_opened_or_refused(given, tmp_path, how):
    check_damaged_tokenizer(given, tmp_path, how)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """The folder of a tokenizer of the `tokenizers` library, and the bytes of its tokenizer.json."""
    folder = foreign_tokenizers.wordpiece(tmp_path_factory.mktemp("foreign"))
    load_tokenizer(folder)
    return folder, (folder / "tokenizer.json").read_bytes()


def check_damaged_foreign_tokenizer(foreign, how):
    folder, content = foreign
    (folder / "tokenizer.json").write_bytes(damaged(content, *how))
    with suppress(InputError):
        load_tokenizer(folder).encode("Some text.")


@drawn(how=damage)
def test_a_damaged_tokenizer_json_is_opened_or_refused(foreign, how):
    check_damaged_foreign_tokenizer(foreign, how)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"model": {}}', "[" * 100_000, '{"version": 1e999}', "null"]
)
def test_a_tokenizer_json_that_is_none_is_refused(foreign, text):
    folder, _ = foreign
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    with cheaply(), pytest.raises(InputError, match="tokenizer"):
        load_tokenizer(folder)


def test_a_settings_file_that_is_deep_is_refused(tmp_path):
    for name, text in (("a.json", "[" * 100_000), ("a.toml", "a = " + "[" * 100_000)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        with cheaply(), pytest.raises(InputError, match=name):
            read_file(tmp_path / name)
    with pytest.raises(InputError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


@pytest.mark.slow
@settings(max_examples=3000, derandomize=False)
@drawn(how=damage)
def test_many_damaged_sentencepiece_models(given, tmp_path, how):
    check_damaged_tokenizer(given, tmp_path, how)


@pytest.mark.slow
@settings(max_examples=1500, derandomize=False)
@drawn(how=damage)
def test_many_damaged_tokenizer_jsons(foreign, how):
    check_damaged_foreign_tokenizer(foreign, how)


def test_what_must_not_run_does_not(tmp_path):
    """The fixture itself: each way to run a file fails."""
    import pickle

    import torch

    for call in (
        lambda: pickle.loads(b"N."),
        lambda: eval("1"),
        lambda: exec("1"),
        lambda: torch.load(tmp_path),
    ):
        with pytest.raises(AssertionError, match="must not"):
            call()
    tiny_runs.make_encoder(tmp_path / "enc")
    load(tmp_path / "enc")
