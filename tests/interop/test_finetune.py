"""A foreign checkpoint is fine-tuned, saved, opened, asked and handed back like one of ours."""

from pathlib import Path

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
import foreign_tokenizers  # noqa: E402
import tiny_runs  # noqa: E402
from foreign_models import make_model, odd_config, save_model  # noqa: E402

import minibert as mb  # noqa: E402
from minibert.text.loading import load_tokenizer  # noqa: E402


@pytest.fixture(params=["bert", "roberta", "modernbert"])
def folder(request, tmp_path) -> Path:
    kinds = {"bert": "wordpiece", "roberta": "byte_bpe", "modernbert": "modern_bpe"}
    place = foreign_tokenizers.KINDS[kinds[request.param]](tmp_path / "foreign")
    tokenizer = load_tokenizer(place)
    sizes = {"vocab_size": tokenizer.vocab_size + 7, "max_position_embeddings": 40}
    ids = {"pad_token_id": tokenizer.pad_id} if request.param == "roberta" else {}
    config = odd_config(request.param, 2, **sizes, **ids)
    return save_model(make_model(config, "ForMaskedLM"), place)


def test_a_classifier_grows_on_a_foreign_encoder(folder, tmp_path):
    rows = tiny_runs.write_table(tmp_path / "train.csv")
    settings = {"train.max_steps": 2, "train.precision": "fp32", "data.progress": False}
    foreign = mb.load_encoder(folder)
    start = foreign.encoder.embeddings.token.weight.detach().clone()
    if foreign.encoder.config.modern:
        settings |= {"task.projection": "gelu", "task.projection_norm": True}
    model = mb.finetune(
        folder, task="classification", train=rows, output_dir=tmp_path / "clf", settings=settings
    )
    moved = (model.encoder.embeddings.token.weight - start).abs().max()
    assert 0 < moved < 0.01  # it began at the foreign weights
    texts = ["the cat sees", "the road", ""]
    answers = model.predict(texts)
    assert mb.load(tmp_path / "clf").predict(texts) == answers
    assert mb.load_encoder(tmp_path / "clf").embed(texts).shape == (3, model.encoder.config.hidden_size)

    mb.save_pretrained(model, tmp_path / "back")
    again = mb.load(tmp_path / "back")
    for ours, back in zip(answers, again.predict(texts), strict=True):
        assert ours.label == back.label
    classify = transformers.pipeline("text-classification", str(tmp_path / "back"), device="cpu")
    for text, ours in zip(texts, answers, strict=True):
        [theirs] = classify([text])
        assert theirs["label"] == ours.label
        assert abs(theirs["score"] - ours.probabilities[ours.label]) < 1e-5


def test_a_foreign_language_model_fills_masks(folder):
    model = mb.load(folder)
    [guesses] = model.predict(["the [MASK] of lists"])[0]
    assert len(guesses) == 5
    special = set(model.task.tokenizer.tokens(model.task.tokenizer.special_ids))
    assert not special & {piece for piece, _ in guesses}
    batch, targets = model.task.collate(model.task.encode("a list of lists is a list"), 1, 2, 0.5)
    assert torch.isfinite(model(batch, targets).mean())
