"""Attributions: complete, equal to slopes measured by small moves, and pointing at what decides."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import tiny_runs
import torch
from fakes import FakeTokenizer
from small_models import SHAPE, VOCABULARY, classifier, texts
from tiny_runs import last_line

import minibert as mb
from minibert.attribution import explain, nothing_of, rows_of_table
from minibert.cli import main
from minibert.commands.explain import shaded
from minibert.data.batches import ExampleBatches
from minibert.data.examples import (
    GoldAnswer,
    IntentExample,
    MultiLabelExample,
    NumberExample,
    QuestionExample,
    RelationExample,
    TaggedExample,
    TextExample,
)
from minibert.errors import InputError
from minibert.evaluation.explained import score_of
from minibert.evaluation.explained_answers import best_answer
from minibert.model.encoder import Encoder
from minibert.report.explanations import coloured, explanations, stretches
from minibert.tasks.classification import Classification
from minibert.tasks.cloze import Cloze
from minibert.tasks.intent_slots import IntentSlots
from minibert.tasks.model import Model
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.regression import Regression
from minibert.tasks.relations import Relations
from minibert.tasks.tagging import Tagging
from minibert.training.objectives import moved

TEXT = "w5 w17 w23 w9 w31"


def built(task, examples, options=None):
    torch.manual_seed(3)
    made = task.build(FakeTokenizer(VOCABULARY), SHAPE, examples, options or {})
    return Model(Encoder(SHAPE), made).eval()


def tagged(tags):
    spans = tuple((at, at + len(word)) for at, word in zip((0, 3, 7, 11, 14), TEXT.split(), strict=True))
    return TaggedExample(TEXT, spans, tuple(tags))


SETS = [MultiLabelExample("w5", None, ("a", "b"))]
RELATED = [RelationExample("w5 w6", (0, 2), (3, 5), label) for label in ("a", "b", "c")]
ASKED = [IntentExample("w5", ((0, 2),), ("B-x",), intent) for intent in ("a", "b")]
TOLD = [TextExample("w5", None, "a"), TextExample("w6", None, "b")]
NUMBERS = [NumberExample("w5", None, 1.0), NumberExample("w6", None, 4.0)]
MODELS = {
    "classification": (classifier, {}),
    "multi_label": (lambda: built(MultiLabel, SETS), {"label": "b"}),
    "regression": (lambda: built(Regression, NUMBERS), {}),
    "tagging": (lambda: built(Tagging, [tagged("XYXYX")]), {"word": 3}),
    "relations": (lambda: built(Relations, RELATED), {}),
    "intent_slots": (lambda: built(IntentSlots, ASKED), {}),
    "cloze": (lambda: built(Cloze, TOLD, {"template": "{text} w8 [MASK]", "verbalizer": "a=w6,b=w7"}), {}),
}
ASKED_OF = {"relations": "w5 <e1>w17</e1> w23 <e2>w9</e2> w31"}  # the others: TEXT


def made(name):
    make, options = MODELS[name]
    model = make().double()
    model.encoder.dtype = torch.float64
    # Fresh weights are so small that everything is nearly linear; larger ones bend.
    with torch.no_grad():
        for weight in model.encoder.parameters():
            weight.mul_(3.0)
    return model, options


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("nothing", ["mask", "pad", "zero"])
def test_integrated_gradients_are_complete(name, nothing):
    model, options = made(name)
    found = explain(model, ASKED_OF.get(name, TEXT), nothing=nothing, steps=200, **options)
    total = sum(piece.score for piece in found.pieces)
    assert abs(found.value - found.nothing) > 1e-4
    assert total == pytest.approx(
        found.value - found.nothing, abs=2e-3 * abs(found.value - found.nothing) + 1e-5
    )
    assert found.gap == pytest.approx(abs(total - found.value + found.nothing))


@pytest.mark.parametrize("name", MODELS)
def test_the_value_is_the_log_odds_of_the_answer_or_the_number(name):
    model, options = made(name)
    found = explain(model, ASKED_OF.get(name, TEXT), steps=1, **options)
    (answer,) = model.predict([ASKED_OF.get(name, TEXT)])
    said = [piece.text for piece in found.pieces if piece.word >= 0 and piece.end > piece.start]
    assert said[:5] == TEXT.split()
    if name == "regression":
        assert found.value == pytest.approx(answer.value, rel=1e-5)
    elif name == "tagging":
        assert found.label == answer.tags[3]
    else:
        p = answer.probabilities[found.label]
        assert found.value == pytest.approx(np.log(p / (1 - p)), abs=1e-5)


def evaluated(model, window, score, move_TD):
    with torch.no_grad(), moved(model.encoder.embeddings.token, move_TD):
        return score(model.task.pack([window]), [window]).item()


@pytest.mark.parametrize("name", ["classification", "tagging"])
def test_gradient_times_input_is_what_small_stretches_of_a_token_do(name):
    model, options = made(name)
    found = explain(model, TEXT, method="gradient_x_input", **options)
    window = model.task.encode(TEXT)[0]
    _, score = score_of(model, window, label=found.label, word=options.get("word"))
    rows_TD, step = rows_of_table(model, window.tokens.ids), 1e-2
    for place, piece in enumerate(found.pieces):
        move_TD = torch.zeros_like(rows_TD)
        move_TD[place] = step * rows_TD[place]
        rise = evaluated(model, window, score, move_TD) - evaluated(model, window, score, -move_TD)
        assert piece.score == pytest.approx(rise / (2 * step), abs=2e-3 * max(1, abs(piece.score)))


def test_integrated_gradients_are_a_sum_of_small_moves_along_the_way():
    """Each token's share of every small step from nothing to the text, by differences alone."""
    model, _ = made("classification")
    found = explain(model, TEXT, steps=60)
    window = model.task.encode(TEXT)[0]
    _, score = score_of(model, window, label=found.label, word=None)
    away_TD = rows_of_table(model, window.tokens.ids) - nothing_of(model, window, "mask")
    parts, wanted = 40, np.zeros(len(window))
    for number in range(parts):
        here_TD = ((number + 0.5) / parts - 1) * away_TD
        for place in range(len(window)):
            step_TD = torch.zeros_like(away_TD)
            step_TD[place] = away_TD[place] / (2 * parts)
            ahead, behind = (evaluated(model, window, score, here_TD + sign * step_TD) for sign in (1, -1))
            wanted[place] += ahead - behind
    assert [piece.score for piece in found.pieces] == pytest.approx(wanted, abs=0.01 * np.abs(wanted).max())


def test_control_tokens_and_what_says_nothing_get_nothing():
    model, _ = made("classification")
    found = explain(model, TEXT)
    assert [piece.score for piece in found.pieces if not piece.text] == [0.0, 0.0]
    assert [piece.text for piece in found.pieces if piece.text] == TEXT.split()
    # a token whose vector is that of the mask changes nothing on the way
    table = model.encoder.embeddings.token.weight
    with torch.no_grad():
        table[int(model.task.encode(TEXT)[0].tokens.ids[2])] = table[model.task.tokenizer.mask_id]
    assert explain(model, TEXT).pieces[2].score == 0.0


def test_what_decides_gets_the_most():
    model = classifier(seed=2)
    rows = texts(40)
    windows = [window for row in rows for window in model.task.encode(row)]
    config = mb.TrainingConfig(max_steps=60, learning_rate=3e-3, precision="fp32")
    for _ in mb.train(model, ExampleBatches(windows, model.task.collate, batch_size=20), config):
        pass
    assert model.evaluate(rows)["accuracy"] == 1.0
    for row in rows[:6]:
        found = explain(model, row)
        strongest = max(found.pieces, key=lambda piece: piece.score)
        assert strongest.text == row.text.split()[0]
        assert found.gap < 0.02 * abs(found.value - found.nothing)


def test_words_add_their_tokens_up(folder):
    found = explain(mb.load(folder / "clf"), "the unheard-of cat sees")
    words = found.by_words()
    assert [piece.text for piece in words.pieces if piece.text] == ["the", "unheard-of", "cat", "sees"]
    assert len(words.pieces) < len(found.pieces)
    assert sum(piece.score for piece in words.pieces) == pytest.approx(
        sum(piece.score for piece in found.pieces)
    )
    assert words.gap == pytest.approx(found.gap, abs=1e-9)


def test_a_pair_is_explained_in_both_its_texts():
    model, _ = made("classification")
    found = explain(model, TextExample("w5 w7", "w9 w11"))
    assert [(piece.text, piece.segment) for piece in found.pieces if piece.text] == [
        ("w5", 0), ("w7", 0), ("w9", 1), ("w11", 1),
    ]  # fmt: skip


def test_both_texts_of_a_pair_are_shown_each_with_its_own_scores():
    model, _ = made("classification")
    found = explain(model, TextExample("w5 w7", "w9 w11"))
    wanted = {piece.text: piece.score for piece in found.pieces if piece.text}
    parts = [(text.strip(), score) for text, score in shaded(found) if text.strip()]
    assert [text for text, _ in parts] == ["w5", "w7", "/", "w9", "w11"]
    assert dict(parts) == pytest.approx({**wanted, "/": 0.0}, abs=1e-9)


def answering(passage, **options):
    """Return a model that answers questions in float64, and a question about a passage."""
    rows = [QuestionExample("w5 w6", passage, (GoldAnswer(passage[:2], 0),))]
    model = built(QuestionAnswering, rows, options).double()
    model.encoder.dtype = torch.float64
    return model, rows[0]


def test_an_answer_is_explained_by_its_question_and_its_passage():
    model, row = answering(" ".join(f"w{number}" for number in range(7, 15)))
    found = explain(model, row, steps=200)
    answer = model.predict([row])[0]
    assert found.label == answer.best_span
    assert (found.text, found.pair) == (row.question, row.passage)
    said = [piece.text for piece in found.pieces if piece.text]
    assert said == [*row.question.split(), *row.passage.split()]
    window = model.task.encode(row)[0]
    batch = model.task.pack([window])
    with torch.no_grad():
        shares_m2 = model.task.logits(model.encoder, batch, torch.from_numpy(window.rows)).softmax(0)
    answered = found.label.split()
    places = [1 + row.passage.split().index(word) for word in (answered[0], answered[-1])]
    odds = [float(shares_m2[place, side]) for side, place in enumerate(places)]
    assert found.value == pytest.approx(sum(math.log(p / (1 - p)) for p in odds), abs=1e-5)
    assert found.gap < 1e-3 * abs(found.value - found.nothing)


def test_of_tokens_at_one_place_the_answers_own_is_explained(monkeypatch):
    """Tokens of one character, such as bytes of an emoji, share their offsets; scores tell them apart."""
    model, row = answering("w7 w8 w9 w10 w11")
    window = model.task.encode(row)[0]
    offsets = window.tokens.offsets.copy()
    offsets[window.rows[2:5]] = offsets[window.rows[2]]  # w8, w9 and w10 stand at one place
    window = replace(window, tokens=replace(window.tokens, offsets=offsets))
    monkeypatch.setattr(model.task, "encode", lambda example: [window])
    first, last, _ = best_answer(model, window)
    with torch.no_grad():
        (logits_m2,) = model.task.predict(model.encoder, model.task.pack([window]), [window])
    sums = {(a, b): logits_m2[a, 0] + logits_m2[b, 1] for a in range(1, 6) for b in range(a, 6)}
    assert (first, last) == max(sums, key=sums.get)
    shares_m2 = torch.tensor(logits_m2).softmax(0)
    odds = [float(shares_m2[first, 0]), float(shares_m2[last, 1])]
    found = explain(model, row, steps=1)
    assert found.value == pytest.approx(sum(math.log(p / (1 - p)) for p in odds), abs=1e-5)


def test_a_question_is_typed_and_that_the_model_would_give_no_answer_is_told(tmp_path, capsys):
    tiny_runs.make_encoder(tmp_path / "enc")
    settings = {"train.max_steps": 1, "train.precision": "fp32", "data.progress": False}
    settings["task.null_score_diff_threshold"] = -1e6  # never an answer
    rows = tiny_runs.write_questions(tmp_path / "rows.json")
    mb.finetune(tmp_path / "enc", task="question_answering", train=rows, output_dir=tmp_path / "qa",
                settings=settings)  # fmt: skip
    (tmp_path / "page.txt").write_text(tiny_runs.PASSAGE, "utf-8")
    capsys.readouterr()
    assert main(["explain", "--model", str(tmp_path / "qa"), "--question", "Who sees the dog?",
                 "--passage-file", str(tmp_path / "page.txt"), "--steps", "2"]) == 0  # fmt: skip
    shown = capsys.readouterr()
    assert "the model gives no answer; explained is the best that it could give" in shown.err
    assert "Who sees the dog? / The cat" in shown.out and "+0.0000   / " not in shown.out


def test_an_answer_is_explained_in_the_window_that_has_it(capsys):
    passage = " ".join(f"w{5 + 7 * number % 31}" for number in range(40))
    model, row = answering(passage, max_length=16, doc_stride=2)
    found = explain(model, row)
    assert found.label == model.predict([row])[0].best_span
    assert "windows; explained is number" in capsys.readouterr().err
    with pytest.raises(mb.InputError, match="question_answering answers from its passage; leave it out"):
        explain(model, row, label="w5")


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("classification", {"label": "c"}, "label 'c' is unknown; this model knows a, b"),
        ("classification", {"word": 0}, "classification has no words to choose from"),
        ("classification", {"nothing": "noise"}, "nothing 'noise' is unknown; use mask, pad or zero"),
        ("classification", {"steps": 0}, "steps is 0"),
        ("regression", {"label": "a"}, "regression answers with a number"),
        ("tagging", {"word": 5}, "word 5: the text has 5 words, 0 to 4"),
    ],
)
def test_what_cannot_be_explained_is_said(name, options, told):
    model, _ = made(name)
    with pytest.raises(mb.InputError, match=told):
        explain(model, TEXT, **options)


def test_stretches_keep_every_letter():
    random = np.random.default_rng(0)
    for _ in range(50):
        borders = np.sort(random.integers(0, 21, 8))
        pieces = [(int(a), int(b), 1.0) for a, b in borders.reshape(-1, 2)]
        parts = stretches("abcdefghijklmnopqrst", pieces)
        assert "".join(text for text, _ in parts) == "abcdefghijklmnopqrst"


def test_a_piece_without_characters_goes_to_what_stands_behind_it():
    pieces = [(0, 0, 0.25), (0, 3, 1.0), (3, 4, -1.0), (5, 5, 0.5), (5, 8, 2.0), (8, 8, 0.125)]
    told = [("red", 1.25), (",", -1.0), (" ", 0.0), ("red", 2.625)]
    assert stretches("red, red", pieces) == told


def test_shades_go_by_sign_and_strength():
    parts = [("good", 2.0), (" ", 0.0), ("bad", -1.0), ("so", 0.01)]
    assert coloured(parts, 2.0) == "\x1b[97;48;5;40mgood\x1b[0m \x1b[97;48;5;124mbad\x1b[0mso"
    page = explanations([{"parts": [("<b>", 2.0)], "label": "x", "value": 1.0, "nothing": -1.0}])
    assert "&lt;b&gt;" in page and "rgba(47, 111, 178, 0.750)" in page


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    encoder = tiny_runs.make_encoder(folder / "enc")
    tiny_runs.write_table(folder / "train.csv")
    assert main(["finetune", "--task", "classification", "--model", str(encoder), "--train-file",
                 str(folder / "train.csv"), "--output-dir", str(folder / "clf"), "--no-progress", "--fp32",
                 "--max-steps", "3"]) == 0  # fmt: skip
    return folder


def test_the_command_prints_scores_colours_and_a_page(folder, tmp_path, capsys):
    asked = ["explain", "--model", str(folder / "clf"), "the cat sees"]
    assert main([*asked, "--output", str(tmp_path / "new/why.html")]) == 0
    out = capsys.readouterr().out
    (told,) = last_line(out)["explanations"]
    assert told["gap"] < 0.01
    total = sum(token["score"] for token in told["tokens"])
    assert total == pytest.approx(told["value"] - told["nothing"], abs=0.01)
    assert "a text that says nothing" in out
    *words, control = [line.split() for line in out.splitlines()[1:] if line.startswith("  ")]
    assert control[1:] == ["(control", "tokens)"]
    assert float(control[0]) == pytest.approx(
        sum(t["score"] for t in told["tokens"] if t["word"] < 0), abs=1e-4
    )
    shown = sum(float(line[0]) for line in words)
    assert shown == pytest.approx(sum(t["score"] for t in told["tokens"] if t["word"] >= 0), abs=1e-3)
    page = (tmp_path / "new/why.html").read_text("utf-8")
    assert "Explanations" in page and "Attention" in page and "rgba(" in page
    assert main([*asked, "--unit", "word"]) == 0
    (told,) = last_line(capsys.readouterr().out)["explanations"]
    assert [token["text"] for token in told["tokens"]][1:-1] == ["the", "cat", "sees"]
    assert main([*asked, "--color", "always", "--label", "animal"]) == 0
    assert "\x1b[97;48;5;" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a text", "--output", "why.pdf"], "why.pdf: the page is HTML"),
        (["  "], "text 1 is empty"),
        (["a text", "--label", "plant"], "'plant' is unknown; this model knows animal, thing"),
        (["a text", "--steps", "0"], "steps is 0"),
    ],
)
def test_bad_input_of_the_command(folder, capsys, arguments, told):
    assert main(["explain", "--model", str(folder / "clf"), *arguments]) == 2
    assert told in capsys.readouterr().err


def test_an_encoder_alone_cannot_be_explained(folder, capsys):
    assert main(["explain", "--model", str(folder / "enc"), "a text"]) == 2
    assert "knows no labels" in capsys.readouterr().err


def test_json_of_an_explanation_is_plain(folder, capsys):
    assert main(["explain", "--model", str(folder / "clf"), "the cat", "the road"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["explanations"]
    assert [one["text"] for one in told] == ["the cat", "the road"]


def test_rows_of_a_file_are_explained_after_texts_that_were_typed(folder, tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    rows.write_text("said,reply,label\nthe dog,a road,animal\nthe stone,a cat,thing\n", "utf-8")
    words = [
        "explain",
        "--model",
        str(folder / "clf"),
        "the cat",
        "--file",
        str(rows),
        "--text-column",
        "said",
    ]
    assert main([*words, "--pair-column", "reply", "--output", str(tmp_path / "why.html")]) == 0
    out = capsys.readouterr().out
    assert "the dog / a road\n" in out
    told = last_line(out)["explanations"]
    assert [one["text"] for one in told] == ["the cat", "the dog", "the stone"]
    spelled = ["".join(token["text"] for token in one["tokens"]).replace(" ", "") for one in told]
    assert spelled == ["thecat", "thedogaroad", "thestoneacat"]
    assert [one.get("pair") for one in told] == [None, "a road", "a cat"]
    assert main(["explain", "--model", str(folder / "clf")]) == 2
    assert "nothing to explain" in capsys.readouterr().err


def long_model(task, examples):
    """Return a model that reads twelve words at once, and a text of forty."""
    model = built(task, examples, {"max_length": 14, "on_long": "split"}).double()
    model.encoder.dtype = torch.float64
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3.0)
    return model, " ".join(f"w{5 + 7 * number % 31}" for number in range(40))


def test_of_a_split_text_the_window_that_decides_is_explained(capsys):
    model, text = long_model(Classification, [TextExample("w5", label="a"), TextExample("w6", label="b")])
    found = explain(model, text, steps=5)
    (answer,) = model.predict([text])
    assert found.label == answer.label
    windows = model.task.encode(text)
    values = []
    for window in windows:
        _, score = score_of(model, window, label=found.label, word=None)
        values.append(score(model.task.pack([window]), [window])[0].item())
    assert len(values) > 2 and found.value == pytest.approx(max(values))
    told = f"the model reads the text in {len(windows)} windows; explained is number {np.argmax(values) + 1}"
    assert told in capsys.readouterr().err
    inside = [piece for piece in found.pieces if piece.text]
    assert all(text[piece.start : piece.end] == piece.text for piece in inside)
    ends = windows[int(np.argmax(values))].tokens.offsets.max()
    assert max(piece.end for piece in inside) == ends


def test_of_a_split_text_the_word_is_explained_where_it_was_asked():
    model, text = long_model(Tagging, [tagged("XYXYX")])
    spans = [(match.start(), match.end()) for match in re.finditer(r"\S+", text)]
    example = TaggedExample(text, tuple(spans), None)
    found = explain(model, example, word=33, steps=3)
    assert found.label == model.predict([example])[0].tags[33]
    inside = [piece for piece in found.pieces if piece.text]
    assert min(piece.start for piece in inside) < spans[33][0] < max(piece.end for piece in inside)
    assert min(piece.start for piece in inside) > 0


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match="'x' is unknown; use integrated_gradients or"):
        explain(made("classification")[0], TEXT, method="x")
