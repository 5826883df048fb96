"""Cells are run once, kept at once, and told as mean and spread."""

import json

import pytest


@pytest.fixture
def cells(benchmark):
    return benchmark("cells")


def counting(calls, value=0.5):
    def run(seed):
        calls.append(seed)
        return {"accuracy": value + seed / 10, "loss": 2.0 + seed}

    return run


def test_a_cell_that_is_there_is_not_run_again(cells, tmp_path):
    store, calls = tmp_path / "tasks-x.jsonl", []
    cell = cells.Cell("sst2", "minibert", counting(calls))
    cells.run_cells([cell], store, seeds=1)
    cells.run_cells([cell], store)
    assert calls == [0, 1, 2]
    assert [line["seed"] for line in cells.read_lines(store)] == [0, 1, 2]


def test_a_line_by_another_recipe_gives_way_to_the_new_one(cells, tmp_path):
    store, calls = tmp_path / "tasks-x.jsonl", []
    before = [cells.Cell(row, "minibert", counting([]), (0,), recipe={"lr": 1e-4}) for row in "ab"]
    cells.run_cells(before, store)
    after = cells.Cell("a", "minibert", counting(calls, 0.7), (0,), recipe={"lr": 2e-4})
    cells.run_cells([before[1], after], store)
    cells.run_cells([before[1], after], store)
    assert calls == [0]
    assert [(line["row"], line["recipe"]["lr"]) for line in cells.read_lines(store)] == [
        ("b", 1e-4),
        ("a", 2e-4),
    ]


def test_a_baseline_that_has_seen_other_rows_than_its_cell_says_is_run_again(cells, tmp_path):
    """Caps on rows stand in the note alone: five Chinese baselines had a third of ours' rows."""
    store, calls = tmp_path / "tasks-x.jsonl", []
    for note in ("3,000 rows", "10,000 rows", "10,000 rows"):
        cells.run_cells([cells.Cell("a", "bag", counting(calls), (0,), note)], store)
    assert calls == [0, 0]
    assert [line["note"] for line in cells.read_lines(store)] == ["10,000 rows"]


def test_scores_that_a_first_seed_lacks_are_told_all_the_same(cells):
    first = {"row": "a", "contestant": "b", "minutes": 1, "note": "", "scores": {"f1": 0.5}}
    later = {**first, "scores": {"f1": 0.7, "f1 of PER": 0.9}}
    head, row = cells.table_of([first, later])
    told = dict(zip(head, row, strict=True))
    assert (told["measure"], told["other scores"]) == ("f1", "f1 of PER 90.0")


def test_what_was_done_before_a_failure_is_kept_and_first_seeds_come_first(cells, tmp_path):
    def fails(seed):
        raise RuntimeError("cut")

    store, calls = tmp_path / "tasks-x.jsonl", []
    chosen = [cells.Cell("a", "minibert", counting(calls)), cells.Cell("b", "minibert", fails, seeds=(1,))]
    with pytest.raises(RuntimeError, match="cut"):
        cells.run_cells(chosen, store)
    assert [(line["row"], line["seed"]) for line in cells.read_lines(store)] == [("a", 0), ("a", 1)]


def test_a_line_says_what_its_numbers_depend_on(cells, tmp_path):
    store = tmp_path / "tasks-x.jsonl"
    cells.run_cells([cells.Cell("a", "minibert", counting([]), (0,), "5,000 rows", {"lr": 1e-4})], store)
    (line,) = [json.loads(text) for text in store.read_text("utf-8").splitlines()]
    assert line["note"] == "5,000 rows"
    assert line["recipe"] == {"lr": 1e-4}
    assert {"commit", "torch", "processor"} <= line["machine"].keys()


def test_the_table_tells_mean_and_sample_deviation_in_percent(cells, tmp_path):
    store = tmp_path / "tasks-x.jsonl"
    lines = cells.run_cells([cells.Cell("a", "minibert", counting([]))], store)
    head, row = cells.table_of(lines)
    assert dict(zip(head, row, strict=True))["score"] == "60.0 ± 10.0"
    assert dict(zip(head, row, strict=True))["other scores"] == "loss 3.0 ± 1.0"


def test_a_count_is_written_in_whole_numbers(cells):
    group = [{"scores": {"weights": 22_566_146.0, "accuracy": 0.852}}]
    assert cells.spelled(group, "weights") == "22,566,146"
    assert cells.spelled(group, "accuracy") == "85.2"


def test_a_contestant_that_cannot_run_here_is_left_out_and_the_others_run(benchmark, tmp_path, capsys):
    cells = benchmark("cells")

    def absent(seed):
        raise cells.NotHere("no abacus: pip install abacus")

    both = [
        cells.Cell("sst2", "theirs", absent, (0,)),
        cells.Cell("sst2", "ours", lambda seed: {"f1": 1}, (0,)),
    ]
    lines = cells.run_cells(both, tmp_path / "store.jsonl")
    assert [line["contestant"] for line in lines] == ["ours"]
    assert "left out: no abacus: pip install abacus" in capsys.readouterr().err
