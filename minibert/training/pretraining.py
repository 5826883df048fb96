"""What a pretraining run can be told: the vocabulary, the data, the masking, the training, the encoder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from minibert.config import from_dict, group, to_dict
from minibert.errors import InputError
from minibert.tasks.masking import Masking
from minibert.training.config import TrainingConfig
from minibert.training.journal import check_tracker
from minibert.training.plan import Budget

FIRST_RATE = 1e-3
GOING_ON_RATE = 1e-4  # what Gururangan et al. (2020) take for the text of a task


@dataclass(frozen=True)
class TokenizerOptions:
    """The vocabulary that is trained where none is given."""

    vocab_size: int = 8192
    model_type: Literal["unigram", "bpe"] = "unigram"
    lowercase: bool = False
    cjk_characters: bool = True


@dataclass(frozen=True)
class DataOptions:
    """How text becomes batches; validation_tokens is how much is held out for the validation loss.

    token_vectors "cooccurrence" begins with vectors counted from the corpus (`data/cooccurrence`).
    """

    objective: Literal["masked_lm", "replaced_tokens"] = "masked_lm"
    token_vectors: Literal["random", "cooccurrence"] = "random"
    text_column: str = "text"
    max_seq_length: int = 128
    tokens_per_batch: int = 8192
    validation_tokens: int = 50_000
    workers: int = 0
    report_to: str = "none"
    progress: bool = True

    def __post_init__(self) -> None:
        least = {"max_seq_length": 3, "tokens_per_batch": 3, "validation_tokens": 1, "workers": 0}
        for name, fewest in least.items():
            if getattr(self, name) < fewest:
                raise InputError(f"{name} {getattr(self, name)} must be at least {fewest}")
        if self.tokens_per_batch < self.max_seq_length:
            raise InputError(
                f"tokens_per_batch {self.tokens_per_batch} is less than max_seq_length {self.max_seq_length} "
                "and a batch has to hold the longest run of tokens; raise the one or lower the other"
            )
        check_tracker(self.report_to)


@dataclass(frozen=True)
class Settings:
    """Everything that a pretraining run can be told, in the groups of a settings file."""

    tokenizer: TokenizerOptions
    data: DataOptions
    masking: Masking
    train: TrainingConfig
    model: dict[str, Any]

    @staticmethod
    def of(values: dict[str, Any], *, learning_rate: float = FIRST_RATE) -> "Settings":
        """Sort dotted keys ("train.learning_rate") or nested tables into the groups.

        learning_rate  the one for values that name none
        """
        groups = group(values, ("tokenizer", "data", "masking", "train", "model"))
        length = {} if "num_train_epochs" in groups["train"] else {"max_steps": 10_000}
        train = {"learning_rate": learning_rate, "weight_decay": 0.1, **length, **groups["train"]}
        return Settings(
            from_dict(TokenizerOptions, groups["tokenizer"], where="tokenizer"),
            from_dict(DataOptions, groups["data"], where="data"),
            from_dict(Masking, groups["masking"], where="masking"),
            from_dict(TrainingConfig, train, where="train"),
            groups["model"],
        )


def refuse_spare(
    settings: Settings, *, model: str | Path | None, tokenizer: str | Path | None, size: str | None
) -> None:
    """Raise InputError for what is asked beside a model or a tokenizer that has it, or is no folder."""
    for name, folder in {"model": model, "tokenizer": tokenizer}.items():
        if not isinstance(folder, str | Path | None):
            raise InputError(
                f"{name} is a {type(folder).__name__}, and the folder of one is wanted: save it there, with "
                f"its save(folder), and give {name}=folder"
            )
    usual = to_dict(TokenizerOptions())
    vocabulary = {name: value for name, value in to_dict(settings.tokenizer).items() if value != usual[name]}
    if model:
        vectors = settings.data.token_vectors
        _refuse("model", {"size": size, "tokenizer": tokenizer, "token_vectors": vectors} | vocabulary)
    elif tokenizer:
        _refuse("tokenizer", vocabulary)


def _refuse(owner: str, asked: dict[str, Any]) -> None:
    for name, value in asked.items():
        if value not in (None, "random"):
            raise InputError(
                f"{name} {str(value)!r} beside a {owner}: the {owner} brings its own; leave out one of the "
                "two"
            )


def usual_rate(model: str | Path | None) -> float:
    """Return the learning rate for whoever names none: a smaller one to go on with a model."""
    return GOING_ON_RATE if model else FIRST_RATE


def settings_for(values: dict[str, Any], *, model: str | Path | None, budget: Budget) -> Settings:
    """Return the settings of a run; where it has a budget the clock ends it, or `train.max_steps` if told."""
    unlimited = {} if budget is None else {"train.max_steps": 1_000_000}
    return Settings.of({**unlimited, **values}, learning_rate=usual_rate(model))
