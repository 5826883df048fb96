"""How likely words of any length are at the gap of a template: their pseudo-log-likelihood.

J. Salazar et al., 2020, *Masked Language Model Scoring*. Each token of a word is masked alone, while the
others stand; averaged over the tokens, long words are not put at a disadvantage::

    s(word) = mean over its tokens t of  log p(t | text, template, the other tokens of the word)

Letters: N texts or windows, W words, D hidden size, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from minibert.data.examples import TextExample
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.task import Task, Window
from minibert.tasks.templates import Template


def pseudo_log_likelihoods(
    model: Model,
    template: Template,
    examples: Sequence[TextExample],
    words: Sequence[str],
    *,
    batch_tokens: int = 8192,
) -> np.ndarray:
    """Return the score of each word at the gap of each text (N, W); the model must know all their tokens."""
    windows, owners = [], []
    for number, example in enumerate(examples):
        for place, word in enumerate(words):
            parts = masked_windows(model.task, template, example, word)
            windows += parts
            owners += [number * len(words) + place] * len(parts)
    logs = np.concatenate([token_logs(model, part) for part in packs(windows, batch_tokens)])
    means: np.ndarray = np.bincount(owners, weights=logs) / np.bincount(owners)
    return means.reshape(len(examples), len(words))


def masked_windows(task: Task, template: Template, example: TextExample, word: str) -> list[Window]:
    """Return a window for each token of the word in the gap; that token is masked there, and asked for."""
    tokens, gap = template.encode(
        task.tokenizer, example.text, example.pair, max_length=task.max_length, word=word
    )
    windows = []
    for row in gap:
        ids = tokens.ids.copy()
        ids[row] = task.tokenizer.mask_id
        hidden = replace(tokens, ids=ids)
        windows.append(Window(hidden, rows=np.array([row]), labels=tokens.ids[[row]].astype(np.int64)))
    return windows


@torch.no_grad()
def token_logs(model: Model, windows: Sequence[Window]) -> np.ndarray:
    """Return the log-probability (N,) of the token wanted at the one row of each window."""
    task = model.task
    assert isinstance(task, MaskedLM)
    batch, targets = Task.collate(task, windows, 0, 0, 0.0)  # as they are: MaskedLM's own would hide more
    device = next(model.parameters()).device
    hidden_ND = task.head(model.encoder(batch.to(device))[targets.positions.to(device)])
    table_VD = task.table(model.encoder)
    logits_NV = (hidden_ND.to(table_VD.dtype) @ table_VD.T).float() + task.bias  # unrounded, as in `Cloze`
    wanted_N1 = targets.labels.to(device)[:, None]
    logs_N: np.ndarray = logits_NV.log_softmax(-1).gather(1, wanted_N1)[:, 0].double().cpu().numpy()
    return logs_N


def packs(windows: Sequence[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Cut windows into runs of at most so many tokens, or of one window."""
    pack: list[Window] = []
    for window in windows:
        if pack and sum(map(len, pack)) + len(window) > batch_tokens:
            yield pack
            pack = []
        pack.append(window)
    if pack:
        yield pack
