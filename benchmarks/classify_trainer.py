"""transformers' Trainer on the rows of cells_classify.py: the same weights, rows, epochs and learning rate.

Its head is its own: a dense layer and tanh on the first token. It keeps the last epoch, not the best one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from classify_rows import Parts
from trainer_arguments import config_of, trainer_arguments, without_printing

from minibert.data.examples import NumberExample


def train_theirs(
    folder: Path, parts: Parts, recipe: dict[str, Any], *, seed: int, scratch: Path
) -> Sequence[Any]:
    """Train, and return the labels (or numbers) of the test part."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer

    numbers = isinstance(parts.train[0], NumberExample)
    labels = sorted({str(example.label) for example in parts.train})
    places = {label: number for number, label in enumerate(labels)}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    problem = "regression" if numbers else "single_label_classification"
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1 if numbers else len(labels), problem_type=problem
    )

    layers = recipe["train.freeze"]  # 0 freezes nothing, the embeddings neither
    for part in [model.bert.embeddings, *model.bert.encoder.layer[:layers]] if layers else []:
        part.requires_grad_(False)

    def encoded(rows: Sequence[Any]) -> list[dict[str, Any]]:
        pairs = [row.pair for row in rows] if rows[0].pair is not None else None
        texts = [row.text for row in rows]
        inputs = tokenizer(texts, pairs, truncation=True, max_length=recipe["task.max_length"])
        gold = [float(row.label) if numbers else places[str(row.label)] for row in rows]
        return [
            {"input_ids": ids, "token_type_ids": kinds, "attention_mask": [1] * len(ids), "labels": label}
            for ids, kinds, label in zip(inputs["input_ids"], inputs["token_type_ids"], gold, strict=True)
        ]

    given = trainer_arguments(config_of(recipe, seed), len(parts.train), scratch / "theirs")
    trainer = Trainer(model, given, train_dataset=encoded(parts.train), processing_class=tokenizer)
    without_printing(trainer).train()
    logits = trainer.predict(encoded(parts.test)).predictions
    return list(logits[:, 0]) if numbers else [labels[best] for best in np.argmax(logits, axis=1)]
