"""The commands do what the page of commands says: flags, settings, output, exit status."""

import argparse
import dataclasses
import importlib
import io
import json
import os
import re
import runpy
import shlex
import signal
import sys
from importlib import metadata

import pytest
import tiny_runs
import torch
from tiny_runs import last_line

import minibert
from minibert.adapt.options import AdaptOptions
from minibert.cli import main
from minibert.commands import arguments
from minibert.commands.arguments import build_parser
from minibert.commands.flag_help import HELP
from minibert.commands.flags import chosen_settings, with_dashes
from minibert.commands.inputs import open_model
from minibert.further.lessons import DistillOptions
from minibert.further.methods import LearnOptions
from minibert.further.update import UpdateOptions
from minibert.tasks.masking import Masking
from minibert.tasks.model import TASKS, Model, load
from minibert.tasks.replaced_tokens import ReplacedTokens
from minibert.training.config import TrainingConfig
from minibert.training.finetuning import FinetuneOptions
from minibert.training.loop import Run
from minibert.training.pretraining import DataOptions, TokenizerOptions
from minibert.training.pretraining import Settings as PretrainSettings

COMMANDS = tuple(command.__name__.rpartition(".")[2].replace("_", "-") for command in arguments.COMMANDS)
FAST = ("--no-progress", "--fp32", "--max-steps", "3")
GROUPS = {
    "tokenizer": (TokenizerOptions,),
    "data": (DataOptions, FinetuneOptions),
    "masking": (Masking,),
    "train": (TrainingConfig,),
    "task": tuple(task.Options for task in TASKS.values() if task.Options is not None),
    "adapt": (AdaptOptions,),
    "update": (UpdateOptions,),
    "distill": (DistillOptions,),
    "learn": (LearnOptions,),
}
FURTHER = {
    "update": "--train-file t --kept-file k --output-dir o --model m",
    "distill": "--teacher t --output-dir o",
    "learn": "--model m --train-file a --validation-file b --output-dir o",
}


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an encoder, data of both tasks, and a model for each."""
    folder = tmp_path_factory.mktemp("runs")
    tiny_runs.make_encoder(folder / "enc")
    tiny_runs.write_corpus(folder / "corpus.txt")
    train = tiny_runs.write_table(folder / "train.csv")
    words = tiny_runs.write_columns(folder / "train.conll")
    shared = ("--model", folder / "enc", *FAST)
    assert run("finetune", "--task", "classification", *shared, "--train-file", train,
               "--output-dir", folder / "clf") == 0  # fmt: skip
    assert run("finetune", "--task", "tagging", *shared, "--train-file", words,
               "--output-dir", folder / "ner") == 0  # fmt: skip
    return folder


def test_a_tokenizer_is_trained_and_an_encoder_is_pretrained_with_it(tmp_path, capsys):
    corpus = tiny_runs.write_corpus(tmp_path / "corpus.txt")
    assert (
        run("tokenizer", corpus, "--vocab_size", tiny_runs.VOCABULARY, "--output_dir", tmp_path / "tok") == 0
    )
    assert last_line(capsys.readouterr().out)["vocab_size"] == tiny_runs.VOCABULARY
    assert run("pretrain", corpus, "--tokenizer", tmp_path / "tok", "--output-dir", tmp_path / "enc",
               "--size", "tiny", "--set", "data.tokens_per_batch=256", *FAST) == 0  # fmt: skip
    out, err = capsys.readouterr()
    result = last_line(out)
    assert result["steps"] == 3
    assert result["validation_loss"] > 0
    assert re.search(r"allocator +(freed memory is kept|as the system has it)", err)
    assert "precision        float32" in err
    assert load(tmp_path / "enc").encoder.config.vocab_size == tiny_runs.VOCABULARY


def test_finetune_reports_the_validation_scores(folder, tmp_path, capsys):
    assert run("finetune", "--task", "classification", "--model", folder / "enc", "--train-file",
               folder / "train.csv", "--validation-file", folder / "train.csv",
               "--output-dir", tmp_path / "clf", *FAST) == 0  # fmt: skip
    result = last_line(capsys.readouterr().out)
    assert 0 <= result["accuracy"] <= 1
    assert result["steps"] == 3
    assert (tmp_path / "clf" / "model.safetensors").is_file()


def test_a_recipe_is_followed_where_nothing_else_is_said(folder, tmp_path):
    assert run("finetune", "--task", "classification", "--model", folder / "enc", "--train-file",
               folder / "train.csv", "--output-dir", tmp_path / "clf", "--recipe", "few_rows",
               "--ema-decay", 0.5, *FAST) == 0  # fmt: skip
    settings = json.loads((tmp_path / "clf/run.json").read_text("utf-8"))["settings"]
    assert (settings["train"]["r_drop_alpha"], settings["train"]["ema_decay"]) == (1.0, 0.5)
    assert settings["task"]["pooling"] == "mean"


def test_evaluate_prints_a_report_a_confusion_matrix_and_json(folder, capsys):
    assert run("evaluate", "--model", folder / "clf", "--file", folder / "train.csv") == 0
    out = capsys.readouterr().out
    assert "precision" in out
    assert "gold \\ predicted" in out
    result = last_line(out)
    assert result["examples"] == 16
    assert sum(map(sum, result["confusion"]["counts"])) == 16


def test_evaluate_scores_the_spans_of_entities(folder, capsys):
    assert run("evaluate", "--model", folder / "ner", "--file", folder / "train.conll") == 0
    out = capsys.readouterr().out
    assert [line.split()[-1] for line in out.splitlines() if line.split()[:1] == ["PER"]] == ["6"]
    assert "surest mistakes" in out and "calibration error" in out
    assert {"precision", "recall", "f1"} <= last_line(out).keys()


def test_every_line_of_predict_is_an_object_with_its_probabilities(folder, capsys):
    assert run("predict", "--model", folder / "clf", "the cat", "the road") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == ["the cat", "the road"]
    for row in rows:
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert row["label"] == max(row["probabilities"], key=row["probabilities"].get)


def test_texts_typed_piped_and_filed_are_predicted_in_order(folder, tmp_path, capsys, monkeypatch):
    (tmp_path / "in.jsonl").write_text('{"text": "four"}\n', encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO("two\n\nthree\n"))
    assert run("predict", "--model", folder / "clf", "one", "-", "--file", tmp_path / "in.jsonl") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == ["one", "two", "three", "four"]


def test_a_file_whose_labels_are_strange_can_still_be_predicted(folder, tmp_path, capsys):
    (tmp_path / "new.csv").write_text("text,label\nthe cat,never seen\n", encoding="utf-8")
    assert run("predict", "--model", folder / "clf", "--file", tmp_path / "new.csv") == 0
    assert json.loads(capsys.readouterr().out)["label"] in ("animal", "thing")


def test_tags_come_with_the_places_of_their_words(folder, capsys):
    text = "Anna  sees Rome."
    assert run("predict", "--model", folder / "ner", text) == 0
    row = json.loads(capsys.readouterr().out)
    assert [text[tag["start"] : tag["end"]] for tag in row["tags"]] == ["Anna", "sees", "Rome", "."]
    assert all(tag["text"] == text[tag["start"] : tag["end"]] for tag in row["tags"] + row["entities"])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("in.conll", "Anna O\nsleeps O\n\nBob O\n", [["Anna", "sleeps"], ["Bob"]]),
        ("in.jsonl", '{"tokens": ["New York", "sleeps"]}\n', [["New York", "sleeps"]]),
        ("in.txt", "Anna sleeps\n", [["Anna", "sleeps"]]),
        ("in.csv", "text\nAnna sleeps\n", [["Anna", "sleeps"]]),
    ],
)
def test_words_that_are_parted_stay_parted(folder, tmp_path, capsys, name, content, words):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert run("predict", "--model", folder / "ner", "--file", tmp_path / name) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [[tag["text"] for tag in row["tags"]] for row in rows] == words


def test_fill_mask_guesses_five_pieces_for_each_mask(folder, capsys):
    assert run("fill-mask", "--model", folder / "enc", "The [MASK] of a [MASK].", "A [MASK]") == 0
    results = last_line(capsys.readouterr().out)["results"]
    assert [len(result["masks"]) for result in results] == [2, 1]
    for guesses in results[0]["masks"]:
        shares = [guess["probability"] for guess in guesses]
        assert len(shares) == 5
        assert shares == sorted(shares, reverse=True)


def test_masks_are_filled_as_often_as_wanted_in_texts_typed_piped_and_filed(
    folder, tmp_path, capsys, monkeypatch
):
    (tmp_path / "in.txt").write_text("A [MASK]\nThe [MASK] [MASK]\n", encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO("My [MASK]\n\n"))
    given = ("fill-mask", "--model", folder / "enc", "--precision", "fp32", "The [MASK].")
    assert run(*given, "-", "--file", tmp_path / "in.txt", "--top-k", 7) == 0
    results = last_line(capsys.readouterr().out)["results"]
    texts = ["The [MASK].", "My [MASK]", "A [MASK]", "The [MASK] [MASK]"]
    assert [result["text"] for result in results] == texts
    assert [len(guesses) for result in results for guesses in result["masks"]] == [7] * 5
    for result, masks in zip(results, load(folder / "enc").predict(texts), strict=True):
        for told, place in zip(result["masks"], masks, strict=True):
            assert [guess["piece"] for guess in told[:5]] == [piece for piece, _ in place]
            shares = [guess["probability"] for guess in told[:5]]
            assert shares == pytest.approx([share for _, share in place], abs=1e-5)
    assert run(*given, "--top-k", 0) == 2
    assert "--top-k 0" in capsys.readouterr().err
    assert run(*given[:-1]) == 2
    assert "no text to fill" in capsys.readouterr().err


def test_what_tells_replaced_tokens_fills_no_masks_and_says_why(folder, tmp_path, capsys):
    encoder = load(folder / "enc")
    config = encoder.encoder.config
    Model(encoder.encoder, ReplacedTokens(encoder.task.tokenizer, config, masking=Masking())).save(
        tmp_path / "electra"
    )
    assert run("fill-mask", "--model", tmp_path / "electra", "The [MASK].") == 2
    told = capsys.readouterr().err
    assert "no head fills masks" in told
    assert f"pretrain corpus.txt --model {tmp_path / 'electra'}" in told


def test_several_seeds_give_mean_and_spread_and_the_best_is_kept(folder, tmp_path, capsys):
    output = tmp_path / "clf"
    assert run("finetune", "--task", "classification", "--model", folder / "enc", "--seeds", 2, "--seed", 5,
               "--train-file", folder / "train.csv", "--validation-file", folder / "train.csv",
               "--output-dir", output, *FAST) == 0  # fmt: skip
    result = last_line(capsys.readouterr().out)
    accuracy = result["scores"]["accuracy"]
    assert accuracy["mean"] == pytest.approx(sum(accuracy["values"]) / 2)
    assert accuracy["spread"] == pytest.approx(abs(accuracy["values"][0] - accuracy["values"][1]) / 2**0.5)
    assert {path.name for path in output.glob("seed-*")} == {"seed-5", "seed-6"}
    best = (output / f"seed-{result['best_seed']}" / "model.safetensors").read_bytes()
    assert (output / "model.safetensors").read_bytes() == best
    assert accuracy["values"][result["best_seed"] - 5] == max(accuracy["values"])


def test_seeds_that_were_trained_otherwise_are_not_taken(folder, tmp_path, capsys):
    line = ("finetune", "--task", "classification", "--model", folder / "enc", "--seeds", 2,
            "--validation-file", folder / "train.csv", "--output-dir", tmp_path / "clf", *FAST)  # fmt: skip
    assert run(*line, "--train-file", folder / "train.csv") == 0
    record = (tmp_path / "clf" / "run.json").read_text("utf-8")
    capsys.readouterr()
    assert run(*line, "--train-file", folder / "train.csv", "--resume") == 0
    assert run(*line, "--train-file", folder / "train.csv", "--resume", "--weight-decay", 0.3) == 2
    assert "train.weight_decay was 0.01 and is 0.3; resume with the same" in capsys.readouterr().err
    other = tiny_runs.write_table(tmp_path / "other.csv", rows=20)
    assert run(*line, "--train-file", other, "--resume") == 2
    assert "train is not what the run began with" in capsys.readouterr().err
    assert (tmp_path / "clf" / "run.json").read_text("utf-8") == record


def test_a_budget_ends_fine_tuning_before_its_steps_are_done(folder, tmp_path, capsys):
    line = ("finetune", "--task", "classification", "--model", folder / "enc", "--fp32", "--no-progress",
            "--train-file", folder / "train.csv", "--validation-file", folder / "train.csv",
            "--max-steps", 1_000_000, "--logging-steps", 1)  # fmt: skip
    assert run(*line, "--output-dir", tmp_path / "one", "--budget", "0.2s") == 0
    assert 3 <= tiny_runs.last_line(capsys.readouterr().out)["steps"] < 10_000
    assert run(*line, "--output-dir", tmp_path / "two", "--budget", "0.1s", "--seeds", 2) == 0
    assert tiny_runs.last_line(capsys.readouterr().out)["seeds"] == 2


def test_columns_can_be_named(folder, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("kind,words\nanimal,the cat\nthing,the road\n", encoding="utf-8")
    assert run("evaluate", "--model", folder / "clf", "--file", tmp_path / "t.csv",
               "--text_column", "words", "--label_column", "kind") == 0  # fmt: skip
    assert last_line(capsys.readouterr().out)["examples"] == 2


def test_set_wins_over_flags_and_flags_over_the_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[train]\nseed = 1\nmax_steps = 1\nlearning_rate = 0.1\n[masking]\nunit = 'word'\n")
    args = build_parser().parse_args(
        ["pretrain", "c.txt", "--output-dir", "o", "--config", str(file), "--max-steps", "2", "--seed", "2"]
        + ["--set", "train.seed=3", "--set", "model.hidden_size=64"]
    )
    chosen = PretrainSettings.of(chosen_settings(args, PretrainSettings.of))
    assert (chosen.train.learning_rate, chosen.train.max_steps, chosen.train.seed) == (0.1, 2, 3)
    assert (chosen.masking.unit, chosen.model["hidden_size"]) == ("word", 64)
    assert chosen.train.weight_decay == PretrainSettings.of({}).train.weight_decay


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        ("--lora-target-modules query value", "adapt.lora_target_modules", "query,value"),
        ("--lora_target_modules query,value", "adapt.lora_target_modules", "query,value"),
        ("--lora-target-modules all-linear", "adapt.lora_target_modules", "all-linear"),
    ],
)
def test_patterns_may_have_commas_or_blanks_between(flags, key, value):
    words = ["finetune", "--task", "tagging", "--train-file", "t", "--model", "enc", "--output-dir", "o"]
    words += [*map(with_dashes, flags.split()), "--fp32"]
    args = build_parser().parse_args(words)
    assert vars(args)[key] == value
    assert vars(args)["train.precision"] == "fp32"
    args = build_parser().parse_args(["pretrain", "--freeze", "2", "a.txt", "b.txt", "--output-dir", "o"])
    assert args.corpus == ["a.txt", "b.txt"]


def test_the_record_of_a_run_is_a_settings_file(folder, tmp_path):
    assert run("finetune", "--task", "classification", "--model", folder / "enc", "--train-file",
               folder / "train.csv", "--output-dir", tmp_path / "clf", "--no-progress",
               "--config", folder / "clf" / "run.json") == 0  # fmt: skip
    first, second = (json.loads((path / "clf" / "run.json").read_text()) for path in (folder, tmp_path))
    assert second["settings"] == first["settings"]
    assert second["steps_done"] == 3


def test_every_setting_has_a_flag_and_a_word_of_help():
    fields = {
        f"{group}.{field.name}"
        for group, kinds in GROUPS.items()
        for kind in kinds
        for field in dataclasses.fields(kind)
    }
    assert fields == HELP.keys()
    pretraining = build_parser().parse_args(["pretrain", "c", "--output-dir", "o"]).parser.format_help()
    finetuning = (
        build_parser()
        .parse_args(
            ["finetune", "--task", "tagging", "--model", "m", "--train-file", "t", "--output-dir", "o"]
        )
        .parser.format_help()
    )
    further = [
        build_parser().parse_args([command, *flags.split()]).parser.format_help()
        for command, flags in FURTHER.items()
    ]
    known = set(re.findall(r"--[a-z0-9-]+", " ".join([pretraining, finetuning, *further])))
    renamed = {"masking.unit": "masking-unit", "task.max_length": "max-seq-length",
               "task.label_smoothing": "label-smoothing-factor",
               "train.train_batch_size": "per-device-train-batch-size"}  # fmt: skip
    for key in fields:
        name = renamed.get(key, key.partition(".")[2].replace("_", "-"))
        assert f"--{name}" in known, key


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_an_example_that_parses(command, capsys):
    with pytest.raises(SystemExit) as ended:
        run(command, "--help")
    assert ended.value.code == 0
    example = capsys.readouterr().out.partition("example:\n")[2].replace("\\\n", "").strip().splitlines()[0]
    words = shlex.split(example)
    assert words[:2] == ["minibert", command]
    assert isinstance(build_parser().parse_args(words[1:]), argparse.Namespace)


def test_only_the_names_of_flags_get_dashes():
    assert with_dashes("--train_file=my_file.csv") == "--train-file=my_file.csv"
    assert with_dashes("a_b") == "a_b"
    assert with_dashes("--not a_flag") == "--not a_flag"


def test_the_version_is_that_of_the_distribution(capsys):
    with pytest.raises(SystemExit) as ended:
        run("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"minibert {metadata.version('minibert-encoder')}\n"
    assert minibert.__version__ == metadata.version("minibert-encoder")


FINETUNE = (
    "finetune",
    "--task",
    "classification",
    "--model",
    "enc",
    "--train-file",
    "a.csv",
    "--output-dir",
    "o",
)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("pretain", "c.txt"), "unknown command 'pretain'; did you mean pretrain?"),
        (("xyzzy",), "unknown command 'xyzzy'; known: tokenizer, pretrain"),
        (("embed", "--modle", "enc", "x"), "unknown argument '--modle'; did you mean --model?"),
        (("embed", "--modle=enc", "x"), "unknown argument '--modle=enc'; did you mean --model?"),
        (("embed", "x"), "the following arguments are required: --model"),
        (("finetune", "--do_train"), "'--do-train'; finetune, evaluate and predict are commands"),
        (("finetune", "--model_name_or_path", "enc"), "the folder is --model"),
        ((*FINETUNE, "--bf16", "True"), "unknown argument 'True'; --bf16 takes no value"),
        ((*FINETUNE, "--load_best_model_at_end", "True"), "the best model is always what is kept"),
        (("embed", "x", "--", "--modle"), "the following arguments are required: --model"),
    ],
)
def test_what_is_misspelt_is_named_before_what_is_missing(words, told, capsys):
    assert run(*words) == 2
    assert told in capsys.readouterr().err


def test_demo_hands_on_what_it_was_told(tmp_path, monkeypatch, capsys):
    told = []
    demo = importlib.import_module("minibert.demo.run")
    monkeypatch.setattr(
        demo, "run_demo", lambda *args, **more: told.append((args, more)) or {"first_loss": 9.0}
    )
    assert run("demo", "--quick", "--output_dir", tmp_path / "demo") == 0
    assert told == [((tmp_path / "demo",), {"quick": True, "overwrite_output_dir": False})]
    assert last_line(capsys.readouterr().out) == {"first_loss": 9.0}


def test_what_follows_two_dashes_is_text(folder, capsys):
    assert run("predict", "--model", folder / "clf", "--", "--my_text") == 0
    assert json.loads(capsys.readouterr().out)["text"] == "--my_text"


def test_python_dash_m_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["minibert", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("minibert", run_name="__main__")
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)


def test_a_reader_that_goes_away_is_no_error(folder, monkeypatch, capsys):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert run("predict", "--model", folder / "clf", "the cat") == 141
    assert "rror" not in capsys.readouterr().err


def test_ctrl_c_saves_says_how_to_go_on_and_resume_completes(tmp_path, monkeypatch, capsys):
    corpus = tiny_runs.write_corpus(tmp_path / "corpus.txt")
    tiny_runs.make_encoder(tmp_path / "tok")
    line = ("pretrain", corpus, "--tokenizer", tmp_path / "tok", "--size", "tiny", "--no-progress", "--fp32",
            "--max-steps", 4, "--logging-steps", 1, "--set", "data.tokens_per_batch=256")  # fmt: skip
    assert run(*line, "--output-dir", tmp_path / "whole") == 0
    step = Run._step

    def interrupted(self):
        if self.done == 1:
            signal.raise_signal(signal.SIGINT)  # the step in hand is still taken
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_step", interrupted)
        assert run(*line, "--output-dir", tmp_path / "enc") == 130
    err = capsys.readouterr().err
    assert "stopped at step 2" in err
    assert "--resume" in err
    assert load(tmp_path / "enc").task.name == "masked_lm"
    assert run(*line, "--output-dir", tmp_path / "enc", "--resume") == 0
    assert last_line(capsys.readouterr().out)["steps"] == 4
    whole, resumed = (load(tmp_path / name).state_dict() for name in ("whole", "enc"))
    assert all(whole[name].equal(resumed[name]) for name in whole)


def test_ctrl_c_in_fine_tuning_keeps_the_best_model(folder, tmp_path, monkeypatch, capsys):
    step = Run._step
    monkeypatch.setattr(Run, "_step", lambda self: step(self) if self.done != 1 else _interrupted(self, step))
    assert run("finetune", "--task", "classification", "--model", folder / "enc", "--train-file",
               folder / "train.csv", "--output-dir", tmp_path / "clf", *FAST) == 130  # fmt: skip
    assert "stopped at step 2" in capsys.readouterr().err
    assert load(tmp_path / "clf").task.labels == ("animal", "thing")


def _interrupted(run, step):
    signal.raise_signal(signal.SIGINT)
    return step(run)


def test_attention_shows_the_choice_and_every_refusal(capsys):
    assert run("attention", "--max-seq-length", "127", "--precision", "fp32", "--device", "cpu") == 0
    out = capsys.readouterr().out
    assert re.search(r"^\* cpu +taken$", out, re.M)
    assert re.search(r"^  reference +would do$", out, re.M)
    assert re.search(r"^  triton +made for a CUDA GPU", out, re.M)
    result = last_line(out)
    assert result["taken"] == "cpu"
    assert result["request"] == "float32, heads of 64, at most 127 tokens"
    assert run("attention", "--cross", "--device", "cpu") == 0
    result = last_line(capsys.readouterr().out)
    assert result["taken"] == "sdpa"
    assert "different lengths" in result["refusals"]["cpu"]
    assert run("attention", "--attention", "triton", "--device", "cpu") == 2
    assert "made for a CUDA GPU" in capsys.readouterr().err


def test_predict_answers_in_order_whatever_it_holds_at_once(folder, tmp_path, capsys, monkeypatch):
    module = importlib.import_module("minibert.commands.predict")
    texts = [f"w{number} " * (1 + number % 3) for number in range(7)]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    wanted = ("predict", "--model", folder / "clf", "--file", tmp_path / "texts.txt", "--precision", "fp32")
    assert run(*wanted) == 0
    whole, counted = capsys.readouterr()
    assert [json.loads(line)["text"] for line in whole.splitlines()] == texts
    monkeypatch.setattr(module, "CHUNK", 2)
    assert run(*wanted) == 0
    parts, told = capsys.readouterr()
    assert [json.loads(line)["label"] for line in parts.splitlines()] == [
        json.loads(line)["label"] for line in whole.splitlines()
    ]
    assert "7 examples; 0 split" in counted
    assert "7 examples; 0 split" in told


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_model_is_asked_in_the_precision_that_was_named(folder, precision, dtype):
    args = build_parser().parse_args(
        ["predict", "x", "--model", str(folder / "clf"), "--device", "cpu", "--precision", precision]
    )
    assert open_model(args).encoder.dtype == dtype


@pytest.mark.parametrize(
    "words",
    [
        "learn --model m --validation-file v --output-dir o --train-file",
        "learn --model m --train-file t --output-dir o --validation-file",
        "update --model m --kept-file k --output-dir o --train-file",
        "distill --output-dir o --teacher",
    ],
)
def test_what_is_named_one_by_one_is_all_kept(words):
    *before, flag = words.split()
    args = build_parser().parse_args([*before, flag, "a", "b", flag, "c"])
    assert getattr(args, flag.removeprefix("--").replace("-", "_")) == ["a", "b", "c"]
