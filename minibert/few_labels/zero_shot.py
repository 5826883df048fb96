"""Zero-shot: labels for texts from a model that was never shown one.

by a gap      a template with [MASK], and a model that fills masks: how likely is the label's word there?
              Words of several tokens are scored by `likelihood`, in several passes
by vectors    any encoder: the cosine of a text's vector and the label's, or that of a description of it

Both favour some labels whatever the text says. Calibration divides by what an empty text would get
(Z. Zhao et al., 2021, *Calibrate Before Use*)::

    p(label | text)  ~  p(label | text) / p(label | "")

Letters: N texts, C labels, W words, D vector size.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minibert.data.examples import TextExample
from minibert.embedding.loading import load_encoder
from minibert.embedding.text_encoder import TextEncoder
from minibert.errors import InputError
from minibert.few_labels.likelihood import pseudo_log_likelihoods
from minibert.interop.language_models import load_language_model
from minibert.tasks.classification import Classified
from minibert.tasks.cloze import Cloze, ClozeOptions
from minibert.tasks.given import listed
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.templates import PAIR, Template, Words, ids_in_place, read_verbalizer
from minibert.text.tokenizer import MASK_TEXT

LABEL = "{label}"
TOGETHER = 32  # texts whose words of several tokens are scored at once
TEMPERATURE = 0.05  # cosines are divided by it, as in training for retrieval
Labels = Sequence[str] | Mapping[str, str | Sequence[str]]
Scorer = Callable[[Sequence[TextExample]], np.ndarray]


def zero_shot(
    model: str | Path | Model | TextEncoder,
    texts: Sequence[str | TextExample],
    *,
    labels: Labels | str,
    template: str | None = None,
    calibrate: bool = False,
    batch_tokens: int = 8192,
    progress: bool = False,
) -> list[Classified]:
    """Answer each text with one of `labels`, by a model that was not trained for them.

    model      a folder, or what was opened from one
    labels     "a,b", a list, or a table from a label to its word, its words, or a description of it
    template   with {text} and one [MASK]: the label's word is asked for there. With {label}, or none:
               labels, written into it, are compared with texts as vectors
    calibrate  divide by what an empty text would get

    Returns the likeliest label and a probability for each. Raises InputError for labels or a template that
    cannot be used, and for a [MASK] where the model has no head for it.

    >>> answers = zero_shot("runs/clf", ["a warm film"], labels=["warm", "dull"], template="a {label} film")
    >>> answers[0].label
    'warm'
    """
    words = label_words(labels)
    if template is not None and MASK_TEXT in template:
        score = by_gap(_language_model(model), words, Template.of(template), batch_tokens, progress=progress)
    else:
        score = by_vectors(_text_encoder(model), words, template or LABEL, batch_tokens, progress=progress)
    examples = [TextExample(text) if isinstance(text, str) else text for text in listed(texts)]
    if not examples:
        raise InputError("no texts came; give at least one")
    logs_NC = score(examples)
    if calibrate:
        blank = TextExample("", None if examples[0].pair is None else "")
        logs_NC = logs_NC - score([blank])
    return [answer_of(row, list(words)) for row in logs_NC]


def label_words(labels: Labels | str) -> Words:
    """Return the words, or the description, of each label; raises InputError for fewer than two labels.

    >>> label_words("sports, world=the world")
    {'sports': ('sports',), 'world': ('the world',)}
    """
    if isinstance(labels, str):
        entries = [entry.strip() for entry in labels.split(",") if entry.strip()]
        labels = ",".join(entry if "=" in entry else f"{entry}={entry}" for entry in entries)
        words = read_verbalizer(labels, []) if labels else {}
    else:
        table = labels if isinstance(labels, Mapping) else {label: label for label in labels}
        words = read_verbalizer(table, list(table)) if table else {}
    if len(words) < 2:
        raise InputError(f"labels {list(words)}: at least two are wanted, such as sports,politics")
    return words


def answer_of(logs_C: np.ndarray, labels: Sequence[str]) -> Classified:
    """Turn log scores into probabilities that sum to one, and the likeliest label."""
    shares_C = np.exp(logs_C - logs_C.max())
    shares_C = shares_C / shares_C.sum()
    found = {label: float(share) for label, share in zip(labels, shares_C, strict=True)}
    return Classified(labels[int(shares_C.argmax())], found)


def by_vectors(
    encoder: TextEncoder, words: Words, template: str, batch_tokens: int, *, progress: bool
) -> Scorer:
    """Return what scores texts by the cosine with their labels' descriptions."""
    if template.replace("{}", LABEL).count(LABEL) != 1:
        raise InputError(
            f"template {template!r}: {LABEL} is wanted once, as in 'a text about {LABEL}'; or one with [MASK]"
        )
    shown = [template.replace("{}", LABEL).replace(LABEL, word) for told in words.values() for word in told]
    label_WD = encoder.embed(shown, batch_tokens=batch_tokens, progress=False)
    label_CD = _means(label_WD, words)

    def score(examples: Sequence[TextExample]) -> np.ndarray:
        if any(example.pair is not None for example in examples):
            raise InputError(f"pairs cannot be compared as vectors; use a template with [MASK] and {PAIR}")
        texts = [example.text for example in examples]
        text_ND = encoder.embed(texts, batch_tokens=batch_tokens, progress=progress)
        return text_ND.astype(np.float64) @ label_CD.T.astype(np.float64) / TEMPERATURE

    return score


def by_gap(model: Model, words: Words, template: Template, batch_tokens: int, *, progress: bool) -> Scorer:
    """Return what scores texts by how likely their labels' words are at the gap."""
    told = [word for own in words.values() for word in own]
    pieces = [ids_in_place(model.task.tokenizer, template, word) for word in told]
    for word, ids in zip(told, pieces, strict=True):
        if not ids or model.task.tokenizer.unknown_id in ids:
            raise InputError(f"label word {word!r} is unknown to the vocabulary; choose another word")
    if all(len(ids) == 1 for ids in pieces):
        return by_one_token(model, words, template, batch_tokens, progress=progress)

    def score(examples: Sequence[TextExample]) -> np.ndarray:
        parts = []
        for start in tqdm(range(0, len(examples), TOGETHER), "zero-shot", disable=not progress):
            some = examples[start : start + TOGETHER]
            logs_NW = pseudo_log_likelihoods(model, template, some, told, batch_tokens=batch_tokens)
            parts.append(_means(logs_NW.T, words).T)
        return np.concatenate(parts)

    return score


def by_one_token(
    model: Model, words: Words, template: Template, batch_tokens: int, *, progress: bool
) -> Scorer:
    """Return what scores texts as the task `cloze` does: one pass for all labels."""
    cloze = Cloze(model.task.tokenizer, model.encoder.config, words, ClozeOptions(str(template)))
    cloze.inherit(model.task)
    asked = Model(model.encoder, cloze.to(next(model.parameters()).device))

    def score(examples: Sequence[TextExample]) -> np.ndarray:
        blind = [TextExample(example.text, example.pair) for example in examples]
        answers = asked.predict(blind, batch_tokens, progress=progress)
        shares_NC = np.array([list(answer.probabilities.values()) for answer in answers], np.float64)
        return np.log(np.maximum(shares_NC, np.finfo(np.float64).tiny))

    return score


def _means(rows_WD: np.ndarray, words: Words) -> np.ndarray:
    """Average the rows of each label's words: (W, D) to (C, D)."""
    ends = np.cumsum([len(told) for told in words.values()])[:-1]
    return np.array([part.mean(0) for part in np.split(rows_WD, ends)])


def _language_model(model: str | Path | Model | TextEncoder) -> Model:
    if isinstance(model, str | Path):
        return load_language_model(model)
    task = model.task if isinstance(model, Model) else None
    task = task.language_model if isinstance(task, Cloze) else task
    if not isinstance(model, Model) or not isinstance(task, MaskedLM):
        raise InputError(
            "a template with [MASK] needs a model that fills masks: open one with mb.load; or leave it out"
        )
    return Model(model.encoder, task).eval()


def _text_encoder(model: str | Path | Model | TextEncoder) -> TextEncoder:
    if isinstance(model, str | Path):
        return load_encoder(model)
    if isinstance(model, Model):
        return TextEncoder(model.encoder, model.task.tokenizer, max_length=model.task.max_length)
    return model
