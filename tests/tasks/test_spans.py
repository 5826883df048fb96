"""Tags and spans against hand-worked cases and against conlleval's rules, written out again below."""

import random
from itertools import pairwise

import numpy as np
import pytest

from minibert.errors import InputError
from minibert.tasks.spans import (
    Span,
    allowed_transitions,
    detect_scheme,
    from_bio,
    repair_bio,
    span_scores,
    spans_of,
    to_bio,
)

TYPES = ["PER", "LOC", "B-MIX"]
BIO_TAGS = ["O", *(f"{letter}-{kind}" for kind in TYPES for letter in "BI")]
SCHEMES = ["BIO", "IOB1", "BIOES", "BMES"]


def sentences(seed: int, *, count: int, tags: list[str] = BIO_TAGS) -> list[list[str]]:
    draw = random.Random(seed)
    return [draw.choices(tags, k=draw.randrange(12)) for _ in range(count)]


# The script's rules as it states them: which pairs of letters end a chunk, and which start one.
ENDS = {("B", "B"), ("B", "O"), ("I", "B"), ("I", "O"), ("E", "E"), ("E", "I"), ("E", "O")}
STARTS = {("B", "B"), ("I", "B"), ("O", "B"), ("O", "I"), ("E", "E"), ("E", "I"), ("O", "E")}


def conlleval_counts(gold: list[list[str]], predicted: list[list[str]]) -> tuple[int, int, int]:
    """Count (right, predicted, gold) chunks in one pass over two tag streams, as the script does."""

    def parts(tag: str) -> tuple[str, str]:
        letter, _, kind = tag.partition("-")
        return letter, kind

    def ends(before: tuple[str, str], now: tuple[str, str]) -> bool:
        return (before[0], now[0]) in ENDS or (before[0] != "O" and before[1] != now[1])

    def starts(before: tuple[str, str], now: tuple[str, str]) -> bool:
        return (before[0], now[0]) in STARTS or (now[0] != "O" and before[1] != now[1])

    right = found = wanted = 0
    both_open = False
    gold_before = predicted_before = ("O", "")
    stream = [
        pair for a, b in zip(gold, predicted, strict=True) for pair in [*zip(a, b, strict=True), ("O", "O")]
    ]
    for gold_now, predicted_now in ((parts(a), parts(b)) for a, b in stream):
        if both_open:
            gold_ends, predicted_ends = ends(gold_before, gold_now), ends(predicted_before, predicted_now)
            if gold_ends and predicted_ends and gold_before[1] == predicted_before[1]:
                right += 1
                both_open = False
            elif gold_ends != predicted_ends or gold_now[1] != predicted_now[1]:
                both_open = False
        gold_starts, predicted_starts = starts(gold_before, gold_now), starts(predicted_before, predicted_now)
        if gold_starts and predicted_starts and gold_now[1] == predicted_now[1]:
            both_open = True
        wanted += gold_starts
        found += predicted_starts
        gold_before, predicted_before = gold_now, predicted_now
    return right + both_open, found, wanted


@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_the_rules_of_conlleval(seed: int) -> None:
    draw = random.Random(seed + 100)
    seen_right = 0
    for gold in sentences(seed, count=1000):
        # Copying most tags makes many spans right, and many right but for one end or their type.
        predicted = [tag if draw.random() < 0.8 else draw.choice(BIO_TAGS) for tag in gold]
        right, found, wanted = conlleval_counts([gold], [predicted])
        scores = span_scores([gold], [predicted])
        assert scores["precision"] == (right / found if found else 0), (gold, predicted)
        assert scores["recall"] == (right / wanted if wanted else 0), (gold, predicted)
        seen_right += right
    assert seen_right > 1000


def test_tags_that_close_their_spans_are_read_by_the_same_rules() -> None:
    # The script knows I and E (IOE) too; BIOES is read by a superset of those rules.
    tags = ["O", "I-X", "E-X", "I-Y", "E-Y"]
    for gold, other in zip(
        sentences(5, count=1000, tags=tags), sentences(6, count=1000, tags=tags), strict=True
    ):
        predicted = [other[i] if i < len(other) and i % 4 == 0 else tag for i, tag in enumerate(gold)]
        gold_spans = spans_of(to_bio(gold, "BIOES"))
        predicted_spans = spans_of(to_bio(predicted, "BIOES"))
        right = len(set(gold_spans) & set(predicted_spans))
        assert conlleval_counts([gold], [predicted]) == (right, len(predicted_spans), len(gold_spans))


def test_scores_of_a_corpus_are_micro_averaged() -> None:
    gold, predicted = sentences(1, count=500), sentences(1, count=500)
    for number, tags in enumerate(predicted):
        if tags and number % 3:
            tags[number % len(tags)] = "B-PER"
    right, found, wanted = conlleval_counts(gold, predicted)
    scores = span_scores(gold, predicted)
    assert 0 < right < found
    assert (scores["precision"], scores["recall"]) == pytest.approx((right / found, right / wanted))
    assert scores["f1"] == pytest.approx(2 * right / (found + wanted))
    assert sum(kind["support"] for kind in scores["per_type"].values()) == wanted


def spell(*spans: tuple[int, int, str]) -> list[Span]:
    return [Span(*span) for span in spans]


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("", spell()),
        ("O O", spell()),
        ("I-X I-X O", spell((0, 2, "X"))),
        ("B-X I-Y", spell((0, 1, "X"), (1, 2, "Y"))),
        ("B-X B-X I-X", spell((0, 1, "X"), (1, 3, "X"))),
        ("O I-X O I-X", spell((1, 2, "X"), (3, 4, "X"))),
        ("B-X I-Y I-X", spell((0, 1, "X"), (1, 2, "Y"), (2, 3, "X"))),
        ("B-A-B I-A-B I-A-C", spell((0, 2, "A-B"), (2, 3, "A-C"))),
        ("B I O B", spell((0, 2, ""), (3, 4, ""))),
    ],
)
def test_bio_is_read_as_conlleval_reads_it(tags: str, spans: list[Span]) -> None:
    assert spans_of(tags.split()) == spans


def test_a_span_with_the_wrong_type_or_end_is_wrong_twice() -> None:
    # Gold: PER 0-2, LOC 3-4, LOC 5-6. Answered: PER 0-1 (end), ORG 3-4 (type), LOC 5-6 (right).
    gold = "B-PER I-PER O B-LOC O B-LOC".split()
    predicted = "B-PER O O B-ORG O B-LOC".split()
    scores = span_scores([gold], [predicted])
    assert scores["precision"] == scores["recall"] == scores["f1"] == pytest.approx(1 / 3)
    assert list(scores["per_type"]) == ["LOC", "ORG", "PER"]
    assert scores["per_type"]["LOC"] == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "support": 2,
    }
    assert scores["per_type"]["ORG"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert scores["per_type"]["PER"]["support"] == 1


def test_two_adjacent_entities_are_not_one() -> None:
    scores = span_scores([["B-X", "B-X"]], [["B-X", "I-X"]])
    assert scores["f1"] == 0.0
    assert scores["per_type"]["X"]["support"] == 2


def test_a_span_does_not_cross_into_the_next_sentence() -> None:
    assert span_scores([["B-X"], ["I-X"]], [["B-X"], ["B-X"]])["f1"] == 1.0


def test_no_spans_at_all_score_zero() -> None:
    assert span_scores([["O"]], [["O"]]) == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "per_type": {}}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_keeps_the_spans(scheme: str) -> None:
    for tags in sentences(7, count=500):
        converted = from_bio(tags, scheme)
        assert len(converted) == len(tags)
        assert spans_of(to_bio(converted, scheme)) == spans_of(tags)
        assert from_bio(to_bio(converted, scheme), scheme) == converted


@pytest.mark.parametrize(
    ("scheme", "tags", "bio"),
    [
        ("IOB1", "I-X I-X B-X I-Y O I-X", "B-X I-X B-X B-Y O B-X"),
        ("BIOES", "S-X B-X I-X E-X B-Y E-Y O", "B-X B-X I-X I-X B-Y I-Y O"),
        ("BIOES", "U-X B-X I-X L-X B-Y L-Y O", "B-X B-X I-X I-X B-Y I-Y O"),
        ("BIOES", "I-X E-X E-X O I-Y", "B-X I-X B-X O B-Y"),
        ("BMES", "B-X M-X E-X S-X S-X O", "B-X I-X I-X B-X B-X O"),
        ("BMES", "B M M E W B E", "B I I I B B I"),
    ],
)
def test_other_schemes_become_bio(scheme: str, tags: str, bio: str) -> None:
    assert to_bio(tags.split(), scheme) == bio.split()


def test_bio_becomes_other_schemes() -> None:
    bio = "B-X I-X I-X B-X B-Y O".split()
    assert from_bio(bio, "BIO") == bio
    assert from_bio(bio, "IOB1") == "I-X I-X I-X B-X I-Y O".split()
    assert from_bio(bio, "BIOES") == "B-X I-X E-X S-X S-Y O".split()
    assert from_bio(bio, "BMES") == "B-X M-X E-X S-X S-Y O".split()


def test_repaired_tags_start_every_span_with_b() -> None:
    assert repair_bio("I-X I-X I-Y O I-X B-X".split()) == "B-X I-X B-Y O B-X B-X".split()
    allowed, start = allowed_transitions(BIO_TAGS)
    index = {tag: number for number, tag in enumerate(BIO_TAGS)}
    broken = 0
    for tags in sentences(3, count=500):
        repaired = repair_bio(tags)
        broken += repaired != tags
        assert spans_of(repaired) == spans_of(tags)
        assert all(start[index[tag]] for tag in repaired[:1])
        assert all(allowed[index[a], index[b]] for a, b in pairwise(repaired))
    assert broken > 100


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("B-PER I-PER O", "BIO"),
        ("B-PER O B-LOC", "BIO"),
        ("B-PER I-PER | O I-LOC | B-LOC", "BIO"),
        ("I-PER I-PER B-PER O", "IOB1"),
        ("I-PER I-LOC O", "IOB1"),
        ("B-PER I-PER B-PER | O", "BIO"),
        ("B-PER E-PER S-LOC O", "BIOES"),
        ("S-LOC O", "BIOES"),
        ("B-PER I-PER L-PER U-LOC O", "BIOES"),
        ("B-PER M-PER E-PER S-LOC O", "BMES"),
        ("B-PER M-PER E-PER W-LOC O", "BMES"),
        ("B M E S | B E", "BMES"),
        ("B I I O", "BIO"),
    ],
)
def test_the_scheme_is_read_off_the_tags(tags: str, scheme: str) -> None:
    assert detect_scheme([part.split() for part in tags.split("|")]) == scheme


PLAIN = """DET NOUN VERB; B-PER I-PER NOUN; B-PER I; N-SG V-PL; B-PER X-PER; B-PER M-PER I-PER;
B-PER E-PER L-PER; NN-B I-PER; B- O; I O; B B; S V O; O O; """


@pytest.mark.parametrize("tags", PLAIN.split(";"))
def test_plain_tags_have_no_scheme(tags: str) -> None:
    assert detect_scheme([tags.split()]) is None


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_was_written_in_a_scheme_is_detected_as_it(scheme: str) -> None:
    assert detect_scheme(from_bio(tags, scheme) for tags in sentences(11, count=200)) == scheme


def test_allowed_transitions_follow_the_spans() -> None:
    labels = ["I-LOC", "O", "B-PER", "I-PER", "B-LOC"]
    allowed, start = allowed_transitions(labels)
    assert start.tolist() == [False, True, True, False, True]
    for row, before in enumerate(labels):
        for column, after in enumerate(labels):
            # A pair is legal where reading it needs no repair.
            pair = [before, after] if before[0] != "I" else ["B" + before[1:], before, after]
            assert allowed[row, column] == (repair_bio(pair) == pair), (before, after)
    assert allowed.dtype == start.dtype == np.bool_


def test_bare_letters_have_transitions_too() -> None:
    allowed, start = allowed_transitions(["O", "B", "I"])
    assert allowed.tolist() == [[True, True, False], [True, True, True], [True, True, True]]
    assert start.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spans_of(["B-X", "E-X"]), "'E-X' is not a tag of BIO"),
        (lambda: spans_of(["NOUN"]), "'NOUN'"),
        (lambda: to_bio(["B-X", "I-X"], "BMES"), "'I-X' is not a tag of BMES"),
        (lambda: to_bio([], "IOE"), "'IOE' is not known; use one of BIO, IOB1, BIOES, BMES"),
        (lambda: from_bio([], "IOE"), "'IOE' is not known"),
        (lambda: span_scores([["O"]], []), "1 gold sentences but 0 predicted"),
        (lambda: span_scores([["O"], ["O"]], [["O"], ["O", "O"]]), "sentence 1 has 1 gold but 2 predicted"),
        (lambda: allowed_transitions(["O", "B-X", "I-Y"]), "'I-Y' has no B"),
    ],
)
def test_unusable_tags_are_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
