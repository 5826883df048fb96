"""Pretraining that begins at somebody's encoder: its weights, its tokenizer, its head if it has one."""

import json

import pytest
import tiny_runs
import torch

import minibert as mb
from minibert.cli import main
from minibert.errors import InputError
from minibert.interop.language_models import load_language_model
from minibert.training.loop import Run

SETTINGS = {
    "data.tokens_per_batch": 256,
    "data.max_seq_length": 64,
    "data.progress": False,
    "train.precision": "fp32",
    "train.max_steps": 1,
}
STILL = {**SETTINGS, "train.learning_rate": 1e-30, "train.weight_decay": 0.0}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_runs.write_corpus(tmp_path_factory.mktemp("text") / "corpus.txt", documents=300)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("model") / "enc")


def test_a_model_that_fills_masks_goes_on_with_all_its_weights(corpus, encoder, tmp_path):
    before = mb.load(encoder)
    after = mb.pretrain([corpus], tmp_path / "on", model=encoder, settings=STILL)
    for (name, mine), theirs in zip(after.state_dict().items(), before.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-20, rtol=0, msg=name)
    assert after.task.tokenizer.encode_ids(["the cat"])[0].tolist() == (
        before.task.tokenizer.encode_ids(["the cat"])[0].tolist()
    )


def test_going_on_learns_and_tells_where_it_began(corpus, encoder, tmp_path, monkeypatch, capsys):
    place = str(tmp_path / "on")
    words = ["pretrain", str(corpus), "--model", str(encoder), "--output-dir", place, "--max-steps", "30"]
    words += [
        "--tokens-per-batch",
        "256",
        "--max-seq-length",
        "64",
        "--no-progress",
        "--learning-rate",
        "3e-3",
        "--fp32",
    ]
    monkeypatch.setattr("sys.argv", ["minibert", *words])
    assert main(words) == 0
    told = tiny_runs.last_line(capsys.readouterr().out)
    assert told["last_loss"] < told["first_loss"] - 0.5
    assert main(["fill-mask", "--model", place, "The [MASK] sees the dog."]) == 0
    assert main(["rerun", place, "--output-dir", str(tmp_path / "again")]) == 0
    assert tiny_runs.last_line(capsys.readouterr().out)["same_weights"] is True
    record = json.loads((tmp_path / "on" / "run.json").read_text())
    assert record["data"]["model"]["folder"] == str(encoder)


def test_a_rate_that_suits_trained_weights_is_taken_where_none_is_given(corpus, encoder, tmp_path):
    for given, wanted in ({"model": encoder}, 1e-4), ({"size": "tiny", "tokenizer": encoder}, 1e-3):
        place = tmp_path / str(wanted)
        mb.pretrain([corpus], place, settings=SETTINGS, **given)
        settings = json.loads((place / "run.json").read_text())["settings"]
        assert settings["train"]["learning_rate"] == wanted


def test_a_run_that_was_cut_goes_on_to_the_same_weights(corpus, encoder, tmp_path, monkeypatch):
    settings = {**SETTINGS, "train.max_steps": 4, "train.save_steps": 2, "train.learning_rate": 1e-3}
    whole = mb.pretrain([corpus], tmp_path / "whole", model=encoder, settings=settings)
    cut, step_of, calls = tmp_path / "cut", Run._step, []
    monkeypatch.setattr(
        Run, "_step", lambda run: 1 / 0 if len(calls) == 3 else calls.append(0) or step_of(run)
    )
    with pytest.raises(ZeroDivisionError):
        mb.pretrain([corpus], cut, model=encoder, settings=settings)
    monkeypatch.undo()
    resumed = mb.pretrain([corpus], cut, model=encoder, settings=settings, resume=True)
    for mine, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("tied", [True, False])
def test_an_encoder_without_a_head_gets_one_that_is_tied_to_its_table(corpus, tmp_path, tied):
    pytest.importorskip("transformers", reason="transformers is not installed")
    import foreign_tokenizers
    from foreign_models import make_model, odd_config, save_model

    from minibert.text.loading import load_tokenizer

    folder = foreign_tokenizers.KINDS["wordpiece"](tmp_path / "foreign")
    size = load_tokenizer(folder).vocab_size
    config = odd_config("bert", 2, vocab_size=size, max_position_embeddings=40, tie_word_embeddings=tied)
    save_model(make_model(config, "Model"), folder)
    with pytest.raises(InputError, match=r"foreign has no masked-language-model head.*pretrain"):
        load_language_model(folder)
    settings = {**STILL, "data.max_seq_length": 40}
    model = mb.pretrain([corpus], tmp_path / "on", model=folder, settings=settings)
    before = mb.load_encoder(folder).encoder.state_dict()
    for name, weight in model.encoder.state_dict().items():
        torch.testing.assert_close(weight, before[name], atol=1e-20, rtol=0, msg=name)
    assert model.task.own_table is None
    assert load_language_model(tmp_path / "on").predict(["the [MASK]"])


def test_a_foreign_head_is_taken_over(corpus, tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    import foreign_tokenizers
    from foreign_models import make_model, odd_config, save_model

    from minibert.text.loading import load_tokenizer

    folder = foreign_tokenizers.KINDS["byte_bpe"](tmp_path / "foreign")
    tokenizer = load_tokenizer(folder)
    sizes = {"vocab_size": tokenizer.vocab_size, "max_position_embeddings": 60}
    config = odd_config("roberta", 3, **sizes, pad_token_id=tokenizer.pad_id)
    save_model(make_model(config, "ForMaskedLM"), folder)
    settings = {**STILL, "data.max_seq_length": 40}
    model = mb.pretrain([corpus], tmp_path / "on", model=folder, settings=settings)
    [[found]], [[wanted]] = (one.predict(["the [MASK] of lists"]) for one in (model, mb.load(folder)))
    assert [piece for piece, _ in found] == [piece for piece, _ in wanted]
    assert [share for _, share in found] == pytest.approx([share for _, share in wanted], rel=1e-5)


@pytest.mark.parametrize(
    ("given", "settings", "told"),
    [
        ({"size": "tiny"}, {}, "size 'tiny' beside a model"),
        ({"tokenizer": "tok"}, {}, "tokenizer 'tok' beside a model"),
        ({}, {"data.token_vectors": "cooccurrence"}, "token_vectors 'cooccurrence' beside a model"),
        ({}, {"data.max_seq_length": 65}, "max_seq_length 65 exceeds"),
        ({}, {"model.hidden_size": 36}, "hidden_size 36 cannot be changed beside a model"),
    ],
)
def test_what_an_encoder_brings_itself_cannot_be_asked_for(corpus, encoder, tmp_path, given, settings, told):
    with pytest.raises(InputError, match=told):
        mb.pretrain([corpus], tmp_path / "on", model=encoder, settings={**SETTINGS, **settings}, **given)
    assert not (tmp_path / "on").exists()


def test_a_folder_that_is_none_is_named(corpus, tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        mb.pretrain([corpus], tmp_path / "on", model=tmp_path / "nowhere", settings=SETTINGS)
