"""A bi-encoder learns which passage answers, is saved as a text encoder, and is scored as a ranking."""

import numpy as np
import pytest
import tiny_runs
import torch
from check_task import LONGEST, check_resuming, overfit, shape, windows_of

import minibert as mb
from minibert.data.examples import SearchExample
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.model import Model, load
from minibert.tasks.retrieval import Retrieval
from minibert.tasks.windows import long_ones
from minibert.text.sentencepiece import train_sentencepiece

SEARCHES = [
    SearchExample("who wrote?", "Ada wrote a program.", ("The sea is cold.",)),
    SearchExample("who wrote?", "Charles wrote letters."),
    SearchExample("where is it cold?", "The sea is cold.", ("The desert is hot.", "Ada wrote a program.")),
    SearchExample("what is hot?", "The desert is hot."),
]


@pytest.fixture(scope="module")
def tokenizer():
    lines = [text for search in SEARCHES for text in (search.text, search.positive, *search.negatives)]
    return train_sentencepiece([*lines, *map(tiny_runs.sentence, range(200))], 320)


def made(tokenizer, options=None, *, recipe="bert", seed=0):
    torch.manual_seed(seed)
    config = shape(recipe, tokenizer.vocab_size)
    return Model(Encoder(config), Retrieval.build(tokenizer, config, SEARCHES, options or {}))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"similarity": "dot", "temperature": 1.0, "pooling": "first"},
        {"symmetric": True, "hard_negatives": 0},
    ],
)
@pytest.mark.parametrize("recipe", ["bert", "modernbert"])
def test_it_learns_is_saved_and_answers_the_same(tokenizer, tmp_path, options, recipe):
    model = made(tokenizer, options, recipe=recipe)
    overfit(model, SEARCHES)
    scores = model.evaluate(SEARCHES)
    assert next(iter(scores)) == "ndcg@10"
    assert scores["mrr@10"] == 1 and scores["map"] == 1
    assert (scores["queries"], scores["passages"]) == (3, 4)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.task.settings() == model.task.settings()
    for mine, theirs in zip(model.predict(SEARCHES), again.predict(SEARCHES), strict=True):
        assert np.array_equal(mine.query, theirs.query)
        assert np.array_equal(mine.passages, theirs.passages)


def test_a_batch_is_queries_then_answers_then_hard_negatives(tokenizer):
    model = made(tokenizer, {"hard_negatives": 1})
    windows = [window for window in windows_of(model, SEARCHES) if len(window.rows)]
    assert len(windows) == len(SEARCHES)
    batch, targets = model.task.collate(windows, 0, 0, 0.0)
    texts = [
        *(s.text for s in SEARCHES),
        *(s.positive for s in SEARCHES),
        "The sea is cold.",
        "The desert is hot.",
    ]
    wanted = [tokenizer.build(tokenizer.encode(text)).ids.tolist() for text in texts]
    assert [part.tolist() for part in batch.layout.split(batch.ids)] == wanted
    assert targets.counts == {"loss": 4}
    assert targets.wrong_NM[0].tolist() == [False, False, True, True, True, True]
    assert targets.wrong_NM[2].tolist() == [True, True, False, True, False, True]


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_loss_is_that_of_the_equation_text_by_text(tokenizer, symmetric):
    model = made(tokenizer, {"temperature": 0.1, "symmetric": symmetric}).eval()
    windows = [window for window in windows_of(model, SEARCHES) if len(window.rows)]
    batch, targets = model.task.collate(windows, 0, 0, 0.0)
    rows = []
    for ids in batch.layout.split(batch.ids):
        mean = model.encoder(Packed.of([ids])).double().mean(0)
        rows.append(mean / mean.norm())
    similarity = torch.stack(rows[:4]) @ torch.stack(rows[4:]).T / 0.1
    total = 0.0
    for n in range(4):
        others = similarity[n][targets.wrong_NM[n]].exp().sum()
        total += (similarity[n, n].exp() + others).log() - similarity[n, n]
        if symmetric:
            others = similarity[:, n][targets.wrong_NM[:, n]].exp().sum()
            total += (similarity[n, n].exp() + others).log() - similarity[n, n]
    wanted = total / 2 if symmetric else total
    assert model(batch, targets).sums["loss"].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_vectors_are_those_of_each_text_alone(tokenizer):
    model = made(tokenizer)
    together = model.predict(SEARCHES)
    for search, vectors in zip(SEARCHES, together, strict=True):
        for text, row in [(search.text, vectors.query), (search.positive, vectors.passages[0])]:
            (alone,) = model.predict([text])
            np.testing.assert_allclose(alone.query, row, atol=1e-6)
            assert np.linalg.norm(row) == pytest.approx(1)
    assert [len(vectors.passages) for vectors in together] == [2, 1, 3, 1]


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_saved_model_is_a_text_encoder_that_embeds_as_it_was_trained(tokenizer, tmp_path, pooling):
    model = made(tokenizer, {"pooling": pooling, "max_length": 9})
    model.save(tmp_path / "model")
    encoder = mb.load_encoder(tmp_path / "model")
    assert (encoder.pooling, encoder.max_length) == (pooling, 9)
    texts = [search.text for search in SEARCHES] + ["The desert is hot. " * 7]
    wanted = np.stack([answer.query for answer in model.predict(texts)])
    np.testing.assert_allclose(encoder.embed(texts), wanted, atol=1e-6)


def test_sentence_transformers_embeds_as_we_do(tokenizer, tmp_path):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    model = made(tokenizer, {"pooling": "mean"})
    model.save(tmp_path / "model")
    mb.load_encoder(tmp_path / "model").save_pretrained(tmp_path / "theirs")
    theirs = library.SentenceTransformer(str(tmp_path / "theirs"), device="cpu", backend="torch")
    texts = [search.positive for search in SEARCHES]
    wanted = np.stack([answer.query for answer in model.predict(texts)])
    np.testing.assert_allclose(theirs.encode(texts), wanted, atol=1e-5)


def test_scores_rank_all_passages_and_forgive_other_right_ones(tokenizer):
    """By hand: two queries on a line; "b" wants p1 and p3, which stand first and third."""
    task = made(tokenizer).task
    row = {"p1": 0.9, "p2": 0.5, "p3": 0.1}

    def answer(*passages):
        rows = np.array([[row[passage], 0.0] for passage in passages], np.float32)
        return type(task.merge("", [], np.zeros((1, 2))))(np.array([1.0, 0.0], np.float32), rows)

    examples = [SearchExample("b", "p1", ("p2",)), SearchExample("b", "p3")]
    scores = task.score([answer("p1", "p2"), answer("p3")], examples)
    assert scores["map"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores["recall@1"] == pytest.approx(1 / 2)
    assert (scores["queries"], scores["passages"]) == (1, 3)


def test_passages_that_the_model_cannot_tell_apart_are_no_success(tokenizer):
    wrong = tuple(f"wrong {n}" for n in range(11))
    same = np.ones((12, 2), np.float32)
    task = made(tokenizer).task
    answer = type(task.merge("", [], np.zeros((1, 2))))(same[0], same)
    scores = task.score([answer], [SearchExample("a", "right", wrong)])
    assert (scores["recall@1"], scores["ndcg@10"], scores["map"]) == (0, 0, pytest.approx(1 / 12))


def test_long_texts_are_cut_and_counted_once_for_each_example(tokenizer):
    task = made(tokenizer).task
    long = "The sea is cold. " * 40
    windows = [task.encode(example) for example in (*SEARCHES, SearchExample("a", long), SearchExample(long))]
    assert max(len(window) for parts in windows for window in parts) == LONGEST
    counts = long_ones(windows, task)
    assert (counts["examples"], counts["split"], counts["cut"]) == (6, 0, 2)


def test_what_is_shown_is_a_vector_of_plain_numbers(tokenizer):
    model = made(tokenizer)
    bare = model.task.unanswered(SEARCHES[0])
    assert bare == SearchExample("who wrote?") and not model.task.answered(bare)
    (answer,) = model.predict([bare])
    shown = model.task.show(bare, answer)
    assert shown["text"] == "who wrote?"
    assert shown["vector"] == pytest.approx(answer.query.tolist(), abs=1e-6)
    assert all(type(number) is float for number in shown["vector"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, r"temperature is 0\.0"),
        ({"hard_negatives": -1}, "hard_negatives is -1"),
        ({"temprature": 1.0}, "'temprature'.*'temperature'"),
        ({"similarity": "euclid"}, "euclid"),
    ],
)
def test_options_that_mean_nothing_are_refused(tokenizer, options, message):
    with pytest.raises(InputError, match=message):
        made(tokenizer, options)


def test_a_run_that_was_cut_ends_with_the_same_weights(tokenizer, tmp_path):
    check_resuming(lambda seed: made(tokenizer, seed=seed), SEARCHES, tmp_path / "state", precision="fp32")
