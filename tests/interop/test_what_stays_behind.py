"""What an export or a further training cannot take along is said, and numbers keep their digits."""

import json
import shutil

import pytest
import tiny_runs
import torch

import minibert as mb
from minibert.cli import main
from minibert.data.examples import GoldAnswer, NumberExample, QuestionExample, TextExample
from minibert.errors import InputError
from minibert.further.distill import distill
from minibert.further.update import update

TEXTS = [tiny_runs.sentence(number) for number in range(24)]
FAST = {"train.max_steps": 3, "train.precision": "fp32", "data.progress": False}
ROWS = [TextExample(text, label="ab"[n % 2]) for n, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("stays") / "enc")


def tuned(encoder, output, rows=ROWS, task="classification", held=None, **settings):
    return mb.finetune(encoder, task=task, train=rows, validation=held, output_dir=output,
                       settings={**FAST, **settings})  # fmt: skip


@pytest.mark.parametrize("exported", [False, True])
def test_numbers_are_not_rounded_to_the_digits_of_bfloat16(encoder, tmp_path, exported):
    """Between 1,024 and 2,048 the numbers of bfloat16 are eight apart."""
    rows = [NumberExample(text, label=1040.0 + n) for n, text in enumerate(TEXTS)]
    model = tuned(encoder, tmp_path / "price", rows, "regression")
    torch.nn.init.normal_(model.task.classifier.weight)
    exact = [answer.value for answer in model.predict(TEXTS)]
    if exported:
        mb.save_pretrained(model, tmp_path / "theirs")
        model = mb.load(tmp_path / "theirs")
    model.encoder.dtype = torch.bfloat16
    found = [answer.value for answer in model.predict(TEXTS)]
    assert found == pytest.approx(exact, abs=1.0)
    assert sum(value % 8 != 0 for value in found) > 20


def test_how_texts_are_read_is_told_where_a_config_has_no_place_for_it(encoder, tmp_path, capsys):
    model = tuned(encoder, tmp_path / "ends", **{"task.on_long": "head_tail"})
    capsys.readouterr()
    mb.save_pretrained(model, tmp_path / "theirs")
    assert "left out, since a config.json has no place for it: on_long head_tail" in capsys.readouterr().err
    mb.export(model, tmp_path / "graph", format="torch")
    assert json.loads((tmp_path / "graph" / "graph.json").read_text("utf-8"))["on_long"] == "head_tail"
    question = QuestionExample("Who?", TEXTS[0], (GoldAnswer(TEXTS[0][:3], 0),))
    capsys.readouterr()
    answers = {"task.max_answer_length": 5}
    asked = tuned(encoder, tmp_path / "qa", [question] * 4, "question_answering", **answers)
    mb.save_pretrained(asked, tmp_path / "theirs-qa")
    assert "max_answer_length 5" in capsys.readouterr().err
    mb.save_pretrained(tuned(encoder, tmp_path / "usual"), tmp_path / "theirs-usual")
    assert "left out" not in capsys.readouterr().err


def test_a_threshold_that_nothing_fits_anew_is_told(encoder, tmp_path, capsys):
    rows = [*ROWS, *(TextExample(text, label="none") for text in TEXTS[:6])]
    settings = {"task.reject_label": "none", "task.calibrate": True}
    first = tmp_path / "first"
    threshold = tuned(encoder, first, rows, held=rows, **settings).task.threshold
    told = f"reject_below {threshold}, the temperature of the earlier model stays: no validation data fit it"
    capsys.readouterr()
    more = {"train": rows[:12], "settings": FAST}
    update(first, kept=rows[12:], output_dir=tmp_path / "on", **more)
    assert told in capsys.readouterr().err
    update(first, kept=rows[12:20], validation=rows[20:], output_dir=tmp_path / "held", **more)
    assert told not in capsys.readouterr().err


def test_a_rejected_text_is_explained_with_a_word_about_it(encoder, tmp_path, capsys):
    rows = [*ROWS, TextExample(TEXTS[0] + "!", label="none")]
    model = tuned(
        encoder, tmp_path / "rejects", rows, **{"task.reject_label": "none", "task.reject_below": 1.0}
    )
    assert model.predict(TEXTS[:1])[0].label == "none"
    capsys.readouterr()
    from minibert.attribution import explain

    assert explain(model, TEXTS[0], steps=2).label in ("a", "b")
    assert "the model answers none; explained is the likeliest class" in capsys.readouterr().err
    explain(model, TEXTS[0], steps=2, label="a")
    assert "explained" not in capsys.readouterr().err


def test_folders_that_are_no_models_say_what_they_are(encoder, tmp_path, capsys):
    mb.export(tuned(encoder, tmp_path / "clf"), tmp_path / "graph", format="torch")
    with pytest.raises(InputError, match="holds an exported graph, which is only run; give the folder"):
        mb.load(tmp_path / "graph")
    with pytest.raises(
        InputError, match=r"run.json is a file; the folder of a model is wanted, such as .*clf"
    ):
        mb.load_encoder(tmp_path / "clf" / "run.json")
    broken = shutil.copytree(tmp_path / "clf", tmp_path / "broken")
    (broken / "task.json").unlink()
    with pytest.raises(InputError, match=r"task\.json is missing; the folder is not whole"):
        mb.load_encoder(broken)
    assert main(["rerun", str(encoder), "--output-dir", str(tmp_path / "again")]) == 2
    assert "has no run.json, so nothing tells how it was made" in capsys.readouterr().err


def test_a_longer_text_than_the_encoder_of_a_folder_has_places_for(encoder, tmp_path, capsys):
    corpus = tiny_runs.write_corpus(tmp_path / "corpus.txt")
    words = ["pretrain", str(corpus), "--output-dir", str(tmp_path / "on"), "--max-seq-length", "128"]
    assert main([*words, "--model", str(encoder)]) == 2
    told = capsys.readouterr().err
    assert "take --max-seq-length 64 or less (length)" in told
    assert "model.max_position_embeddings" not in told


def test_a_lora_of_our_base_says_what_peft_wants(encoder, tmp_path, capsys):
    tuned(encoder, tmp_path / "lora", **{"adapt.adapter": "lora"})
    words = ["export", "--model", str(tmp_path / "lora"), "--format", "peft", "--output-dir"]
    assert main([*words, str(tmp_path / "peft")]) == 0
    assert f"its base {encoder} is a folder of minibert, which peft opens without" in capsys.readouterr().err


def test_a_teacher_of_one_layer_names_the_way(encoder, tmp_path):
    tuned(encoder, tmp_path / "one")
    with pytest.raises(InputError, match="one layer, which none can be left out of; name another encoder"):
        distill(tmp_path / "one", train=ROWS, output_dir=tmp_path / "student", settings={"distill.layers": 1})
