"""Contrastive few-shot: pull texts of one label together first, then draw straight lines between the labels.

L. Tunstall et al., 2022, *Efficient Few-Shot Learning Without Prompts* (SetFit). Out of n labelled texts come
some n^2 pairs. Each step takes texts, draws a partner of the same label for each, and compares every text
with all partners: two of one label should point the same way, two of different labels stand upright::

    loss_n = mean over partners m of its label of (1 - cos_nm)^2  +  mean over those of others of cos_nm^2

The vectors of the encoder that comes out get a logistic regression, which becomes the head of an ordinary
classifier. SetFit draws pairs one by one, with the same targets.

Letters: N texts, D hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert.adapt.options import AdaptOptions
from minibert.config import group
from minibert.data.batches import ExampleBatches
from minibert.data.examples import TextExample
from minibert.embedding.loading import load_encoder
from minibert.errors import InputError
from minibert.few_labels.likelihood import packs
from minibert.few_labels.linear_head import fit_logistic
from minibert.packed import Packed
from minibert.tasks.classification import Classification
from minibert.tasks.contrastive import SearchTargets
from minibert.tasks.model import Model
from minibert.tasks.pooling import pool
from minibert.tasks.retrieval import Retrieval
from minibert.tasks.task import Loss, Window
from minibert.training.config import TrainingConfig
from minibert.training.finetuning import FinetuneOptions, Settings
from minibert.training.loop import Run
from minibert.training.objectives import Objective, objective_of

CONTRAST_RATE = 2e-5  # SetFit's, for encoders that embed well already; others have more to learn

UNHEARD = ("eval_steps", "save_steps", "save_total_limit", "early_stopping_patience",
           "metric_for_best_model", "fsdp")  # fmt: skip
UNUSED = (
    "train.gradient_accumulation_steps",
    "train.r_drop_alpha",
    "data.from_scratch",
    "data.reinit_layers",
)


def refuse_unused(settings: dict[str, Any]) -> None:
    """Raise InputError for a setting that training by contrast would pass over, or cannot do.

    Of a classifier's options it hears max_length; of the encoder and of adapters none.
    """
    options_of = {
        "data": FinetuneOptions(),
        "train": TrainingConfig(),
        "task": Classification.Options(),
        "adapt": AdaptOptions(),
    }
    usual = {name: dict(vars(options)) for name, options in options_of.items()}
    usual["task"]["pooling"] = None  # the encoder's own, which nobody can choose
    for name, table in group(settings, (*usual, "model")).items():
        for key, value in table.items():
            of_head = name == "task" and key in usual["task"] and key != "max_length"
            unused = of_head or name in ("model", "adapt") or f"{name}.{key}" in UNUSED
            if unused and value != usual.get(name, {}).get(key):
                raise InputError(f"{name}.{key} {value!r}: not for contrastive; leave it out, or that method")


def refuse_unheard(chosen: Settings) -> None:
    """Raise InputError for a setting that no method of few-shot learning hears, whatever it is."""
    usual = TrainingConfig()
    told = {f"train.{name}": (getattr(chosen.train, name), getattr(usual, name)) for name in UNHEARD}
    told["adapt.cache_features"] = chosen.adapt.cache_features, False
    told["task.calibrate"] = chosen.task.get("calibrate", False), False
    told["data.report_to"] = chosen.data.report_to, "none"
    for key, (value, default) in told.items():
        if value != default:
            raise InputError(
                f"{key} {value!r}: few-shot trains each draw in one go, without validation, saving, "
                "calibration, kept features or a tracker; leave it out"
            )


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
    run = Run(vectors, batches, config)
    run.objective = objective_of(vectors, together_and_apart(vectors), config)
    run.finish()
    fit_head(classifier, windows, pooling=opened.pooling)
    return classifier.eval()


def together_and_apart(model: Model) -> Objective:
    """Return how far the cosines of a model of retrieval are from 1 within a label and from 0 between two."""
    task = model.task
    assert isinstance(task, Retrieval)

    def loss(batch: Packed, targets: Any) -> Loss:
        rows, count = task.vectors(model.encoder, batch), targets.counts["loss"]
        cosine_NN, wrong_NN = rows[:count] @ rows[count:].T, targets.wrong_NM
        pulled_N = mean_where((1 - cosine_NN).square(), ~wrong_NN)
        return Loss({"loss": (pulled_N + mean_where(cosine_NN.square(), wrong_NN)).sum()}, targets.counts)

    return loss


def mean_where(values_NM: Tensor, chosen_NM: Tensor) -> Tensor:
    """Return the mean of the values that are chosen in each row, (N,); 0 where none is.

    >>> mean_where(torch.tensor([[1.0, 3.0]]), torch.tensor([[True, True]]))
    tensor([2.])
    """
    return (values_NM * chosen_NM).sum(1) / chosen_NM.sum(1).clamp(min=1)


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
