"""Who takes part in extractive summarisation: the first sentences, any, the most central, and ours.

BBC news articles with extracts of them for summaries (Sharif, 2018). All obey one budget: three sentences, or
the best sentences until 40 % of the characters are reached, which is about what the references take.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from retrieval_contestants import Embed
from retrieval_problems import rows_of

from minibert.data.examples import SummaryExample
from minibert.tasks.rouge import rouge_scores
from minibert.text.sentences import sentence_spans

SENTENCES, RATIO = 3, 0.4
Score = Callable[[list[str]], Sequence[float]]  # sentences of a document -> the higher, the better


def articles(data: Path, part: str, count: int) -> list[SummaryExample]:
    """Read the first articles of a part."""
    [path] = (data / "bbc_news_summary").glob(f"{part}.jsonl*")
    return [SummaryExample(row["text"], row["summary"]) for row in rows_of(path)[:count]]


def extract(text: str, scores: Score, *, ratio: float) -> str:
    """Return the best sentences in document order: three, or until a share of the characters is reached."""
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    order = np.argsort(-np.asarray(scores(sentences)), kind="stable").tolist()
    if not ratio:
        chosen = order[:SENTENCES]
    else:
        before = np.cumsum([0, *(len(sentences[number]) for number in order)])
        limit = ratio * sum(map(len, sentences))
        chosen = [number for number, used in zip(order, before, strict=False) if used < limit]
    return "\n".join(sentences[number] for number in sorted(chosen))


def lead(sentences: list[str]) -> list[float]:
    """Prefer what stands first."""
    return [-float(number) for number in range(len(sentences))]


def drawn(seed: int) -> Score:
    """Prefer nothing."""
    draw = random.Random(seed)
    return lambda sentences: [draw.random() for _ in sentences]


def central(embed: Embed) -> Score:
    """Prefer what is most like the mean of the document."""

    def scores(sentences: list[str]) -> list[float]:
        rows_MD = embed(sentences)
        return (rows_MD @ rows_MD.mean(0)).tolist()

    return scores


def extracts(examples: Sequence[SummaryExample], scores: Score, *, ratio: float) -> dict[str, float]:
    """Return ROUGE of the extracts that a way of scoring gives."""
    written = [extract(example.text, scores, ratio=ratio) for example in examples]
    return judged(written, examples)


def judged(written: Sequence[str], examples: Sequence[SummaryExample]) -> dict[str, float]:
    """Return ROUGE-1, 2 and L; the references have no lines, so rougeLsum would say nothing more."""
    scores = rouge_scores(written, [str(example.summary) for example in examples])
    return {name: scores[name] for name in ("rouge1", "rouge2", "rougeL")}
