"""Which tokens are hidden from the encoder, and how (Devlin et al., 2019, section 3.1).

Of the chosen tokens 80 % become [MASK], 10 % a random token, 10 % stay as they are. What is chosen together
is a unit: a token, a whole word (Cui et al., 2021), or a span of words whose length is geometric, at most
ten (Joshi et al., 2020, "SpanBERT"). Units are drawn until the rate is reached, so that every batch has
nearly the same number of hidden tokens. Special tokens are never chosen and never drawn as random tokens.

Letters: T tokens, M chosen tokens, V vocabulary.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from minibert.errors import InputError
from minibert.text.tokenizer import Tokenizer

LONGEST_SPAN = 10
SPAN_STOP = 0.2
# Probability of each length: geometric, what lies beyond the limit shared out among the rest.
SPAN_LAW = (1 - SPAN_STOP) ** np.arange(LONGEST_SPAN) * SPAN_STOP / (1 - (1 - SPAN_STOP) ** LONGEST_SPAN)


@dataclass(frozen=True)
class Masking:
    """How tokens are chosen and hidden.

    mlm_probability goes linearly to mlm_probability_end over the run, where that is given.
    """

    unit: Literal["token", "word", "span"] = "token"
    mlm_probability: float = 0.15
    mlm_probability_end: float | None = None
    mask_share: float = 0.8
    random_share: float = 0.1

    def __post_init__(self) -> None:
        for rate in (self.mlm_probability, self.mlm_probability_end):
            if rate is not None and not 0 < rate < 1:
                raise InputError(f"mlm_probability {rate} must be above 0 and below 1")
        if min(self.mask_share, self.random_share) < 0 or self.mask_share + self.random_share > 1:
            raise InputError(
                f"mask_share {self.mask_share} and random_share {self.random_share} are shares of one whole: "
                "neither below 0, together at most 1"
            )

    def rate(self, progress: float) -> float:
        """Share of the tokens that is chosen when `progress` of the run is done."""
        end = self.mlm_probability if self.mlm_probability_end is None else self.mlm_probability_end
        return self.mlm_probability + (end - self.mlm_probability) * progress


class Masker:
    """Chooses tokens and hides them: a pure function of the ids and a random generator."""

    def __init__(self, tokenizer: Tokenizer, masking: Masking) -> None:
        if masking.unit != "token" and not tokenizer.tells_words:
            raise InputError(
                f"masking by {masking.unit} needs a tokenizer that shows where words begin; use unit 'token'"
            )
        self.masking = masking
        self.mask_id = tokenizer.mask_id
        self.word_starts_V = tokenizer.word_starts
        self.special_V = np.zeros(tokenizer.vocab_size, dtype=bool)
        self.special_V[tokenizer.special_ids] = True
        self.ordinary = np.flatnonzero(~self.special_V)

    def __call__(
        self, ids_T: np.ndarray, random: np.random.Generator, rate: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids with some hidden, and the places (M,) where they were chosen, in order."""
        places_M = self.choose(ids_T, random, rate)
        fate_M = random.random(len(places_M))
        drawn_M = self.ordinary[random.integers(len(self.ordinary), size=len(places_M))]
        hidden_T = ids_T.copy()
        masked = fate_M < self.masking.mask_share
        swapped = ~masked & (fate_M < self.masking.mask_share + self.masking.random_share)
        hidden_T[places_M[masked]] = self.mask_id
        hidden_T[places_M[swapped]] = drawn_M[swapped]
        return hidden_T, places_M

    def choose(self, ids_T: np.ndarray, random: np.random.Generator, rate: float) -> np.ndarray:
        """Return the places of about `rate` of the tokens that are not special, whole units at a time."""
        places = np.flatnonzero(~self.special_V[ids_T])
        wanted = round(rate * len(places))
        unit_of = self._units(ids_T, places, random)
        order = random.permutation(unit_of[-1] + 1 if len(unit_of) else 0)
        sizes = np.bincount(unit_of, minlength=len(order))[order]
        chosen = np.zeros(len(order), dtype=bool)
        chosen[order[np.cumsum(sizes) <= wanted]] = True
        return places[chosen[unit_of]]

    def _units(self, ids_T: np.ndarray, places: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Number the units that the tokens at `places` belong to: 0, 0, 1, 2, 2, ..."""
        if self.masking.unit == "token" or not len(places):
            return np.arange(len(places))
        after_special = np.diff(places, prepend=-2) > 1
        word = np.cumsum(self.word_starts_V[ids_T[places]] | after_special) - 1
        if self.masking.unit == "word":
            return word
        lengths = random.choice(len(SPAN_LAW), size=word[-1] + 1, p=SPAN_LAW) + 1
        span_of_word = np.repeat(np.arange(len(lengths)), lengths)[: word[-1] + 1]
        begins = (np.diff(span_of_word[word], prepend=-1) > 0) | after_special
        return np.cumsum(begins) - 1
