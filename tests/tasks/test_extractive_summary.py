"""Sentences are scored in windows of whole sentences, and the best ones are the summary."""

import math
import random
from collections import Counter

import numpy as np
import pytest
import tiny_runs
import torch
from check_task import (
    check_its_loss,
    check_its_parts,
    check_reopening,
    check_resuming,
    overfit,
    shape,
    windows_of,
)

from minibert.data.examples import SummaryExample
from minibert.data.summaries import read_summaries
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.extractive_summary import Extract, ExtractiveSummary
from minibert.tasks.model import Model
from minibert.tasks.sentence_windows import PLACES, groups_of, targets_of
from minibert.tasks.summary_oracle import best_extract
from minibert.text.sentencepiece import train_sentencepiece


def document(*numbers):
    return " ".join(tiny_runs.sentence(number) for number in numbers)


EXAMPLES = [
    SummaryExample(document(1, 2, 3), document(1, 3)),
    SummaryExample(document(12, 1, 3), document(1, 3)),
    SummaryExample(document(3, 8, 1), document(3, 1)),
]
LONG = document(*range(60))


@pytest.fixture(scope="module")
def tokenizer():
    return train_sentencepiece([tiny_runs.sentence(number) for number in range(200)], 310)


def made(tokenizer, options=None, *, recipe="bert", seed=0):
    torch.manual_seed(seed)
    config = shape(recipe, tokenizer.vocab_size)
    return Model(Encoder(config), ExtractiveSummary.build(tokenizer, config, EXAMPLES, options or {}))


@pytest.mark.parametrize("recipe", ["bert", "modernbert"])
def test_it_keeps_the_promises_of_a_task(tokenizer, tmp_path, recipe):
    model = made(tokenizer, {"classifier_dropout": 0.0, "num_sentences": 2}, recipe=recipe)
    check_its_parts(model, EXAMPLES)
    overfit(model, EXAMPLES)
    check_its_loss(model, EXAMPLES)
    answers = model.predict(EXAMPLES)
    assert [answer.summary.splitlines() for answer in answers] == [
        [tiny_runs.sentence(1), tiny_runs.sentence(3)],
        [tiny_runs.sentence(1), tiny_runs.sentence(3)],
        [tiny_runs.sentence(3), tiny_runs.sentence(1)],
    ]
    scores = model.evaluate(EXAMPLES)
    assert next(iter(scores)) == "rouge1"
    assert scores["rouge1"] == scores["rouge2"] == pytest.approx(1)
    check_reopening(model, EXAMPLES, answers, folder=tmp_path / "model")


def test_a_document_alone_and_among_others_has_the_same_scores(tokenizer):
    model = made(tokenizer)
    texts = [LONG, *(example.text for example in EXAMPLES), "One sentence."]
    together = model.predict(texts, batch_tokens=100_000)
    for text, answer in zip(texts, together, strict=True):
        (alone,) = model.predict([text], batch_tokens=1)
        mine, theirs = ([each.score for each in found.sentences] for found in (answer, alone))
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_a_score_is_that_of_the_equation(tokenizer):
    model = made(tokenizer).eval()
    with torch.no_grad():
        model.task.place.copy_(torch.linspace(-1, 1, PLACES))
    (answer,) = model.predict([document(1, 2)])
    (window,) = model.task.encode(document(1, 2))
    with torch.no_grad():
        hidden_TD = model.encoder(Packed.of([window.tokens.ids]))
    borders = [*window.rows, len(window) - 1]
    for number, (start, end) in enumerate(zip(borders, borders[1:], strict=False)):
        mean = hidden_TD[start:end].double().mean(0)
        raw = mean @ model.task.scorer.weight[0].double() + model.task.scorer.bias.item()
        raw = raw.item() + model.task.place[number].item()
        assert answer.sentences[number].score == pytest.approx(1 / (1 + math.exp(-raw)), abs=1e-6)


def test_every_sentence_of_a_long_document_lies_in_one_window(tokenizer):
    task = made(tokenizer).task
    windows = task.encode(SummaryExample(LONG, document(2, 50)))
    assert len(windows) > 5
    units = np.concatenate([window.units for window in windows])
    assert units.tolist() == list(range(60))
    labels = np.concatenate([window.labels for window in windows])
    assert set(np.flatnonzero(labels)) == {2, 50}
    lengths = [len(window) for window in windows]
    assert max(lengths) <= task.max_length and min(lengths[:-1]) > task.max_length / 2
    for window in windows:
        sizes = targets_of([window]).sizes
        for row, size, unit in zip(window.rows, sizes, window.units, strict=True):
            start, end = window.tokens.offsets[[row, row + size - 1], [0, 1]]
            assert LONG[start:end] == tiny_runs.sentence(int(unit))


def test_targets_of_several_windows_point_at_the_sentences(tokenizer):
    task = made(tokenizer).task
    windows = [*task.encode("..."), *task.encode(LONG), *task.encode(""), *task.encode(EXAMPLES[0])]
    batch, targets = task.collate(windows, 0, 0, 0.0)
    parts = targets.rows.split(list(targets.sizes))
    assert len(parts) == len(targets.places) == len(targets.labels) == targets.counts["loss"]
    assert targets.places.max() == PLACES - 1
    decoded = [tokenizer.decode(batch.ids[rows].numpy()) for rows in parts]
    assert decoded[1:61] == [tiny_runs.sentence(number) for number in range(60)]
    assert not np.isin(batch.ids[targets.rows].numpy(), [tokenizer.cls_id, tokenizer.sep_id]).any()


def test_groups_are_whole_runs_that_fit(tokenizer):
    draw = random.Random(0)
    for _ in range(200):
        sizes = np.array([draw.randrange(1, 30) for _ in range(draw.randrange(1, 40))])
        groups = groups_of(sizes, 20)
        assert np.concatenate(groups).tolist() == list(range(len(sizes)))
        assert all(sizes[group].sum() <= 20 or len(group) == 1 for group in groups)


@pytest.mark.parametrize("text", ["", " ", "...", "漢" * 300 + "。好。"])
def test_odd_texts_have_an_answer(tokenizer, text):
    (answer,) = made(tokenizer).predict([text])
    assert isinstance(answer, Extract)
    assert "".join(answer.summary.split()) == "".join(text.split())


def rouge_1_and_2(chosen, reference):
    """Return the sum of two F1, the pairs of words counted inside sentences only."""
    total = 0.0
    for n in (1, 2):
        mine, theirs = (
            Counter(tuple(words[at : at + n]) for words in lists for at in range(len(words) - n + 1))
            for lists in ([text.split() for text in chosen], [reference.split()])
        )
        total += 2 * (mine & theirs).total() / max(1, mine.total() + theirs.total())
    return total


def test_the_greedy_extract_by_hand():
    """Alone, "a b c d" scores 0.8 + 0.75; "d e f" lifts it to 12/13 + 1, and nothing lifts that."""
    assert best_extract(["a b c.", "d e f.", "a b c d.", "g."], "a b c d e f") == [1, 2]
    assert best_extract(["same.", "same."], "same") == [0]
    assert best_extract(["a."], "x y z") == []
    assert best_extract([], "a") == []


def test_no_sentence_more_would_make_an_extract_better():
    draw = random.Random(0)
    for _ in range(100):
        sentences = [" ".join(draw.choices("abcdef", k=4)) for _ in range(5)]
        reference = " ".join(draw.choices("abcdef", k=7))
        chosen = best_extract(sentences, reference)
        assert chosen == sorted(set(chosen))
        value = rouge_1_and_2([sentences[number] for number in chosen], reference)
        for number in set(range(5)) - set(chosen):
            more = rouge_1_and_2([sentences[each] for each in (*chosen, number)], reference)
            assert more <= value + 1e-9
        assert value >= max(rouge_1_and_2([sentence], reference) for sentence in sentences) - 1e-9


def test_the_budget_is_a_number_or_a_share_of_the_characters(tokenizer):
    scores, sizes = {0: 0.1, 1: 0.9, 2: 0.5, 3: 0.9}, [10, 20, 30, 40]
    assert made(tokenizer, {"num_sentences": 2}).task.chosen(scores, sizes) == {1, 3}
    assert made(tokenizer, {"num_sentences": 9}).task.chosen(scores, sizes) == {0, 1, 2, 3}
    for ratio, wanted in ((0.01, {1}), (0.2, {1}), (0.3, {1, 3}), (0.61, {1, 3, 2}), (1.0, {0, 1, 2, 3})):
        assert made(tokenizer, {"ratio": ratio}).task.chosen(scores, sizes) == wanted


def test_options_that_mean_nothing_are_refused(tokenizer):
    for options, message in (
        ({"num_sentences": 0}, "num_sentences 0"),
        ({"ratio": 1.5}, r"ratio 1\.5"),
        ({"ratios": 0.5}, "'ratios'.*'ratio'"),
    ):
        with pytest.raises(InputError, match=message):
            made(tokenizer, options)


def test_summaries_are_read_and_mistakes_named(tmp_path):
    path = tmp_path / "news.csv"
    path.write_text("document,highlights,id\nIt rained.,Rain,1\n")
    assert read_summaries(path) == [SummaryExample("It rained.", "Rain")]
    named = {"text_column": "highlights", "label_column": "document"}
    assert read_summaries(path, named) == [SummaryExample("Rain", "It rained.")]
    assert ExtractiveSummary.unanswered(read_summaries(path)[0]) == SummaryExample("It rained.")
    for content, message in (
        ("name\nx\n", "line 2: no column 'text'; there are name"),
        ("text,summary\nx, \n", "line 2: 'summary' is ' '"),
        ("text\n", "empty"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=message):
            read_summaries(path)


def test_windows_of_an_example_are_whole_or_split(tokenizer):
    task = made(tokenizer).task
    assert task.fit_of(task.encode(document(1, 2))) == "whole"
    assert task.fit_of(task.encode(LONG)) == "split"
    assert windows_of(made(tokenizer), EXAMPLES)[0].labels.tolist() == [1, 0]


def test_a_run_that_was_cut_ends_with_the_same_weights(tokenizer, tmp_path):
    check_resuming(lambda seed: made(tokenizer, seed=seed), EXAMPLES, tmp_path / "state", precision="fp32")
