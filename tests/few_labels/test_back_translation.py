"""There and back: copies in other words, none where nothing changed, and translators alone."""

import json

import pytest
import torch
import word_models

from minibert.cli import main
from minibert.data.examples import ParallelExample
from minibert.errors import InputError
from minibert.few_labels.back_translation import back_translate
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model
from minibert.tasks.seq2seq import Generated, Seq2Seq


@pytest.fixture
def translator():
    """Return a function that makes an untrained translator."""

    def make(seed=0):
        torch.manual_seed(seed)
        pieces, config = word_models.tokenizer(), word_models.untrained().encoder.config
        options = {"max_target_length": 5}
        task = Seq2Seq.build(pieces, config, [ParallelExample("the cat", "the dog")], options)
        return Model(Encoder(config), task).eval()

    return make


def test_a_copy_is_what_comes_back_and_nothing_where_it_is_the_text_itself(translator, monkeypatch):
    there, back = translator(), translator()
    words = {"the cat": "die Katze", "the dog": "der Hund", "it": "es"}
    home = {"die Katze": "the pussycat", "der Hund": " the dog ", "es": " "}
    monkeypatch.setattr(there, "predict", lambda texts, progress: [Generated(words[t], 0.0) for t in texts])
    monkeypatch.setattr(back, "predict", lambda texts, progress: [Generated(home[t], 0.0) for t in texts])
    assert back_translate(there, back, list(words)) == [["the pussycat"], [], []]


def test_a_model_of_another_task_is_refused(translator, tmp_path):
    folder = word_models.make_folder(tmp_path / "enc", steps=1)
    with pytest.raises(InputError, match="enc: a masked_lm model does not translate"):
        back_translate(translator(), folder, ["the cat"])


def test_rows_go_through_another_language_on_the_command_line(translator, tmp_path, capsys):
    for name, seed in (("there", 1), ("back", 2)):
        translator(seed).save(tmp_path / name)
    source = tmp_path / "rows.jsonl"
    source.write_text('{"text": "the cat", "label": "a"}\n{"text": "the road", "label": "b"}\n')
    wanted = back_translate(tmp_path / "there", tmp_path / "back", ["the cat", "the road"])
    words = [
        "augment",
        "--file",
        str(source),
        "--output",
        str(tmp_path / "more.jsonl"),
        "--precision",
        "fp32",
    ]
    assert main([*words, "--translators", str(tmp_path / "there"), str(tmp_path / "back")]) == 0
    made = [json.loads(line) for line in (tmp_path / "more.jsonl").read_text().splitlines()]
    found = {label: [row["text"] for row in made if row["label"] == label][1:] for label in "ab"}
    assert list(found.values()) == wanted
    for flags in (
        [],
        ["--model", "m", "--translators", "a", "b"],
        ["--translators", "a", "b", "--copies", "2"],
    ):
        assert main([*words, "--overwrite", *flags]) == 2
        assert "--translators" in capsys.readouterr().err
