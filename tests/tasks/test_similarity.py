"""Pairs with grades give an encoder whose cosines say how alike two texts are."""

import itertools
import json
import math

import numpy as np
import pytest
import tiny_runs
import torch
from check_task import LONGEST, check_resuming, overfit, shape, windows_of
from tiny_runs import last_line

import minibert as mb
from minibert.cli import main
from minibert.data.examples import NumberExample
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model, load
from minibert.tasks.similarity import Similarity, cosent
from minibert.tasks.windows import long_ones
from minibert.text.sentencepiece import train_sentencepiece

PAIRS = [
    NumberExample("Ada wrote a program.", "A program was written by Ada.", 5.0),
    NumberExample("The sea is cold.", "The desert is hot.", 2.0),
    NumberExample("Charles wrote letters.", "The sea is cold.", 0.0),
    NumberExample("The desert is hot.", "The desert is very hot.", 4.0),
]


@pytest.fixture(scope="module")
def tokenizer():
    lines = [text for pair in PAIRS for text in (pair.text, pair.pair)]
    return train_sentencepiece([*lines, *map(tiny_runs.sentence, range(200))], 320)


def made(tokenizer, options=None, *, recipe="bert", seed=0):
    torch.manual_seed(seed)
    config = shape(recipe, tokenizer.vocab_size)
    return Model(Encoder(config), Similarity.build(tokenizer, config, PAIRS, options or {}))


@pytest.mark.parametrize("options", [{}, {"similarity_loss": "cosine", "pooling": "first"}])
@pytest.mark.parametrize("recipe", ["bert", "modernbert"])
def test_it_learns_is_saved_and_answers_the_same(tokenizer, tmp_path, options, recipe):
    model = made(tokenizer, options, recipe=recipe)
    overfit(model, PAIRS)
    scores = model.evaluate(PAIRS)
    assert next(iter(scores)) == "spearman" and scores["spearman"] == 1
    if options:
        assert scores["pearson"] > 0.98
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.task.settings() == model.task.settings()
    assert again.predict(PAIRS) == model.predict(PAIRS)


@pytest.mark.parametrize("loss", ["cosent", "cosine"])
def test_the_loss_is_that_of_the_equation_pair_by_pair(tokenizer, loss):
    model = made(tokenizer, {"similarity_loss": loss, "temperature": 0.1}).eval()
    windows = [window for window in windows_of(model, PAIRS) if len(window.rows)]
    assert len(windows) == len(PAIRS)
    batch, targets = model.task.collate(windows, 0, 0, 0.0)
    rows = []
    for ids in batch.layout.split(batch.ids):
        mean = model.encoder(Packed.of([ids])).double().mean(0)
        rows.append((mean / mean.norm()).detach().numpy())
    cosines = [float(first @ second) for first, second in zip(rows[:4], rows[4:], strict=True)]
    grades = [pair.label for pair in PAIRS]
    if loss == "cosine":
        wanted = sum((cosine - grade / 5) ** 2 for cosine, grade in zip(cosines, grades, strict=True))
    else:
        terms = [
            math.exp((cosines[j] - cosines[i]) / 0.1)
            for i, j in itertools.permutations(range(4), 2)
            if grades[i] > grades[j]
        ]
        wanted = 4 * math.log(1 + sum(terms))
    found = model(batch, targets)
    assert found.sums["loss"].item() == pytest.approx(wanted, rel=1e-5)
    assert found.counts == {"loss": 4}


def test_cosent_is_zero_without_an_order_and_falls_when_cosines_follow_the_grades():
    grades = torch.tensor([0.0, 1.0, 2.0, 3.0])
    orders = [torch.tensor(order) / 10 for order in itertools.permutations([0.0, 1.0, 2.0, 3.0])]
    losses = [cosent(cosines, grades, 0.05).item() for cosines in orders]
    assert min(losses) == losses[0] and max(losses) == losses[-1]
    assert cosent(orders[0], torch.ones(4), 0.05).item() == 0
    assert cosent(torch.tensor([0.3]), torch.tensor([2.0]), 0.05).item() == 0


def test_the_answer_is_the_cosine_of_the_vectors_that_the_saved_encoder_gives(tokenizer, tmp_path):
    model = made(tokenizer, {"pooling": "first", "max_length": 9})
    model.save(tmp_path / "model")
    encoder = mb.load_encoder(tmp_path / "model")
    assert (encoder.pooling, encoder.max_length) == ("first", 9)
    first, second = (encoder.embed([getattr(pair, side) for pair in PAIRS]) for side in ("text", "pair"))
    found = [answer.similarity for answer in model.predict(PAIRS)]
    np.testing.assert_allclose(found, (first * second).sum(1), atol=1e-6)
    shown = model.task.show(PAIRS[0], model.predict(PAIRS[:1])[0])
    assert json.loads(json.dumps(shown)).keys() == {"text", "pair", "similarity"}


def test_weights_that_have_blown_up_have_no_correlation(tokenizer):
    model = made(tokenizer)
    next(model.encoder.parameters()).data.fill_(float("nan"))
    assert model.evaluate(PAIRS) == {"spearman": 0.0, "pearson": 0.0}


def test_long_texts_are_cut_and_counted(tokenizer):
    task = made(tokenizer).task
    windows = [task.encode(pair) for pair in (*PAIRS, NumberExample("a", "The sea is cold. " * 40, 1.0))]
    assert max(len(window) for parts in windows for window in parts) == LONGEST
    counts = long_ones(windows, task)
    assert (counts["examples"], counts["split"], counts["cut"]) == (5, 0, 1)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (PAIRS, {"temperature": 0.0}, "temperature is 0"),
        (PAIRS, {"similarity_loss": "mse"}, "similarity_loss"),
        (PAIRS[:1], {}, r"two different grades or more; the training has \[5\.0\]"),
        ([*PAIRS, NumberExample("a", "b")], {}, "does not say what is right"),
        ([*PAIRS, NumberExample("a", "b", float("nan"))], {}, "no finite number"),
    ],
)
def test_what_cannot_be_learnt_is_told(tokenizer, rows, options, message):
    with pytest.raises(InputError, match=message):
        Similarity.build(tokenizer, shape("bert", tokenizer.vocab_size), rows, options)


@pytest.mark.parametrize("example", ["alone", NumberExample("alone", label=1.0)])
def test_a_text_alone_is_told_where_its_vector_comes_from(tokenizer, example):
    with pytest.raises(InputError, match=r"'alone' stands alone.*pair_column.*`embed`"):
        made(tokenizer).task.encode(example)


def test_from_a_file_to_cosines_by_the_command_line(tmp_path, capsys):
    encoder = tiny_runs.make_encoder(tmp_path / "enc")
    rows = ["sentence1,sentence2,score", *(f"{p.text},{p.pair},{p.label}" for p in PAIRS)]
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n", "utf-8")
    file, out = str(tmp_path / "pairs.csv"), str(tmp_path / "out")
    assert main(["finetune", "--task", "similarity", "--model", str(encoder), "--train-file", file,
                 "--validation-file", file, "--output-dir", out, "--max-steps", "4", "--fp32",
                 "--no-progress", "--similarity-loss", "cosine"]) == 0  # fmt: skip
    assert "spearman" in last_line(capsys.readouterr().out)
    assert main(["predict", "--model", out, "--file", file]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 4 and all(-1 <= answer["similarity"] <= 1 for answer in answers)
    assert main(["evaluate", "--model", out, "--file", file]) == 0
    assert "pearson" in last_line(capsys.readouterr().out)
    assert main(["embed", "--model", out, "a text"]) == 0
    assert main(["predict", "--model", out, "a text"]) == 2
    assert "stands alone" in capsys.readouterr().err


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_its_vectors_are_taught_and_the_student_is_judged_by_the_grades(tokenizer, tmp_path, capsys, adapter):
    torch.manual_seed(0)
    config = shape("bert", tokenizer.vocab_size)
    Model(Encoder(config), MaskedLM(tokenizer, config)).save(tmp_path / "enc")
    rows = ["sentence1,sentence2,score", *(f"{p.text},{p.pair},{p.label}" for p in PAIRS)]
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n", "utf-8")
    few = {"train.max_steps": 2, "train.precision": "fp32", "data.progress": False, "adapt.adapter": adapter}
    mb.finetune(tmp_path / "enc", task="similarity", train=PAIRS, output_dir=tmp_path / "alike", settings=few)
    file = str(tmp_path / "pairs.csv")
    assert main(["distill", "--teacher", str(tmp_path / "alike"), "--layers", "1", "--train-file", file,
                 "--validation-file", file, "--output-dir", str(tmp_path / "small"), "--max-steps", "2",
                 "--fp32", "--no-progress"]) == 0  # fmt: skip
    told = last_line(capsys.readouterr().out)
    assert told["task"] == "similarity" and "spearman" in told["student"] and "spearman" in told["teacher"]
    assert len(load(tmp_path / "small").encoder.blocks) == 1


def test_a_run_that_was_cut_ends_with_the_same_weights(tokenizer, tmp_path):
    check_resuming(lambda seed: made(tokenizer, seed=seed), PAIRS, tmp_path / "state", precision="fp32")
