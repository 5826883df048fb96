"""Words and tags, as all tasks that tag words share them."""

import itertools

import numpy as np
import pytest
import torch
from fakes import FakeTokenizer
from hypothesis import given
from hypothesis import strategies as st

from minibert.errors import InputError
from minibert.tasks.crf import LinearChainCRF
from minibert.tasks.spans import spans_of
from minibert.tasks.tags import Entity, entities_of, likeliest, spell_tags, tag_labels, words_of
from minibert.tasks.windows import fit_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 3.5 km", ["It", "'", "s", "3", ".", "5", "km"]),
        ("A股在涨", ["A", "股", "在", "涨"]),
        ("in Zu\u0308rich now", ["in", "Zu\u0308rich", "now"]),  # decomposed
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e17\u0e35\u0e48",
            ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u0e17\u0e35\u0e48"],
        ),
        ("中\ufe00国", ["中\ufe00", "国"]),
        ("\u2764\ufe0fyes", ["\u2764\ufe0f", "yes"]),
        ("\U0001f468\u200d\U0001f469!", ["\U0001f468\u200d\U0001f469", "!"]),
        ("\u0301a", ["\u0301", "a"]),  # a mark on nothing
        ("  ", []),
    ],
)
def test_a_bare_text_is_cut_into_words(text, words):
    assert [text[start:end] for start, end in words_of(text).spans] == words


@pytest.mark.parametrize(
    ("sequences", "labels", "scheme"),
    [
        ([["I-PER", "O"]], ["B-PER", "I-PER", "O"], "IOB1"),
        ([["B-PER"], ["S-LOC"]], ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"], "BIOES"),
        ([["NOUN", "VERB"]], ["NOUN", "VERB"], None),
        ([], [], None),
    ],
)
def test_the_labels_hold_both_letters_of_every_type(sequences, labels, scheme):
    assert tag_labels(iter(sequences)) == (labels, scheme)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([["B-PER", "O"], ["b-PER", "B-PER", "I-PER"]], "sentence 2: tag 'b-PER' marks no span, .* 'B-PER'"),
        ([["B-PER", "M-PER", "I-PER"]], "letters B, I, M: no scheme has all of these"),
        ([["B_PER", "I_PER", "O"]], "'B_PER' mark spans with a dash: write 'B-PER'"),
    ],
)
def test_a_few_odd_tags_do_not_turn_spans_into_plain_tags(sequences, message):
    with pytest.raises(InputError, match=message):
        tag_labels(sequences)


@pytest.mark.parametrize("tags", ["PER O LOC O", "N-SG V-PL", "NN B-X VB", "O O"])
def test_tags_that_mark_no_spans_stay_plain(tags):
    assert tag_labels([tags.split()])[1] is None


def test_a_random_field_lets_no_span_begin_inside():
    field = LinearChainCRF(3)
    scores = torch.tensor([[5.0, 0, 0], [0, 4, 5]])  # alone: O, I-x
    free = likeliest(scores, [2], crf=field)
    held = likeliest(scores, [2], crf=field, spans=["O", "B-x", "I-x"])
    assert [list(numbers) for ((numbers, _),) in (free, held)] == [[0, 2], [0, 1]]


@given(words=st.integers(1, 40), limit=st.integers(4, 20), split=st.booleans())
def test_every_word_gets_the_tag_that_was_predicted_where_it_was_asked(words, limit, split):
    text, spans = "x " * words, [(2 * n, 2 * n + 1) for n in range(words)]
    labels = np.arange(words) % 3
    windows = fit_words(
        FakeTokenizer(61),
        text,
        spans,
        labels=labels,
        max_length=limit,
        on_long="split" if split else "truncate",
    )
    names = ["O", "B-x", "I-x"]
    predicted = [(window.labels, np.linspace(0.5, 0.9, len(window.labels))) for window in windows]
    tags, shares = spell_tags(words, windows, predicted, labels=names)
    asked = words if split else min(words, limit - 2)
    assert list(tags) == [names[label] for label in labels[:asked]] + ["O"] * (words - asked)
    assert all(0.5 <= share <= 0.9 for share in shares[:asked]) and not any(shares[asked:])


def test_without_an_outside_tag_a_word_that_was_cut_off_gets_the_first():
    assert spell_tags(2, [], [], labels=["NOUN", "VERB"]) == (("NOUN", "NOUN"), (0.0, 0.0))


@given(st.lists(st.sampled_from(["O", "B-a", "I-a", "I-b"]), max_size=9))
def test_entities_are_the_spans_in_characters(tags):
    text, spans = "xy " * len(tags), [(3 * n, 3 * n + 2) for n in range(len(tags))]
    shares = [(n + 1) / 10 for n in range(len(tags))]
    entities = entities_of(text, spans, tags, shares)
    assert [(e.start // 3, e.end // 3 + 1, e.label) for e in entities] == [
        (span.start, span.end, span.label) for span in spans_of(tags)
    ]
    assert all(text[e.start : e.end] == e.text for e in entities)
    for entity in entities:
        first, last = shares[entity.start // 3], shares[entity.end // 3]
        assert entity.probability == pytest.approx((first + last) / 2)  # the mean of a row of even steps


def test_an_entity_is_where_it_is_whatever_its_probability():
    assert Entity(0, 3, "PER", "Ada", 0.7) == Entity(0, 3, "PER", "Ada")


@pytest.mark.parametrize("crf", [False, True])
def test_the_probability_of_a_tag_is_that_of_all_paths_through_it(crf):
    torch.manual_seed(3)
    lengths, emissions = [3, 0, 2], torch.randn(5, 3)
    field = LinearChainCRF(3) if crf else None
    if field is not None:
        torch.nn.init.normal_(field.transitions_CC)
    with torch.inference_mode():
        found = likeliest(emissions, lengths, crf=field)
    assert [len(numbers) for numbers, _ in found] == lengths
    for (numbers, shares), scores in zip(found, emissions.split(lengths), strict=True):
        paths = list(itertools.product(range(3), repeat=len(scores)))
        sums = torch.tensor([path_score(path, scores, field) for path in paths], dtype=torch.float64)
        weights, best = sums.softmax(0), paths[int(sums.argmax())]
        assert tuple(numbers) == best
        for place, share in enumerate(shares):
            through = [path[place] == best[place] for path in paths]
            assert share == pytest.approx(float(weights[through].sum()), abs=1e-6)


def path_score(path, scores, field):
    """Add up what a path of tags is worth; start and end of a new field are zero."""
    own = sum(scores[place, tag].item() for place, tag in enumerate(path))
    if field is None:
        return own
    return own + sum(field.transitions_CC[pair].item() for pair in itertools.pairwise(path))


def test_labels_for_other_words_than_there_are_are_refused():
    with pytest.raises(InputError, match="2 words but 3 tags: 'a b'; each word needs one"):
        fit_words(
            FakeTokenizer(61),
            "a b",
            [(0, 1), (2, 3)],
            labels=np.zeros(3, np.int64),
            max_length=9,
            on_long="split",
        )
