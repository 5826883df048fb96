"""Which sentences of a document would make the best extract: what an extractive summariser learns from.

R. Nallapati, F. Zhai, B. Zhou (2017), *SummaRuNNer*: sentences are taken one after the other, always the one
that raises the sum of ROUGE-1 and ROUGE-2 F1 against the reference most, until none raises it.
"""

from collections import Counter
from collections.abc import Sequence

from minibert.tasks.rouge import Overlap, rouge_tokens, runs

Runs = tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]


def best_extract(sentences: Sequence[str], reference: str) -> list[int]:
    """Return the numbers of the chosen sentences, in document order; of equal ones the first is taken.

    >>> best_extract(["It rained all day.", "We left.", "The sea was cold."], "It rained. The sea was cold.")
    [0, 2]
    """
    wanted = _runs(reference)
    offered = {number: _runs(sentence) for number, sentence in enumerate(sentences)}
    chosen: list[int] = []
    extract: Runs = (Counter(), Counter())
    best = 0.0
    while offered:
        gains = {number: _score(extract, runs_of, wanted) for number, runs_of in offered.items()}
        number = max(gains, key=lambda each: (gains[each], -each))
        if gains[number] <= best:
            break
        best = gains[number]
        chosen.append(number)
        extract = tuple(a + b for a, b in zip(extract, offered.pop(number), strict=True))  # type: ignore[assignment]
    return sorted(chosen)


def _runs(text: str) -> Runs:
    tokens = rouge_tokens(text)
    return runs(tokens, 1), runs(tokens, 2)


def _score(extract: Runs, sentence: Runs, wanted: Runs) -> float:
    """Return ROUGE-1 + ROUGE-2 of the extract with one more sentence."""
    total = 0.0
    for mine, more, theirs in zip(extract, sentence, wanted, strict=True):
        shared = sum(min(mine[run] + more[run], count) for run, count in theirs.items())
        total += Overlap.of(shared, mine.total() + more.total(), theirs.total()).f1
    return total
