"""How alike are two texts? Learn it from grades, compare, and make the encoder smaller.

    python examples/compare_texts.py ENCODER OUTPUT

The encoder is a folder of `minibert pretrain` or of Hugging Face's. For pairs of your own, give `minibert
finetune --task similarity` a table with two texts and a score in each row.
"""

import sys
from pathlib import Path

import minibert as mb
from minibert.data.examples import NumberExample
from minibert.further.distill import distill

folder, output = Path(sys.argv[1]), Path(sys.argv[2])
TEXTS = (
    "the cat sleeps",
    "a cat is asleep",
    "the dog sleeps",
    "prices rose again",
    "costs went up again",
)
GRADES = {(0, 1): 5.0, (3, 4): 5.0, (0, 2): 3.0, (1, 2): 3.0, (0, 3): 0.0, (1, 4): 0.0, (2, 3): 0.0}
pairs = [NumberExample(TEXTS[a], TEXTS[b], grade) for (a, b), grade in GRADES.items()]

settings = {"train.max_steps": 30, "train.learning_rate": 1e-3, "data.progress": False}
model = mb.finetune(folder, task="similarity", train=pairs, output_dir=output / "alike", settings=settings)
for pair, answer in zip(pairs, model.predict(pairs), strict=True):
    print(f"{answer.similarity:+.2f}  graded {pair.label:g}  {pair.text} / {pair.pair}")

# The vectors are taught to an encoder of half the layers; any texts will do, without grades.
layers = len(model.encoder.blocks) // 2
if layers:
    lesson = {**settings, "distill.layers": layers}
    distill(output / "alike", train=list(TEXTS), output_dir=output / "small", settings=lesson)
    whole, small = (mb.load_encoder(output / name) for name in ("alike", "small"))
    first, second = (encoder.embed(TEXTS, progress=False) for encoder in (whole, small))
    alike = float((first * second).sum(1).mean())
    print(f"{layers} layers: cosine with the vectors of all {alike:.3f}")
