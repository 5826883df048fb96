"""What may be tried: as it is typed, as a file, and what is wrong with it."""

import pytest

from minibert.config import read_file
from minibert.errors import InputError
from minibert.tasks.classification import Classification
from minibert.tasks.tagging import Tagging
from minibert.tune.settings_file import as_toml
from minibert.tune.space import Choice, Range, check_ends, check_space, joined, parse_space


def test_ranges_choices_and_recipes_are_read_as_typed():
    typed = ["train.learning-rate=1e-5..5e-4:log", "train.num_train_epochs=2..6", "train.r_drop_alpha=0..1.5",
             "task.pooling=first|mean", "train.train_batch_size=16|32", "recipe=plain|few_rows"]  # fmt: skip
    space = parse_space(typed)
    assert space["train.learning_rate"] == Range(1e-5, 5e-4, log=True)
    assert space["train.num_train_epochs"] == Range(2, 6)
    assert isinstance(space["train.num_train_epochs"].low, int)
    assert space["train.r_drop_alpha"] == Range(0, 1.5)
    assert space["train.train_batch_size"] == Choice((16, 32))
    assert space["recipe"] == Choice(("plain", "few_rows"))
    check_space(space, Classification)


def test_a_file_says_the_same_and_what_is_typed_wins(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        'recipe = ["plain", "few_rows"]\n'
        '[train]\nlearning_rate = "1e-5..5e-4:log"\ntrain_batch_size = [8, 16]\n'
    )
    space = parse_space(["train.learning_rate=1e-4..2e-4"], path)
    assert space == {
        "recipe": Choice(("plain", "few_rows")),
        "train.learning_rate": Range(1e-4, 2e-4),
        "train.train_batch_size": Choice((8, 16)),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train.learning_rate", "'train.learning_rate': expected KEY=LOW..HIGH"),
        ("train.learning_rate=", "expected KEY=LOW..HIGH"),
        ("train.learning_rate=high..low", "train.learning_rate=high..low: expected"),
        ("train.learning_rate=1e-3..1e-4", "0.001 is not below 0.0001; turn them round"),
        ("train.r_drop_alpha=0..1:log", "begins above 0; raise 0, or drop :log"),
        ("train.learning_rate=1e-4..Infinity", "the ends of a range must be finite numbers"),
        ("train.learning_rate=-Infinity..1", "the ends of a range must be finite numbers"),
        ("train.learning_rate=0..NaN", "the ends of a range must be finite numbers"),
        (f"train.max_steps=1..1{'0' * 400}", "the ends of a range must be finite numbers"),
        ("train.learning_rate=1e-5..1e-3:sqrt", "1e-5..1e-3:sqrt: expected"),
        ("task.pooling=mean", "is no choice; give at least two values"),
        ("task.pooling=mean|mean", "each once"),
    ],
)
def test_what_is_not_of_the_form_is_explained(text, message):
    with pytest.raises(InputError, match=message.replace("|", r"\|")):
        parse_space([text])


def test_an_empty_space_says_how_to_fill_it(tmp_path):
    with pytest.raises(InputError, match="nothing to search: give --search KEY="):
        parse_space([])
    (tmp_path / "space.toml").write_text("[train]\nseed = 3\n")
    with pytest.raises(InputError, match=r"train.seed is 3; expected \"LOW..HIGH\" or a list"):
        parse_space([], tmp_path / "space.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train.learning_rat=1e-5..1e-3", "did you mean 'learning_rate'"),
        ("learning_rate=1e-5..1e-3", "unknown setting 'learning_rate'"),
        ("train.warmup_ratio=0.5..1.5", "warmup_ratio 1.5 must be between 0 and 1"),
        ("train.optim=adamw|adam", "optim is 'adam'"),
        ("train.train_batch_size=8..16.5", "train_batch_size is 16.5"),
        ("task.poling=first|mean", "unknown key 'poling'; known keys: .*pooling"),
        ("task.pooling=first|last", "pooling is 'last'"),
        ("model.dropout=0..0.5", "unknown key 'dropout'; known keys: .*hidden_dropout_prob"),
        ("recipe=plain|fancy", "recipe 'fancy' is unknown"),
        ("task.label_smoothing=0..1.5", "--search task.label_smoothing 1.5: label_smoothing 1.5 must be"),
        ("train.learning_rate=1|NaN", "--search train.learning_rate nan: .*expected a finite number"),
    ],
)
def test_a_key_or_value_that_no_run_could_have_is_found_before_any_trial(text, message):
    with pytest.raises(InputError, match=message):
        check_space(parse_space([text]), Classification)


def test_options_are_those_of_the_task():
    space = parse_space(["task.crf=true|false"])
    check_space(space, Tagging)
    with pytest.raises(InputError, match="unknown key 'crf'"):
        check_space(space, Classification)


def test_settings_come_back_from_the_file_that_holds_them(tmp_path):
    settings = {"train.learning_rate": 3e-05, "task.pooling": 'me"an\\', "train.seed": 7,
                "train.skip_bad_batches": True, "data.report_to": "none"}  # fmt: skip
    path = tmp_path / "best.toml"
    path.write_text(as_toml(settings, about="one\ntwo"), "utf-8")
    tables = read_file(path)
    assert {f"{g}.{k}": v for g, table in tables.items() for k, v in table.items()} == settings


SPACE = parse_space(["train.freeze=encoder|0|7", "train.learning_rate=1e-5..1e-3", "recipe=plain|few_rows"])


def refusing(*bad, tried):
    def ready(values):
        tried.append(values)
        for key, value in bad:
            if values.get(key) == value:
                raise InputError(f"{key} cannot be")

    return ready


def test_every_end_and_choice_is_tried_beside_the_first_of_the_others():
    tried = []
    check_ends(SPACE, refusing(tried=tried))
    first = {"train.freeze": "encoder", "train.learning_rate": 1e-5, "recipe": "plain"}
    changes = ({}, {"train.freeze": 0}, {"train.freeze": 7}, {"train.learning_rate": 1e-3},
               {"recipe": "few_rows"})  # fmt: skip
    assert tried == [{**first, **change} for change in changes]


def test_a_value_that_no_trial_can_have_is_named_with_its_key():
    with pytest.raises(InputError, match=r"^--search train.freeze 7: .*train.freeze cannot be"):
        check_ends(SPACE, refusing(("train.freeze", 7), tried=[]))
    with pytest.raises(
        InputError, match=r"^--search train.freeze encoder, train.learning_rate 1e-05, recipe"
    ):
        check_ends(SPACE, refusing(("train.freeze", "encoder"), tried=[]))


def test_what_is_wrong_with_all_trials_is_no_fault_of_the_space():
    def ready(values):
        raise InputError("the data cannot be read")

    with pytest.raises(InputError, match=r"^the data cannot be read"):
        check_ends(SPACE, ready)


def test_a_value_is_tried_beside_what_is_the_same_in_all_trials():
    space = parse_space(["adapt.cache_features=true|false"])
    with pytest.raises(InputError, match=r"--search adapt.cache_features True: .*freeze 0"):
        check_space(space, Classification)
    check_space(space, Classification, same={"train.freeze": "encoder"})


def test_what_is_tried_wins_over_what_is_the_same_and_that_over_a_recipe():
    same = {"train.ema_decay": 0.5, "train.seed": 1}
    settings = joined({"recipe": "few_rows", "train.seed": 2}, same, Classification)
    assert (settings["train.ema_decay"], settings["train.seed"]) == (0.5, 2)
    assert settings["task.pooling"] == "mean"
