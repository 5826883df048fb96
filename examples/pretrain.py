"""Pretrain a small encoder on text files and fill in a mask.

python examples/pretrain.py corpus.txt runs/enc
"""

import sys

import minibert as mb

corpus, output_dir = sys.argv[1:3]
encoder = mb.pretrain(
    [corpus],
    output_dir,
    size="modern-tiny",
    settings={"train.max_steps": 100, "tokenizer.vocab_size": 1000, "data.tokens_per_batch": 2048},
)
for text in ("The [MASK] of a list.", "Return the [MASK] of the object."):
    for guesses in encoder.predict([text])[0]:
        print(text, "->", ", ".join(f"{piece} {probability:.2f}" for piece, probability in guesses))
