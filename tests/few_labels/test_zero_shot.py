"""Answers without a training example: by a gap, by vectors, calibrated; and what cannot be asked."""

import json

import numpy as np
import pytest
import torch
import word_models
from check_task import shape
from hypothesis import given
from hypothesis import strategies as st

import minibert as mb
from minibert.cli import main
from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.few_labels.likelihood import pseudo_log_likelihoods
from minibert.few_labels.zero_shot import answer_of, label_words, zero_shot
from minibert.model.encoder import Encoder
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.templates import Template

TEXTS = ["the cat sees it", "the road moves well", "the dog holds", "the stone keeps it"]
GOLD = ["animal", "thing", "animal", "thing"]
GAP = "{text}. it is [MASK]."


@pytest.fixture(scope="module")
def model():
    return word_models.language_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return word_models.make_folder(tmp_path_factory.mktemp("zero") / "enc")


def test_a_language_model_knows_labels_that_it_was_never_shown(model, folder):
    for opened in (model, folder):
        answers = zero_shot(opened, TEXTS, labels=["animal", "thing"], template=GAP)
        assert [answer.label for answer in answers] == GOLD
        assert all(sum(answer.probabilities.values()) == pytest.approx(1) for answer in answers)


def test_the_score_of_a_word_is_the_mean_over_its_tokens_each_masked_alone(english):
    torch.manual_seed(3)
    config = shape("bert", english.vocab_size)
    model = Model(Encoder(config), MaskedLM(english, config)).eval()
    example, words = TextExample("An error"), ["an object", "the"]
    template = Template.of("{text} is [MASK].")
    (found, again) = pseudo_log_likelihoods(model, template, [example, example], words)
    np.testing.assert_allclose(found, again, atol=1e-5)
    for word, score in zip(words, found, strict=True):
        ids = english.build(english.encode(f"An error is {word}.")).ids
        before = len(english.encode("An error is")) + 1
        rows = range(before, before + len(english.encode(word)))
        logs = []
        for row in rows:
            hidden = torch.tensor(ids)
            hidden[row] = english.mask_id
            with torch.no_grad():
                states = model.encoder(mb.Packed.of([hidden.numpy()]))
                logits = model.task.head(states[row]) @ model.task.table(model.encoder).T + model.task.bias
            logs.append(logits.double().log_softmax(-1)[ids[row]].item())
        assert len(logs) == len(rows)
        assert score == pytest.approx(np.mean(logs), abs=1e-5)


def test_words_of_several_tokens_are_scored_as_words_of_one_are(model, monkeypatch):
    asked = {"labels": {"animal": "animal", "thing": "thing it"}, "template": GAP}
    together = zero_shot(model, TEXTS, **asked)
    monkeypatch.setattr("minibert.few_labels.zero_shot.TOGETHER", 3)
    for text, answer, other in zip(TEXTS, together, zero_shot(model, TEXTS, **asked), strict=True):
        (alone,) = zero_shot(model, [text], **asked)
        assert answer.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
        assert other.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    example = TextExample(TEXTS[0])
    (one,) = pseudo_log_likelihoods(model, Template.of(GAP), [example], ["animal", "thing"])
    (answer,) = zero_shot(model, TEXTS[:1], labels=["animal", "thing"], template=GAP)
    assert answer.probabilities["animal"] == pytest.approx(1 / (1 + np.exp(one[1] - one[0])), abs=1e-5)


def test_calibration_divides_by_what_an_empty_text_gets(model):
    asked = {"labels": ["animal", "thing"], "template": GAP}
    blank = zero_shot(model, [""], **asked)[0].probabilities
    plain = zero_shot(model, TEXTS, **asked)
    told = zero_shot(model, TEXTS, **asked, calibrate=True)
    for before, after in zip(plain, told, strict=True):
        ratios = {label: p / blank[label] for label, p in before.probabilities.items()}
        for label, p in after.probabilities.items():
            assert p == pytest.approx(ratios[label] / sum(ratios.values()), rel=1e-4)
    (even,) = zero_shot(model, [""], **asked, calibrate=True)
    assert even.probabilities["animal"] == pytest.approx(0.5)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6))
def test_probabilities_are_the_softmax_of_the_scores(scores):
    answer = answer_of(np.array(scores), [str(number) for number in range(len(scores))])
    wanted = torch.tensor(scores, dtype=torch.float64).softmax(0).tolist()
    assert list(answer.probabilities.values()) == pytest.approx(wanted, abs=1e-12)
    assert answer.probabilities[answer.label] == max(answer.probabilities.values())


def test_vectors_are_compared_by_the_cosine_with_each_label_or_its_description(model):
    encoder = mb.TextEncoder(model.encoder, model.task.tokenizer, max_length=64)
    labels = {"a": "the cat", "b": ["the road", "the stone"]}
    rows = encoder.embed([*TEXTS, "it is the cat", "it is the road", "it is the stone"], progress=False)
    told = np.stack([rows[4], (rows[5] + rows[6]) / 2])
    cosines = rows[:4].astype(float) @ told.T.astype(float) / 0.05
    for opened in (model, encoder):
        answers = zero_shot(opened, TEXTS, labels=labels, template="it is {label}")
        for scores, answer in zip(cosines, answers, strict=True):
            wanted = torch.tensor(scores).softmax(0)[0].item()
            assert answer.probabilities["a"] == pytest.approx(wanted, abs=1e-4)


def test_pairs_are_asked_with_both_texts(model):
    pairs = [TextExample("the cat", "sees it")]
    answers = zero_shot(model, pairs, labels="animal,thing", template="{text} {text_b}. it is [MASK].")
    alone = zero_shot(model, ["the cat sees it"], labels="animal,thing", template=GAP)
    assert answers[0].probabilities == pytest.approx(alone[0].probabilities, abs=1e-6)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"labels": "animal"}, "at least two"),
        ({"labels": ""}, "at least two"),
        ({"labels": "animal,thing", "template": "{text} is [MASK] [MASK]"}, "2 times"),
        ({"labels": "animal,thing", "template": "it is so"}, "{label} is wanted once"),
        ({"labels": "animal,thing", "texts": []}, "no texts"),
        ({"labels": "animal,thing", "texts": "the cat"}, "'the cat' came where a list is wanted"),
        ({"labels": "animal,thing", "texts": [TextExample("a", "b")]}, "pairs cannot be compared"),
    ],
)
def test_what_cannot_be_asked_is_told(model, given, told):
    with pytest.raises(InputError, match=told):
        zero_shot(model, **{"texts": TEXTS, **given})


def test_a_gap_needs_a_model_that_fills_it(model):
    encoder = mb.TextEncoder(model.encoder, model.task.tokenizer, max_length=64)
    with pytest.raises(InputError, match="fills masks"):
        zero_shot(encoder, TEXTS, labels="animal,thing", template=GAP)


def test_labels_are_typed_with_or_without_words():
    assert label_words("a, b=great|good") == {"a": ("a",), "b": ("great", "good")}


def test_labels_are_named_on_the_command_line(folder, tmp_path, capsys):
    words = ["predict", "--model", str(folder), "--labels", "1=animal,0=thing", "--template", GAP]
    assert main([*words, "--calibrate", *TEXTS]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["label"] for line in lines] == ["1", "0", "1", "0"]
    assert [line["text"] for line in lines] == TEXTS
    assert main(["predict", "--model", str(folder), "--labels", "cat,road", *TEXTS]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert main(["predict", "--model", str(folder), "--template", GAP, *TEXTS]) == 2
    assert "--labels" in capsys.readouterr().err
    assert main(["predict", "--model", str(folder), *TEXTS]) == 2
    assert "predict --labels a,b,c" in capsys.readouterr().err
