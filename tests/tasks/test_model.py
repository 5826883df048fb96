"""A checkpoint that cannot be opened says which file is wrong and why."""

import string
from pathlib import Path

import pytest
from check_task import shape

from minibert.data.examples import TextExample
from minibert.durable import MANIFEST
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model, load
from minibert.text.sentencepiece import train_sentencepiece

pytestmark = pytest.mark.usefixtures("nothing_executes")


def saved(folder: Path) -> Path:
    """Save a small classifier into a folder."""
    tokenizer = train_sentencepiece([f"{word} and {word}s" for word in string.ascii_letters], 330)
    config = shape("bert", tokenizer.vocab_size)
    rows = [TextExample("a", label="x"), TextExample("b", label="y")]
    Model(Encoder(config), Classification.build(tokenizer, config, rows, {})).save(folder / "model")
    return folder / "model"


@pytest.mark.parametrize("damage", ["task.json", "config.json", "model.safetensors"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    folder = saved(tmp_path)
    (folder / damage).write_bytes(b"\x00nonsense")
    with pytest.raises(InputError, match=damage):
        load(folder)
    (folder / damage).unlink()
    with pytest.raises(InputError, match=damage):
        load(folder)


def test_a_checkpoint_of_another_shape_or_task_is_named(tmp_path):
    folder = saved(tmp_path)
    (folder / MANIFEST).unlink()  # it would find the change by itself
    kept = (folder / "config.json").read_text()
    (folder / "config.json").write_text(kept.replace('"intermediate_size": 64', '"intermediate_size": 65'))
    with pytest.raises(InputError, match=r"\(64,.*\(65,"):
        load(folder)
    (folder / "config.json").write_text(kept)
    (folder / "task.json").write_text('{"task": "singing"}')
    with pytest.raises(InputError, match=r"'singing'.*classification"):
        load(folder)
    with pytest.raises(InputError, match="absent"):
        load(tmp_path / "absent")


def test_windows_that_are_there_already_are_not_made_again(tmp_path, monkeypatch):
    model = load(saved(tmp_path))
    rows = [TextExample(f"{word} and", label="x") for word in "abc"]
    windows, answers = model.encode(rows), model.predict(rows)
    monkeypatch.setattr(Classification, "encode", lambda self, example: 1 / 0)
    assert model.predict(rows, windows=windows) == answers
    assert model.evaluate(rows, windows=windows)["accuracy"] in (0, 1 / 3, 2 / 3, 1)
    with pytest.raises(ZeroDivisionError):
        model.predict(rows)
