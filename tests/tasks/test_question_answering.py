"""Question answering keeps every promise of a task, and its answers are characters of the passage."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from check_task import LONGEST, check_task, shape
from hypothesis import given
from hypothesis import strategies as st

from minibert.data.examples import GoldAnswer, QuestionExample
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.windows import spread
from minibert.text.loading import load_tokenizer
from minibert.text.sentencepiece import train_sentencepiece

tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
import foreign_tokenizers  # noqa: E402

KINDS = [*foreign_tokenizers.KINDS, "ours"]


@pytest.fixture(scope="module")
def ours():
    return train_sentencepiece(foreign_tokenizers.texts(), 900)


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request, tmp_path_factory, ours):
    if request.param == "ours":
        return ours
    return load_tokenizer(foreign_tokenizers.KINDS[request.param](tmp_path_factory.mktemp("kind") / "t"))


def ask(question: str, passage: str, *answers: str, number: int = 0) -> QuestionExample:
    golds = tuple(GoldAnswer(text, passage.find(text) if text in passage else None) for text in answers)
    return QuestionExample(question, passage, golds, str(number))


PEOPLE = [
    ask("Who wrote?", "Ada wrote to Bob.", "Ada"),
    ask("To whom?", "Ada wrote to Bob.", "Bob"),
    ask("Who wrote?", "Bob wrote to Ada.", "Bob"),
    ask("To whom?", "Bob wrote to Ada.", "Ada"),
    ask("Who wrote?", "The list wrote to Bob.", "The list", "list"),
]
UNANSWERABLE = [ask("Who ran?", "Ada wrote to Bob."), ask("Who ran?", "Bob wrote to Ada.")]


def made(tokenizer, examples=PEOPLE, **options) -> QuestionAnswering:
    config = shape("bert", tokenizer.vocab_size)
    return QuestionAnswering.build(tokenizer, config, examples, options)


@pytest.mark.parametrize("recipe", ["bert", "modernbert"])
def test_question_answering_keeps_every_promise(ours, tmp_path, recipe):
    examples = [replace(example, answers=example.answers[:1]) for example in PEOPLE]
    model = check_task(QuestionAnswering, examples, ours, tmp_path, recipe=recipe)
    for example, answer in zip(PEOPLE, model.predict(PEOPLE), strict=True):
        assert answer.text == example.answers[0].text == example.passage[answer.start : answer.end]
        assert answer.candidates[0].text == answer.text
        assert all(candidate.text for candidate in answer.candidates)


def test_questions_without_an_answer_are_refused_once_such_were_seen(ours, tmp_path):
    examples = [replace(example, answers=example.answers[:1]) for example in PEOPLE] + UNANSWERABLE
    model = check_task(QuestionAnswering, examples, ours, tmp_path)
    answers = model.predict(examples)
    assert [answer.text for answer in answers[-2:]] == ["", ""]
    assert all(answer.margin > 0 for answer in answers[-2:])
    assert all(answer.margin < 0 for answer in answers[:-2])
    model.task.threshold = 1e9  # now there is always an answer
    assert all(answer.text for answer in model.predict(examples))


WORDS = st.lists(
    st.tuples(
        st.lists(
            st.sampled_from(
                ["a", "19", "list", "\u4e2d", "e\u0301", "\u00e9", "\ufb01", "\u00bd", "\uff21", "\U0001f600"]
            ),
            min_size=1,
            max_size=4,
        ).map("".join),
        st.sampled_from([" ", "  ", "\t", "\r\n", "\n\n"]),
    ),
    min_size=1,
    max_size=25,
)


@given(words=WORDS, place=st.tuples(st.integers(0, 24), st.integers(0, 3)))
def test_what_the_gold_rows_point_to_is_the_gold_text_character_by_character(tokenizer, words, place):
    passage, spans = "", []
    for word, gap in words:
        spans.append((len(passage), len(passage) + len(word)))
        passage += word + gap
    first = place[0] % len(spans)
    start, end = spans[first][0], spans[min(len(spans) - 1, first + place[1])][1]
    example = QuestionExample("Which?", passage, (GoldAnswer(passage[start:end], start),))
    config = EncoderConfig(tokenizer.vocab_size, 12, 1, 2, 14, max_position_embeddings=61)
    options = {"max_answer_length": 60, "doc_stride": 16}
    task = QuestionAnswering.build(tokenizer, config, [example], options)
    windows = task.encode(example)
    answer = task.merge(example, windows, [window.labels * 50 for window in windows])
    assert answer.text == passage[answer.start : answer.end]
    if any(window.labels[1:].any() for window in windows):  # some window shows all of it
        assert (answer.start, answer.end) == (start, end)


@pytest.mark.parametrize("doc_stride", [0, 5, 16])
@pytest.mark.parametrize("words", [1, 9, 30, 120])
def test_windows_cover_the_passage_and_overlap_by_the_stride(tokenizer, words, doc_stride):
    passage = " ".join(f"list{number}" for number in range(words))
    task = made(tokenizer, max_length=43, doc_stride=doc_stride)
    question = "Which list is it?"
    windows = task.encode(QuestionExample(question, passage))
    tokens, asked = task.tokenizer.encode(passage), len(task.tokenizer.encode(question))
    room = 43 - asked - task.tokenizer.special_count(pair=True)
    assert len(windows) == len(spread(len(tokens), room, min(doc_stride, room // 2)))
    for window in windows:
        assert len(window) <= 43
        assert window.rows[0] == 0 and window.units[0] == -1
        seen = window.units[1:]
        assert (np.diff(seen) == 1).all()
        np.testing.assert_array_equal(window.tokens.ids[window.rows[1:]], tokens.ids[seen])
        np.testing.assert_array_equal(window.tokens.offsets[window.rows[1:]], tokens.offsets[seen])
        assert not window.labels.any()
    assert {unit for window in windows for unit in window.units[1:]} == set(range(len(tokens)))
    for left, right in zip(windows, windows[1:-1], strict=False):
        assert len(set(left.units[1:]) & set(right.units[1:])) == min(doc_stride, room // 2)


def test_a_window_without_the_answer_points_to_the_first_token(ours):
    passage = "Ada wrote. " + "the list of lists " * 30
    task = made(ours, max_length=43, doc_stride=8)
    windows = task.encode(ask("Who wrote?", passage, "Ada"))
    assert len(windows) > 3
    assert windows[0].labels[0].tolist() == [0, 0]
    assert windows[0].labels.sum(0).tolist() == [1, 1]
    for window in windows[1:]:
        assert window.labels[0].tolist() == [1, 1]
        assert window.labels[1:].sum() == 0


def test_the_best_window_answers(ours):
    passage = "the list of lists " * 30
    task = made(ours, max_length=43, doc_stride=8)
    example = QuestionExample("Which?", passage)
    windows = task.encode(example)
    logits = [np.zeros(window.labels.shape, np.float32) for window in windows]
    logits[-2][5, 0] = logits[-2][7, 1] = 4.0
    logits[0][3] = 3.9
    answer = task.merge(example, windows, logits)
    offsets = windows[-2].tokens.offsets[windows[-2].rows[[5, 7]]]
    assert (answer.start, answer.end) == (offsets[0, 0], offsets[1, 1])
    assert answer.margin == pytest.approx(-8.0)
    assert len(answer.candidates) == task.options.n_best


def test_a_long_question_is_cut_and_leaves_room_for_the_passage(ours):
    question = "Which list " * 40 + "?"
    task = made(ours, max_length=43)
    windows = task.encode(ask(question, "Ada wrote to Bob. " * 10, "Bob"))
    assert all(len(window.rows) > 15 for window in windows)
    short = made(ours, max_length=43, max_question_length=4)
    (window, *_) = short.encode(ask(question, "Ada wrote to Bob. " * 10, "Bob"))
    assert (window.tokens.segments == 0).sum() == 1 + 4 + 1


def test_what_several_people_gave_is_learnt_in_its_shares(ours):
    example = ask("Who wrote?", "The list wrote.", "The list", "list", "list")
    (window,) = made(ours).encode(example)
    assert sorted(window.labels[:, 0][window.labels[:, 0] > 0].tolist()) == pytest.approx([1 / 3, 2 / 3])
    assert window.labels[:, 1].max() == pytest.approx(1.0)
    (window,) = made(ours, gold_answers="first").encode(example)
    assert window.labels[:, 0].max() == 1.0
    start = window.tokens.offsets[window.rows[window.labels[:, 0].argmax()]][0]
    assert start == 0


def test_an_answer_that_stands_nowhere_teaches_nothing_and_is_still_compared_with(ours):
    lost = ask("Who wrote?", "Ada wrote to Bob.", "Ada Lovelace")
    task = made(ours)
    windows = [window for example in (lost, PEOPLE[0]) for window in task.encode(example)]
    batch, targets = task.collate(windows, 0, 0, 0.0)
    assert targets.counts == {"loss": 1}
    encoder = Encoder(shape("bert", ours.vocab_size)).eval()
    both = task.loss(encoder, batch, targets)
    alone = task.loss(encoder, *task.collate(windows[1:], 0, 0, 0.0))
    torch.testing.assert_close(both.mean(), alone.mean())
    answer = task.merge(lost, windows[:1], [windows[1].labels * 50])
    assert task.score([answer], [lost]) == {"f1": pytest.approx(2 / 3), "exact_match": 0.0}


def test_the_loss_of_a_new_head_is_that_of_a_guess(ours):
    task = made(ours)
    windows = [window for example in PEOPLE for window in task.encode(example)]
    batch, targets = task.collate(windows, 0, 0, 0.0)
    loss = task.loss(Encoder(shape("bert", ours.vocab_size)).eval(), batch, targets).mean().item()
    assert loss == pytest.approx(np.mean([np.log(len(window.rows)) for window in windows]), rel=0.1)


def test_a_passage_without_tokens_has_an_empty_answer(ours):
    task = made(ours)
    (answer,) = Model(Encoder(shape("bert", ours.vocab_size)), task).predict(
        [QuestionExample("Who?", "\u200b\u200d")]
    )
    assert answer.text == "\u200b\u200d"[answer.start : answer.end]


@pytest.mark.parametrize(("longest", "told"), [(1, "long_answer"), (2, "long_answer"), (30, "whole")])
def test_an_answer_that_is_longer_than_one_may_be_is_told(ours, longest, told):
    passage = "The statement raises an error if the list is empty."
    long = GoldAnswer("raises an error if the list", 14)
    task = made(ours, max_answer_length=longest)
    assert task.fit_of(task.encode(QuestionExample("What?", passage, (long,)))) == told
    short = GoldAnswer("T", 0)
    assert task.fit_of(task.encode(QuestionExample("What?", passage, (long, short)))) == "whole"
    assert task.fit_of(task.encode(QuestionExample("What?", passage, ()))) == "whole"
    assert task.fit_of(task.encode(QuestionExample("What?", passage))) == "whole"


def test_the_threshold_is_that_of_validation_unless_it_was_given(ours):
    task, fixed = (made(ours, null_score_diff_threshold=given) for given in (None, 2.5))
    for one in (task, fixed):
        one.settle({"f1": 0.5})
        one.settle({"f1": 0.5, "best_f1_threshold": -1.25})
    assert (task.threshold, fixed.threshold) == (-1.25, 2.5)
    config = shape("bert", ours.vocab_size)
    again = QuestionAnswering.reopen(ours, config, task.settings())
    assert again.threshold == -1.25
    assert again.settings() == task.settings()
    again.settle({"f1": 0.5, "best_f1_threshold": 0.75})  # nobody chose one, then as now
    assert again.threshold == 0.75
    kept = QuestionAnswering.reopen(ours, config, fixed.settings())
    kept.settle({"f1": 0.5, "best_f1_threshold": 0.75})
    assert kept.threshold == 2.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 4}, "max_length 4 leaves 1 tokens"),
        ({"max_answer_length": 0}, "max_answer_length is 0; at least 1"),
        ({"n_best": -2}, "n_best is -2"),
        ({"doc_stride": -1}, "doc_stride is -1"),
        ({"dock_stride": 5}, "'dock_stride'.*'doc_stride'"),
        ({"gold_answers": "some"}, "gold_answers is 'some'"),
    ],
)
def test_options_that_cannot_be_are_named(ours, options, message):
    with pytest.raises(InputError, match=message):
        made(ours, **options)


def test_windows_are_never_longer_than_the_encoder_allows(ours):
    assert made(ours).max_length == made(ours, max_length=0).max_length == LONGEST
    assert made(ours, max_length=30).max_length == 30


def test_what_cannot_be_asked_is_refused(ours):
    task = made(ours)
    with pytest.raises(InputError, match="'Who wrote\\?' is a text; a question and a passage"):
        task.encode("Who wrote?")
    with pytest.raises(InputError, match="question '7' is without words"):
        task.encode(QuestionExample(" ", "Ada wrote.", id="7"))
    with pytest.raises(InputError, match="or its passage: 'Who\\?'"):
        task.encode(QuestionExample("Who?", "\n"))
    with pytest.raises(InputError, match="none of 2 has one"):
        made(ours, UNANSWERABLE)
    answer = task.merge(PEOPLE[0], task.encode(PEOPLE[0]), [w.labels for w in task.encode(PEOPLE[0])])
    with pytest.raises(InputError, match="question '7' has no answers to compare with: 'Who\\?'"):
        task.score([answer], [QuestionExample("Who?", "Ada.", id="7")])
