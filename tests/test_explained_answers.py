"""Answers that are no labels are explained: choices, likenesses, texts that are written."""

import json
import math

import pytest
import tiny_runs
import torch
from fakes import FakeTokenizer
from small_models import SHAPE, VOCABULARY
from tiny_runs import last_line

import minibert as mb
from minibert.attribution import explain
from minibert.cli import main
from minibert.data.examples import ChoiceExample, NumberExample, ParallelExample, SearchExample
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model
from minibert.tasks.multiple_choice import MultipleChoice
from minibert.tasks.retrieval import Retrieval
from minibert.tasks.seq2seq import Seq2Seq
from minibert.tasks.similarity import Similarity

TEXT, OTHER = "w5 w17 w23 w9 w31", "w6 w18 w23"
CHOOSING = ChoiceExample(TEXT, ("w7 w8", "w9", "w10 w11 w12"), 0, "w20")
PAIRS = [NumberExample(TEXT, OTHER, 1.0), NumberExample(OTHER, TEXT, 4.0)]
SEARCH = SearchExample(TEXT, OTHER, ("w7",))
WRITING = ParallelExample(TEXT, "w6 w7")


def built(task, examples, **options) -> Model:
    torch.manual_seed(3)
    made = task.build(FakeTokenizer(VOCABULARY), SHAPE, examples, options)
    model = Model(Encoder(SHAPE), made).eval().double()
    model.encoder.dtype = torch.float64
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3.0)
    return model


MODELS = {
    "multiple_choice": (lambda: built(MultipleChoice, [CHOOSING]), CHOOSING),
    "similarity": (lambda: built(Similarity, PAIRS), PAIRS[0]),
    "retrieval": (lambda: built(Retrieval, [SEARCH]), SEARCH),
    "seq2seq": (lambda: built(Seq2Seq, [WRITING], max_target_length=6), WRITING),
    "copies": (lambda: built(Seq2Seq, [WRITING], max_target_length=6, copy_attention=True), WRITING),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("nothing", ["mask", "pad"])
def test_the_scores_add_up_and_belong_to_the_words(name, nothing):
    make, example = MODELS[name]
    found = explain(make(), example, nothing=nothing, steps=200)
    total = sum(piece.score for piece in found.pieces)
    assert max(abs(piece.score) for piece in found.pieces) > 1e-4
    assert total == pytest.approx(
        found.value - found.nothing, abs=4e-3 * abs(found.value - found.nothing) + 1e-5
    )
    first = [piece.text for piece in found.pieces if piece.word >= 0 and piece.segment == 0]
    assert first == TEXT.split() and found.text == TEXT


@pytest.mark.parametrize("label", [None, "1", "w10 w11 w12"])
def test_a_choice_is_explained_by_its_log_odds_among_the_others(label):
    model = built(MultipleChoice, [CHOOSING])
    answer = model.predict([CHOOSING])[0]
    place = {None: answer.label, "1": 1, "w10 w11 w12": 2}[label]
    found = explain(model, CHOOSING, label=label, steps=1)
    p = answer.probabilities[place]
    assert found.value == pytest.approx(math.log(p / (1 - p)), abs=1e-5)
    assert found.label == CHOOSING.choices[place]
    assert found.pair == f"w20 {CHOOSING.choices[place]}"
    assert [piece.text for piece in found.pieces if piece.word >= 0 and piece.segment] == found.pair.split()


def test_a_likeness_is_the_one_that_is_predicted():
    similar, search = built(Similarity, PAIRS), built(Retrieval, [SEARCH])
    found = explain(similar, PAIRS[0], steps=1)
    assert found.value == pytest.approx(similar.predict([PAIRS[0]])[0].similarity, abs=1e-5)
    assert found.label == f"likeness to {OTHER!r}" and found.pair is None
    vectors = search.predict([SEARCH])[0]
    assert explain(search, SEARCH, steps=1).value == pytest.approx(
        float(vectors.query @ vectors.passages[0]), abs=1e-5
    )


@pytest.mark.parametrize("copy", [False, True])
def test_a_written_text_is_explained_by_its_log_p(copy):
    model = built(Seq2Seq, [WRITING], max_target_length=6, copy_attention=copy, length_penalty=0.0)
    target = "w6 w7"
    found = explain(model, WRITING, label=target, steps=1)
    windows = model.task.encode(ParallelExample(TEXT, target))
    loss = model.evaluate_loss([model.task.collate(windows, 0, 0, 0.0)])
    assert found.label == target
    assert found.value == pytest.approx(-loss * len(windows[0].target), rel=1e-5)
    model.task.bias.data[model.task.never_V] = -1e4
    written = model.predict([TEXT])[0]
    again = explain(model, TEXT, steps=1)
    assert again.label == written.target
    if len(written.target.split()) < 5:  # a target at its limit has its end from there, not from the model
        assert again.value == pytest.approx(written.score, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "example", "options", "told"),
    [
        ("multiple_choice", CHOOSING, {"label": "3"}, "label '3' is no choice; name one of w7 w8, w9, w10"),
        ("multiple_choice", CHOOSING, {"word": 0}, "multiple_choice has no words to choose from"),
        ("similarity", PAIRS[0], {"label": "a"}, "similarity compares two texts; leave it out"),
        ("similarity", TEXT, {}, "stands alone; similarity is explained for two texts: give a file"),
        ("retrieval", TEXT, {}, "stands alone; retrieval is explained for two texts: give a file"),
    ],
)
def test_what_cannot_be_explained_is_said(name, example, options, told):
    with pytest.raises(InputError, match=told):
        explain(MODELS[name][0](), example, **options)


def test_the_command_explains_queries_beside_their_passages(tmp_path, capsys):
    tiny_runs.make_encoder(tmp_path / "enc")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(
            json.dumps({"text": f"the {animal} sees", "pair": f"a {animal} saw"}) + "\n"
            for animal in ("cat", "dog")
        ),
        "utf-8",
    )
    settings = {"train.max_steps": 1, "train.precision": "fp32", "data.progress": False}
    mb.finetune(tmp_path / "enc", task="retrieval", train=rows, output_dir=tmp_path / "search",
                settings=settings)  # fmt: skip
    asked = ["explain", "--model", str(tmp_path / "search"), "--steps", "2"]
    assert main([*asked, "--file", str(rows)]) == 0
    told = last_line(capsys.readouterr().out)["explanations"]
    assert [one["label"] for one in told] == ["likeness to 'a cat saw'", "likeness to 'a dog saw'"]
    assert main([*asked, "a cat"]) == 2
    assert "'a cat' stands alone" in capsys.readouterr().err
