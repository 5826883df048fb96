"""A checkpoint that cannot be opened says which file is wrong and why."""

import string
from pathlib import Path

import pytest
from check_task import shape

from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model, load
from minibert.text.sentencepiece import train_sentencepiece


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
