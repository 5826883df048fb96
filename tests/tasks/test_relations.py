"""Relations between two mentions: markers no tokenizer splits, cuts around both, and the scores by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from check_task import check_task, shape
from fakes import FakeTokenizer
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import sentence

from minibert.data.examples import RelationExample
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.markers import insert_markers, keep_nearest, marker_ids
from minibert.tasks.model import Model, load
from minibert.tasks.relations import Relations
from minibert.text.loading import load_tokenizer
from minibert.text.sentencepiece import train_sentencepiece

IDS = np.array([51, 52, 53, 54], np.int32)


def pair(text: str, head: str, tail: str, label: str | None = None) -> RelationExample:
    spans = [(text.index(mention), text.index(mention) + len(mention)) for mention in (head, tail)]
    return RelationExample(text, *spans, label)


PAIRS = [
    pair("The cat sees the dog", "cat", "dog", "sees(e1,e2)"),
    pair("The cat sees the dog", "dog", "cat", "sees(e2,e1)"),
    pair("The dog holds the stone.", "dog", "stone", "holds(e1,e2)"),
    pair("The dog holds the stone.", "stone", "dog", "holds(e2,e1)"),
    pair("The dog and the stone.", "dog", "stone", "Other"),
]


@pytest.fixture(scope="module", params=["sentencepiece", "wordpiece", "byte_bpe", "modern_bpe", "unigram"])
def tokenizer(request, tmp_path_factory):
    if request.param == "sentencepiece":
        return train_sentencepiece([sentence(number) for number in range(200)], 310)
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    import foreign_tokenizers

    return load_tokenizer(foreign_tokenizers.KINDS[request.param](tmp_path_factory.mktemp("t") / "t"))


def test_it_keeps_every_promise(tokenizer, tmp_path):
    recipe = "bert" if tokenizer.vocab_size == 310 else "modernbert"
    options = {"classifier_dropout": 0.0}
    model = check_task(Relations, PAIRS, tokenizer, tmp_path, options=options, recipe=recipe)
    assert model.task.negative == "Other"
    assert model.task.directed
    marked = model.predict(["The <e1>cat</e1> sees the <e2>dog</e2>"])
    assert marked == model.predict(PAIRS[:1])
    shown = model.task.show(PAIRS[1], model.predict(PAIRS[1:2])[0])
    assert (shown["head"]["text"], shown["tail"]["text"], shown["relation"]) == ("dog", "cat", "sees(e2,e1)")
    again = load(tmp_path / "relations")
    assert torch.equal(again.task.markers.weight, model.task.markers.weight)


def test_each_marker_is_one_token_beside_its_mention_whatever_the_tokenizer(tokenizer):
    task = Relations.build(tokenizer, shape("bert", tokenizer.vocab_size), PAIRS, {})
    assert len(marker_ids(tokenizer)) == 4
    for text, head, tail in [
        ("The cat sees the dog", "dog", "cat"),
        ("email me@home or @cat#", "me", "cat"),
        ("渡船早上七点离开港口", "早上", "港口"),
        ("unbelievable", "believ", "un"),
        ("the list of cats", "list of cats", "cats"),
    ]:
        example = pair(text, head, tail, "Other")
        [window] = task.encode(example)
        assert window.tokens.ids[window.rows].tolist() == task.ids.tolist()
        for (start, end), (opens, closes) in zip(
            (example.head, example.tail), (window.rows[:2], window.rows[2:]), strict=True
        ):
            inside = window.tokens.offsets[opens + 1 : closes]
            inside = inside[inside[:, 1] > inside[:, 0]]
            assert inside[:, 0].min() == start
            assert inside[:, 1].max() == end
        others = np.delete(np.arange(len(window)), window.rows)
        plain = tokenizer.build(tokenizer.encode(text, sorted({*example.head, *example.tail})))
        assert window.tokens.ids[others].tolist() == plain.ids.tolist()


def encoded(count: int):
    """Return `count` tokens that each stand for a character and a space."""
    return FakeTokenizer(61).encode("x " * count)


@given(data=st.data(), count=st.integers(1, 30))
def test_markers_part_the_tokens_inside_a_mention_from_those_outside(data, count):
    spans = []
    for _ in range(2):
        first = data.draw(st.integers(0, count - 1))
        last = data.draw(st.integers(first, count - 1))
        spans.append((2 * first, 2 * last + 1))
    tokens = encoded(count)
    marked, rows = insert_markers(tokens, *spans, ids=IDS)
    assert marked.ids[rows].tolist() == IDS.tolist()
    assert np.delete(marked.ids, rows).tolist() == tokens.ids.tolist()
    for (start, end), (opens, closes) in zip(spans, (rows[:2], rows[2:]), strict=True):
        for row in set(range(len(marked))) - set(rows.tolist()):
            begin, stop = marked.offsets[row]
            assert (opens < row < closes) == (start <= begin and stop <= end)


@given(count=st.integers(1, 60), room=st.integers(4, 64), data=st.data())
def test_what_is_kept_stands_nearest_to_the_markers(count, room, data):
    first, last = sorted(data.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=2)))
    marked, rows = insert_markers(
        encoded(count), (2 * first, 2 * first + 1), (2 * last, 2 * last + 1), ids=IDS
    )
    marked = replace(marked, ids=np.arange(len(marked), dtype=np.int32))  # ids are places
    cut, new_rows = keep_nearest(marked, rows, room)
    assert len(cut) == min(room, len(marked))
    assert cut.ids[new_rows].tolist() == rows.tolist()
    assert (np.diff(cut.ids) > 0).all()
    gaps = [min(abs(place - row) for row in rows) for place in range(len(marked))]
    kept = set(cut.ids.tolist())
    dropped = [gaps[place] for place in range(len(marked)) if place not in kept]
    assert max(gaps[place] for place in kept) <= min(dropped, default=len(marked))


def test_a_long_text_is_cut_around_both_mentions_or_refused():
    text = "far " * 40 + "cat " + "mid " * 40 + "dog " + "end " * 40
    tokenizer = FakeTokenizer(61, ["far", "mid", "end", "cat", "dog"])
    config = shape("bert", 61)
    task = Relations.build(tokenizer, config, PAIRS, {"max_length": 20})
    [window] = task.encode(pair(text, "cat", "dog"))
    assert len(window) == 20
    words = [text[start:end] for start, end in window.tokens.offsets]
    assert words.count("cat") == words.count("dog") == 1
    assert [word for word in words if word] == ["far"] * 3 + ["cat"] + ["mid"] * 6 + ["dog"] + ["end"] * 3
    refusing = Relations.build(tokenizer, config, PAIRS, {"max_length": 20, "on_long": "error"})
    with pytest.raises(InputError, match="126 tokens with its markers and the model takes 18: 'far far"):
        refusing.encode(pair(text, "cat", "dog"))
    with pytest.raises(InputError, match="max_length 5 leaves 3 tokens"):
        Relations.build(tokenizer, config, PAIRS, {"max_length": 5})


def test_the_encoder_sees_the_markers_vectors_and_the_head_reads_the_opening_ones():
    task = Relations.build(FakeTokenizer(61), shape("bert", 61), PAIRS, {})
    model = Model(Encoder(shape("bert", 61)), task).double().eval()
    model.encoder.dtype = torch.float64
    windows = [window for example in PAIRS[:2] for window in task.encode(example)]
    batch, targets = task.collate(windows, 0, 0, 0.0)
    assert targets.counts == {"loss": 2}
    seen = {}
    model.encoder.blocks[0].register_forward_pre_hook(lambda module, given: seen.update(first=given[0]))
    model.encoder.norm.register_forward_hook(lambda module, given, out: seen.update(last=out))
    with torch.no_grad():
        plain = model.encoder.embeddings(batch, torch.float64)
        logits = task.logits(model.encoder, batch, targets.positions).numpy()
    wanted = torch.zeros_like(plain)
    for window, start in zip(windows, batch.layout.starts.tolist(), strict=True):
        for kind, row in enumerate(window.rows):
            wanted[start + row] = task.markers.weight[kind].detach()
    torch.testing.assert_close(seen["first"] - plain, wanted, atol=1e-12, rtol=0)
    hidden, weight = seen["last"].numpy(), task.classifier.weight.detach().numpy()
    for number, (window, start) in enumerate(zip(windows, batch.layout.starts.tolist(), strict=True)):
        both = np.concatenate([hidden[start + window.rows[0]], hidden[start + window.rows[2]]])
        np.testing.assert_allclose(logits[number], weight @ both, atol=1e-6)


def test_the_answer_depends_on_which_mention_is_the_head():
    task = Relations.build(FakeTokenizer(61), shape("bert", 61), PAIRS, {})
    model = Model(Encoder(shape("bert", 61)), task)
    one, other = model.predict([PAIRS[0], PAIRS[1]])
    assert one.probabilities != other.probabilities


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([pair("a b", "a", "b", "x")], r"at least two labels.*\['x'\] for 1 of 1"),
        ([*PAIRS, pair("a b", "a", "b")], "for 5 of 6 pairs"),
    ],
)
def test_what_cannot_be_learnt_is_refused(examples, message):
    with pytest.raises(InputError, match=message):
        Relations.build(FakeTokenizer(61), shape("bert", 61), examples, {})


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (pair("a b", "a", "b", "eats"), r"'eats' was never seen in training; known relations: Other, holds"),
        (RelationExample("a b", (0, 9), (0, 1)), r"'a b': the head \(0, 9\) is no stretch"),
        (RelationExample("a b", (0, 1), (0, 1)), "head and tail are both 'a'"),
        ("no <e1>marker</e1>", "a text: <e2> is missing"),
    ],
)
def test_a_pair_that_makes_no_sense_is_refused(example, message):
    with pytest.raises(InputError, match=message):
        Relations.build(FakeTokenizer(61), shape("bert", 61), PAIRS, {}).encode(example)


def test_a_task_that_was_reopened_weighs_its_classes_for_the_rows_to_train_on():
    made = Relations.build(FakeTokenizer(61), shape("bert", 61), PAIRS, {"class_weights": "balanced"})
    again = Relations.reopen(FakeTokenizer(61), shape("bert", 61), made.settings())
    rare, often = made.labels[:2]
    again.weigh([replace(PAIRS[0], label=label) for label in (rare, often, often, often)])
    assert again.weights_C.tolist() == pytest.approx([2.0, 4 / 6, 1.0, 1.0, 1.0])


def test_class_weights_and_the_negative_label_are_options():
    build = lambda **options: Relations.build(FakeTokenizer(61), shape("bert", 61), PAIRS, options)  # noqa: E731
    assert build(class_weights="balanced").weights_C.tolist() == [1.0] * 5
    assert build(negative_label="none").negative is None
    with pytest.raises(InputError, match="negative_label 'nothing' is not among the labels Other"):
        build(negative_label="nothing")
