"""Train all of a model, its upper half, its layers one after the other from the top, or its head alone.

python examples/freeze_layers.py runs/enc

The texts are made up: a sentence is "kind" if somebody helps and "harsh" if somebody scolds. What is frozen
costs no backward pass; a head alone reads each text once (`cache_features`) and learns from what was read. It
can be no better than the encoder below: from one that was not pretrained it learns next to nothing.
"""

import itertools
import random
import sys
import tempfile
import time

import minibert as mb

WHO = ("the nurse", "my brother", "a guard", "the cook", "our teacher")
SAID = {
    "kind": ("helps", "thanks", "cheers", "hugs", "praises"),
    "harsh": ("scolds", "mocks", "pushes", "blames", "threatens"),
}
every = [
    mb.TextExample(f"{one} {verb} {other}", label=label)
    for label, verbs in SAID.items()
    for one, verb, other in itertools.product(WHO, verbs, WHO)
    if one != other
]
random.Random(0).shuffle(every)
test, train = every[:60], every[60:]

layers = mb.load_encoder(sys.argv[1]).encoder.config.num_hidden_layers
ways = {
    "everything": {},
    "upper half": {"train.freeze": str((layers + 1) // 2)},
    "from the top": {"train.gradual_unfreezing": 0.2},
    "head alone": {"train.freeze": "encoder", "adapt.cache_features": True, "train.learning_rate": 1e-2},
}
settings = {"train.num_train_epochs": 10, "train.learning_rate": 5e-3, "train.train_batch_size": 16}
settings |= {"task.pooling": "mean", "data.progress": False}
for name, own in ways.items():
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model = mb.finetune(
            sys.argv[1], task="classification", train=train, output_dir=folder, settings={**settings, **own}
        )
    seconds = time.perf_counter() - started
    print(f"{name:<13} accuracy {model.evaluate(test)['accuracy']:.3f} after {seconds:.1f} s")
