"""Scores of texts that were written, against the texts that were wanted.

chrF (Popović, 2015) compares runs of 1 to 6 characters, white space left out, counted over the whole corpus.
With P and R the means over the six lengths of precision and recall::

    chrF = (1 + b^2) P R / (b^2 P + R)        b = 2: recall weighs twice

It needs no tokenizer, so it is fair to German compounds and to Chinese alike. BLEU (Papineni et al., 2002) is
that of sacrebleu (Post, 2018), with its tokenizer 13a, or zh where most letters of the references are Han
characters; `distinct` (Li et al., 2016) tells how many of the runs of words are different ones: low where all
replies are alike. ROUGE is `rouge`. All scores lie between 0 and 1.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from minibert.errors import InputError, MissingExtra
from minibert.tasks.rouge import rouge_scores, rouge_tokens, runs
from minibert.text.scripts import HAN_LETTER

Metric = Literal["chrf", "bleu", "rougeL"]
ORDERS = range(1, 7)
BETA = 2


def text_scores(
    written: Sequence[str], wanted: Sequence[str], *, metric: Metric = "chrf"
) -> dict[str, float]:
    """Return all scores, `metric` first; BLEU only where it is asked for, since it needs sacrebleu.

    >>> text_scores(["the cat sat"], ["the cat sat"])["chrf"]
    1.0
    """
    if len(written) != len(wanted) or not wanted:
        raise InputError(f"{len(written)} texts and {len(wanted)} references; as many of each are wanted")
    scores = {
        "chrf": chrf(written, wanted),
        **rouge_scores(written, wanted),
        "exact_match": sum(map(str.__eq__, written, wanted)) / len(wanted),
        "distinct1": distinct(written, 1),
        "distinct2": distinct(written, 2),
    }
    if metric == "bleu":
        scores["bleu"] = bleu(written, wanted)
    return {metric: scores[metric], **scores}


def chrf(written: Sequence[str], wanted: Sequence[str]) -> float:
    """Return the chrF2 of a corpus, as sacrebleu counts it; in 0..1.

    >>> round(chrf(["abcd"], ["abce"]), 4)
    0.4792
    """
    precisions, recalls = [], []
    for order in ORDERS:
        shared = mine = theirs = 0
        for text, reference in zip(written, wanted, strict=True):
            one, other = runs("".join(text.split()), order), runs("".join(reference.split()), order)
            shared += (one & other).total()
            mine += one.total() if other else 0  # as sacrebleu does: a short reference asks for none
            theirs += other.total()
        if mine and theirs:
            precisions.append(shared / mine)
            recalls.append(shared / theirs)
    if not precisions or not sum(recalls):
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)


def distinct(texts: Sequence[str], n: int) -> float:
    """Return the share of different runs among all runs of n words; 0 where there are none.

    >>> distinct(["I do not know", "I do not care"], 2)
    0.6666666666666666
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        counts.update(runs(rouge_tokens(text), n))
    return len(counts) / counts.total() if counts else 0.0


def bleu(written: Sequence[str], wanted: Sequence[str]) -> float:
    """Return the corpus BLEU of sacrebleu, cased; in 0..1. Raises MissingExtra without sacrebleu."""
    tokenize = "zh" if mostly_han(wanted) else "13a"
    score = sacrebleu().corpus_bleu(list(written), [list(wanted)], tokenize=tokenize).score
    return float(score) / 100


def mostly_han(texts: Sequence[str]) -> bool:
    """Tell whether most letters are Han characters.

    >>> mostly_han(["你好 OK"]), mostly_han(["all right 好"])
    (False, False)
    """
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    return 2 * len(HAN_LETTER.findall("".join(letters))) > len(letters)


def check_metric(metric: Metric) -> None:
    """Raise MissingExtra now, not after an epoch, where a metric needs a package that is not installed."""
    if metric == "bleu":
        sacrebleu()


def sacrebleu() -> Any:
    """Return the module sacrebleu."""
    try:
        import sacrebleu
    except ImportError as error:
        raise MissingExtra("BLEU needs sacrebleu: pip install 'minibert-encoder[metrics]'") from error
    return sacrebleu
