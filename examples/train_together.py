"""Train one model in two processes, on sentences of two kinds; each process takes half of every step.

python examples/train_together.py     (starts `torchrun` on itself; alone it would learn the same)
"""

import subprocess
import sys

import minibert as mb
from minibert.data.batches import ExampleBatches
from minibert.distributed.joining import joined
from minibert.tasks.classification import Classification

LIKED, DISLIKED = ("a fine", "a warm", "a moving", "a clever"), ("a dull", "a cold", "a tired", "a clumsy")
THINGS = ("film", "story", "play", "song", "novel", "tale", "speech", "dance")


def work() -> None:
    rows = [
        mb.TextExample(f"{praise} {thing}", label=label)
        for label, words in (("good", LIKED), ("bad", DISLIKED))
        for praise in words
        for thing in THINGS
    ]
    tokenizer = mb.train_sentencepiece([row.text for row in rows], 290)
    shape = mb.EncoderConfig.preset("tiny", vocab_size=tokenizer.vocab_size)
    model = mb.Model(mb.Encoder(shape), Classification.build(tokenizer, shape, rows, {}))
    windows = [window for row in rows for window in model.task.encode(row)]
    batches = ExampleBatches(windows, model.task.collate, batch_size=16, accumulate=2)
    config = mb.TrainingConfig(max_steps=60, learning_rate=2e-3, precision="fp32")
    with joined() as ranks:  # the first process's weights are everybody's from here on
        for step in mb.train(model, batches, config):
            if step.index % 20 == 0 and ranks.first:
                print(f"step {step.index}: loss {step.loss:.3f}, shared by {ranks.size}", flush=True)
        if ranks.first:
            print("what a moving play ->", model.predict(["what a moving play"])[0].label)


if __name__ == "__main__":
    if "--work" in sys.argv:
        work()
    else:
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        sys.exit(subprocess.run([*launch, __file__, "--work"]).returncode)
