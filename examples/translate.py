"""Teach a small encoder and decoder to read numbers aloud, backwards: "407" becomes "seven zero four".

python examples/translate.py runs/numbers

The data are made here; nothing is fetched. With pairs of your own, in two files of lines:
mb.finetune("modern-mini", task="seq2seq", train="train.de,train.en", output_dir="runs/de-en")
"""

import random
import sys
from dataclasses import replace

import minibert as mb

output_dir = sys.argv[1]
WORDS = "zero one two three four five six seven eight nine".split()


def pair(number: int) -> mb.ParallelExample:
    """Return a number's digits, and its words from the last digit to the first."""
    digits = str(number)
    return mb.ParallelExample(digits, " ".join(WORDS[int(digit)] for digit in reversed(digits)))


numbers = random.Random(0).sample(range(100, 1000), 900)
train, held = [pair(n) for n in numbers[100:]], [pair(n) for n in numbers[:100]]
model = mb.finetune(
    "modern-tiny",  # a size instead of a folder: vocabulary and weights begin from nothing
    task="seq2seq",
    train=train,
    validation=held,
    output_dir=output_dir,
    settings={
        "data.vocab_size": 300,
        "train.num_train_epochs": 6,
        "train.train_batch_size": 16,
        "train.learning_rate": 3e-3,
        "train.precision": "fp32",
        "task.decoder_positions": "learned",
        "task.label_smoothing": 0.0,
    },
)
model.task.options = replace(model.task.options, num_beams=3)
scores = model.evaluate(held)
print(f"{scores['exact_match']:.0%} of {len(held)} numbers that were never seen are right")
for answer, example in zip(model.predict(held[:3]), held, strict=False):
    print(f"{example.source} -> {answer.target}  (score {answer.score:.3f})")
