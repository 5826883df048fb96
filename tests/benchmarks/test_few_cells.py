"""What the few-label cells promise: every draw, every way, words for all labels, one continued head."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import word_models

from minibert.few_labels.draws import check_counts
from minibert.tasks.templates import Template, read_verbalizer


@pytest.fixture
def few(benchmark):
    return benchmark("cells_few")


@pytest.fixture
def places(benchmark, tmp_path):
    folder = word_models.make_folder(tmp_path / "enc", steps=200)
    return benchmark("cells").Places(tmp_path, folder, None, tmp_path)


def test_chinese_rows_are_left_out_without_their_encoder(few, places):
    rows = Counter(cell.row for cell in few.cells(places))
    assert not [row for row in rows if row.startswith("fewclue")]
    assert (rows["sst2, 8 per class"], rows["sst2, 200 labels"]) == (4, 3)  # setfit in English alone
    assert rows["ag_news_small, no text"] == 4
    with_chinese = replace(places, chinese=places.english)
    assert [cell.row for cell in few.cells(with_chinese)].count("fewclue tnews, 32 per class") == 3
    keys = [(cell.row, cell.contestant) for cell in few.cells(with_chinese)]
    assert len(keys) == len(set(keys))


def test_every_label_of_the_real_data_has_a_word_and_enough_texts(few, shared_data):
    for problem in few.PROBLEMS:
        train, test = problem.read(shared_data)
        Template.of(problem.template)
        labels = sorted({row.label for row in [*train, *test]})
        assert read_verbalizer(problem.verbalizer, labels).keys() == set(labels), problem.name
        assert read_verbalizer(problem.described, labels).keys() == set(labels), problem.name
        check_counts(train, 32)
        assert len(test) <= few.TESTED


def test_a_cell_trains_on_its_draw_and_the_continued_model_is_made_once(
    few, places, benchmark, monkeypatch, tmp_path
):
    rows = [
        (f"the {noun} {verb} it", kind)
        for noun, kind in word_models.KINDS.items()
        for verb in ("sees", "holds")
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": kind}) + "\n" for text, kind in rows * 30))
    words = "animal=animal,thing=thing"
    problem = few.Problem("words", few.files(path.name, path.name), "{text}. it is [MASK].", words, words, 60)
    monkeypatch.setattr(few, "PROBLEMS", (problem,))
    going_on = benchmark("going_on")
    small = {**going_on.SETTINGS, "train.learning_rate": 1e-30, "data.tokens_per_batch": 64}
    monkeypatch.setattr(going_on, "SETTINGS", small)
    monkeypatch.setattr(few, "GOING_ON", going_on.GoingOn(tmp_path / "runs" / "en", "1s", 60))
    monkeypatch.setattr(few, "STEPS", {**few.STEPS, "train.max_steps": 2, "train.freeze": 0})
    monkeypatch.setattr(few, "TWO_HUNDRED", {**few.TWO_HUNDRED, "train.max_steps": 2, "train.freeze": 0})
    found = {(cell.row, cell.contestant): cell for cell in few.cells(places)}
    assert found["words, 8 per class", "cloze"].run(0)["accuracy"] == 1.0
    made = (tmp_path / "runs" / "en" / "run.json").stat().st_mtime_ns
    few.continued.cache_clear()
    assert found["words, no text", "zero-shot by gap"].run(0)["accuracy"] == 1.0
    assert Path(tmp_path / "runs" / "en" / "run.json").stat().st_mtime_ns == made
    assert set(found["words, 8 per class", "contrastive"].run(1)) == {"accuracy", "macro_f1"}
    rows = few.draw_few(problem.read(tmp_path)[0], 100, 0)
    copies = few.copies(problem, rows, few.continued(places), 0)
    assert Counter(row.label for row in copies) == {"animal": 200, "thing": 200}
    assert "accuracy" in found["sst2, 200 labels", "augmented"].run(0)
