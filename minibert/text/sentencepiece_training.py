"""How SentencePiece learns its pieces: from a sample that fits into memory, without the ideographs.

Every line of the corpus draws a number, and the lines with the lowest numbers stay, as many as are
allowed: an even sample from one pass over a corpus of any size.

Ideographs that are tokens by themselves need no learning, only counting: the commonest become pieces, and
each run of them is replaced by a separator that no piece reaches across. Chinese trains several times
faster.
"""

import heapq
import io
import random
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import sentencepiece

from minibert.errors import InputError
from minibert.text.alignment import MARK, without_surrogates
from minibert.text.scripts import IDEOGRAPH

_SEPARATOR = "\ufdd0"  # a code point that Unicode promises never to give to a character
_LONGEST_LINE = 4000  # characters
_COVERAGE = 0.9995  # of the characters; the rarest are spelt in bytes
_TRAINER_SETTINGS: dict[str, Any] = {
    "pad_id": 0,
    "unk_id": 1,
    "bos_id": 2,
    "eos_id": 3,
    "pad_piece": "[PAD]",
    "unk_piece": "[UNK]",
    "bos_piece": "[CLS]",
    "eos_piece": "[SEP]",
    "control_symbols": ["[MASK]"],  # a control symbol never matches the text, a user-defined one would
    "byte_fallback": True,
    "character_coverage": _COVERAGE,
    "pretokenization_delimiter": _SEPARATOR,
    "max_sentence_length": 100 * _LONGEST_LINE,  # in bytes of normalised text; longer lines would be skipped
    "num_threads": 2,  # whatever the machine has: the order of sums, hence the pieces, depends on it
    "minloglevel": 2,
}


def sample_lines(texts: Iterable[str], max_characters: int, *, seed: int) -> list[str]:
    """Choose lines of at most max_characters together, in the corpus's order; the same for the same seed.

    Very long texts are cut into several lines; lines of only white space are left out.
    """
    if isinstance(texts, str):
        raise InputError(f"texts is one string, {texts[:40]!r}; give a list or an iterator of strings")
    if max_characters < 1:
        raise InputError(f"max_characters is {max_characters}; at least 1 is wanted")
    draw = random.Random(seed).random
    longest = min(_LONGEST_LINE, max_characters)
    kept: list[tuple[float, int, int, str]] = []  # a heap with the highest number on top
    bar, total = 1.0, 0
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"text {number} is {text!r}, a {type(text).__name__}; strings are wanted")
        for start in range(0, len(text), longest):
            chance, line = draw(), text[start : start + longest]
            if chance >= bar or line.isspace():
                continue
            heapq.heappush(kept, (-chance, number, start, line))
            total += len(line)
            while total > max_characters:
                highest, _, _, dropped = heapq.heappop(kept)
                bar = -highest
                total -= len(dropped)
    return [line for _, _, _, line in sorted(kept, key=lambda entry: entry[1:3])]


def normalize_lines(lines: Iterable[str], rule: str) -> list[str]:
    """Normalise lines by one of SentencePiece's rules; a line that nothing is left of is dropped."""
    normalizer = sentencepiece.SentencePieceNormalizer(
        rule_name=rule, add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=True
    )
    normalized = (normalizer.normalize(without_surrogates(line).replace(_SEPARATOR, " ")) for line in lines)
    return [line for line in normalized if line.replace(MARK, " ").strip()]


def take_out_ideographs(lines: list[str]) -> tuple[list[str], str]:
    """Replace each run of ideographs by the separator, and find the commonest ideographs.

    The lines must have been normalised: one character ("㍿") can become several ideographs.
    """
    counts = Counter(character for line in lines for character in IDEOGRAPH.findall(line))
    uncovered = _COVERAGE * counts.total()
    chosen = []
    for character, count in counts.most_common():
        if uncovered <= 0:
            break
        chosen.append(character)
        uncovered -= count
    run = re.compile(f"{IDEOGRAPH.pattern}+")
    return [run.sub(_SEPARATOR, line) for line in lines], "".join(chosen)


def learn_model(lines: list[str], vocab_size: int, *, model_type: str, rule: str, ideographs: str) -> bytes:
    """Train on normalised lines and return the model file's bytes.

    Raises InputError if the lines are too few or too varied for vocab_size.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type=model_type,
            vocab_size=vocab_size,
            normalization_rule_name=rule,
            required_chars=MARK + ideographs,  # the mark is rare where lines are long and have no spaces
            **_TRAINER_SETTINGS,
        )
    except RuntimeError as error:
        raise InputError(_explain(str(error), vocab_size)) from error
    return model.getvalue()


def _explain(message: str, vocab_size: int) -> str:
    if match := re.search(r"too high .* <= (\d+)", message):
        return (
            f"vocab_size {vocab_size} is more than this corpus can fill; the largest that fits is {match[1]}"
        )
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return (
            f"vocab_size {vocab_size} is too small: control tokens, 256 bytes and the characters of this "
            f"corpus are {match[1]} pieces already; use at least that many"
        )
    return f"SentencePiece cannot train {vocab_size} pieces on this corpus: {message}"
