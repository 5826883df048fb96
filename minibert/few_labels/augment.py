"""More rows out of few: words of a text are masked, and a language model says what else might stand there.

S. Kobayashi, 2018, *Contextual Augmentation*; by a masked language model, X. Wu et al., 2019. A share of the
words is masked at once; each is drawn from the model's `top_k` likeliest other words, by their probability::

    w' ~ p(w' | text with gaps),  w' in top_k, w' != w

Only whole words are replaced (one token; for Chinese a character), in the characters of the text itself, so
that everything else stays as it was typed. What a model likes may contradict a label ("a dull film"). With a
template the label's word stands beside the text while it is changed, so that the new words agree with it.

Letters: N windows, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from minibert.errors import InputError
from minibert.few_labels.likelihood import packs
from minibert.interop.language_models import load_language_model
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.task import Window
from minibert.tasks.templates import PAIR, Template, Words
from minibert.tasks.windows import fit_text
from minibert.text.scripts import IDEOGRAPH
from minibert.text.tokenizer import Tokenizer

BATCH_TOKENS = 4096
SPARE = 16  # likely words that are looked at beyond top_k, since some may not fit


@dataclass(frozen=True)
class Replacing:
    """How texts are changed.

    copies      changed copies of each text
    share       of the words that can be replaced, at least one of them
    top_k       likeliest words that are drawn from
    template    with {text} and [MASK], where the label's word stands meanwhile; empty for none
    verbalizer  the word for each label, for the template; labels that lack one stand for themselves
    """

    copies: int = 1
    share: float = 0.15
    top_k: int = 10
    seed: int = 0
    template: str = ""
    verbalizer: Words | None = None

    def __post_init__(self) -> None:
        if self.copies < 1 or self.top_k < 1:
            raise InputError(f"copies {self.copies} and top_k {self.top_k}: at least 1 is wanted of each")
        if not 0 < self.share <= 1:
            raise InputError(f"share {self.share} must be above 0 and at most 1, such as 0.15")
        if self.template and PAIR in Template.of(self.template).parts:
            raise InputError(
                f"template {self.template!r}: words are replaced in one text alone; leave {PAIR} out"
            )


@dataclass(frozen=True)
class Masked:
    """A text with some of its words masked: the window, whose rows they are, and the words' characters."""

    text: str
    window: Window
    spans: tuple[tuple[int, int], ...]
    random: np.random.Generator


def augment(
    model: str | Path | Model,
    texts: Sequence[str],
    *,
    labels: Sequence[str] = (),
    how: Replacing | None = None,
    progress: bool = False,
) -> list[list[str]]:
    """Return for each text its changed copies; none for a text without a word that can be replaced.

    model   a folder of, or an opened, model that fills masks
    labels  one for each text, for a template

    The copies are a function of the texts and the seed. Raises InputError for a model without a head.
    """
    how = how or Replacing()
    if how.template and len(labels) != len(texts):
        raise InputError(f"{len(texts)} texts and {len(labels)} labels: a template needs one for each text")
    opened = model if isinstance(model, Model) else load_language_model(model)
    if not isinstance(opened.task, MaskedLM):
        raise InputError(f"a {opened.task.name} model fills no masks; give a pretrained encoder")
    opened.eval()
    jobs, owners = [], []
    for number, text in enumerate(texts):
        label = labels[number] if how.template else None
        for copy in range(how.copies):
            random = np.random.Generator(np.random.Philox(key=[how.seed, number * 10_000 + copy]))
            job = mask_words(opened.task, text, label, how=how, random=random)
            jobs += [job] if job else []
            owners += [number] if job else []
    copies: list[list[str]] = [[] for _ in texts]
    for number, text in zip(owners, replace_words(opened, jobs, how.top_k, progress=progress), strict=True):
        copies[number].append(text)
    return copies


def mask_words(
    task: MaskedLM, text: str, label: str | None, *, how: Replacing, random: np.random.Generator
) -> Masked | None:
    """Mask a share of a text's whole words, beside the label's word if wanted; None where there is none."""
    whole, before = text, 0
    if label is None:
        tokens = fit_text(task.tokenizer, text, None, max_length=task.max_length, on_long="truncate")[0]
    else:
        template, word = Template.of(how.template), (how.verbalizer or {}).get(label, (label,))[0]
        filled = template.fill(text, None, gap=word)
        whole, before = filled.text, filled.slots[0][0]
        tokens, _ = template.encode(task.tokenizer, text, None, max_length=task.max_length, word=word)
    tokens_of_word = np.bincount(tokens.words + 1)[tokens.words + 1]
    starts, ends = tokens.offsets.T
    inside = (starts >= before) & (ends <= before + len(text)) & (tokens.words >= 0)
    inside[-2:] &= not tokens.cut  # where a text is cut, its last word may be half a word
    places = [
        row
        for row in np.flatnonzero(inside & (tokens_of_word == 1))
        if is_word(whole[starts[row] : ends[row]])
    ]
    if not places:
        return None
    count = max(1, round(how.share * len(places)))
    rows = np.sort(random.choice(places, size=count, replace=False))
    ids = tokens.ids.copy()
    ids[rows] = task.tokenizer.mask_id
    hidden = replace(tokens, ids=ids)
    spans = tuple((int(starts[row]) - before, int(ends[row]) - before) for row in rows)
    return Masked(text, Window(hidden, rows=rows), spans, random)


@torch.no_grad()
def replace_words(model: Model, jobs: Sequence[Masked], top_k: int, *, progress: bool) -> Iterator[str]:
    """Yield each text with other words in the place of those that are masked."""
    task, done = model.task, 0
    names, words_V = plain_words(task.tokenizer)
    device = next(model.parameters()).device
    with tqdm(total=len(jobs), desc="augment", unit="text", disable=not progress) as bar:
        for pack in packs([job.window for job in jobs], BATCH_TOKENS):
            found = task.predict(model.encoder, task.pack(pack).to(device), pack)
            for job, p_MV in zip(jobs[done : done + len(pack)], found, strict=True):
                yield changed(job, p_MV[:, : len(words_V)] * words_V, names, top_k)
            done += len(pack)
            bar.update(len(pack))


def changed(job: Masked, p_MV: np.ndarray, names: Sequence[str], top_k: int) -> str:
    """Return the text with a word drawn for each mask; p_MV holds nothing but whole words."""
    parts, end = [], 0
    for (start, stop), p_V in zip(job.spans, p_MV, strict=True):
        old = job.text[start:stop]
        best = [
            token for token in np.argsort(-p_V)[: top_k + SPARE] if p_V[token] > 0 and fits(names[token], old)
        ][:top_k]
        shares = p_V[best]
        new = names[job.random.choice(best, p=shares / shares.sum())] if shares.sum() > 0 else old
        parts += [job.text[end:start], in_case_of(old, new)]
        end = stop
    return "".join([*parts, job.text[end:]])


def plain_words(tokenizer: Tokenizer) -> tuple[list[str], np.ndarray]:
    """Return what each token reads as, and which tokens are whole words of letters (V,).

    Read, not spelt: byte-level vocabularies spell each byte as a letter, a dash as three of them.
    """
    names = [tokenizer.decode([token]).strip(" ") for token in range(tokenizer.vocab_size)]
    words_V = np.array([is_word(name) for name in names]) & tokenizer.word_starts
    words_V[tokenizer.special_ids] = False
    return names, words_V


def is_word(text: str) -> bool:
    """Tell whether a text is letters and nothing else."""
    return text.isalpha()


def fits(new: str, old: str) -> bool:
    """Tell whether a word may stand for another: not the same, and both ideographs or neither.

    >>> fits("film", "movie"), fits("Film", "film"), fits("好", "film")
    (True, False, False)
    """
    return new.lower() != old.lower() and bool(IDEOGRAPH.match(new)) == bool(IDEOGRAPH.match(old))


def in_case_of(old: str, new: str) -> str:
    """Write a word as another was: in capitals, with a capital, or as it is.

    >>> in_case_of("Great", "fine"), in_case_of("GREAT", "fine"), in_case_of("great", "fine")
    ('Fine', 'FINE', 'fine')
    """
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new.capitalize() if old.istitle() else new
