"""What can be typed after `minibert doctor`, what it prints, and how it ends."""

import json
import re
import time

import pytest
import tiny_runs
from tiny_runs import last_line

from minibert.cli import main
from minibert.commands.arguments import parse
from minibert.commands.finetune import look_at


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("looked-at")
    tiny_runs.make_encoder(folder / "enc")
    tiny_runs.write_corpus(folder / "corpus.txt", documents=300)
    rows = [f"{tiny_runs.sentence(n)},{'odd' if n % 2 else 'even'}" for n in range(240)]
    for name, part in (("train.csv", rows[:200]), ("dev.csv", rows[200:])):
        (folder / name).write_text("\n".join(["text,label", *part]) + "\n", "utf-8")
    return folder


def run(*arguments):
    return main(["doctor", *map(str, arguments)])


def finetuning(folder, *more):
    return ("--task", "classification", "--model", folder / "enc", "--train-file", folder / "train.csv",
            "--per-device-train-batch-size", 16, *more)  # fmt: skip


@pytest.mark.parametrize(
    ("more", "told"), [((), True), (("--text-column", "text", "--pair-column", "claim"), False)]
)
def test_a_text_that_is_not_read_is_told_of_a_file_that_is_named(folder, tmp_path, capsys, more, told):
    rows = [f"{tiny_runs.sentence(n)},{tiny_runs.sentence(n + 1)},{'ab'[n % 2]}" for n in range(40)]
    path = tmp_path / "nli.csv"
    path.write_text("\n".join(["text,claim,label", *rows]) + "\n", "utf-8")
    run(
        "--quick",
        "--task",
        "classification",
        "--model",
        folder / "enc",
        "--train-file",
        path,
        *more,
    )
    assert ("'claim' hold texts and are not read" in capsys.readouterr().out) == told


def test_the_flags_of_finetune_are_read_as_finetune_reads_them(folder, capsys):
    assert run(*finetuning(folder, "--quick")) == 0
    out = capsys.readouterr().out
    assert "nothing found" in out
    assert "steps            39" in out
    assert last_line(out) == {"ok": True, "errors": 0, "warnings": 0, "notes": 0}


@pytest.mark.parametrize("order", ["first", "last"])
def test_own_flags_may_stand_anywhere(folder, capsys, order):
    own = ("--json", "--quick")
    words = (*own, *finetuning(folder)) if order == "first" else (*finetuning(folder), *own)
    assert run(*words) == 0
    told = capsys.readouterr().out
    assert len(told.strip().splitlines()) == 1
    assert json.loads(told)["facts"]["rows"] == 200


def test_the_word_finetune_may_stand_first(folder, capsys):
    assert run("finetune", *finetuning(folder, "--quick")) == 0
    assert run("finetune", *finetuning(folder, "--train-batch-sise=3")) == 2
    assert "--train-batch-size" in capsys.readouterr().err


def test_an_error_ends_with_status_one_and_a_warning_with_zero(folder, capsys):
    assert run(*finetuning(folder, "--attention", "flash", "--quick", "--json")) == 1
    told = last_line(capsys.readouterr().out)
    assert [finding["name"] for finding in told["findings"]] == ["attention"]
    assert run(*finetuning(folder, "--learning-rate", "0.5", "--quick", "--json")) == 0
    told = last_line(capsys.readouterr().out)
    assert [(finding["name"], finding["severity"]) for finding in told["findings"]] == [
        ("learning-rate", "warning")
    ]


def test_a_file_that_cannot_be_read_is_a_finding(folder, tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("text,label\na,b,c\n", "utf-8")
    words = ("--task", "classification", "--model", folder / "enc", "--train-file", tmp_path / "bad.csv")
    assert run(*words, "--json") == 1
    found = last_line(capsys.readouterr().out)["findings"]
    assert [finding["name"] for finding in found] == ["unreadable"]
    assert "line 2: 3 fields" in found[0]["seen"]


def test_a_settings_file_with_a_table_run_stands_for_its_command_line(folder, tmp_path, capsys):
    lines = [
        "[run]", 'task = "classification"', f'model = "{folder / "enc"}"',
        f'train_file = "{folder / "train.csv"}"', f'validation_file = "{folder / "dev.csv"}"',
        "[train]", "train_batch_size = 20", "num_train_epochs = 4",
    ]  # fmt: skip
    (tmp_path / "run.toml").write_text("\n".join(lines) + "\n", "utf-8")
    assert run(tmp_path / "run.toml", "--quick", "--json") == 0
    facts = last_line(capsys.readouterr().out)["facts"]
    assert (facts["validation_rows"], facts["steps"]) == (40, 40)
    config = ("--config", tmp_path / "run.toml")
    assert run(*finetuning(folder, *config, "--quick")) == 0, "finetune takes the same file"


def test_a_settings_file_without_that_table_is_told_so(tmp_path, capsys):
    (tmp_path / "run.toml").write_text("[train]\nseed = 3\n", "utf-8")
    assert run(tmp_path / "run.toml") == 2
    assert "[run]" in capsys.readouterr().err


def test_the_flags_of_pretrain_are_read_as_pretrain_reads_them(folder, capsys):
    words = (folder / "corpus.txt", "--size", "tiny", "--tokenizer", folder / "enc", "--max-steps", 30,
             "--set", "data.tokens_per_batch=512", "--quick", "--json")  # fmt: skip
    assert run(*words) == 0
    told = last_line(capsys.readouterr().out)
    assert told["findings"] == []
    assert told["facts"]["steps"] == 30
    assert run(*words, "--max-seq-length", 2000, "--set", "data.tokens_per_batch=2000") == 1
    assert "length" in [finding["name"] for finding in last_line(capsys.readouterr().out)["findings"]]


def test_what_ends_a_pretraining_run_at_once_is_found(folder, tmp_path, capsys):
    lines = [tiny_runs.sentence(number) for number in range(400)]
    (tmp_path / "lines.txt").write_text("\n".join(lines), "utf-8")
    assert run("pretrain", tmp_path / "lines.txt", "--quick", "--json") == 1
    found = {finding["name"]: finding for finding in last_line(capsys.readouterr().out)["findings"]}
    assert "the corpus has 1 document," in found["documents"]["seen"]
    assert "400 lines" in found["documents"]["seen"] and "blank lines" in found["documents"]["advice"]
    assert "vocab_size 8192 is more than this corpus can fill" in found["vocabulary"]["seen"]
    assert re.fullmatch(r"the largest that fits is \d+: --vocab-size", found["vocabulary"]["advice"])
    advice = found["batch-size"]["advice"]
    assert "--tokens-per-batch" in advice and "--per-device" not in advice
    words = (tmp_path / "lines.txt", "--tokenizer", folder / "enc", "--quick", "--json")
    assert run("pretrain", *words) == 1
    found = {finding["name"]: finding for finding in last_line(capsys.readouterr().out)["findings"]}
    assert "documents" in found and "vocabulary" not in found
    parted = (folder / "corpus.txt", "--vocab-size", tiny_runs.VOCABULARY, "--max-steps", 30)
    assert run("pretrain", *parted, "--quick", "--json") == 0


def test_a_folder_of_data_is_read_with_its_validation_file(folder, capsys):
    assert run(folder, "--json") == 0
    facts = last_line(capsys.readouterr().out)["facts"]
    assert (facts["task"], facts["rows"], facts["validation_rows"]) == ("classification", 200, 40)


def test_the_task_of_a_file_is_found_or_named(folder, tmp_path, capsys):
    tiny_runs.write_columns(tmp_path / "train.conll")
    assert run(tmp_path / "train.conll", "--json") == 0
    assert last_line(capsys.readouterr().out)["facts"]["task"] == "tagging"
    assert run(folder / "train.csv", "--task", "multi_label", "--json") == 0
    assert last_line(capsys.readouterr().out)["facts"]["task"] == "multi_label"


def test_columns_without_a_usual_name_are_named(folder, tmp_path, capsys):
    lines = [f"{tiny_runs.sentence(n)},{'odd' if n % 2 else 'even'}" for n in range(30)]
    (tmp_path / "train.csv").write_text("\n".join(["what,mood", *lines]) + "\n", "utf-8")
    named = ("--text-column", "what", "--label-column", "mood")
    for words in ((tmp_path / "train.csv", *named), ("--task", "classification", *named, tmp_path)):
        assert run(*words, "--json") == 0
        facts = last_line(capsys.readouterr().out)["facts"]
        assert (facts["task"], facts["rows"]) == ("classification", 30)


def test_an_earlier_run_is_looked_at(folder, tmp_path, capsys):
    output = tmp_path / "clf"
    made = main(["finetune", *map(str, finetuning(folder)), "--output-dir", str(output), "--max-steps", "3",
                 "--no-progress", "--fp32"])  # fmt: skip
    assert made == 0
    capsys.readouterr()
    assert run(output, "--json") == 0
    assert last_line(capsys.readouterr().out)["findings"] == []
    record = json.loads((output / "run.json").read_text("utf-8"))
    (output / "run.json").write_text(json.dumps({**record, "state": "not finite"}), "utf-8")
    assert run(output, "--json") == 1
    assert last_line(capsys.readouterr().out)["findings"][0]["name"] == "diverged"


def test_nothing_to_look_at_is_told_with_what_could_be(capsys, tmp_path):
    assert run() == 2
    assert "a .toml" in capsys.readouterr().err
    assert run(tmp_path / "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err


# The quick form, before a run.

RUN = ("--max-steps", "3", "--no-progress", "--fp32")


def finetune(folder, output, *more):
    words = ("finetune", *finetuning(folder), "--output-dir", output, *RUN, *more)
    return main([str(word) for word in words])


def test_a_run_is_looked_at_first_and_an_error_stops_it_before_anything_is_written(folder, tmp_path, capsys):
    (tmp_path / "dev.csv").write_text("text,label\nthe cat,neither\n", "utf-8")
    held = ("--validation-file", tmp_path / "dev.csv")
    assert finetune(folder, tmp_path / "clf", *held) == 2
    told = capsys.readouterr().err
    assert "'neither'" in told and "unknown-label" in told and "--no-doctor" in told
    assert not (tmp_path / "clf").exists()
    assert finetune(folder, tmp_path / "clf", *held, "--no-doctor") == 2
    assert "never seen in training" in capsys.readouterr().err, "the run's own error"


def test_a_warning_is_told_and_the_run_goes_on(folder, tmp_path, capsys):
    assert finetune(folder, tmp_path / "clf", "--validation-file", folder / "train.csv") == 0
    told = capsys.readouterr().err
    assert "doctor: warning  leakage: 200 of 200" in told
    assert finetune(folder, tmp_path / "other", "--no-doctor") == 0
    assert "doctor" not in capsys.readouterr().err


def test_a_run_that_was_looked_at_ends_with_the_same_weights(folder, tmp_path):
    assert finetune(folder, tmp_path / "with") == 0
    assert finetune(folder, tmp_path / "without", "--no-doctor") == 0
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("with", "without"))
    assert one == other


def test_pretraining_is_looked_at_first(folder, tmp_path, capsys):
    words = ["pretrain", folder / "corpus.txt", "--size", "tiny", "--tokenizer", folder / "enc",
             "--output-dir", tmp_path / "enc", "--set", "data.tokens_per_batch=256", *RUN]  # fmt: skip
    assert main([*map(str, words), "--max-seq-length", "600"]) == 2
    assert "600" in capsys.readouterr().err
    assert not (tmp_path / "enc").exists()
    assert main([*map(str, words)]) == 0
    assert "few-steps" in capsys.readouterr().err


def test_the_quick_look_at_a_small_run_costs_little(folder):
    begin = time.process_time()
    args = parse(["finetune", *map(str, finetuning(folder)), "--output-dir", "unused"])
    assert look_at(args, quick=True).healthy
    assert time.process_time() - begin < 1
