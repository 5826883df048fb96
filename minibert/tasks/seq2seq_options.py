"""What a person may choose about texts that are written."""

from dataclasses import dataclass
from typing import Literal

from minibert.errors import InputError
from minibert.model.generation import Generation
from minibert.tasks.text_metrics import Metric


@dataclass(frozen=True)
class Seq2SeqOptions:
    """What a person may choose.

    max_length 0 means as long as the encoder allows; decoder_layers 0 as many as the encoder has. What is
    written is no longer than max_target_length. copy_attention lets each token be copied from the source.
    """

    max_length: int = 0
    on_long: Literal["truncate", "error"] = "truncate"
    max_target_length: int = 128
    decoder_layers: int = 0
    decoder_positions: Literal["rotary", "learned"] = "rotary"
    share_embeddings: bool = True
    copy_attention: bool = False
    label_smoothing: float = 0.1
    num_beams: int = 1
    length_penalty: float = 1.0
    min_target_length: int = 0
    no_repeat_ngram_size: int = 0
    metric: Metric = "chrf"

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing {self.label_smoothing} must be in [0, 1)")
        if self.decoder_layers < 0 or self.max_target_length < 2:
            raise InputError(
                f"decoder_layers {self.decoder_layers} must not be negative, and max_target_length "
                f"{self.max_target_length} must be at least 2: a token and the end"
            )
        self.generation()

    def generation(self) -> Generation:
        """How targets are written."""
        return Generation(
            self.num_beams,
            self.length_penalty,
            self.max_target_length,
            self.min_target_length,
            self.no_repeat_ngram_size,
        )
