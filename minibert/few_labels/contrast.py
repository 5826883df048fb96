"""Contrastive few-shot: pull texts of one label together first, then draw straight lines between the labels.

L. Tunstall et al., 2022, *Efficient Few-Shot Learning Without Prompts* (SetFit). Out of n labelled texts come
some n^2 pairs. Each step takes texts, draws a partner of the same label for each, and asks which of all
partners are of its label; those of the same label are no wrong answers (P. Khosla et al., 2020)::

    loss_n = - log( exp(s_nn) / (exp(s_nn) + sum over m of other labels of exp(s_nm)) ),   s = cosine / 0.05

The vectors of the encoder that comes out get a logistic regression, which becomes the head of an ordinary
classifier. SetFit's own loss compares pairs one by one; ours is the one that trains for retrieval.

Letters: N texts, D hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minibert.data.batches import ExampleBatches
from minibert.data.examples import TextExample
from minibert.embedding.loading import load_encoder
from minibert.few_labels.likelihood import packs
from minibert.few_labels.linear_head import fit_logistic
from minibert.packed import Packed
from minibert.tasks.classification import Classification
from minibert.tasks.contrastive import SearchTargets
from minibert.tasks.model import Model
from minibert.tasks.pooling import pool
from minibert.tasks.retrieval import Retrieval
from minibert.tasks.task import Window
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run


@dataclass(frozen=True)
class PairsByLabel:
    """Makes a batch of windows and their partners: for each, another window of its label if there is one."""

    windows: Sequence[Window]

    def __call__(
        self, windows: Sequence[Window], seed: int, step: int, progress: float
    ) -> tuple[Packed, Any]:
        """Return the N texts, then their N partners, and which partners are of other labels."""
        random = np.random.Generator(np.random.Philox(key=[seed, step]))
        labels_N = torch.tensor([int(window.labels[0]) for window in windows])
        partners = [self.partner(window, random) for window in windows]
        tokens = [window.tokens for window in (*windows, *partners)]
        batch = Packed.of([text.ids for text in tokens], [text.segments for text in tokens])
        return batch, SearchTargets(labels_N[:, None] != labels_N[None, :])

    def partner(self, window: Window, random: np.random.Generator) -> Window:
        """Draw another window of the same label; where it is alone, itself, under other dropout."""
        same = [
            other for other in self.windows if other.labels[0] == window.labels[0] and other is not window
        ]
        return same[random.integers(len(same))] if same else window


def contrastive_classifier(
    folder: str | Path, examples: Sequence[TextExample], *, config: TrainingConfig, max_length: int = 0
) -> Model:
    """Train the encoder of a folder on pairs of the examples, and return a classifier of their labels.

    max_length  0 means as long as the encoder allows
    """
    opened = load_encoder(folder)
    longest = max_length or opened.max_length
    torch.manual_seed(config.seed)
    head = {"pooling": opened.pooling, "projection": "none", "max_length": longest, "classifier_dropout": 0.0}
    classifier = Model(
        opened.encoder, Classification.build(opened.tokenizer, opened.encoder.config, examples, head)
    )
    windows = [window for example in examples for window in classifier.task.encode(example)]
    shape = {"pooling": opened.pooling, "max_length": longest}
    vectors = Model(opened.encoder, Retrieval.build(opened.tokenizer, opened.encoder.config, [], shape))
    batches = ExampleBatches(windows, PairsByLabel(windows), config.train_batch_size, 1, config.seed)
    for _ in Run(vectors, batches, config):
        pass
    fit_head(classifier, windows, pooling=opened.pooling)
    return classifier.eval()


@torch.no_grad()
def fit_head(classifier: Model, windows: Sequence[Window], *, pooling: str) -> None:
    """Put the best straight lines between the labels of the windows into the classifier's last layer."""
    classifier.eval()
    device = next(classifier.parameters()).device
    parts = []
    for pack in packs(windows, 8192):
        batch = classifier.task.pack(pack).to(device)
        parts.append(pool(pooling, classifier.encoder(batch), batch.layout).double().cpu())
    vectors_ND = torch.cat(parts)
    labels_N = torch.tensor([int(window.labels[0]) for window in windows])
    size = vectors_ND.norm(dim=1).mean()  # the penalty is meant for vectors that are one long
    task = classifier.task
    assert isinstance(task, Classification)
    weight_CD, bias_C = fit_logistic(vectors_ND / size, labels_N, len(task.labels))
    task.classifier.weight.copy_(weight_CD / size)
    task.classifier.bias.copy_(bias_C)
