"""Who stands beside us where structures are found in text: counts, a linear model, transformers' Trainer."""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from trainer_arguments import config_of, trainer_arguments, without_printing

from minibert.data.examples import IntentExample, RelationExample, TaggedExample
from minibert.tasks.metrics import accuracy, macro_f1
from minibert.tasks.relation_scores import negative_of, relation_scores
from minibert.tasks.requests import Understood, request_scores
from minibert.tasks.spans import detect_scheme, span_scores, to_bio

Scores = dict[str, Any]


def guess_tags(train: Sequence[Any], test: Sequence[Any]) -> list[list[str]]:
    """Give each word the tag it has most often in the training data; an unknown word gets the commonest."""
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    all_tags: Counter[str] = Counter()
    for example in train:
        for (start, end), tag in zip(example.spans, example.tags, strict=True):
            seen[example.text[start:end]][tag] += 1
            all_tags[tag] += 1
    usual = all_tags.most_common(1)[0][0]
    best = {word: counts.most_common(1)[0][0] for word, counts in seen.items()}
    return [[best.get(example.text[a:b], usual) for a, b in example.spans] for example in test]


def frequent_tags(train: Sequence[TaggedExample], test: Sequence[TaggedExample]) -> Scores:
    """Score the most frequent tag of each word, as tagging is scored."""
    return tag_scores([example.tags or () for example in test], guess_tags(train, test), train)


def tag_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], train: Sequence[TaggedExample]
) -> Scores:
    """Return strict span scores where the training tags mark spans, and accuracy and macro-F1 of the tags."""
    scheme = detect_scheme(example.tags or () for example in train)
    if scheme:
        gold = [to_bio(tags, scheme) for tags in gold]
        predicted = [to_bio(tags, scheme) for tags in predicted]
    flat_gold = [tag for tags in gold for tag in tags]
    flat = [tag for tags in predicted for tag in tags]
    spans: Scores = dict(span_scores(gold, predicted)) if scheme else {}
    return {**spans, "accuracy": accuracy(flat_gold, flat), "macro_f1": macro_f1(flat_gold, flat)}


def majority_intent(train: Sequence[IntentExample], test: Sequence[IntentExample]) -> Scores:
    """Score the most frequent intent, and the most frequent tag of each word."""
    usual = Counter(str(example.intent) for example in train).most_common(1)[0][0]
    answers = [
        Understood(usual, {}, example.spans, tuple(tags), ())
        for example, tags in zip(test, guess_tags(train, test), strict=True)
    ]
    return request_scores(answers, test)


def words_between(train: Sequence[RelationExample], test: Sequence[RelationExample]) -> Scores:
    """Score a logistic regression over the words between the mentions, and over the mentions."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(DictVectorizer(), LogisticRegression(max_iter=300, C=1.0))
    model.fit([clues(example) for example in train], [example.label for example in train])
    predicted = model.predict([clues(example) for example in test]).tolist()
    labels = sorted({str(example.label) for example in train})
    return relation_scores([str(example.label) for example in test], predicted, negative=negative_of(labels))


def clues(example: RelationExample) -> dict[str, int]:
    """Return the words (or Chinese characters) between the mentions, the mentions, and their order."""
    first, second = sorted((example.head, example.tail))
    between = example.text[first[1] : second[0]].lower()
    words = between.split() if between.isascii() else list(between)
    found = {f"between {word}": 1 for word in words}
    found |= {
        f"head {example.text[slice(*example.head)].lower()}": 1,
        f"tail {example.text[slice(*example.tail)].lower()}": 1,
    }
    return {**found, "head first": int(example.head < example.tail), "words": len(words)}


def trained_by_transformers(
    folder: Path,
    train: Sequence[TaggedExample],
    test: Sequence[TaggedExample],
    recipe: dict[str, Any],
    *,
    seed: int,
) -> Scores:
    """Fine-tune AutoModelForTokenClassification with transformers' Trainer and score it as ours is scored.

    Words come as `is_split_into_words`, and the first piece of each carries its label, as in the library's
    own examples; the numbers of the recipe are ours.
    """
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
    )

    labels = sorted({tag for example in train for tag in example.tags or ()})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder, num_labels=len(labels))
    with tempfile.TemporaryDirectory() as scratch:
        rows = [encoded(tokenizer, example, labels) for example in train]
        collator = DataCollatorForTokenClassification(tokenizer)
        given = trainer_arguments(config_of(recipe, seed), len(rows), scratch)
        without_printing(Trainer(model, given, train_dataset=rows, data_collator=collator)).train()
    predicted = [predict(model.eval(), tokenizer, example, labels) for example in test]
    return tag_scores([example.tags or () for example in test], predicted, train)


def words_of(example: TaggedExample) -> list[str]:
    return [example.text[start:end] for start, end in example.spans]


def encoded(tokenizer: Any, example: TaggedExample, labels: Sequence[str]) -> dict[str, list[int]]:
    """Return the ids of a sentence, and the number of a word's label at its first piece, -100 elsewhere."""
    ids = tokenizer(words_of(example), is_split_into_words=True, truncation=True)
    owners = ids.word_ids()
    tags = example.tags or ()
    numbers = [
        -100 if word is None or word == before else labels.index(tags[word])
        for before, word in zip([None, *owners[:-1]], owners, strict=True)
    ]
    return {"input_ids": ids["input_ids"], "attention_mask": ids["attention_mask"], "labels": numbers}


@torch.no_grad()
def predict(model: Any, tokenizer: Any, example: TaggedExample, labels: Sequence[str]) -> list[str]:
    """Return the tag of each word; "O" for one that was cut off."""
    batch = tokenizer(words_of(example), is_split_into_words=True, truncation=True, return_tensors="pt")
    best = model(**batch).logits[0].argmax(-1).tolist()
    tags = ["O"] * len(example.spans)
    for place, word in reversed(list(enumerate(batch.word_ids()))):
        if word is not None:
            tags[word] = labels[best[place]]
    return tags
