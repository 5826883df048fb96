"""Part after part: what is forgotten without a method, what is kept with one, and what is left behind."""

import json

import pytest
import tiny_runs
import torch
from tiny_runs import last_line

from minibert.cli import main
from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.finetune import finetune
from minibert.further.learn_on import learn_on
from minibert.interop.opening import load
from minibert.tasks.masking import Masking
from minibert.tasks.model import Model
from minibert.tasks.replaced_tokens import ReplacedTokens
from minibert.training.loop import Run

LEARNT = {
    "train.precision": "fp32",
    "data.progress": False,
    "train.max_steps": 60,
    "train.learning_rate": 1e-2,
}
QUICK = {**LEARNT, "train.max_steps": 2, "learn.fisher_samples": 4}


def rows(pairs):
    return [
        TextExample(f"{article} {noun} {verb}", label=label)
        for article in ("the", "a")
        for noun, label in pairs
        for verb in tiny_runs.VERBS
    ]


FIRST, SECOND = rows([("cat", "animal"), ("stone", "thing")]), rows([("river", "water"), ("tree", "plant")])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("learn") / "enc")


@pytest.fixture(scope="module")
def learnt(encoder, tmp_path_factory):
    """A finished run of two parts; to be refused, not changed."""
    output = tmp_path_factory.mktemp("learnt") / "out"
    learn_on(encoder, train=[FIRST, SECOND], validation=[FIRST, SECOND], output_dir=output, settings=QUICK)
    return output


def learn(encoder, output, *parts, steps=60, **settings):
    named = {f"learn.{name}": value for name, value in settings.items()}
    return learn_on(
        encoder,
        train=parts,
        validation=parts,
        output_dir=output,
        settings={**LEARNT, **named, "train.max_steps": steps},
    )


def test_replay_cuts_the_forgetting_of_classes_by_half(encoder, tmp_path):
    _, plain = learn(encoder, tmp_path / "plain", FIRST, SECOND, method="plain")
    model, replay = learn(
        encoder, tmp_path / "replay", FIRST, SECOND, method="replay", buffer_size=24, steps=150
    )
    assert plain.forgetting > 0.8
    assert replay.forgetting < 0.5 * plain.forgetting
    assert replay.average > plain.average
    assert model.task.labels == ("animal", "thing", "plant", "water")


@pytest.mark.parametrize("method", ["plain", "replay", "ewc", "distill", "adapters"])
def test_every_method_leaves_a_model_a_report_and_a_run_for_each_part(method, encoder, tmp_path):
    settings = {**QUICK, "learn.method": method}
    given = {"train": [FIRST, SECOND], "validation": [FIRST, SECOND], "output_dir": tmp_path / "out"}
    model, found = learn_on(encoder, **given, settings=settings)
    told = json.loads((tmp_path / "out" / "learn.json").read_text("utf-8"))
    assert told["matrix"] == [list(row) for row in found.matrix]
    assert told["settings"]["method"] == method
    labels = load(tmp_path / "out").task.labels
    if method == "adapters":
        assert {*labels} == {"animal", "thing", "plant", "water"}
        assert load(tmp_path / "out" / "part-2").task.labels == ("plant", "water")
    else:
        assert labels == load(tmp_path / "out" / "part-2").task.labels
    assert len(load(tmp_path / "out" / "part-1").task.labels) == 2
    again, same = learn_on(encoder, **given, settings=settings, resume=True)
    assert same == found
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        ("plain", [1, 1, 4 / 6, 4 / 2]),
        ("replay", [1 / (4 * 3 / 8), 1 / (4 / 8), 1 / (4 * 3 / 8), 1 / (4 / 8)]),
    ],
)
def test_classes_are_weighed_for_the_rows_that_every_part_is_shown(
    method, wanted, encoder, tmp_path, monkeypatch
):
    runs = []
    monkeypatch.setattr("minibert.further.learn_on.Run", lambda *given: runs.append(Run(*given)) or runs[-1])
    parts = [rows([("cat", "animal"), ("dog", "animal"), ("bird", "animal"), ("stone", "thing")]),
             [*rows([("river", "water")])[:1], *rows([("tree", "plant")])[:3]]]  # fmt: skip
    settings = {**QUICK, "learn.method": method, "task.class_weights": "balanced"}
    learn_on(encoder, train=parts, validation=parts, output_dir=tmp_path / "out", settings=settings)
    first, second = (run.model.task for run in runs)
    assert first.weights_C.tolist() == pytest.approx([4 / 6, 4 / 2])
    assert second.labels == ("animal", "thing", "plant", "water")
    assert second.weights_C.tolist() == pytest.approx(wanted)


def test_a_model_that_learns_on_may_be_asked_twice(encoder, tmp_path):
    settings = {**QUICK, "learn.method": "distill", "train.r_drop_alpha": 1.0}
    given = {"train": [FIRST, SECOND], "validation": [FIRST, SECOND], "output_dir": tmp_path / "out"}
    assert len(learn_on(encoder, **given, settings=settings)[1].matrix) == 3


@pytest.mark.parametrize(
    ("method", "precision"),
    [
        ("replay", "fp32"),
        ("ewc", "fp32"),
        ("distill", "fp32"),
        ("ewc", "bf16"),
        ("adapters", "fp32"),
        ("adapters", "bf16"),
    ],
)
def test_a_run_that_was_stopped_after_a_part_goes_on_as_if_it_had_not_been(
    method, precision, encoder, tmp_path
):
    settings = {**QUICK, "learn.method": method, "train.precision": precision}
    given = {"train": [FIRST, SECOND], "validation": [FIRST, SECOND], "settings": settings}
    whole, _ = learn_on(encoder, **given, output_dir=tmp_path / "whole")
    learn_on(encoder, train=[FIRST], validation=[FIRST], output_dir=tmp_path / "cut", settings=settings)
    again, _ = learn_on(encoder, **given, output_dir=tmp_path / "cut", resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": [FIRST[1:], SECOND]}, "part-1: train is not what the run began with"),
        ({"train": [FIRST, SECOND[1:]]}, "part-2: train is not what the run began with"),
        ({"settings": {**QUICK, "learn.method": "plain"}}, "learn.method was 'replay' and is 'plain'"),
        ({"settings": {**QUICK, "train.max_steps": 3}}, "train.max_steps was 2 and is 3"),
        ({"model": "other"}, "part-1: model is not what the run began with"),
    ],
)
def test_a_part_that_was_learnt_otherwise_is_not_opened(learnt, encoder, tmp_path, change, message):
    given = {"model": encoder, "train": [FIRST, SECOND], "settings": QUICK, **change}
    if given["model"] == "other":
        moved = load(encoder)
        moved.encoder.embeddings.token.weight.data += 1
        moved.save(tmp_path / "other")
        given["model"] = tmp_path / "other"
    with pytest.raises(InputError, match=message):
        learn_on(**given, validation=[FIRST, SECOND], output_dir=learnt, resume=True)


def test_a_classifier_goes_on_with_the_classes_that_it_knows(encoder, tmp_path):
    settings = {key: value for key, value in LEARNT.items() if not key.startswith("learn")}
    finetune(encoder, task="classification", train=FIRST, output_dir=tmp_path / "clf", settings=settings)
    _, found = learn(tmp_path / "clf", tmp_path / "out", SECOND, method="distill")
    assert found.matrix[0] == (0.0,)
    assert load(tmp_path / "out").task.labels == ("animal", "thing", "plant", "water")
    with pytest.raises(InputError, match=r"task.pooling: .* is a classifier already"):
        learn_on(tmp_path / "clf", train=[SECOND], validation=[SECOND], output_dir=tmp_path / "no",
                 settings={"task.pooling": "mean"})  # fmt: skip


def test_an_encoder_that_learnt_to_find_replaced_tokens_knows_no_classes_yet(encoder, tmp_path):
    known = load(encoder)
    task = ReplacedTokens(known.task.tokenizer, known.encoder.config, masking=Masking())
    Model(known.encoder, task).save(tmp_path / "enc")
    given = {"train": [FIRST], "validation": [FIRST], "settings": QUICK}
    model, _ = learn_on(tmp_path / "enc", **given, output_dir=tmp_path / "out")
    assert model.task.labels == ("animal", "thing")


def test_files_become_parts_with_their_names_on_the_command_line(encoder, tmp_path, capsys):
    for name, part in (("pets", FIRST), ("rivers", SECOND)):
        text = "text,label\n" + "".join(f"{row.text},{row.label}\n" for row in part)
        (tmp_path / f"{name}.csv").write_text(text, "utf-8")
    files = [tmp_path / "pets.csv", tmp_path / "rivers.csv"]
    status = main([str(word) for word in (
        "learn", "--model", encoder, "--method", "ewc", "--train-file", *files, "--validation-file", *files,
        "--fisher-samples", 4, "--output-dir", tmp_path / "out", "--max-steps", 2, "--fp32", "--no-progress",
    )])  # fmt: skip
    printed = capsys.readouterr().out
    assert status == 0
    assert printed.splitlines()[0].split()[-2:] == ["pets", "rivers"]
    assert last_line(printed)["parts"] == ["pets", "rivers"]
    assert len(last_line(printed)["matrix"]) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"validation": [FIRST]}, "2 parts to learn and 1 to be asked"),
        ({"train": [], "validation": []}, "0 parts to learn"),
        ({"train": [FIRST, ["a text"]]}, "training example 1 does not say what is right"),
        ({"validation": [FIRST, [TextExample("a text")]]}, "validation example 1 does not say what is right"),
        ({"settings": {"learn.methodd": "ewc"}}, "did you mean 'method'"),
        ({"settings": {"learn.method": "magic"}}, "'magic', expected 'plain' or 'replay'"),
    ],
)
def test_unusable_input_leaves_nothing_behind(encoder, tmp_path, change, message):
    given = {"train": [FIRST, SECOND], "validation": [FIRST, SECOND], "settings": QUICK, **change}
    with pytest.raises(InputError, match=message):
        learn_on(encoder, output_dir=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()
