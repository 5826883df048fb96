"""A clock budget becomes a number of steps, and every plan is kept."""

import time

import pytest
from small_models import language_model, masked_batches

from minibert.training.config import TrainingConfig
from minibert.training.loop import Run
from minibert.training.plan import CALIBRATION_STEPS, Clock, Plan


class FakeTime:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(time, "perf_counter", fake)
    return fake


class TimedBatches:
    """Batches that cost seconds: one for the first step, then what `seconds` says."""

    def __init__(self, batches, clock: FakeTime, seconds) -> None:
        self.batches, self.clock, self.seconds = batches, clock, seconds
        self.progress: list[float] = []

    @property
    def steps_per_epoch(self) -> int:
        return self.batches.steps_per_epoch

    def at(self, step: int, progress: float):
        self.clock.now += self.seconds(step)
        self.progress.append(progress)
        return self.batches.at(step, progress)


def budgeted(
    clock: FakeTime, seconds, *, budget: float | None, max_steps: int = 1000, plan: Plan | None = None
):
    """Return a finished run, its steps and the progress that its batches saw."""
    model = language_model(dropout=0.1)
    batches = TimedBatches(masked_batches(model), clock, seconds)
    config = TrainingConfig(precision="fp32", max_steps=max_steps, logging_steps=10)
    run = Run(model, batches, config, budget=budget, plan=plan)
    return run, list(run), batches.progress


def test_a_plan_is_in_force_from_its_step_on():
    plan = Plan(((0, 100),)).revise(5, 40).revise(20, 43)
    assert [plan.total(step) for step in (0, 4, 5, 19, 20, 500)] == [100, 100, 40, 40, 43, 43]
    assert plan.revise(20, 44).entries == ((0, 100), (5, 40), (20, 44))


def test_the_first_step_sets_no_speed(clock):
    watch = Clock(budget=60.0)
    clock.now += 20
    watch.tick(1)
    for done in range(2, 6):
        clock.now += 2
        watch.tick(done)
    assert watch.total(5) == 5 + 16  # 60 - 28 seconds are left, at 2 a step


def test_a_spent_budget_leaves_the_steps_that_are_done(clock):
    watch = Clock(budget=3.0)
    for done in range(1, 6):
        clock.now += 2
        watch.tick(done)
    assert watch.total(5) == 5


def test_steady_steps_fill_the_budget_and_do_not_exceed_it(clock):
    start = clock.now
    run, steps, _ = budgeted(clock, lambda step: 4.0 if step == 0 else 1.0, budget=40.0)
    assert len(steps) == run.done == 37  # 4 + 36 x 1
    assert clock.now - start == 40.0
    assert {step.total for step in steps[:CALIBRATION_STEPS]} == {1000}
    assert {step.total for step in steps[CALIBRATION_STEPS:]} == {37}


def test_slower_steps_later_are_planned_for_at_the_next_logged_step(clock):
    start = clock.now
    run, steps, _ = budgeted(clock, lambda step: 1.0 if step < 20 else 3.0, budget=60.0)
    assert [entry[0] for entry in run.plan.entries][:3] == [0, CALIBRATION_STEPS, 10]
    assert [total for at, total in run.plan.entries if at == 10] == [60]
    assert run.plan.total(30) < 60
    assert 60.0 - 3.0 < clock.now - start <= 60.0 + 30.0
    assert len(steps) < 40


def test_a_budget_never_adds_steps_to_those_that_were_asked_for(clock):
    run, steps, _ = budgeted(clock, lambda step: 0.25, budget=1000.0, max_steps=13)
    assert len(steps) == 13
    assert {total for _, total in run.plan.entries} == {13}


def test_the_callers_work_between_the_steps_counts(clock):
    model = language_model()
    batches = TimedBatches(masked_batches(model), clock, lambda step: 1.0)
    run = Run(model, batches, TrainingConfig(precision="fp32", max_steps=1000), budget=40.0)
    for _ in run:
        clock.now += 1.0
    assert run.done == 20


def test_a_recorded_plan_replays_the_run_whatever_the_clock_says(clock):
    run, steps, progress = budgeted(clock, lambda step: 1.0 if step < 8 else 2.0, budget=30.0)
    again, repeated, replayed = budgeted(clock, lambda step: 7.0, budget=3.0, plan=run.plan)
    assert again.plan == run.plan
    assert replayed == progress
    for mine, theirs in zip(steps, repeated, strict=True):
        assert (mine.index, mine.total, mine.loss, mine.learning_rate, mine.grad_norm) == (
            theirs.index,
            theirs.total,
            theirs.loss,
            theirs.learning_rate,
            theirs.grad_norm,
        )
    weights = zip(run.model.parameters(), again.model.parameters(), strict=True)
    assert all((a == b).all() for a, b in weights)


def test_a_clock_that_stands_still_does_not_stop_the_run(clock):
    _, steps, _ = budgeted(clock, lambda step: 0.0, budget=5.0, max_steps=11)
    assert len(steps) == 11


def interrupted(clock: FakeTime, *, budget: float | None) -> Run:
    """Return a run that was stopped after 20 of 30 steps of a second each, and is taken up a day later."""
    config = TrainingConfig(precision="fp32", max_steps=1000, logging_steps=10)
    first, second = (
        TimedBatches(masked_batches(language_model()), clock, lambda step: 1.0) for _ in range(2)
    )
    run = Run(language_model(), first, config, budget=30.0)
    for step in run:
        if step.index == 20:
            run.stop()
    state = run.state_dict()
    clock.now += 86_400
    resumed = Run(language_model(), second, config, budget=budget)
    resumed.load_state_dict(state)
    return resumed


def test_a_resumed_run_has_what_was_left_of_its_budget(clock):
    resumed, start = interrupted(clock, budget=30.0), clock.now
    assert resumed.total == 30
    assert [step.index for step in resumed] == list(range(21, 31))
    assert clock.now - start == 10.0


def test_a_resumed_run_whose_budget_grew_is_planned_anew(clock):
    resumed = interrupted(clock, budget=45.0)
    assert [step.index for step in resumed][-1] == 45
    assert resumed.plan.entries[-3:] == ((20, 45), (30, 45), (40, 45))


def test_a_resumed_run_takes_the_number_of_steps_that_it_is_now_asked_for(clock):
    assert interrupted(clock, budget=None).plan.entries[-1] == (20, 1000)
    model = language_model()
    run = Run(model, masked_batches(model), TrainingConfig(precision="fp32", max_steps=4))
    state = list(run) and run.state_dict()
    longer = Run(model, masked_batches(model), TrainingConfig(precision="fp32", max_steps=6))
    longer.load_state_dict(state)
    assert [(step.index, step.total) for step in longer] == [(5, 6), (6, 6)]


def test_seconds_that_were_used_before_the_clock_was_made_count(clock):
    watch = Clock(budget=30.0)
    watch.spend(20.0)
    for done in range(1, 4):
        clock.now += 1
        watch.tick(done)
    assert watch.total(3) == 3 + 7
