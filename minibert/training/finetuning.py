"""What a fine-tuning run can be told: what becomes of the encoder, the training, the task, the adapter."""

from dataclasses import dataclass, fields
from typing import Any

from minibert.adapt.options import AdaptOptions
from minibert.config import from_dict, group
from minibert.errors import InputError
from minibert.training.config import TrainingConfig
from minibert.training.journal import check_tracker

HIGHEST_RATE = 3e-4
ADAPTERS_WITH = {"lora": ("lora",), "bottleneck": ("bottleneck",), "prompt": ("prompt", "prefix")}


def usual_rate(width: int) -> float:
    """Return a learning rate for an encoder of this hidden size: the wider it is, the smaller its steps.

    Through what BERT's authors use at 768 and what does well at 384 goes a square.

    >>> [f"{usual_rate(width):.1e}" for width in (256, 384, 768, 1024)]
    ['3.0e-04', '2.0e-04', '5.0e-05', '2.8e-05']
    """
    return min(HIGHEST_RATE, 2e-4 * (384 / width) ** 2)


@dataclass(frozen=True)
class FinetuneOptions:
    """What is left beside the training numbers.

    vocab_size     pieces of the vocabulary that is learnt where a size is named instead of a folder
    from_scratch   keep the encoder's shape but draw its weights anew: the baseline of every pretraining
    reinit_layers  draw so many of its top layers anew
    """

    vocab_size: int = 8000
    from_scratch: bool = False
    reinit_layers: int = 0
    report_to: str = "none"
    progress: bool = True

    def __post_init__(self) -> None:
        check_tracker(self.report_to)


@dataclass(frozen=True)
class Settings:
    """Everything that a fine-tuning run can be told, in the groups of a settings file."""

    data: FinetuneOptions
    train: TrainingConfig
    task: dict[str, Any]
    model: dict[str, Any]
    adapt: AdaptOptions

    def __post_init__(self) -> None:
        """Raise InputError for an option of an adapter that is not there, and for features that change."""
        refuse_spare_options(self.adapt)
        adapter, train = self.adapt.adapter, self.train
        changes = {
            f"adapter {adapter!r} changes it": adapter != "none",
            f"freeze {train.freeze!r} trains some of it; use 'encoder'": train.freeze != "encoder",
            f"fgm_epsilon {train.fgm_epsilon:g} moves what it reads": train.fgm_epsilon,
            "torch_compile compiles it": train.torch_compile,
        }
        for reason, given in changes.items():
            if self.adapt.cache_features and given:
                raise InputError(f"cache_features wants an encoder that always says the same, and {reason}")

    @staticmethod
    def of(values: dict[str, Any], *, learning_rate: float = HIGHEST_RATE) -> "Settings":
        """Sort dotted keys ("task.pooling") or nested tables into the groups.

        learning_rate  the one for values that name none
        """
        groups = group(values, ("data", "train", "task", "model", "adapt"))
        adapting = from_dict(AdaptOptions, groups["adapt"], where="adapt")
        rate = learning_rate * adapting.rate_factor
        return Settings(
            from_dict(FinetuneOptions, groups["data"], where="data"),
            from_dict(TrainingConfig, {"learning_rate": rate, **groups["train"]}, where="train"),
            groups["task"],
            groups["model"],
            adapting,
        )


def adapters_with(option: str, every: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the adapters that an option belongs to, `every` for one of all.

    >>> adapters_with("prompt_tokens"), adapters_with("cache_features")
    (('prompt', 'prefix'), ())
    """
    return ADAPTERS_WITH.get(option.split("_")[0], every)


def refuse_spare_options(chosen: AdaptOptions) -> None:
    """Raise InputError for an option that belongs to another adapter than the chosen one."""
    for field in fields(chosen):
        adapters, value = adapters_with(field.name), getattr(chosen, field.name)
        if adapters and chosen.adapter not in adapters and value != field.default:
            raise InputError(
                f"{field.name} {value!r} means nothing beside adapter {chosen.adapter}; choose adapter "
                f"{' or '.join(adapters)}, or leave it out"
            )
