"""Settings: what is written comes back, and what is wrong is named."""

import dataclasses
import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.config import from_dict, group, parse_seconds, parse_setting, read_file, to_dict
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Recipe:
    flour: float
    eggs: int = 2
    vegan: bool = False
    shape: Literal["round", "square"] = "round"
    rest: int | Literal["overnight"] = 0
    name: str | None = None
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)


def test_what_is_written_comes_back():
    recipe = Recipe(1.5, eggs=3, rest="overnight", notes={"oven": 200})
    values = json.loads(json.dumps(to_dict(recipe)))
    assert set(values) == {field.name for field in dataclasses.fields(Recipe)}
    assert from_dict(Recipe, values) == recipe


def test_real_settings_come_back_through_json():
    config = TrainingConfig(freeze="encoder", metric_for_best_model="f1", max_grad_norm=0.5)
    assert from_dict(TrainingConfig, json.loads(json.dumps(to_dict(config)))) == config
    shape = EncoderConfig.preset("modern-mini", 101)
    assert EncoderConfig.from_dict(json.loads(json.dumps(shape.to_dict()))) == shape


def test_a_whole_number_is_taken_for_a_float_and_keeps_its_field_type():
    flour = from_dict(Recipe, {"flour": 2}).flour
    assert (flour, type(flour)) == (2.0, float)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"flour": 1.0, "egs": 3}, ["cake.toml", "'egs'", "'eggs'"]),
        ({"flour": 1.0, "zzzzzz": 3}, ["'zzzzzz'", "eggs, flour, name"]),
        ({"flour": "much"}, ["flour", "'much'", "float"]),
        ({"flour": True}, ["flour", "True", "float"]),
        ({"flour": 1.0, "eggs": 2.5}, ["eggs", "2.5", "int"]),
        ({"flour": 1.0, "eggs": True}, ["eggs", "True", "int"]),
        ({"flour": 1.0, "vegan": 1}, ["vegan", "1", "bool"]),
        ({"flour": 1.0, "shape": "oval"}, ["shape", "'oval'", "'round' or 'square'"]),
        ({"flour": 1.0, "rest": "hours"}, ["rest", "'hours'", "int or 'overnight'"]),
        ({"flour": 1.0, "name": 7}, ["name", "7", "str or none"]),
        ({"eggs": 1}, ["cake.toml", "flour"]),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_was_wanted(values, parts):
    with pytest.raises(InputError) as error:
        from_dict(Recipe, values, where="cake.toml")
    for part in parts:
        assert part in str(error.value)


def test_dotted_keys_and_tables_fall_into_their_groups():
    values = {"train.seed": 1, "train": {"max_steps": 5}, "data.workers": 2}
    assert group(values, ["train", "data", "model"]) == {
        "train": {"seed": 1, "max_steps": 5},
        "data": {"workers": 2},
        "model": {},
    }


@pytest.mark.parametrize("key", ["seed", "trian.seed", "train"])
def test_a_setting_outside_every_group_is_named(key):
    with pytest.raises(InputError, match=f"'{key}'.*train, data"):
        group({key: 1}, ["train", "data"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("7", 7),
        ("-2", -2),
        ("True", True),
        ("false", False),
        ("null", None),
        ("none", "none"),
        ("cosine", "cosine"),
        ("Encoder", "Encoder"),
        ('"Encoder"', "Encoder"),
        ('["B-PER"]', ["B-PER"]),
        ("", ""),
    ],
)
def test_a_typed_setting_is_read_as_what_it_looks_like(text, value):
    read = parse_setting(text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [("30m", 1800.0), ("90s", 90.0), ("1.5h", 5400.0), (".5 m", 30.0), (12, 12.0), ("7", 7.0)],
)
def test_a_duration_is_read_in_its_unit(budget, seconds):
    assert parse_seconds(budget) == seconds


@pytest.mark.parametrize("budget", ["", "soon", "0s", "-3m", "3d", "1.2.3s", 0, "m"])
def test_no_duration_is_named(budget):
    with pytest.raises(InputError, match=f"budget {budget!r}"):
        parse_seconds(budget)


@given(st.floats(1e-3, 1e6))
def test_any_positive_number_is_seconds(seconds):
    assert parse_seconds(f"{seconds:f}") == pytest.approx(seconds, rel=1e-3)


def test_files_of_settings_are_read_by_their_suffix(tmp_path):
    (tmp_path / "run.toml").write_text("[train]\nseed = 3\n")
    (tmp_path / "run.json").write_text('{"train": {"seed": 3}}')
    (tmp_path / "marked.toml").write_bytes(b"\xef\xbb\xbf[train]\r\nseed = 3\r\n")  # as some editors begin
    assert read_file(tmp_path / "marked.toml") == {"train": {"seed": 3}}
    assert read_file(tmp_path / "run.toml") == read_file(tmp_path / "run.json") == {"train": {"seed": 3}}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", b"seed = = 1"),
        ("a.json", b"{"),
        ("a.json", b"[1]"),
        ("a.toml", b"\xff\xfe"),
        ("a.json", b"\xff"),
        ("a.yaml", b"train: {}"),
    ],
)
def test_a_file_that_holds_no_settings_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_file(tmp_path / name)


def test_a_missing_settings_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.toml"):
        read_file(tmp_path / "absent.toml")
