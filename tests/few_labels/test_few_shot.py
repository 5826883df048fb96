"""Draws that can be trusted, a head that is the optimum, contrast between labels, and the comparison."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
import word_models
from hypothesis import given
from hypothesis import strategies as st

import minibert as mb
from minibert.cli import main
from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.few_labels.compare import Trial, best_method, few_shot, few_shot_model, summary_of, table_of
from minibert.few_labels.contrast import PairsByLabel, contrastive_classifier, together_and_apart
from minibert.few_labels.draws import draw_few
from minibert.few_labels.linear_head import fit_logistic
from minibert.packed import Packed
from minibert.tasks.classification import Classification
from minibert.tasks.contrastive import SearchTargets
from minibert.tasks.model import Model, load
from minibert.tasks.retrieval import Retrieval
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run

VERBS = ("sees", "holds", "finds", "keeps")
ROWS = [
    TextExample(f"the {noun} {verb} it", label=kind)
    for noun, kind in word_models.KINDS.items()
    for verb in VERBS
]
GAP = {"task.template": "{text}. it is [MASK].", "task.verbalizer": ""}
QUICK = {"train.max_steps": 12, "train.precision": "fp32", "train.learning_rate": 2e-3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return word_models.make_folder(tmp_path_factory.mktemp("few") / "enc")


@given(st.lists(st.sampled_from("abc"), min_size=3, max_size=40), st.integers(0, 5), st.integers(1, 4))
def test_a_draw_has_as_many_of_each_class_and_holds_the_smaller_draw(labels, seed, count):
    rows = [TextExample(f"text {n}", label=label) for n, label in enumerate(labels)]
    fewest = min(Counter(labels).values())
    if fewest < count:
        with pytest.raises(InputError, match="examples per class are asked for, and the data have"):
            draw_few(rows, count, seed)
        return
    drawn = draw_few(rows, count, seed)
    assert Counter(row.label for row in drawn) == dict.fromkeys(set(labels), count)
    assert len(set(drawn)) == len(drawn)
    assert drawn == draw_few(rows, count, seed)
    assert set(drawn) <= set(draw_few(rows, fewest, seed))


def test_draws_differ_from_seed_to_seed():
    assert len({tuple(draw_few(ROWS, 3, seed)) for seed in range(5)}) == 5


def test_too_few_examples_are_told_with_their_counts():
    with pytest.raises(InputError, match=r"9 examples per class.*animal: 12, thing: 8; ask for fewer"):
        draw_few(ROWS[:20], 9, 0)


def test_the_linear_head_is_that_of_scikit_learn():
    library = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    random = np.random.default_rng(0)
    vectors, labels = random.normal(size=(41, 7)), random.integers(0, 3, 41)
    for strength in (0.1, 1.0, 10.0):
        theirs = library.LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(vectors, labels)
        weight, bias = fit_logistic(torch.from_numpy(vectors), torch.from_numpy(labels), 3, strength=strength)
        np.testing.assert_allclose(weight.numpy(), theirs.coef_, atol=1e-4)
        np.testing.assert_allclose(
            bias - bias.mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=1e-4
        )


def test_partners_are_of_the_same_label_and_wrong_answers_of_the_others(folder):
    task = Classification.build(
        word_models.tokenizer(), load(folder).encoder.config, ROWS, {"pooling": "mean"}
    )
    windows = [window for row in ROWS for window in task.encode(row)]
    label_of = {window.tokens.ids.tobytes(): int(window.labels[0]) for window in windows}
    pairs = PairsByLabel(windows)
    for step in range(5):
        batch, targets = pairs(windows[3:14], 0, step, 0.0)
        again, _ = pairs(windows[3:14], 0, step, 0.0)
        assert torch.equal(batch.ids, again.ids)
        texts = [part.numpy().astype(np.int32).tobytes() for part in batch.layout.split(batch.ids)]
        labels = [label_of[text] for text in texts]
        assert len(labels) == 22
        assert labels[:11] == labels[11:]
        assert all(first != second for first, second in zip(texts[:11], texts[11:], strict=True))
        wanted = [[mine != other for other in labels[11:]] for mine in labels[:11]]
        assert targets.wrong_NM.tolist() == wanted


def test_the_loss_of_pairs_by_hand(folder):
    opened = mb.load_encoder(folder)
    task = Retrieval.build(opened.tokenizer, opened.encoder.config, [], {})
    model = Model(opened.encoder, task).eval()
    texts, labels = ["the cat", "the road", "a dog"], [0, 1, 0]
    batch = Packed.of([task.encode(text)[0].tokens.ids for text in [*texts, *texts[::-1]]])
    wrong = torch.tensor([[mine != other for other in labels[::-1]] for mine in labels])
    found = together_and_apart(model)(batch, SearchTargets(wrong))
    first = opened.embed(texts, progress=False).astype(np.float64)
    cosines, wanted = first @ first[::-1].T, 0.0
    for row, mine in zip(cosines, labels, strict=True):
        near = [(1 - value) ** 2 for value, other in zip(row, labels[::-1], strict=True) if other == mine]
        far = [value**2 for value, other in zip(row, labels[::-1], strict=True) if other != mine]
        wanted += np.mean(near) + np.mean(far)
    assert found.sums["loss"].item() == pytest.approx(wanted, rel=1e-4)
    assert found.counts == {"loss": 3}


def test_a_label_that_is_alone_is_its_own_partner(folder):
    rows = [TextExample("the cat", label="a"), TextExample("the road", label="b")]
    config = TrainingConfig(max_steps=2, precision="fp32", train_batch_size=2)
    model = contrastive_classifier(folder, rows, config=config)
    assert [answer.label for answer in model.predict(rows)] == ["a", "b"]


def test_contrast_gives_an_ordinary_classifier_that_can_be_saved(folder, tmp_path):
    config = TrainingConfig(max_steps=10, precision="fp32", learning_rate=1e-3, train_batch_size=8)
    before = mb.load_encoder(folder).encoder
    model = contrastive_classifier(folder, draw_few(ROWS, 4, 0), config=config)
    moved = model.encoder.embeddings.token.weight - before.embeddings.token.weight
    assert moved.abs().max() > 0
    assert model.evaluate(ROWS)["accuracy"] > 0.75
    model.save(tmp_path / "clf")
    assert load(tmp_path / "clf").predict(ROWS[:3]) == model.predict(ROWS[:3])


def test_all_methods_are_compared_on_the_same_draws(folder):
    trials = few_shot(
        folder, ROWS, ROWS, per_class=(2, 4), draws=2, settings={**GAP, **QUICK}, progress=False
    )
    counts = Counter((trial.method, trial.per_class) for trial in trials)
    methods = ("finetune", "cloze", "contrastive")
    assert counts == {("zero_shot", 0): 1, **{(name, count): 2 for name in methods for count in (2, 4)}}
    best = {line["method"]: line["accuracy"]["mean"] for line in summary_of(trials)}
    assert best["zero_shot"] == 1.0  # the model was pretrained to know it
    assert best["cloze"] == 1.0
    assert "cloze" in table_of(trials)
    again = few_shot(
        folder, ROWS, ROWS, per_class=(4,), draws=1, methods=["finetune"], settings=QUICK, progress=False
    )
    (same,) = [t for t in trials if (t.method, t.per_class, t.draw) == ("finetune", 4, 0)]
    assert again[0].accuracy == same.accuracy


@pytest.mark.parametrize(
    ("train", "steps"),
    [({"max_steps": 9}, 4), ({"max_steps": 1}, 1), ({"max_steps": -1, "num_train_epochs": 6.0}, 3 * 2)],
)
def test_contrast_takes_half_the_steps_or_half_the_epochs(train, steps, folder, monkeypatch):
    runs = []
    monkeypatch.setattr(
        "minibert.few_labels.contrast.Run", lambda *given: runs.append(Run(*given)) or runs[0]
    )
    settings = {"train.precision": "fp32", "train.train_batch_size": 4}
    settings |= {f"train.{name}": value for name, value in train.items()}
    few_shot(folder, ROWS, ROWS, per_class=(4,), draws=1, methods=["contrastive"],
             settings=settings, progress=False)  # fmt: skip
    assert runs[0].done == steps  # of 8 rows, 4 at once


def test_an_encoder_that_embeds_already_is_moved_by_small_steps(folder, tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr(
        "minibert.few_labels.contrast.Run", lambda *given: runs.append(Run(*given)) or runs[-1]
    )
    mb.load_encoder(folder).save_pretrained(tmp_path / "embeds")
    settings = {"train.precision": "fp32", "train.max_steps": 2}
    for encoder, told in (
        (folder, {}),
        (tmp_path / "embeds", {}),
        (tmp_path / "embeds", {"train.learning_rate": 0.5}),
    ):
        few_shot(encoder, ROWS, ROWS, per_class=(2,), draws=1, methods=["contrastive"],
                 settings={**settings, **told}, progress=False)  # fmt: skip
    rates = [run.config.learning_rate for run in runs]
    assert rates[0] > 1e-4 and rates[1:] == [2e-5, 0.5]


@pytest.mark.parametrize("method", ["finetune", "contrastive", "cloze"])
def test_the_mean_of_the_weights_is_what_is_kept(folder, method):
    """With a decay of 1e-9 the mean is the last step's weights; with 0.9 it is not."""
    told = {"train.precision": "fp32", "train.max_steps": 4, "train.learning_rate": 1e-2}
    told |= {"task.template": "{text}. it is [MASK]."} if method == "cloze" else {}
    weights = {
        decay: few_shot_model(
            folder, ROWS, method=method, settings={**told, "train.ema_decay": decay}
        ).encoder.state_dict()["blocks.0.attention.output.weight"]
        for decay in (0.0, 1e-9, 0.9)
    }
    torch.testing.assert_close(weights[1e-9], weights[0.0], rtol=0, atol=1e-6)
    assert (weights[0.9] - weights[0.0]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"methods": ["setfit"]}, "'setfit' is unknown; use some of"),
        ({"methods": ["cloze"]}, "needs a template"),
        ({"per_class": (2, 99)}, "99 examples per class.*animal: 12, thing: 12"),
        ({"draws": 0, "per_class": (2,)}, "draws is 0"),
        ({"test": [TextExample("a", label="strange")]}, "test label 'strange'"),
        ({"settings": {"task.template": "{text}"}}, "no \\[MASK\\]"),
        ({"settings": {"train.max_stepz": 3}}, "max_steps"),
        ({"settings": {"data.from_scratch": True}}, "data.from_scratch True: not for contrastive"),
        ({"settings": {"train.gradient_accumulation_steps": 4}}, "gradient_accumulation_steps 4: not for"),
        ({"settings": {"train.r_drop_alpha": 0.5}}, "r_drop_alpha 0.5: not for contrastive"),
        ({"settings": {"data.reinit_layers": 1}}, "data.reinit_layers 1: not for contrastive"),
        ({"settings": {"model.hidden_dropout_prob": 0}}, "hidden_dropout_prob 0: not for contrastive"),
        ({"settings": {"task": {"label_smoothing": 0.1}}}, "task.label_smoothing 0.1: not for contrastive"),
        ({"settings": {"task.reject_label": "other"}}, "reject_label 'other': not for contrastive"),
        ({"settings": {"task.calibrate": True}, "methods": ["finetune"]}, "task.calibrate True: few-shot"),
        ({"settings": {"train.metric_for_best_model": "nonsense"}}, "best_model 'nonsense': few-shot trains"),
        ({"settings": {"train.early_stopping_patience": 1}}, "train.early_stopping_patience 1: few-shot"),
        ({"settings": {"train": {"save_steps": 3}}, "methods": ["finetune"]}, "train.save_steps 3: few-shot"),
        ({"settings": {"train.eval_steps": 2}, "methods": ["finetune"]}, "train.eval_steps 2: few-shot"),
        (
            {"settings": {"train.freeze": "encoder", "adapt.cache_features": True}, "methods": ["finetune"]},
            "adapt.cache_features True: few-shot",
        ),
    ],
)
def test_what_cannot_be_compared_is_told_before_anything_is_trained(folder, given, told):
    with pytest.raises(InputError, match=told):
        few_shot(folder, **{"train": ROWS, "test": ROWS, "progress": False, **given})


def test_the_command_prints_a_table_and_writes_every_trial(folder, tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "".join(f"{row.text},{row.label}\n" for row in ROWS))
    words = ["few-shot", "--model", str(folder), "--train-file", str(rows), "--test-file", str(rows)]
    words += ["--per-class", "2", "--draws", "2", "--max-steps", "3", "--output", str(tmp_path / "few.json")]
    assert main([*words, "--template", "{text}. it is [MASK]."]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["accuracy", "no", "example", "2", "per", "class"]
    told = json.loads((tmp_path / "few.json").read_text())
    assert len(told["trials"]) == 7
    assert json.loads(out.splitlines()[-1])["summary"] == told["summary"]
    assert main([*words, "--per-class", "two", "--overwrite"]) == 2
    assert "'two'" in capsys.readouterr().err


def test_an_older_output_is_not_lost(folder, tmp_path, capsys):
    rows, old = tmp_path / "rows.csv", tmp_path / "few.json"
    rows.write_text("text,label\n" + "".join(f"{row.text},{row.label}\n" for row in ROWS))
    old.write_text("hours of work")
    words = ["few-shot", "--model", str(folder), "--train-file", str(rows), "--test-file", str(rows)]
    words += ["--methods", "contrastive", "--per-class", "2", "--draws", "1", "--max-steps", "1"]
    assert main([*words, "--output", str(old)]) == 2
    assert "few.json is there already; choose another name, or --overwrite" in capsys.readouterr().err
    assert old.read_text() == "hours of work"
    assert main([*words, "--output", str(old), "--overwrite"]) == 0
    assert len(json.loads(old.read_text())["trials"]) == 1


def test_the_model_of_a_method_is_kept_and_opened_again(folder, tmp_path):
    settings = {"train.max_steps": 60, "train.precision": "fp32", "train.learning_rate": 3e-3}
    model = few_shot_model(folder, ROWS, settings=settings)
    model.save(tmp_path / "kept")
    texts = [row.text for row in ROWS]
    kept = mb.load(tmp_path / "kept").predict(texts)
    assert [one.label for one in kept] == [one.label for one in model.predict(texts)]
    assert np.mean([one.label == row.label for one, row in zip(kept, ROWS, strict=True)]) > 0.9
    with pytest.raises(InputError, match="method 'setfit' is unknown; use some of zero_shot, finetune"):
        few_shot_model(folder, ROWS, method="setfit")


def test_the_best_method_is_the_one_with_most_examples():
    def trial(method, per_class, draw, accuracy):
        return Trial(method, per_class, draw, accuracy, accuracy, 1.0)

    eight = [trial("finetune", 8, 0, 0.9), trial("contrastive", 8, 0, 0.5)]
    more = [trial("finetune", 16, 0, 0.6), trial("finetune", 16, 1, 0.7), trial("contrastive", 16, 0, 0.66)]
    assert best_method([*eight, *more]) == "contrastive"
    assert best_method(eight) == "finetune"


def test_the_command_trains_the_best_method_for_good(folder, tmp_path, capsys):
    rows, out = tmp_path / "rows.csv", tmp_path / "model"
    rows.write_text("text,label\n" + "".join(f"{row.text},{row.label}\n" for row in ROWS))
    words = ["few-shot", "--model", str(folder), "--train-file", str(rows), "--max-steps", "5"]
    assert main(words) == 2
    assert "--test-file is missing" in capsys.readouterr().err
    assert main([*words, "--save-model", str(out)]) == 2
    assert "name one of --methods, such as contrastive" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--save-model", str(out), "--methods", "contrastive"]) == 0
    assert f"contrastive, trained on {len(ROWS)} texts, is in {out}" in capsys.readouterr().out
    assert main(["predict", "--model", str(out), ROWS[0].text]) == 0
    assert main([*words, "--save-model", str(out), "--methods", "contrastive"]) == 2
    assert "is not empty" in capsys.readouterr().err
    words += ["--test-file", str(rows), "--per-class", "2", "--draws", "1"]
    assert main([*words, "--save-model", str(tmp_path / "best")]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    best = max(told["summary"], key=lambda line: line["accuracy"]["mean"])["method"]
    assert told["method"] == best
    assert mb.load(tmp_path / "best").task.name == "classification"
