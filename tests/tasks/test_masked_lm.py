"""The pretraining task: its first loss, its loss by hand, and what it says after training."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import FakeTokenizer

from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.masking import Masking
from minibert.tasks.model import Model

WORDS = "the cat sat on a mat while dogs ran far away".split()


def small(size: str, vocabulary: int) -> EncoderConfig:
    config = EncoderConfig.preset(size, vocabulary)
    return replace(
        config, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, max_position_embeddings=31
    )


def sequences(vocabulary: int, sizes: tuple[int, ...] = (29, 7, 31, 3)) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [np.concatenate([[2], random.integers(5, vocabulary, size - 2), [3]]) for size in sizes]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", ["tiny", "modern-tiny"])
def test_the_first_loss_is_that_of_a_guess_among_all_pieces(size, dtype):
    config = small(size, 8192)
    model = Model(
        Encoder(config), MaskedLM(FakeTokenizer(8192), config, masking=Masking(mlm_probability=0.3))
    )
    model.encoder.dtype = dtype
    micro = model.task.collate_ids(sequences(8192, (31,) * 41), 0, 0, 0.0)
    with torch.no_grad():
        loss = model(*micro).mean().item()
    assert loss == pytest.approx(math.log(8192), rel=0.02)


@pytest.mark.parametrize("size", ["tiny", "modern-tiny"])
def test_the_loss_and_its_gradient_are_those_of_full_logits_at_the_masked_places(size):
    config = small(size, 101)
    model = Model(Encoder(config), MaskedLM(FakeTokenizer(101), config)).double()
    model.encoder.dtype = torch.float64
    model.task.bias.data.normal_()
    batch, targets = model.task.collate_ids(sequences(101), 3, 5, 0.0)
    found = model(batch, targets)
    wanted_labels = torch.from_numpy(np.concatenate(sequences(101)))[targets.positions]
    assert torch.equal(targets.labels, wanted_labels)
    assert found.counts == {"loss": len(targets.labels)}

    hidden_TD = model.encoder(batch)
    table_VD = model.encoder.embeddings.token.weight
    task = model.task
    head_TD = torch.nn.functional.gelu(
        torch.nn.functional.linear(hidden_TD, task.dense.weight, task.dense.bias)
    )
    norm = task.norm
    head_TD = torch.nn.functional.layer_norm(head_TD, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    log_p_TV = (head_TD @ table_VD.T + task.bias).log_softmax(-1)
    wanted = -sum(
        log_p_TV[place, label] for place, label in zip(targets.positions, targets.labels, strict=True)
    )
    torch.testing.assert_close(found.sums["loss"], wanted)
    torch.testing.assert_close(found.mean(), wanted / len(targets.labels))
    weights = list(model.parameters())
    mine = torch.autograd.grad(found.sums["loss"], weights)
    theirs = torch.autograd.grad(wanted, weights)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_only_masked_places_have_a_loss():
    config = replace(small("tiny", 101), num_hidden_layers=0)
    model = Model(Encoder(config), MaskedLM(FakeTokenizer(101), config))
    rows = []
    model.encoder.register_forward_hook(lambda module, inputs, output: rows.append(output))
    batch, targets = model.task.collate_ids(sequences(101), 3, 5, 0.0)
    (slope,) = torch.autograd.grad(model(batch, targets).mean(), rows)
    assert torch.nonzero((slope != 0).any(-1))[:, 0].tolist() == targets.positions.tolist()
    assert 0 < len(targets.positions) < batch.layout.tokens


def test_masks_change_with_the_step_and_not_with_the_call():
    config = small("tiny", 101)
    task = MaskedLM(FakeTokenizer(101), config, masking=Masking(mlm_probability=0.5, mlm_probability_end=0.1))
    batch, targets = task.collate_ids(sequences(101), 3, 5, 0.0)
    again, same = task.collate_ids(sequences(101), 3, 5, 0.0)
    assert torch.equal(batch.ids, again.ids)
    assert torch.equal(targets.positions, same.positions)
    assert not torch.equal(batch.ids, task.collate_ids(sequences(101), 3, 6, 0.0)[0].ids)
    assert not torch.equal(batch.ids, task.collate_ids(sequences(101), 4, 5, 0.0)[0].ids)
    late = task.collate_ids(sequences(101), 3, 5, 1.0)[1]
    assert (len(targets.labels), len(late.labels)) == (31, 6)
    assert batch.layout.lengths == (29, 7, 31, 3)


@pytest.mark.parametrize("size", ["tiny", "modern-tiny"])
def test_an_overfitted_model_fills_masks_with_what_was_there(size):
    tokenizer = FakeTokenizer(29, WORDS)
    config = small(size, 29)
    model = Model(Encoder(config), MaskedLM(tokenizer, config, masking=Masking(mlm_probability=0.2)))
    texts = ["the cat sat on a mat", "dogs ran far away while the cat sat"]
    ids = [model.task.encode(text)[0].tokens.ids for text in texts]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(150):
        model(*model.task.collate_ids(ids * 8, 0, step, 0.0)).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    answers = model.predict(
        ["the cat [MASK] on a [MASK]", TextExample("dogs [MASK] far away while the cat sat")]
    )
    assert [[mask[0][0] for mask in answer] for answer in answers] == [["sat", "mat"], ["ran"]]
    best = answers[1][0]
    assert len(best) == 5
    assert best[0][1] > 0.5
    assert [p for _, p in best] == sorted((p for _, p in best), reverse=True)
    assert sum(p for _, p in best) <= 1 + 1e-6
    assert not {piece for piece, _ in best} & set(tokenizer.pieces[:5])


def test_a_text_without_a_mask_has_no_answers_and_a_long_one_is_cut():
    config = small("tiny", 29)
    model = Model(Encoder(config), MaskedLM(FakeTokenizer(29, WORDS), config))
    assert model.predict(["the cat", "[MASK] " + "cat " * 100])[0] == []
    (window,) = model.task.encode("[MASK] " + "cat " * 100)
    assert len(window) == 31
    assert window.rows.tolist() == [1]


def test_settings_make_the_same_task_again():
    config = small("tiny", 29)
    task = MaskedLM.build(FakeTokenizer(29), config, [], {"unit": "span", "mlm_probability": 0.25})
    assert MaskedLM.reopen(FakeTokenizer(29), config, task.settings()).masking == task.masking
    with pytest.raises(InputError, match=r"'unti'.*'unit'"):
        MaskedLM.build(FakeTokenizer(29), config, [], {"unti": "span"})


def test_a_score_is_refused_with_what_to_use_instead():
    config = small("tiny", 29)
    with pytest.raises(InputError, match="evaluate_loss"):
        MaskedLM(FakeTokenizer(29), config).score([], [])
