"""The page of settings says what the commands say, and that is what is committed."""

import importlib.util
from pathlib import Path

import pytest

from minibert.commands.flag_help import HELP

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def page():
    """Import docs/settings.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("settings_page", ROOT / "docs" / "settings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lines(page):
    """Return the lines of the tables by their keys."""
    cells = [line.split(" | ") for line in page.build().splitlines() if line.startswith("| `--")]
    return {line[1].strip("`"): line for line in cells}


def test_the_committed_page_is_what_the_commands_give(page):
    assert page.PAGE.read_text("utf-8") == page.build(), "run: python docs/settings.py"


def test_every_setting_has_a_line_and_every_group_a_table(page, lines):
    assert lines.keys() == HELP.keys()
    assert {key.partition(".")[0] for key in HELP} == page.GROUPS.keys()


def test_a_default_that_differs_is_told_for_each(lines):
    assert lines["train.weight_decay"][2] == "`pretrain` 0.1, else 0.01"
    assert lines["task.pooling"][2] == "`retrieval`, `similarity` mean, else first"
    assert lines["train.adam_beta2"][2] == "0.98"


def test_a_flag_is_shown_with_its_other_names_and_its_values(lines):
    assert lines["train.precision"][0] == "| `--precision`, `--bf16`, `--fp32`"
    assert lines["train.precision"][3].endswith("faster in it: `auto`, `fp32`, `bf16` |")
    assert lines["data.progress"][0] == "| `--progress`, `--no-progress`"


def test_a_flag_that_some_commands_lack_says_so(lines):
    assert lines["train.train_batch_size"][3] == "texts in a step (not `pretrain`) |"
    assert lines["data.workers"][3].endswith("(`pretrain` only) |")
    assert lines["task.crf"][3:] == [
        "score the tags of a text together, with a conditional random field",
        "`tagging`, `intent_slots` |",
    ]
