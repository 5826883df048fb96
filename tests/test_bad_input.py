"""Whatever a person can do wrong ends with exit status 2 and a message that names it, and nothing is lost."""

import errno
import json
import math
import os

import pytest
import tiny_runs
import torch

from minibert.checkpoint import read_json, replace_json, write_json
from minibert.cli import main
from minibert.data.examples import TextExample
from minibert.durable import replace_text
from minibert.errors import InputError
from minibert.finetune import finetune
from minibert.output import locked
from minibert.tasks import model as model_module
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import load
from minibert.training.loop import Run

FAST = ("--no-progress", "--fp32", "--max-steps", "4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an encoder, a corpus and labelled texts."""
    folder = tmp_path_factory.mktemp("given")
    tiny_runs.make_encoder(folder / "enc")
    tiny_runs.write_corpus(folder / "corpus.txt")
    tiny_runs.write_table(folder / "train.csv")
    return folder


@pytest.fixture
def refused(capsys):
    """Run a command that must be refused; return its message."""

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        message = err.strip().splitlines()[-1]
        assert message.startswith("minibert: error: ")
        return message

    return run


def pretraining(folder, output, *more, corpus=None):
    return ("pretrain", corpus or folder / "corpus.txt", "--output-dir", output,
            "--tokenizer", folder / "enc", "--size", "tiny", "--set", "data.tokens_per_batch=256",
            *FAST, *more)  # fmt: skip


def finetuning(folder, output, *more, train=None, held=None):
    files = ("--train-file", train or folder / "train.csv", "--validation-file", held or folder / "train.csv")
    return ("finetune", "--task", "classification", "--model", folder / "enc", "--output-dir", output,
            *files, *FAST, *more)  # fmt: skip


BAD_FILES = {
    "empty": (b"", "bad.csv", "empty"),
    "binary": (b"text,label\na,b\n\x00\x01\n", "bad.csv, line 3", "binary"),
    "latin": ("text,label\nfine,a\ncaf\u00e9,b\n".encode("latin-1"), "bad.csv, line 3", "0xE9"),
    "no_label": (b"text,color\nfine,red\n", "bad.csv", "label"),
    "ragged": (b"text,label\nfine,a\nfine\n", "bad.csv, line 3", "1 fields"),
    "empty_text": (b"text,label\nfine,a\n ,b\n", "bad.csv, line 3", "empty"),
}


@pytest.mark.parametrize("content, where, what", BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_table_is_named_with_its_line(folder, tmp_path, refused, content, where, what):
    bad = tmp_path / "bad.csv"
    bad.write_bytes(content)
    message = refused(*finetuning(folder, tmp_path / "out", train=bad))
    assert where in message
    assert what in message
    assert not (tmp_path / "out").exists()


BAD_CORPORA = {
    "empty": (b"", "bad.txt", "empty"),
    "binary": (b"one\n\x00\x01\x02\n", "bad.txt, line 2", "binary"),
    "latin": (b"one\ncaf\xe9\n", "bad.txt, line 2", "0xE9"),
}


@pytest.mark.parametrize("content, where, what", BAD_CORPORA.values(), ids=BAD_CORPORA)
def test_a_bad_corpus_is_named_with_its_line(folder, tmp_path, refused, content, where, what):
    bad = tmp_path / "bad.txt"
    bad.write_bytes(content)
    for line in (
        pretraining(folder, tmp_path / "out", corpus=bad),
        ("tokenizer", bad, "--output-dir", tmp_path / "tok"),
    ):
        message = refused(*line)
        assert where in message
        assert what in message


def test_a_missing_file_is_named(folder, tmp_path, refused):
    missing = tmp_path / "nowhere.txt"
    assert str(missing) in refused(*pretraining(folder, tmp_path / "out", corpus=missing))
    assert str(missing) in refused("tokenizer", missing, "--output-dir", tmp_path / "out")
    assert str(missing) in refused(*finetuning(folder, tmp_path / "out", train=missing))
    assert str(missing) in refused("predict", "--model", missing, "a text")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_model_is_named(folder, tmp_path, refused):
    tmp_path.joinpath("thing").mkdir()
    message = refused("predict", "--model", tmp_path / "thing", "a text")
    assert str(tmp_path / "thing") in message
    assert "config.json" in message


def test_a_table_without_the_named_column_tells_its_columns(folder, tmp_path, refused):
    message = refused(*finetuning(folder, tmp_path / "out", "--text-column", "body"))
    assert "train.csv" in message
    assert "'body'" in message
    assert "text, label" in message


def test_a_label_that_training_never_saw_is_named(folder, tmp_path, refused):
    held = tmp_path / "dev.csv"
    held.write_text("text,label\nthe cat,animal\nthe sea,water\n", encoding="utf-8")
    message = refused(*finetuning(folder, tmp_path / "out", held=held))
    assert "'water'" in message
    assert "animal, thing" in message
    assert not (tmp_path / "out").exists()


def test_one_class_only_is_refused(folder, tmp_path, refused):
    train = tmp_path / "one.csv"
    train.write_text("text,label\nthe cat,animal\nthe dog,animal\n", encoding="utf-8")
    assert "['animal']" in refused(*finetuning(folder, tmp_path / "out", train=train))


def test_a_text_that_is_too_long_is_refused_if_asked_to_be(folder, tmp_path, refused):
    train = tmp_path / "long.csv"
    train.write_text(f"text,label\n{'cat ' * 200},animal\nthe road,thing\n", encoding="utf-8")
    message = refused(*finetuning(folder, tmp_path / "out", "--on-long", "error", train=train))
    assert "cat cat" in message
    assert "the model takes 62" in message


def test_how_many_texts_are_cut_off_is_always_told(folder, tmp_path, capsys):
    train = tmp_path / "long.csv"
    train.write_text(f"text,label\n{'cat ' * 200},animal\nthe road,thing\n", encoding="utf-8")
    assert main([*map(str, finetuning(folder, tmp_path / "out", train=train))]) == 0
    assert main(["predict", "--model", str(tmp_path / "out"), "--file", str(train)]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "cut off" in line]
    assert len(told) == 2
    assert all("2 examples" in line and "1 cut off at 64 tokens" in line for line in told)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--set", "train.learning_rte=1"), ("learning_rte", "learning_rate")),
        (("--set", "model.hidden_sise=64"), ("hidden_sise", "hidden_size")),
        (("--set", "trian.seed=1"), ("trian", "train")),
        (("--set", "seed"), ("seed", "GROUP.KEY=VALUE")),
        (("--learning-rte", "1"), ("--learning-rte", "--learning-rate")),
        (("--learning-rate", "fast"), ("learning_rate", "'fast'")),
        (("--learning-rate", "-1"), ("learning_rate", "-1")),
        (("--optim", "adam"), ("--optim", "'adam'")),
        (("--size", "huge"), ("'huge'", "modern-mini")),
        (("--budget", "soon"), ("'soon'", "30m")),
        (
            ("--set", "model.hidden_size=100", "--set", "model.num_attention_heads=12"),
            ("100", "12", "96 or 108"),
        ),
        (("--max-seq-length", "4000", "--set", "data.tokens_per_batch=4000"), ("4000", "512")),
        (("--mlm-probability", "1.5"), ("mlm_probability", "1.5")),
        (("--report-to", "paper"), ("'paper'", "tensorboard")),
        (("--set", "data.tokens_per_batch=10"), ("tokens_per_batch 10", "128")),
        (("--vocab-size", "8192"), ("--vocab-size", "--tokenizer")),
        (("--lowercase",), ("--lowercase", "--tokenizer")),
        (("--set", "tokenizer.model_type=bpe"), ("--model-type", "--tokenizer")),
        (("--device", "tpv"), ("'tpv'", "auto")),
        (("--device", "cuda:99"), ("'cuda:99'", "auto")),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_what_can(folder, tmp_path, refused, more, expected):
    message = refused(*pretraining(folder, tmp_path / "out", *more))
    for part in expected:
        assert part in message


def test_an_unknown_key_in_a_settings_file_names_file_and_nearest_key(folder, tmp_path, refused):
    (tmp_path / "run.toml").write_text("[train]\nlearning_rte = 1e-3\n", encoding="utf-8")
    message = refused(*pretraining(folder, tmp_path / "out", "--config", tmp_path / "run.toml"))
    assert "run.toml" in message
    assert "'learning_rte'" in message
    assert "'learning_rate'" in message


def test_a_vocabulary_that_the_corpus_cannot_fill_names_the_largest_that_fits(folder, tmp_path, refused):
    message = refused(
        "tokenizer", folder / "corpus.txt", "--vocab-size", 50000, "--output-dir", tmp_path / "tok"
    )
    assert "50000" in message
    assert "largest that fits" in message
    assert not (tmp_path / "tok").exists()
    refused("pretrain", folder / "corpus.txt", "--output-dir", tmp_path / "enc", "--vocab-size", 50000, *FAST)
    assert not (tmp_path / "enc").exists()


def test_a_used_output_directory_is_refused_and_replaced_if_asked(folder, tmp_path, refused, capsys):
    output = tmp_path / "out"
    line = [*map(str, finetuning(folder, output))]
    assert main(line) == 0
    (output / "mine.txt").write_text("notes", encoding="utf-8")
    capsys.readouterr()
    message = refused(*line)
    assert str(output) in message
    assert "--overwrite-output-dir" in message
    assert (output / "mine.txt").is_file()
    assert main([*line, "--overwrite-output-dir"]) == 0
    assert not (output / "mine.txt").exists()
    assert load(output).task.name == "classification"


def test_a_folder_of_somebody_elses_is_never_overwritten(folder, tmp_path, refused):
    output = tmp_path / "photos"
    output.mkdir()
    (output / "cat.jpg").write_bytes(b"\xff\xd8")
    for line in (
        finetuning(folder, output, "--overwrite-output-dir"),
        pretraining(folder, output, "--overwrite-output-dir"),
        ("tokenizer", folder / "corpus.txt", "--output-dir", output, "--overwrite-output-dir"),
    ):
        assert str(output) in refused(*line)
    assert (output / "cat.jpg").is_file()


def test_bad_input_does_not_cost_the_run_that_is_to_be_overwritten(folder, tmp_path, refused, capsys):
    output = tmp_path / "out"
    assert main([*map(str, pretraining(folder, output))]) == 0
    capsys.readouterr()
    before = sorted(output.rglob("*"))
    refused(*pretraining(folder, output, "--overwrite-output-dir", corpus=tmp_path / "nowhere.txt"))
    refused(*finetuning(folder, output, "--overwrite-output-dir", train=tmp_path / "nowhere.csv"))
    refused(*pretraining(folder, output, "--overwrite-output-dir", "--max-seq-length", 4000))
    untrained = ("pretrain", folder / "corpus.txt", "--output-dir", output, "--vocab-size", 50000, *FAST)
    assert "50000" in refused(*untrained, "--overwrite-output-dir")
    assert sorted(output.rglob("*")) == before
    assert load(output).task.name == "masked_lm"


def test_a_loss_that_is_not_a_number_keeps_the_last_good_weights(folder, tmp_path, refused, monkeypatch):
    weights = []
    loss = MaskedLM.loss

    def failing(self, encoder, batch, targets):
        value = loss(self, encoder, batch, targets)
        if encoder.training:
            weights.append(encoder.embeddings.token.weight.detach().clone())
            if len(weights) == 3:
                value.sums["loss"] = value.sums["loss"] * math.nan
        return value

    monkeypatch.setattr(MaskedLM, "loss", failing)
    message = refused(*pretraining(folder, tmp_path / "out"))
    assert "step 3 (batch 3 of epoch 1)" in message
    assert "nan" in message
    assert str(tmp_path / "out") in message
    kept = load(tmp_path / "out")
    assert kept.encoder.embeddings.token.weight.equal(weights[2])
    assert all(torch.isfinite(weight).all() for weight in kept.parameters())


def test_an_absurd_learning_rate_ends_fine_tuning_with_finite_weights(folder, tmp_path, capsys):
    line = finetuning(
        folder, tmp_path / "out", "--learning-rate", "1e38", "--max-grad-norm", "0", "--optim", "sgd"
    )
    assert main([*map(str, line)]) == 2
    assert "gradient norm" in capsys.readouterr().err
    assert all(torch.isfinite(weight).all() for weight in load(tmp_path / "out").parameters())


def test_a_full_disk_leaves_the_previous_checkpoint_to_go_on_from(
    folder, tmp_path, refused, monkeypatch, capsys
):
    output = tmp_path / "out"
    save = model_module.save_tensors

    def full(path, tensors):
        if (output / "checkpoint-2").exists():
            path.write_bytes(b"half a file")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(path, tensors)

    with monkeypatch.context() as patch:
        patch.setattr(model_module, "save_tensors", full)
        message = refused(*pretraining(folder, output, "--save-steps", 1))
    assert "disk is full" in message
    assert "checkpoint-3" in message
    assert sorted(path.name for path in output.glob("*checkpoint*")) == ["checkpoint-1", "checkpoint-2"]
    assert load(output / "checkpoint-2").task.name == "masked_lm"
    assert main([*map(str, pretraining(folder, output, "--resume"))]) == 0
    assert tiny_runs.last_line(capsys.readouterr().out)["steps"] == 4


def test_a_disk_that_is_full_while_weights_are_written_is_known_as_full(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    from minibert import checkpoint

    def full(tensors, path):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError) as raised:
        checkpoint.save_tensors(tmp_path / "w.safetensors", {"w": torch.zeros(2)})
    assert raised.value.errno == errno.ENOSPC
    assert "w.safetensors" in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "required"),
        (("dance",), "dance"),
        (("fill-mask", "--model", "{enc}", "no mask here"), "no mask here"),
        (("predict", "--model", "{enc}", "a text"), "fine-tune"),
        (("predict", "--model", "{clf}"), "nothing to predict"),
        (("predict", "--model", "{clf}", "--device", "tpv", "fine"), "'tpv'"),
        (("predict", "--model", "{clf}", "fine", " "), "text 2 is empty"),
        (("fill-mask", "--model", "{clf}", "The [MASK]."), "classification"),
        (("finetune", "--task", "poetry"), "'poetry'"),
    ],
)
def test_a_command_that_makes_no_sense_says_why(
    folder, tmp_path_factory, refused, capsys, arguments, expected
):
    if "{clf}" in arguments and not (folder / "clf").exists():
        assert main([*map(str, finetuning(folder, folder / "clf"))]) == 0
        capsys.readouterr()
    assert expected in refused(
        *(argument.format(enc=folder / "enc", clf=folder / "clf") for argument in arguments)
    )


def test_bad_input_does_not_cost_the_seeds_that_are_to_be_overwritten(folder, tmp_path, refused, capsys):
    output, held = tmp_path / "out", tmp_path / "dev.csv"
    held.write_text("text,label\nthe sea,water\n", encoding="utf-8")
    assert main([*map(str, finetuning(folder, output))]) == 0
    capsys.readouterr()
    assert "'water'" in refused(
        *finetuning(folder, output, "--seeds", 2, "--overwrite-output-dir", held=held)
    )
    assert load(output).task.name == "classification"


def test_several_seeds_need_something_to_be_compared_on(folder, tmp_path, refused):
    message = refused("finetune", "--task", "classification", "--model", folder / "enc", "--seeds", 3,
                      "--train-file", folder / "train.csv", "--output-dir", tmp_path / "out")  # fmt: skip
    assert "--seeds 3" in message
    assert "--validation-file" in message
    assert not (tmp_path / "out").exists()


def test_a_test_file_without_labels_cannot_be_evaluated(folder, tmp_path, refused, capsys):
    if not (folder / "clf").exists():
        assert main([*map(str, finetuning(folder, folder / "clf"))]) == 0
        capsys.readouterr()
    (tmp_path / "test.txt").write_text("the cat\n", encoding="utf-8")
    message = refused("evaluate", "--model", folder / "clf", "--file", tmp_path / "test.txt")
    assert "test.txt" in message
    assert "'the cat'" in message


def test_a_fault_of_ours_is_not_hidden(folder, monkeypatch):
    monkeypatch.setattr(Run, "_step", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main([*map(str, finetuning(folder, folder / "fault"))])


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--label-smoothing-factor", "1.5"), "label_smoothing 1.5 must be at least 0 and below 1"),
        (("--label-smoothing-factor", "NaN"), "label_smoothing is nan, expected a finite number"),
        (("--classifier-dropout", "-1"), "classifier_dropout -1.0 must be at least 0 and below 1"),
        (("--max-seq-length", "2", "--on-long", "split"), "max_length 2 has no room for a token"),
        (("--max-seq-length", "2000"), "max_length 2000 is more than the 64 tokens"),
        (("--max-seq-length", "-5"), "max_length -5 has no room"),
        (("--seed", "99999999999999999999999"), "seed 99999999999999999999999 must be from 0 to"),
        (("--seed", "9" * 5000), "seed is '9999"),
        (("--weight-decay", "NaN"), "weight_decay is nan"),
        (("--max-grad-norm", "Infinity"), "max_grad_norm is inf"),
        (("--eval-steps", "-3"), "eval_steps -3 must not be negative"),
    ],
)
def test_a_number_that_no_run_can_use_is_refused_before_any_work(folder, tmp_path, refused, more, expected):
    assert expected in refused(*finetuning(folder, tmp_path / "out", *more))
    assert not (tmp_path / "out").exists()


def test_a_place_where_no_folder_can_be_is_named_and_nothing_is_left(folder, tmp_path, refused):
    for place in (folder / "train.csv" / "out", tmp_path / "new" / ("a" * 300)):
        assert str(place) in refused(*finetuning(folder, place))
        assert str(place) in refused(*finetuning(folder, place, "--no-doctor"))
        with pytest.raises(InputError, match="cannot be a folder"), locked(place):
            pass
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("number", [errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT])
def test_whatever_is_wrong_with_a_path_is_one_line_that_names_it(folder, refused, monkeypatch, number):
    def fail(*arguments):
        raise OSError(number, os.strerror(number), "some/where")

    monkeypatch.setattr("minibert.commands.finetune.finetuned", fail)
    assert "'some/where'" in refused(*finetuning(folder, folder / "never"))


def test_half_a_character_is_refused_in_a_label_and_never_costs_what_is_written(folder, tmp_path, capsys):
    rows = [TextExample("the cat", label="a\ud800"), TextExample("the road", label="b")]
    with pytest.raises(InputError, match=r"label 'a\\ud800' has half of a character"):
        finetune(folder / "enc", task="classification", train=rows, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    values = {"labels": ["a\ud800", "caf\u00e9", "\U0001f600"]}
    for write in (write_json, replace_json):
        write(tmp_path / "values.json", values)
        assert read_json(tmp_path / "values.json") == values
        assert "caf\u00e9" in (tmp_path / "values.json").read_text("utf-8")
    with pytest.raises(InputError, match=r"note.txt: 'the a\\ud800' ends with half a character"):
        replace_text(tmp_path / "note.txt", "the a\ud800 and more")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["values.json"]


def test_half_a_character_in_a_result_is_printed_as_its_number(monkeypatch, tmp_path):
    with (tmp_path / "out.txt").open("w", encoding="utf-8") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        monkeypatch.setattr("minibert.commands.predict.run", lambda args: {"text": "caf\u00e9 \ud83d"})
        assert main(["predict", "--model", "any", "a text"]) == 0
    written = (tmp_path / "out.txt").read_text("utf-8")
    assert written == '{"text": "caf\u00e9 \\ud83d"}\n'
    assert json.loads(written) == {"text": "caf\u00e9 \ud83d"}


def test_a_score_that_nobody_gives_is_refused_before_training(folder, tmp_path, refused):
    message = refused(*finetuning(folder, tmp_path / "out", "--metric-for-best-model", "nonsense"))
    assert "'nonsense' is not scored here; use one of accuracy, macro_f1" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "more", [("--metric-for-best-model", "accuracy"), ("--early-stopping-patience", "2")]
)
def test_to_choose_a_model_there_must_be_validation_data(folder, tmp_path, refused, more):
    given = ("finetune", "--task", "classification", "--model", folder / "enc", "--train-file",
             folder / "train.csv", "--output-dir", tmp_path / "out", *FAST, *more)  # fmt: skip
    assert "needs validation data" in refused(*given)
    assert not (tmp_path / "out").exists()


PAIRS = {
    "similarity": "text,pair,label\nthe cat,a cat,5\nthe road,a dog,1\nthe stone,a stone,4\n",
    "retrieval": "query,positive\nthe cat,a cat\nthe road,a road\nthe stone,a stone\n",
}


@pytest.mark.parametrize("task", PAIRS)
def test_a_loss_that_compares_refuses_to_see_one_example_at_a_time(folder, tmp_path, refused, capsys, task):
    (tmp_path / "pairs.csv").write_text(PAIRS[task], encoding="utf-8")
    given = ("finetune", "--task", task, "--model", folder / "enc", "--train-file", tmp_path / "pairs.csv",
             "--output-dir", tmp_path / "out", *FAST)  # fmt: skip
    assert "train_batch_size 1 shows one example at a time" in refused(*given, "--train-batch-size", 1)
    cut = ("--train-batch-size", 4, "--gradient-accumulation-steps", 4)
    assert "train_batch_size 4 in 4 parts" in refused(*given, *cut)
    assert not (tmp_path / "out").exists()
    assert main([*map(str, given), "--train-batch-size", "2"]) == 0  # the last of three pairs is alone
    capsys.readouterr()
    (tmp_path / "pairs.csv").write_text("".join(PAIRS[task].splitlines(keepends=True)[:2]), encoding="utf-8")
    told = {"retrieval": "there is one example", "similarity": "two different grades or more"}[task]
    assert told in refused(*given, "--overwrite-output-dir")


def test_one_example_at_a_time_does_for_losses_that_do_not_compare(folder, tmp_path):
    hard = tmp_path / "hard.csv"
    hard.write_text("query,positive,negative\nthe cat,a cat,a dog\nthe road,a road,a cat\n", encoding="utf-8")
    (tmp_path / "pairs.csv").write_text(PAIRS["similarity"], encoding="utf-8")
    for task, file, more in (
        ("retrieval", hard, ()),
        ("similarity", tmp_path / "pairs.csv", ("--similarity-loss", "cosine")),
    ):
        given = ("finetune", "--task", task, "--model", folder / "enc", "--train-file", file, "--output-dir",
                 tmp_path / task, *FAST, "--train-batch-size", 1, *more)  # fmt: skip
        assert main([*map(str, given)]) == 0


def test_what_is_no_text_is_refused_with_its_place(folder, tmp_path, capsys):
    if not (folder / "clf").exists():
        assert main([*map(str, finetuning(folder, folder / "clf"))]) == 0
    model = load(folder / "clf")
    for strange in (None, 5, ("a", "b")):
        with pytest.raises(InputError, match=r"^example 2: .* came where a text or a TextExample"):
            model.predict(["a text", strange])
    held = [TextExample("the cat", label="animal"), {"text": "the road", "label": "thing"}]
    with pytest.raises(InputError, match=r"^example 2: .*dict"):
        finetune(folder / "enc", task="classification", train=[*held[:1], TextExample("a", label="b")],
                 validation=held, output_dir=tmp_path / "out")  # fmt: skip
