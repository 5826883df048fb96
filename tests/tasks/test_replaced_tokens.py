"""Replaced-token detection: the generator guesses, the encoder judges."""

import math

import numpy as np
import pytest
import torch
from check_task import shape
from fakes import FakeTokenizer
from torch import nn

from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.masking import Masking
from minibert.tasks.model import Model
from minibert.tasks.replaced_tokens import ReplacedTokens

VOCABULARY = 101


@pytest.fixture
def model() -> Model:
    tokenizer = FakeTokenizer(VOCABULARY)
    config = shape("modernbert", VOCABULARY)
    return Model(Encoder(config), ReplacedTokens(tokenizer, config, masking=Masking(mlm_probability=0.3)))


def batch_of(model: Model, step: int = 0):
    """Pack texts of one word said over and over: what does not fit in is plain to see."""
    sequences = [np.full(length, word) for word, length in ((7, 13), (50, 7), (99, 1), (23, 29))]
    return model.task.collate_ids(sequences, 0, step, 0.0)


def test_the_first_losses_are_those_of_guessing(model):
    batch, targets = batch_of(model)
    loss = model(batch, targets)
    assert loss.counts == {"generator": len(targets.masked.labels), "detection": batch.layout.tokens}
    generator, detection = (loss.sums[name].item() / loss.counts[name] for name in ("generator", "detection"))
    assert generator == pytest.approx(math.log(VOCABULARY), rel=0.02)
    assert detection == pytest.approx(math.log(2), rel=0.05)
    assert loss.mean().item() == pytest.approx(generator + 50 * detection, rel=1e-5)


def test_the_encoder_sees_the_guesses_and_a_hit_counts_as_original(model, monkeypatch):
    batch, targets = batch_of(model)
    masked = targets.masked
    guesses = masked.labels.clone()
    guesses[0] = 5 + (guesses[0] - 5 + 1) % (VOCABULARY - 5)
    seen = []
    monkeypatch.setattr(
        model.task,
        "_generate",
        lambda encoder, batch, targets: (guesses, torch.zeros((), requires_grad=True)),
    )
    model.encoder.register_forward_hook(lambda module, given, output: seen.append(given[0].ids))
    scores = torch.linspace(-3, 3, batch.layout.tokens)
    monkeypatch.setattr(model.task, "judge", lambda hidden: scores)
    loss = model(batch, targets)
    whole = batch.ids.clone()
    whole[masked.positions] = guesses
    assert torch.equal(seen[0], whole)
    replaced = torch.zeros(batch.layout.tokens)
    replaced[masked.positions[0]] = 1.0
    expected = nn.functional.binary_cross_entropy_with_logits(scores, replaced, reduction="sum")
    assert loss.sums["detection"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_no_gradient_of_the_detection_reaches_the_generator(model):
    loss = model(*batch_of(model))
    loss.sums["detection"].backward()
    assert all(weight.grad is None for weight in model.task.generator.parameters())
    assert all(weight.grad is None for weight in model.task.masked_lm.parameters())
    assert any(weight.grad is not None for weight in model.encoder.blocks.parameters())


def test_the_generator_reads_the_encoders_own_embeddings(model):
    names = {name for name, _ in model.task.generator.named_parameters()}
    assert not any(name.startswith("embeddings") for name in names)
    model(*batch_of(model)).sums["generator"].backward()
    assert model.encoder.embeddings.token.weight.grad.abs().sum() > 0


def test_guesses_are_drawn_from_the_generators_softmax(model):
    batch, targets = batch_of(model)
    hidden = model.task.generator.contextualize(model.encoder.embeddings(batch), batch.layout)
    with torch.no_grad():
        model.encoder.embeddings.token.weight.mul_(20)  # far from uniform
        hidden = model.task.generator.contextualize(model.encoder.embeddings(batch), batch.layout)
        head = model.task.masked_lm.head(hidden[targets.masked.positions])
        wanted = (head @ model.encoder.embeddings.token.weight.T).softmax(-1)[0]
        draws = 3000
        counts = torch.zeros(VOCABULARY)
        for _ in range(draws):
            counts[model.task._generate(model.encoder, batch, targets.masked)[0][0]] += 1
    spread = (wanted * (1 - wanted) / draws).sqrt()
    assert ((counts / draws - wanted).abs() <= 5 * spread + 2 / draws).all()


def test_training_lowers_both_losses_and_a_saved_model_judges_alike(model, tmp_path):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batch, targets = batch_of(model)
    first = model(batch, targets)
    for step in range(150):
        loss = model(*batch_of(model, step))
        loss.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    last = model(batch, targets)
    for name in ("generator", "detection"):
        assert last.sums[name] < 0.8 * first.sums[name], name
    settings = model.task.settings()
    again = ReplacedTokens.reopen(model.task.tokenizer, model.encoder.config, settings)
    again.load_state_dict(model.task.state_dict())
    assert again.settings() == settings
    hidden = torch.randn(5, model.encoder.config.hidden_size)
    assert torch.equal(again.judge(hidden), model.task.judge(hidden))


def test_every_token_of_a_text_gets_a_probability(model):
    (answer,) = model.predict(["a b c"])
    window = model.task.encode("a b c")[0]
    assert len(answer) == len(window)
    assert all(0 <= probability <= 1 for _, probability in answer)
    with pytest.raises(InputError, match="evaluate_loss"):
        model.evaluate(["a b c"])
