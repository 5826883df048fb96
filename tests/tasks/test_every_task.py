"""Every task keeps every promise, with a tokenizer trained on real English."""

import argparse
import ast
import inspect
import json
import statistics
import string
import textwrap

import pytest
from check_task import LONGEST, check_long_texts, check_task, shape

from minibert.data.examples import TaggedExample, TextExample
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.cloze import Cloze
from minibert.tasks.extractive_summary import ExtractiveSummary
from minibert.tasks.intent_slots import IntentSlots
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import TASKS, Model
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.multiple_choice import MultipleChoice
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.regression import Regression
from minibert.tasks.relations import Relations
from minibert.tasks.replaced_tokens import ReplacedTokens
from minibert.tasks.retrieval import Retrieval
from minibert.tasks.seq2seq import Seq2Seq
from minibert.tasks.similarity import Similarity
from minibert.tasks.tagging import Tagging
from minibert.text.sentencepiece import SentencePieceTokenizer, train_sentencepiece


@pytest.fixture(scope="module")
def tokenizer() -> SentencePieceTokenizer:
    texts = []
    for module in (ast, inspect, json, statistics, string, textwrap, argparse):
        tree = ast.parse(inspect.getsource(module))
        nodes = (ast.Module, ast.ClassDef, ast.FunctionDef)
        texts += [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, nodes)]
    return train_sentencepiece([line for text in texts for line in text.splitlines()], 600)


GOOD = [
    "The class is fine.",
    "A good function returns a good value",
    "good",
    "It is a good good day, really.",
]
BAD = ["The class is broken.", "A bad function raises an error", "bad", "It is a bad bad day, really."]
RATED = [TextExample(text, label="good") for text in GOOD] + [TextExample(text, label="bad") for text in BAD]
PAIRS = [
    TextExample("Return the mean", "the mean of data", "same"),
    TextExample("Return the mean", "an error", "other"),
    TextExample("Raise", "an error is raised", "same"),
    TextExample("Raise", "the mean of data", "other"),
]
LONG = "The statistics module raises an error if the data is empty. " * 7


def tagged(text: str, tags: str) -> TaggedExample:
    """Return words parted by single spaces with their tags."""
    spans, place = [], 0
    for word in text.split(" "):
        spans.append((place, place + len(word)))
        place += len(word) + 1
    return TaggedExample(text, tuple(spans), tuple(tags.split()))


ENTITIES = [
    tagged("Ada Lovelace wrote to Charles Babbage", "B-PER I-PER O O B-PER I-PER"),
    tagged("Paris and New York are far", "B-LOC O B-LOC I-LOC O O"),
    tagged("Nothing here", "O O"),
    tagged("Ada", "B-PER"),
]
SINGLES = [
    tagged("Ada Lovelace wrote to Charles", "B-PER E-PER O O S-PER"),
    tagged("Paris and New York City are far", "S-LOC O B-LOC I-LOC E-LOC O O"),
]
SPEECH = [
    tagged("the cat sat on the mat", "DET NOUN VERB PREP DET NOUN"),
    tagged("dogs run", "NOUN VERB"),
    tagged("the dogs sat", "DET NOUN VERB"),
]
MASKED = [
    TextExample("Return the [MASK] of the data."),
    TextExample("Raise an error if the [MASK] is empty, or if the class is [MASK]."),
    TextExample("No mask at all."),
]


@pytest.mark.parametrize("recipe", ["bert", "modernbert"])
@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_classification_keeps_every_promise(tokenizer, tmp_path, pooling, recipe):
    options = {"pooling": pooling, "classifier_dropout": 0.0}
    model = check_task(Classification, RATED, tokenizer, tmp_path, options=options, recipe=recipe)
    answer = model.predict(["a good day"])[0]
    assert set(answer.probabilities) == {"good", "bad"}
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)
    assert answer.label == max(answer.probabilities, key=answer.probabilities.__getitem__)


def test_classification_of_pairs_keeps_every_promise(tokenizer, tmp_path):
    check_task(Classification, PAIRS, tokenizer, tmp_path, options={"classifier_dropout": 0.0})


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("examples", [ENTITIES, SINGLES, SPEECH], ids=["BIO", "BIOES", "plain"])
def test_tagging_keeps_every_promise(tokenizer, tmp_path, examples, crf):
    options = {"crf": crf, "classifier_dropout": 0.0}
    model = check_task(Tagging, examples, tokenizer, tmp_path, options=options, recipe="modernbert")
    answer = model.predict([examples[0].text])[0]
    assert answer.spans == examples[0].spans
    assert answer.tags == model.task.example(examples[0]).tags
    for entity in answer.entities:
        assert examples[0].text[entity.start : entity.end] == entity.text
    found = [(entity.text, entity.label) for entity in answer.entities]
    wanted = {
        "Ada Lovelace wrote to Charles Babbage": [("Ada Lovelace", "PER"), ("Charles Babbage", "PER")],
        "Ada Lovelace wrote to Charles": [("Ada Lovelace", "PER"), ("Charles", "PER")],
    }
    assert found == wanted.get(examples[0].text, [])


def test_masked_lm_keeps_every_promise_that_applies(tokenizer, tmp_path):
    model = check_task(MaskedLM, MASKED, tokenizer, tmp_path)
    with pytest.raises(InputError, match="evaluate_loss"):
        model.evaluate(MASKED)


def test_every_task_that_can_be_reopened_is_checked_here():
    # The others have files of their own, named after them.
    here = {Classification, Tagging, MaskedLM}
    elsewhere = {
        Cloze,
        ExtractiveSummary,
        IntentSlots,
        MultiLabel,
        MultipleChoice,
        QuestionAnswering,
        Regression,
        Relations,
        ReplacedTokens,
        Retrieval,
        Seq2Seq,
        Similarity,
    }
    assert set(TASKS.values()) == here | elsewhere


@pytest.mark.parametrize("on_long", ["truncate", "head_tail", "split", "error"])
def test_long_texts_of_classification(tokenizer, on_long):
    check_long_texts(
        Classification, TextExample(LONG.strip(), label="good"), RATED, tokenizer, on_long=on_long
    )


@pytest.mark.parametrize("on_long", ["truncate", "split", "error"])
def test_long_texts_of_tagging(tokenizer, on_long):
    text = LONG.strip()
    example = tagged(text, " ".join(["O"] * len(text.split(" "))))
    check_long_texts(Tagging, example, ENTITIES, tokenizer, on_long=on_long)


@pytest.mark.parametrize("words", [1, 17, 40, 77, 201])
def test_a_split_text_asks_every_word_exactly_once_at_its_own_first_token(tokenizer, words):
    text = " ".join(f"{'error' * (1 + n % 3)}{n}" for n in range(words))
    example = tagged(text, " ".join(["O"] * words))
    task = Tagging.build(tokenizer, shape("bert", tokenizer.vocab_size), ENTITIES, {"max_length": 23})
    windows = task.encode(example)
    assert sorted(unit for window in windows for unit in window.units) == list(range(words))
    for window in windows:
        for row, unit in zip(window.rows, window.units, strict=True):
            assert window.tokens.offsets[row][0] == example.spans[unit][0]
            assert window.tokens.ids[row] not in tokenizer.special_ids
    # Where windows overlap, a word is asked in the one that shows more of its surroundings.
    for window in windows[1:-1]:
        if not len(window.rows):
            continue
        assert window.rows.min() > 1
        assert window.rows.max() < len(window) - 2


@pytest.mark.parametrize("text", ["", " ", "\n"])
@pytest.mark.parametrize("name", ["classification", "tagging", "masked_lm"])
def test_an_empty_text_has_an_answer(tokenizer, name, text):
    config = shape("bert", tokenizer.vocab_size)
    examples = {"classification": RATED, "tagging": ENTITIES, "masked_lm": MASKED}[name]
    model = Model(Encoder(config), TASKS[name].build(tokenizer, config, examples, {}))
    (answer,) = model.predict([text])
    assert answer == [] if name == "masked_lm" else answer is not None


@pytest.mark.parametrize(
    ("task", "examples", "message"),
    [
        (Classification, [TextExample("a", label="x")], r"\['x'\]"),
        (Classification, [TextExample("a")], r"\[\]"),
        (Tagging, [tagged("a b", "N N")], r"\['N'\]"),
        (Tagging, [], r"\[\]"),
    ],
)
def test_one_class_only_is_refused_with_what_there_is(tokenizer, task, examples, message):
    with pytest.raises(InputError, match=message):
        task.build(tokenizer, shape("bert", tokenizer.vocab_size), examples, {})


def test_a_label_never_seen_in_training_is_named_beside_the_known_ones(tokenizer):
    config = shape("bert", tokenizer.vocab_size)
    with pytest.raises(InputError, match=r"'ugly'.*bad, good"):
        Classification.build(tokenizer, config, RATED, {}).encode(TextExample("a", label="ugly"))
    with pytest.raises(InputError, match=r"'B-ORG'.*B-LOC"):
        Tagging.build(tokenizer, config, ENTITIES, {}).encode(tagged("a", "B-ORG"))


def test_an_unknown_option_is_named_beside_the_nearest(tokenizer):
    config = shape("bert", tokenizer.vocab_size)
    with pytest.raises(InputError, match=r"'poling'.*'pooling'"):
        Classification.build(tokenizer, config, RATED, {"poling": "mean"})
    with pytest.raises(InputError, match=r"'cfr'.*'crf'"):
        Tagging.build(tokenizer, config, ENTITIES, {"cfr": True})


def test_bare_letters_are_a_scheme_of_one_kind_of_span(tokenizer):
    config = shape("bert", tokenizer.vocab_size)
    task = Tagging.build(tokenizer, config, [tagged("a b c", "B I O")], {})
    assert task.labels == ("B", "I", "O")


def test_the_main_metric_comes_first(tokenizer):
    config = shape("bert", tokenizer.vocab_size)
    for task, examples, metric in (
        (Classification, RATED, "accuracy"),
        (Tagging, ENTITIES, "f1"),
        (Tagging, SPEECH, "macro_f1"),
    ):
        model = Model(Encoder(config), task.build(tokenizer, config, examples, {}))
        assert next(iter(model.evaluate(examples))) == metric


def test_class_weights_weigh_each_class_by_one_over_its_frequency(tokenizer):
    config = shape("bert", tokenizer.vocab_size)
    rows = [TextExample("a", label=label) for label in "xxxy"]
    task = Classification.build(tokenizer, config, rows, {"class_weights": "balanced"})
    assert task.weights_C.tolist() == pytest.approx([4 / 6, 4 / 2])
    task.weigh([TextExample("a", label=label) for label in ("x", "y", "y", "y", None)])
    assert task.weights_C.tolist() == pytest.approx([4 / 2, 4 / 6])


def test_a_position_table_as_long_as_the_model_is_what_windows_fill(tokenizer):
    config = shape("bert", tokenizer.vocab_size)
    task = Classification.build(tokenizer, config, RATED, {})
    (window,) = task.encode(TextExample(LONG * 3))
    assert len(window) == LONGEST
    Model(Encoder(config), task).predict([LONG * 3])
