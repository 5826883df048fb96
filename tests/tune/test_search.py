"""A search finds what is better, gives bad trials up, goes on after a cut; its file gives the same score."""

import json

import pytest
import tiny_runs
from tiny_runs import last_line

from minibert.cli import main
from minibert.config import read_file
from minibert.data.readers import read_texts
from minibert.errors import InputError, MissingExtra
from minibert.finetune import finetune
from minibert.interop.opening import load
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.training.config import SEEDS
from minibert.tune import search as searching
from minibert.tune.search import tune
from minibert.tune.settings_file import as_toml
from minibert.tune.space import parse_space
from minibert.tune.trial import Outcome, Problem, try_settings

pytest.importorskip("optuna")
FAST = {
    "train.precision": "fp32",
    "data.progress": False,
    "train.num_train_epochs": 2,
    "train.train_batch_size": 8,
}
SPACE = parse_space(["train.learning_rate=1e-5..1e-2:log"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    tiny_runs.make_encoder(folder / "enc")
    tiny_runs.write_table(folder / "train.csv", rows=16)
    tiny_runs.write_table(folder / "dev.csv", rows=8)
    return folder


def search(folder, output, **changes):
    given = {"model": folder / "enc", "task": "classification", "train": folder / "train.csv",
             "validation": folder / "dev.csv", "space": SPACE, "output_dir": output, "settings": FAST,
             "trials": 2, **changes}  # fmt: skip
    return tune(**given)


@pytest.fixture
def quick(monkeypatch):
    """Let a trial be a function of its learning rate, and best at 1e-3; it has three validations."""
    asked = []

    def pretend(problem, settings, *, go_on):
        asked.append(settings)
        value = 1 / (1 + abs(1 - settings["train.learning_rate"] / 1e-3))
        for number in (1, 2, 3):
            given_up = not go_on(number, value * number / 3) and number < 3
            if given_up:
                break
        return Outcome("accuracy", value * number / 3, given_up)

    monkeypatch.setattr(searching, "try_settings", pretend)
    return asked


def test_the_search_comes_near_to_the_best_and_gives_bad_trials_up(folder, tmp_path, quick):
    found = search(folder, tmp_path / "out", trials=16)
    assert found.score > 0.8
    assert found.pruned >= 2
    assert found.trials == len(quick) == 16


def test_another_seed_proposes_otherwise(folder, tmp_path, quick):
    for seed in (0, 1):
        search(folder, tmp_path / str(seed), trials=3, settings={"train.seed": seed})
    rates = [settings["train.learning_rate"] for settings in quick]
    assert not set(rates[:3]) & set(rates[3:])


def test_a_search_goes_on_where_it_was_and_does_not_propose_the_same_again(folder, tmp_path, quick):
    first = search(folder, tmp_path / "out", trials=4)
    again = search(folder, tmp_path / "out", trials=7, resume=True)
    assert (first.trials, again.trials) == (4, 7)
    rates = [settings["train.learning_rate"] for settings in quick]
    assert len(set(rates)) == 7
    assert again.score >= first.score
    assert search(folder, tmp_path / "out", trials=7, resume=True) == again
    assert len(quick) == 7


def test_a_search_that_was_cut_in_a_trial_tries_it_again(folder, tmp_path, quick, monkeypatch):
    pretend = searching.try_settings

    def cut(problem, settings, *, go_on):
        if len(quick) == 2:
            quick.append(settings)
            raise KeyboardInterrupt
        return pretend(problem, settings, go_on=go_on)

    monkeypatch.setattr(searching, "try_settings", cut)
    with pytest.raises(KeyboardInterrupt):
        search(folder, tmp_path / "out", trials=4)
    assert (tmp_path / "out" / "best.toml").exists()
    monkeypatch.setattr(searching, "try_settings", pretend)
    assert search(folder, tmp_path / "out", trials=4, resume=True).trials == 4


def test_another_space_or_other_rows_are_no_resumption(folder, tmp_path, quick):
    search(folder, tmp_path / "out")
    other = parse_space(["train.learning_rate=1e-5..1e-3:log"])
    with pytest.raises(InputError, match="began with another space"):
        search(folder, tmp_path / "out", space=other, resume=True)
    with pytest.raises(InputError, match="began with another validation data"):
        search(folder, tmp_path / "out", validation=folder / "train.csv", resume=True)


def test_other_settings_or_another_model_are_no_resumption(folder, tmp_path, quick):
    first = search(folder, tmp_path / "out")
    best = (tmp_path / "out" / "best.toml").read_text("utf-8")
    other = {**FAST, "train.num_train_epochs": 3, "task.pooling": "mean"}
    told = (
        r"other settings: task.pooling was None and is 'mean', train.num_train_epochs was 2 and is 3; resume"
    )
    with pytest.raises(InputError, match=told):
        search(folder, tmp_path / "out", settings=other, trials=3, resume=True)
    model = load(folder / "enc")
    model.encoder.embeddings.token.weight.data += 1
    model.save(tmp_path / "other")
    with pytest.raises(InputError, match="began with another model"):
        search(folder, tmp_path / "out", model=tmp_path / "other", trials=3, resume=True)
    assert (tmp_path / "out" / "best.toml").read_text("utf-8") == best
    loud = {**FAST, "data.progress": True}
    assert search(folder, tmp_path / "out", settings=loud, resume=True).score == first.score


def test_a_recipe_is_tried_as_a_whole_and_what_is_searched_wins_over_it(folder, tmp_path, quick):
    space = parse_space(
        ["recipe=few_rows|plain", "train.ema_decay=0.5..0.6", "train.learning_rate=1e-4..1e-3"]
    )
    search(folder, tmp_path / "out", space=space, trials=6)
    careful = [settings for settings in quick if settings.get("task.label_smoothing") == 0.1]
    assert 0 < len(careful) < 6
    assert all(0.5 <= settings["train.ema_decay"] <= 0.6 for settings in quick)
    assert all(settings["train.num_train_epochs"] == 2 for settings in careful)  # given for all trials


def test_the_best_file_gives_finetune_the_score_of_the_trial(folder, tmp_path, capsys):
    words = ["tune", "--task", "classification", "--model", folder / "enc", "--train-file",
             folder / "train.csv", "--validation-file", folder / "dev.csv",
             "--search", "train.learning_rate=1e-3..1e-2:log",
             "--trials", 2, "--output-dir", tmp_path / "out", "--fp32", "--no-progress",
             "--num-train-epochs", 2, "--train-batch-size", 8]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    result = last_line(capsys.readouterr().out)
    assert result["trials"] == 2
    words = ["finetune", "--config", tmp_path / "out" / "best.toml", "--task", "classification", "--model",
             folder / "enc", "--train-file", folder / "train.csv", "--validation-file", folder / "dev.csv",
             "--output-dir", tmp_path / "clf"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    record = json.loads((tmp_path / "clf" / "run.json").read_text("utf-8"))
    assert record["best"]["value"] == pytest.approx(result["score"])
    assert record["settings"]["train"]["learning_rate"] == result["best"]["train.learning_rate"]


def test_a_trial_is_asked_after_each_epoch_and_can_be_given_up(folder):
    rows = read_texts(folder / "train.csv")
    problem = Problem(folder / "enc", Classification, rows, rows)
    seen = []
    outcome = try_settings(problem, {**FAST, "train.num_train_epochs": 4},
                           go_on=lambda number, value: seen.append(number) or number < 3)  # fmt: skip
    assert (outcome.metric, outcome.given_up, seen) == ("accuracy", True, [1, 2, 3])


@pytest.mark.parametrize(
    ("settings", "validations"),
    [
        ({"train.num_train_epochs": 1}, 1),
        ({"train.num_train_epochs": 3}, 3),
        ({"train.num_train_epochs": 9, "train.early_stopping_patience": 1, "train.learning_rate": 1e-9}, 2),
    ],
)
def test_a_trial_that_ran_to_its_end_is_whole_whatever_the_last_answer_was(folder, settings, validations):
    rows = read_texts(folder / "train.csv")
    problem, seen = Problem(folder / "enc", Classification, rows, rows), []

    def go_on(number, value):
        seen.append(number)
        return number < validations

    outcome = try_settings(problem, {**FAST, **settings}, go_on=go_on)
    assert (outcome.given_up, seen) == (False, [*range(1, validations + 1)])


def test_no_trial_of_one_validation_is_said_to_be_given_up(folder, tmp_path, capsys, monkeypatch):
    def whole(problem, settings, *, go_on):
        value = -abs(settings["train.learning_rate"] - 1e-3)
        go_on(1, value)
        return Outcome("accuracy", value)

    monkeypatch.setattr(searching, "try_settings", whole)
    found = search(folder, tmp_path / "out", trials=8)
    assert (found.trials, found.pruned) == (8, 0)
    assert "given up after" not in capsys.readouterr().err


def test_a_trial_keeps_the_features_of_a_frozen_encoder_as_finetune_does(folder, tmp_path, monkeypatch):
    rows = read_texts(folder / "train.csv")
    read = []
    original = Encoder.forward
    monkeypatch.setattr(Encoder, "forward", lambda self, batch: read.append(batch) or original(self, batch))
    frozen = {**FAST, "train.freeze": "encoder", "adapt.cache_features": True, "train.learning_rate": 1e-2}
    problem = Problem(folder / "enc", Classification, rows, rows)
    outcome = try_settings(problem, frozen, go_on=lambda number, value: True)
    assert sum(len(batch.layout.lengths) for batch in read) == 2 * len(rows)  # both parts, once
    finetune(folder / "enc", task="classification", train=rows, validation=rows, settings=frozen,
             output_dir=tmp_path / "clf")  # fmt: skip
    record = json.loads((tmp_path / "clf" / "run.json").read_text("utf-8"))
    assert (record["best"]["metric"], record["best"]["value"]) == (outcome.metric, outcome.value)


def test_a_table_in_the_settings_is_read_again_as_it_was(tmp_path):
    settings = {"task.verbalizer": {"pos": "great", "no one": ["bad", 'a "dull" one']}, "train.seed": 3}
    path = tmp_path / "best.toml"
    path.write_text(as_toml(settings), "utf-8")
    assert read_file(path) == {"task": {"verbalizer": settings["task.verbalizer"]}, "train": {"seed": 3}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": 0}, "trials 0 must be at least 1"),
        ({"task": "clasification"}, "task 'clasification' is unknown"),
        ({"settings": {"train.sed": 1}}, "did you mean 'seed'"),
        ({"settings": {"task.poling": "mean"}}, "did you mean 'pooling'"),
        ({"space": parse_space(["train.sed=1|2"])}, "did you mean 'seed'"),
        (
            {"space": parse_space(["data.reinit_layers=0..5"])},
            "--search data.reinit_layers 5: .*reinit_layers 5",
        ),
        ({"space": parse_space(["train.freeze=encoder|0|7"])}, "--search train.freeze 7: .*freeze 7 must be"),
        ({"space": parse_space(["model.num_hidden_layers=1..3"])}, "--search model.num_hidden_layers 3: "),
        ({"space": parse_space(["task.max_length=2..30"])}, "--search task.max_length 2: .*no room"),
        ({"space": parse_space(["task.max_length=30|300"])}, "--search task.max_length 300: .*64 tokens"),
        (
            {"space": parse_space(["adapt.adapter=none|lora"]), "settings": {"train.freeze": "encoder"}},
            "--search adapt.adapter lora: .*freeze 'encoder' beside adapter 'lora'",
        ),
        (
            {"settings": {"train.metric_for_best_model": "nonsense"}},
            "^metric_for_best_model 'nonsense' is not",
        ),
    ],
)
def test_unusable_input_leaves_nothing_behind(folder, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        search(folder, tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_a_batch_of_one_is_refused_where_the_loss_compares(folder, tmp_path):
    (tmp_path / "pairs.csv").write_text("text,pair,label\nthe cat,a cat,5\nthe road,a dog,1\n", "utf-8")
    given = {"task": "similarity", "train": tmp_path / "pairs.csv", "validation": tmp_path / "pairs.csv"}
    space = parse_space(["train.train_batch_size=1|2"])
    with pytest.raises(
        InputError, match=r"--search train.train_batch_size 1: .* shows one example at a time"
    ):
        search(folder, tmp_path / "out", space=space, **given)


def test_values_that_do_not_go_together_are_named_and_the_search_goes_on(folder, tmp_path, capsys):
    space = parse_space(["train.freeze=0|encoder", "train.gradual_unfreezing=0|1"])
    settings = {**FAST, "train.num_train_epochs": 1}
    found = search(folder, tmp_path / "out", space=space, settings=settings, trials=8)
    told = capsys.readouterr().err
    assert "cannot be: gradual_unfreezing 1 has no layer to thaw" in told
    assert "(train.freeze encoder, train.gradual_unfreezing 1)" in told
    assert found.trials == 8
    assert found.values != {"train.freeze": "encoder", "train.gradual_unfreezing": 1}
    resumed = search(folder, tmp_path / "out", space=space, settings=settings, trials=9, resume=True)
    assert resumed.trials == 9


def test_where_no_trial_can_be_the_reason_is_told(folder, tmp_path, monkeypatch):
    def impossible(problem, settings, *, go_on):
        raise InputError("these two do not go together")

    monkeypatch.setattr(searching, "try_settings", impossible)
    with pytest.raises(InputError, match=r"none of 2 trials .*; 2 cannot be \(these two do not"):
        search(folder, tmp_path / "out")


def test_adapters_are_tried_each_with_its_own_options(folder, tmp_path):
    space = parse_space(
        ["adapt.adapter=lora|bottleneck|none", "adapt.lora_rank=2|4", "adapt.bottleneck_size=4..8"]
    )
    found = search(folder, tmp_path / "out", space=space, trials=6)
    assert found.trials == 6
    adapter = found.values["adapt.adapter"]
    own = {"lora": {"adapt.lora_rank"}, "bottleneck": {"adapt.bottleneck_size"}, "none": set()}[adapter]
    assert {key for key in found.settings if key.startswith("adapt.")} == own | {"adapt.adapter"}
    space = parse_space(["adapt.adapter=none|bitfit", "adapt.lora_rank=2|4"])
    with pytest.raises(InputError, match="lora_rank 2 means nothing beside adapter none"):
        search(folder, tmp_path / "none", space=space)


@pytest.mark.parametrize("damage", ["other", "cut", "overwritten"])
def test_a_damaged_file_of_trials_is_refused_and_stays_as_it_is(folder, tmp_path, quick, damage):
    search(folder, tmp_path / "out")
    path = tmp_path / "out" / "trials.db"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "other": b"no trials\n" * 99,
            "cut": whole[: len(whole) // 2],
            "overwritten": whole[:8000] + b"\xff" * 9000 + whole[17000:],
        }[damage]
    )
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"trials.db: damaged.*another folder, or --overwrite-output-dir"):
        search(folder, tmp_path / "out", resume=True)
    assert path.read_bytes() == before


def test_the_largest_seed_searches(folder, tmp_path, quick):
    assert search(folder, tmp_path / "out", settings={"train.seed": SEEDS - 1}, trials=3).trials == 3
    assert (
        search(folder, tmp_path / "out", settings={"train.seed": SEEDS - 1}, trials=4, resume=True).trials
        == 4
    )


def test_without_optuna_the_extra_is_named(folder, tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(searching, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"minibert-encoder\[tune\]"):
        search(folder, tmp_path / "out")
