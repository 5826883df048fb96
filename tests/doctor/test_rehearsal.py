"""What a rehearsal finds of a model that can learn, and of one that cannot."""

import math
import sys

import numpy as np
import planted_faults as planted
import pytest
import small_models
import tiny_runs
import torch
from safetensors.torch import load_file, save_file

from minibert.checkup import check_finetuning, check_pretraining
from minibert.checkup.rehearsing import corpus_of
from minibert.doctor.numbers import Course
from minibert.doctor.rehearsal import (
    Speed,
    by_heart_findings,
    first_loss,
    first_loss_findings,
    learn_by_heart,
    shown,
    speed_findings,
    timed,
)
from minibert.text.loading import load_tokenizer
from minibert.training.config import TrainingConfig

rehearsal = sys.modules["minibert.doctor.rehearsal"]  # `minibert.doctor` is the function
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_runs.make_encoder(tmp_path_factory.mktemp("rehearsed") / "enc")


def micro_of(model, count=8):
    windows = [window for row in small_models.texts(count) for window in model.task.encode(row)]
    return model.task.collate(windows, 0, 0, 0.0)


def course(**settings):
    return Course(TrainingConfig(**{"precision": "fp32", **settings}), 100, 10, 3e-4)


def names(checkup):
    return {finding.name for finding in checkup.findings}


def test_a_new_head_begins_by_guessing():
    model = small_models.classifier()
    assert first_loss(model, micro_of(model)) == pytest.approx(math.log(2), abs=0.05)
    assert list(first_loss_findings(math.log(2), 2, "classes")) == []


def test_a_new_language_model_begins_by_guessing_among_all_pieces():
    model = small_models.language_model()
    loss = first_loss(model, small_models.masked_batches(model).at(0, 0.0)[0])
    assert list(first_loss_findings(loss, small_models.VOCABULARY, "pieces")) == []


@pytest.mark.parametrize(("loss", "severity"), [(9.0, "warning"), (math.nan, "error"), (math.inf, "error")])
def test_a_first_loss_far_above_guessing_is_found(loss, severity):
    found = list(first_loss_findings(loss, 3, "classes"))
    assert [finding.severity for finding in found] == [severity]
    assert "1.099" in found[0].seen  # ln 3


def test_a_sound_model_learns_a_batch_by_heart():
    model = small_models.classifier()
    loss, steps, late = learn_by_heart(model, micro_of(model))
    assert loss < 0.05 and 0 < steps < 200 and not late


def test_a_model_whose_texts_all_look_alike_does_not(monkeypatch):
    monkeypatch.setattr(rehearsal, "MOST_STEPS", 30)
    model = small_models.classifier()
    with torch.no_grad():
        for weight in model.encoder.parameters():
            weight.zero_()
    loss, steps, late = learn_by_heart(model, micro_of(model))
    assert loss == pytest.approx(math.log(2), abs=0.01) and steps == 30 and not late
    assert [finding.severity for finding in by_heart_findings(loss, steps, late)] == ["error"]
    assert [finding.severity for finding in by_heart_findings(loss, steps, True)] == ["note"]


def test_a_few_steps_are_timed_and_no_more():
    model = small_models.language_model()
    batches = small_models.masked_batches(model)
    asked = []

    class Counted:
        steps_per_epoch = batches.steps_per_epoch

        def at(self, step, progress):
            asked.append(step)
            return batches.at(step, progress)

    speed = timed(model, Counted(), course(max_steps=100))
    assert speed.seconds_per_step > 0 and speed.dtype == torch.float32
    assert len(asked) <= rehearsal.TIMED


def test_a_run_of_days_is_told_unless_a_clock_ends_it(monkeypatch):
    monkeypatch.setattr(rehearsal, "choose_dtype", lambda precision, device: torch.float32)
    speed, long = Speed(2.5, torch.float32, CPU), course(max_steps=100_000)
    found = list(speed_findings(speed, long))
    assert [finding.name for finding in found] == ["time"]
    assert "69.4 h" in found[0].seen  # 250,000 s
    assert list(speed_findings(speed, Course(long.config, 100, 10, 3e-4, budgeted=True))) == []
    assert list(speed_findings(speed, course(max_steps=10))) == []


def test_the_slower_of_two_precisions_is_told_where_it_was_asked_for(monkeypatch):
    monkeypatch.setattr(rehearsal, "choose_dtype", lambda precision, device: torch.bfloat16)
    speed = Speed(0.1, torch.float32, CPU)
    assert [finding.name for finding in speed_findings(speed, course())] == ["precision"]
    assert list(speed_findings(speed, course(precision="auto"))) == []


def test_durations_are_read_with_ease():
    assert [shown(seconds) for seconds in (119, 121, 7199, 7201)] == ["119 s", "2 min", "120 min", "2.0 h"]


def look(encoder, case):
    settings = {**case.settings, "train.precision": "auto"}
    return check_finetuning(encoder, task="classification", train=case.train, settings=settings)


def test_a_clean_run_passes_its_rehearsal_and_leaves_random_states_alone(encoder):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    checkup = look(encoder, planted.clean())
    assert checkup.findings == ()
    assert checkup.facts["first_loss"] == pytest.approx(math.log(2), abs=0.05)
    assert checkup.facts["seconds_per_step"] > 0
    assert torch.equal(before, torch.get_rng_state())


def test_an_encoder_of_nothing_but_zeros_cannot_learn_by_heart(tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "MOST_STEPS", 30)
    folder = tiny_runs.make_encoder(tmp_path / "zeros")
    tensors = {
        name: torch.zeros_like(weight) for name, weight in load_file(folder / "model.safetensors").items()
    }
    save_file(tensors, folder / "model.safetensors")
    (folder / "manifest.json").unlink()
    assert "cannot-overfit" in names(look(folder, planted.clean()))


def test_a_model_that_is_no_better_than_frequencies_is_told_so(encoder, tmp_path):
    corpus = tiny_runs.write_corpus(tmp_path / "corpus.txt", documents=300)
    settings = {"data.tokens_per_batch": 512, "data.max_seq_length": 32, "train.max_steps": 30}
    checkup = check_pretraining([corpus], model=encoder, settings=settings)
    assert names(checkup) == {"unigram-bar"}
    assert checkup.facts["first_loss"] == pytest.approx(math.log(tiny_runs.VOCABULARY), rel=0.05)
    fresh = check_pretraining([corpus], size="tiny", tokenizer=encoder, settings=settings)
    assert names(fresh) == set()
    assert fresh.facts["unigram_entropy"] == checkup.facts["unigram_entropy"]


def test_the_bar_is_the_entropy_of_the_tokens(encoder):
    tokenizer = load_tokenizer(encoder)
    texts = [tiny_runs.sentence(number) for number in range(40)]
    ids = np.concatenate([tokenizer.encode(text).ids for text in texts])
    shares = np.unique(ids, return_counts=True)[1] / len(ids)
    expected = -(shares * np.log(shares)).sum()
    assert corpus_of(texts, tokenizer).unigram_entropy() == pytest.approx(expected)
