"""A small language model whose vocabulary has whole words, and which knows what animals and things are."""

from functools import cache
from pathlib import Path

import tiny_runs
import torch

from minibert.data.batches import ExampleBatches
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.masking import Masking
from minibert.tasks.model import Model
from minibert.text.sentencepiece import SentencePieceTokenizer, train_sentencepiece
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run

KINDS = {
    "cat": "animal",
    "dog": "animal",
    "bird": "animal",
    "stone": "thing",
    "road": "thing",
    "house": "thing",
}


def lines() -> list[str]:
    """Return sentences that tell of six nouns what they are."""
    return [
        f"the {noun} {verb} {how}. it is {kind}."
        for noun, kind in KINDS.items()
        for verb in tiny_runs.VERBS
        for how in ("it", "well", "")
    ]


@cache
def tokenizer() -> SentencePieceTokenizer:
    """Learn a vocabulary in which every word of `lines` is one token."""
    return train_sentencepiece(lines(), 360, model_type="bpe")


@cache
def weights(steps: int) -> dict[str, torch.Tensor]:
    """Train for so many steps and return all weights."""
    torch.manual_seed(0)
    model = untrained()
    ids = [model.task.encode(line)[0].tokens.ids for line in lines()]
    batches = ExampleBatches(ids, model.task.collate_ids, 36, seed=1)
    config = TrainingConfig(precision="fp32", max_steps=steps, learning_rate=5e-3, weight_decay=0.0)
    for _ in Run(model, batches, config):
        pass
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def untrained() -> Model:
    """Return the model before it has learnt anything."""
    pieces = tokenizer()
    config = EncoderConfig(
        pieces.vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.15,
    )
    return Model(Encoder(config), MaskedLM(pieces, config, masking=Masking(mlm_probability=0.3)))


def language_model(steps: int = 200) -> Model:
    """Return the model, trained."""
    model = untrained()
    model.load_state_dict(weights(steps))
    return model.eval()


def make_folder(folder: Path, steps: int = 200) -> Path:
    """Save the model."""
    language_model(steps).save(folder)
    return folder
