"""Answers that are no labels are explained: choices, likenesses, texts that are written."""

import argparse
import json
import math
from dataclasses import replace

import pytest
import tiny_runs
import torch
from fakes import FakeTokenizer
from small_models import SHAPE, VOCABULARY
from tiny_runs import last_line

import minibert as mb
from minibert.attribution import explain
from minibert.cli import main
from minibert.commands.explain import page_of
from minibert.data.examples import ChoiceExample, NumberExample, ParallelExample, SearchExample
from minibert.errors import InputError
from minibert.evaluation.explained import explained
from minibert.model.cross_attention import Memory
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model
from minibert.tasks.multiple_choice import MultipleChoice
from minibert.tasks.retrieval import Retrieval
from minibert.tasks.seq2seq import Seq2Seq
from minibert.tasks.similarity import Similarity
from minibert.tasks.task import Window
from minibert.text.sentencepiece import train_sentencepiece

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


def test_a_choice_that_is_a_number_is_named_by_its_place():
    example = ChoiceExample(TEXT, ("w12", "w11", "0"), 0)
    assert explain(built(MultipleChoice, [example]), example, label="0", steps=1).label == "w12"


def test_a_likeness_is_the_one_that_is_predicted():
    similar, search = built(Similarity, PAIRS), built(Retrieval, [SEARCH])
    found = explain(similar, PAIRS[0], steps=1)
    assert found.value == pytest.approx(similar.predict([PAIRS[0]])[0].similarity, abs=1e-5)
    assert (found.label, found.pair) == (f"likeness to {OTHER!r}", OTHER)
    vectors = search.predict([SEARCH])[0]
    assert explain(search, SEARCH, steps=1).value == pytest.approx(
        float(vectors.query @ vectors.passages[0]), abs=1e-5
    )


@pytest.mark.parametrize("beams", [1, 3])
def test_a_written_text_is_explained_by_its_own_tokens_and_their_log_p(beams):
    """A real tokenizer: what is decoded and read again may be other tokens, and cut."""
    texts = ["the cat sees the dog", "a stone on the road"]
    tokenizer = train_sentencepiece([*texts, *map(tiny_runs.sentence, range(200))], 310)
    config = replace(SHAPE, vocab_size=tokenizer.vocab_size)
    torch.manual_seed(1)
    rows = [ParallelExample(*texts)]
    task = Seq2Seq.build(tokenizer, config, rows, {"max_target_length": 9, "num_beams": beams})
    model = Model(Encoder(config), task).eval()
    for text in (*texts, "\u2603\u2603"):
        window = Window(task.encode(text)[0].tokens)
        with torch.no_grad():
            (written,) = task.predict(model.encoder, task.pack([window]), [window])
        found = explain(model, text, steps=2)
        assert found.label == tokenizer.decode(written.ids)
        if len(written.ids) < 8:  # at its limit a target is made to end
            assert found.value == pytest.approx(written.log_p, abs=1e-3)
        asked = explained(model, text, label=None, word=None)
        assert asked.cost == (len(written.ids) + 1) * tokenizer.vocab_size // 1024
    short = explain(model, texts[0], label="the cat", steps=1)
    (window,) = task.encode(ParallelExample(texts[0], "the cat"))
    loss = model.evaluate_loss([task.collate([window], 0, 0, 0.0)])
    with torch.no_grad():
        batch, targets = task.collate([window], 0, 0, 0.0)
        memory = Memory(model.encoder(batch), batch.layout)
        p_TV = task.logits(task.hidden(model.encoder, memory, targets), task.table(model.encoder)).softmax(-1)
        forbidden = float((1 - p_TV[:, task.never_V].sum(1)).log().sum())  # tokens that are never written
    assert short.value == pytest.approx(-loss * len(window.target) - forbidden, abs=1e-3)


def test_texts_that_cannot_be_written_are_refused():
    model = built(Seq2Seq, [WRITING], max_target_length=4)
    with pytest.raises(InputError, match="longer than the 4 tokens of a target"):
        explain(model, TEXT, label="w6 w7 w8 w9")
    copying = built(Seq2Seq, [WRITING], copy_attention=True)
    with pytest.raises(InputError, match="copy_attention copies tokens as they are"):
        explain(copying, TEXT)


@pytest.mark.parametrize(
    ("name", "example", "options", "told"),
    [
        (
            "multiple_choice",
            CHOOSING,
            {"label": "3"},
            "label '3' is no choice; name its place from 0, or one of w7 w8, w9",
        ),
        ("multiple_choice", CHOOSING, {"word": 0}, "multiple_choice has no words to choose from"),
        ("similarity", PAIRS[0], {"label": "a"}, "similarity compares two texts; leave it out"),
        ("similarity", TEXT, {}, "stands alone, and similarity compares two texts"),
        ("retrieval", TEXT, {}, "stands alone, and retrieval compares two texts"),
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
    page = tmp_path / "why.html"
    asked = ["explain", "--model", str(tmp_path / "search"), "--steps", "2"]
    assert main([*asked, "--file", str(rows), "--output", str(page)]) == 0
    told = last_line(capsys.readouterr().out)["explanations"]
    assert [one["label"] for one in told] == ["likeness to 'a cat saw'", "likeness to 'a dog saw'"]
    assert [one["pair"] for one in told] == ["a cat saw", "a dog saw"]
    assert "Attention" in page.read_text("utf-8")
    assert main([*asked, "a cat"]) == 2
    assert "'a cat' stands alone" in capsys.readouterr().err


def test_a_page_about_a_choice_draws_the_attention_of_that_choice(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "minibert.commands.explain.attention_maps",
        lambda encoder, ids: seen.append(ids) or torch.zeros(1, 1, len(ids), len(ids)),
    )
    model = built(MultipleChoice, [CHOOSING])
    found = explain(model, CHOOSING, label="1", steps=1)
    args = argparse.Namespace(model="runs/choose", method="integrated_gradients")
    assert page_of(model, [found], args)["attention"]["layer"] == SHAPE.num_hidden_layers
    (whole,) = model.task.encode(CHOOSING)
    assert seen == [whole.choices[1].ids.tolist()]
