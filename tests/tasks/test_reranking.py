"""A cross-encoder orders passages anew."""

import pytest
import tiny_runs
import torch
from check_task import shape, windows_of

from minibert.data.batches import ExampleBatches
from minibert.data.examples import SearchExample, TextExample
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model
from minibert.tasks.reranking import labelled_pairs, rerank, rerank_all
from minibert.tasks.retrieval import Retrieval
from minibert.text.sentencepiece import train_sentencepiece
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run

COLOURS = {"sky": "blue", "grass": "green", "blood": "red"}
SEARCHES = [
    SearchExample(f"of what colour is {thing}?", f"It is {colour}.",
                  tuple(f"It is {other}." for other in COLOURS.values() if other != colour))
    for thing, colour in COLOURS.items()
]  # fmt: skip


@pytest.fixture(scope="module")
def judge():
    torch.manual_seed(0)
    pairs = labelled_pairs(SEARCHES)
    lines = [text for pair in pairs for text in (pair.text, pair.pair)]
    tokenizer = train_sentencepiece([*lines, *map(tiny_runs.sentence, range(200))], 320)
    config = shape("bert", tokenizer.vocab_size)
    model = Model(
        Encoder(config), Classification.build(tokenizer, config, pairs, {"classifier_dropout": 0.0})
    )
    batches = ExampleBatches(windows_of(model, pairs), model.task.collate, len(pairs))
    config = TrainingConfig(precision="fp32", max_steps=150, learning_rate=3e-3, weight_decay=0.0)
    for _ in Run(model, batches, config):
        pass
    return model.eval()


def test_the_right_passage_comes_first_and_scores_are_probabilities(judge):
    passages = [f"It is {colour}." for colour in COLOURS.values()]
    found = rerank_all(judge, [(search.text, passages) for search in SEARCHES])
    for search, order in zip(SEARCHES, found, strict=True):
        assert passages[order[0][0]] == search.positive
        assert sorted(number for number, _ in order) == [0, 1, 2]
        scores = [score for _, score in order]
        assert scores == sorted(scores, reverse=True)
        for number, score in order:
            (answer,) = judge.predict([TextExample(search.text, passages[number])])
            assert score == pytest.approx(answer.probabilities["1"], abs=1e-5)


def test_one_query_is_as_among_others_and_top_k_cuts(judge):
    passages = [f"It is {colour}." for colour in COLOURS.values()]
    (whole,) = rerank_all(judge, [(SEARCHES[0].text, passages)])
    best = rerank(judge, SEARCHES[0].text, passages, top_k=2)
    assert [number for number, _ in best] == [number for number, _ in whole[:2]]
    assert rerank(judge, "anything", []) == []


def test_equal_scores_keep_their_order(judge):
    same = rerank(judge, SEARCHES[0].text, ["It is red."] * 3)
    assert [number for number, _ in same] == [0, 1, 2]


def test_pairs_are_the_right_passage_and_the_first_wrong_ones():
    pairs = labelled_pairs([SearchExample("q", "p", ("n1", "n2", "n3")), SearchExample("r")], negatives=2)
    assert pairs == [TextExample("q", "p", "1"), TextExample("q", "n1", "0"), TextExample("q", "n2", "0")]


def test_other_models_and_labels_are_refused(judge):
    with pytest.raises(InputError, match="'yes' is none of the model's: 0, 1"):
        rerank(judge, "q", ["p"], relevant="yes")
    config = judge.encoder.config
    other = Model(judge.encoder, Retrieval.build(judge.task.tokenizer, config, [], {}))
    with pytest.raises(InputError, match="a retrieval model ranks no pairs"):
        rerank(other, "q", ["p"])
