"""transformers' Trainer told the numbers of our recipe, and told to keep quiet."""

from pathlib import Path
from typing import Any

import torch

from minibert.config import from_dict
from minibert.training.config import TrainingConfig
from minibert.training.precision import choose_dtype


def config_of(recipe: dict[str, Any], seed: int) -> TrainingConfig:
    """Return what the settings of a run of ours say of training: its keys that begin with `train.`."""
    given = {key.removeprefix("train."): value for key, value in recipe.items() if key.startswith("train.")}
    return from_dict(TrainingConfig, {**given, "seed": seed}, where="recipe")


def trainer_arguments(config: TrainingConfig, rows: int, output: str | Path, *, grouped: bool = False) -> Any:
    """Return TrainingArguments with our numbers, for so many rows, in the precision that we compute in.

    grouped  texts of like length together, their fastest way on a CPU
    """
    from transformers import TrainingArguments

    steps = -(-rows // config.train_batch_size) * config.num_train_epochs
    return TrainingArguments(
        output_dir=str(output),
        num_train_epochs=config.num_train_epochs,
        per_device_train_batch_size=config.train_batch_size,
        per_device_eval_batch_size=64,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_steps or round(config.warmup_ratio * steps),
        lr_scheduler_type=config.lr_scheduler_type,
        max_grad_norm=config.max_grad_norm,
        adam_beta1=config.adam_beta1,
        adam_beta2=config.adam_beta2,
        adam_epsilon=config.adam_epsilon,
        seed=config.seed,
        bf16=choose_dtype(config.precision, torch.device("cpu")) == torch.bfloat16,
        use_cpu=True,
        train_sampling_strategy="group_by_length" if grouped else "random",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def without_printing(trainer: Any) -> Any:
    """Return the Trainer without the part that prints its dictionaries."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer
