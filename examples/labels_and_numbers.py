"""What is a review about, how many stars does it give, and which of three is the best? Heads on one vector.

python examples/labels_and_numbers.py runs/enc

The reviews are made up: each speaks of the food, of the service, of both, or of neither, in words that are
worth one to five stars. A fifth of them is kept back to be asked for.
"""

import itertools
import random
import sys
import tempfile

import minibert as mb
from minibert.data.examples import MultiLabelExample, NumberExample

WORTH = {"awful": 1, "dull": 2, "decent": 3, "good": 4, "superb": 5}
ABOUT = {"food": ("soup", "bread", "fish"), "service": ("waiter", "host")}


def stars(text: str) -> float:
    """Return the mean of what the words of a review are worth."""
    worth = [WORTH[word] for word in text.split() if word in WORTH]
    return sum(worth) / len(worth)


said = [f"{word} {noun}" for noun in itertools.chain(*ABOUT.values()) for word in WORTH]
texts = [*said, *map(" and ".join, itertools.permutations(said, 2)), *(f"{word} evening" for word in WORTH)]
texts = random.Random(0).sample(texts, 300)
labels = [tuple(name for name, nouns in ABOUT.items() if set(nouns) & {*text.split()}) for text in texts]
threes = list(zip(texts, texts[1:] + texts[:1], texts[2:] + texts[:2], strict=True))
numbers = [NumberExample(text, label=stars(text)) for text in texts]
rows = {
    "multi_label": [MultiLabelExample(text, labels=names) for text, names in zip(texts, labels, strict=True)],
    "regression": numbers,
    "regression, ordinal": numbers,  # levels that are only known to be in order
    "multiple_choice": [
        mb.ChoiceExample("Where shall we eat?", three, three.index(max(three, key=stars))) for three in threes
    ],
}

settings = {"train.num_train_epochs": 15, "train.learning_rate": 5e-3, "train.train_batch_size": 16}
settings |= {"task.pooling": "mean", "data.progress": False}
answers = []
for name, examples in rows.items():
    task, _, loss = name.partition(", ")
    own = {**settings, "task.regression_loss": loss} if loss else settings
    with tempfile.TemporaryDirectory() as folder:
        model = mb.finetune(sys.argv[1], task=task, train=examples[60:], output_dir=folder, settings=own)
    metric, score = next(iter(model.evaluate(examples[:60]).items()))
    print(f"{name:20} {metric} {score:.3f}")
    answers.append(model.predict(examples[:4]))

for text, three, given, number, level, choice in zip(texts, threes, *answers, strict=False):
    print(f"{text}: {', '.join(given.labels)}; {number.value:.1f} stars, or {level.value:.1f}")
    print(f"    {' / '.join(three)} -> {choice.choice}")
