"""transformers' Trainer in the quality table: the same examples, recipe and scores as ours.

Tokenizing, heads, batches, dropout and the loop are theirs; texts of like length are put together, their
fastest way on a CPU. Words are tagged by their first token, the others are not asked (-100). The answers are
compared by our task's `score`, the same code for everybody.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from trainer_arguments import config_of, trainer_arguments

from minibert.data.examples import TaggedExample, TextExample
from minibert.evaluation.baselines import softmax
from minibert.finetune import task_class
from minibert.interop.checkpoints import read_config
from minibert.tasks.classification import Classification, Classified
from minibert.tasks.tagging import Tagged, Tagging
from minibert.tasks.task import Task
from minibert.text.loading import load_tokenizer
from minibert.training.config import TrainingConfig


def train_and_score(
    folder: Path,
    task: str,
    train: Sequence[Any],
    held: Sequence[Any],
    *,
    recipe: dict[str, Any],
    seed: int,
    scratch: Path,
    wrap: Callable[[Any], Any] = lambda model: model,
) -> dict[str, float]:
    """Fine-tune with a Trainer and score its answers; the first score is the measure.

    wrap  what becomes of the model before it is trained, such as an adapter of another library
    """
    from transformers import AutoTokenizer, set_seed

    set_seed(seed)
    config = config_of(recipe, seed)
    judge = task_class(task).build(load_tokenizer(folder), read_config(folder), train, {})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    longest = recipe["task.max_length"]
    rows = [row_of(judge, example, tokenizer, longest) for example in train]
    model = wrap(model_of(judge, folder))
    with tempfile.TemporaryDirectory(dir=scratch) as output:
        trainer = trainer_of(model, tokenizer, rows, config, tagging=task == "tagging", output=output)
        trainer.train()
        asked = [row_of(judge, example, tokenizer, longest) for example in held]
        # Grouped by length, predictions would come in another order than their texts.
        trainer.args.train_sampling_strategy = "random"
        guesses, right, _ = trainer.predict(asked)
    for row, labels in zip(asked, right, strict=True):
        if list(np.ravel(labels)[: np.size(row["labels"])]) != list(np.ravel(row["labels"])):
            raise RuntimeError("the Trainer answers in another order than it was asked; nothing is scored")
    answers = [
        answer_of(judge, example, row, logits)
        for example, row, logits in zip(held, asked, guesses, strict=True)
    ]
    scores = judge.score(answers, held)
    return {name: value for name, value in scores.items() if isinstance(value, float)}


def row_of(judge: Task, example: Any, tokenizer: Any, longest: int) -> dict[str, Any]:
    """Turn one of our examples into what a Trainer reads."""
    if isinstance(judge, Classification):
        row = dict(tokenizer(example.text, example.pair, truncation=True, max_length=longest))
        row["labels"] = judge.numbers[example.label]
        return row
    assert isinstance(judge, Tagging)
    example = judge.example(example)
    words = [example.text[start:end] for start, end in example.spans]
    coded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=longest)
    places = coded.word_ids()
    firsts = [
        word is not None and word != before for word, before in zip(places, [None, *places], strict=False)
    ]
    labels = [
        judge.numbers[example.tags[word]] if first else -100
        for word, first in zip(places, firsts, strict=True)
    ]
    return {**coded, "labels": labels}


def model_of(judge: Task, folder: Path) -> Any:
    """Return the encoder with their head."""
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    kind = (
        AutoModelForSequenceClassification
        if isinstance(judge, Classification)
        else AutoModelForTokenClassification
    )
    assert isinstance(judge, Classification | Tagging)
    return kind.from_pretrained(folder, num_labels=len(judge.labels))


def trainer_of(
    model: Any,
    tokenizer: Any,
    rows: Sequence[dict[str, Any]],
    config: TrainingConfig,
    *,
    tagging: bool,
    output: str,
) -> Any:
    """Return a Trainer with the numbers of our recipe."""
    from transformers import (
        DataCollatorForTokenClassification,
        DataCollatorWithPadding,
        Trainer,
    )

    collator = DataCollatorForTokenClassification if tagging else DataCollatorWithPadding
    return Trainer(
        model,
        trainer_arguments(config, len(rows), output, grouped=True),
        train_dataset=list(rows),
        data_collator=collator(tokenizer),
        processing_class=tokenizer,
    )


def answer_of(judge: Task, example: Any, row: dict[str, Any], logits: np.ndarray) -> Classified | Tagged:
    """Turn logits into an answer of our task, which is what is scored."""
    if isinstance(judge, Classification):
        assert isinstance(example, TextExample)
        shares = softmax(logits[None])[0]
        return Classified(
            judge.labels[int(logits.argmax())],
            {label: float(share) for label, share in zip(judge.labels, shares, strict=True)},
        )
    assert isinstance(judge, Tagging)
    assert isinstance(example, TaggedExample)
    asked = [place for place, label in enumerate(row["labels"]) if label != -100]
    cut = len(example.spans) - len(asked)  # words behind the cut
    tags = [judge.labels[int(logits[place].argmax())] for place in asked] + ["O"] * cut
    shares = [float(share) for share in softmax(logits)[asked].max(1)] + [0.0] * cut
    return Tagged(example.spans, tuple(tags), (), tuple(shares))
