"""A tagger for the CPU: fewer layers that a teacher taught, then numbers of eight bits.

python examples/make_it_smaller.py runs/enc runs/small
python examples/make_it_smaller.py runs/enc runs/small onnx      also writes the ONNX graph in int8

The sentences are made up. The student never sees a tag: it hears from its teacher about sentences that nobody
annotated.
"""

import itertools
import sys
from pathlib import Path

import minibert as mb
from minibert.further.distill import distill

PEOPLE = ("Anna", "Bob", "Clara Reed", "Dan", "Eve Stone")
PLACES = ("Rome", "New York", "Oslo", "Lima", "Cape Town")
SAID = ("{} lives in {}", "{} was seen near {}", "yesterday {} came from {}", "did {} ever leave {} ?")


def sentence(words: str, *names: tuple[str, str]) -> mb.TaggedExample:
    """Return a sentence with its names filled in and tagged."""
    tokens, tags = [], []
    left = iter(names)
    for word in words.split():
        name, kind = next(left) if word == "{}" else (word, "")
        parts = name.split()
        tokens += parts
        tags += [f"{'I' if at else 'B'}-{kind}" if kind else "O" for at in range(len(parts))]
    ends = list(itertools.accumulate(len(token) + 1 for token in tokens))
    spans = [(end - 1 - len(token), end - 1) for end, token in zip(ends, tokens, strict=True)]
    return mb.TaggedExample(" ".join(tokens), tuple(spans), tuple(tags))


every = [
    sentence(words, (person, "PER"), (place, "LOC"))
    for words, person, place in itertools.product(SAID, PEOPLE, PLACES)
]
train, test = every[::2], every[1::2]
encoder, output_dir, *format = sys.argv[1:]
settings = {"train.num_train_epochs": 20, "train.learning_rate": 5e-3, "train.train_batch_size": 16}
settings |= {"data.progress": False}

big, small = f"{output_dir}/teacher", f"{output_dir}/student"
teacher = mb.finetune(encoder, task="tagging", train=train, output_dir=big, settings=settings)
student = distill(
    big,
    train=[mb.TaggedExample(example.text, example.spans) for example in every],
    output_dir=small,
    settings={**settings, "distill.layers": 1},
)
for name, model, folder in (("teacher", teacher, big), ("student", student, small)):
    layers, f1 = len(model.encoder.blocks), model.evaluate(test)["f1"]
    size = (Path(folder) / "model.safetensors").stat().st_size
    print(f"{name}: {layers} layers, {size / 1000:,.0f} kB, F1 {f1:.3f}")
if format:
    told = mb.export(student, f"{output_dir}/int8", format="onnx", quantize="int8")
    size = (Path(output_dir) / "int8" / told.file).stat().st_size
    print(f"in int8: {size / 1000:,.0f} kB; scores at most {told.difference:.2f} away")
