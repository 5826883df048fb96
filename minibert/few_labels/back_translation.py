"""More rows by two translators: into another language and back, a text comes out in other words.

R. Sennrich, B. Haddow, A. Birch (2016), *Improving Neural Machine Translation Models with Monolingual Data*;
for labelled texts, Q. Xie et al. (2020), *Unsupervised Data Augmentation*. Both translators are models of the
task seq2seq; the way there and back is fixed, so a text has one copy, or none where it comes back unchanged.
"""

from collections.abc import Sequence
from pathlib import Path

from minibert.errors import InputError
from minibert.interop.opening import load
from minibert.tasks.model import Model
from minibert.tasks.seq2seq import Seq2Seq


def back_translate(
    there: str | Path | Model, back: str | Path | Model, texts: Sequence[str], *, progress: bool = False
) -> list[list[str]]:
    """Return for each text what it becomes there and back; nothing where that is empty or the text itself.

    there, back  folders of, or opened, seq2seq models: out of the texts' language, and into it again
    Raises InputError for a model of another task.
    """
    first, second = opened(there), opened(back)
    abroad = [answer.target for answer in first.predict(list(texts), progress=progress)]
    found = [answer.target for answer in second.predict(abroad, progress=progress)]
    return [
        [new] if new.strip() and new.strip() != old.strip() else []
        for old, new in zip(texts, found, strict=True)
    ]


def opened(translator: str | Path | Model) -> Model:
    """Return a translator, opened if it is a folder."""
    model = translator if isinstance(translator, Model) else load(translator)
    if not isinstance(model.task, Seq2Seq):
        where = "" if isinstance(translator, Model) else f"{translator}: "
        raise InputError(f"{where}a {model.task.name} model does not translate; give one of the task seq2seq")
    return model
