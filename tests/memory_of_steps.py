"""Trains a few steps in a process of its own and prints what it took of memory, and what was predicted.

python tests/memory_of_steps.py masked_lm modern-mini 16 128 fp32
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # torch's optimisers import it, and it is no part of a step
from fakes import FakeTokenizer
from small_models import Repeated

from minibert.allocator import keep_freed_memory
from minibert.data.examples import TextExample
from minibert.doctor.memory import Memory, Step, predict
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.classification import Classification
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.task import Targets
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run

VOCABULARY = 6007


def make(task: str, shape: EncoderConfig) -> Model:
    """Return a model of a task, over a vocabulary that is a fake."""
    tokenizer = FakeTokenizer(shape.vocab_size)
    if task == "masked_lm":
        return Model(Encoder(shape), MaskedLM(tokenizer, shape))
    rows = [TextExample("w", label=label) for label in "ab"]
    return Model(Encoder(shape), Classification.build(tokenizer, shape, rows, {}))


def batch_of(task: str, lengths: list[int], vocab_size: int) -> tuple[Packed, Targets]:
    """Return a micro-batch of random tokens."""
    random = np.random.default_rng(0)
    batch = Packed.of([random.integers(5, vocab_size, length) for length in lengths])
    if task != "masked_lm":
        return batch, Targets(batch.layout.starts, torch.zeros(len(lengths), dtype=torch.int64))
    places = np.sort(random.choice(sum(lengths), sum(lengths) * 3 // 20, replace=False))
    return batch, Targets(torch.from_numpy(places), batch.ids[places])


def prediction(model: Model, targets: Targets, lengths: list[int], config: TrainingConfig) -> Memory:
    """Return what is predicted of a step."""
    shape, weights = model.encoder.config, sum(weight.numel() for weight in model.parameters())
    table = shape.vocab_size if isinstance(model.task, MaskedLM) else 0
    itemsize = 2 if config.precision == "bf16" else 4
    step = Step(tuple(lengths), len(targets.labels), table, itemsize)
    return predict(shape, step, config, weights=weights, trained=weights)


def resident(name: str) -> int:
    """Return VmRSS or VmHWM of this process, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


if __name__ == "__main__":
    task, size, count, length, precision = sys.argv[1:]
    torch.set_num_threads(1)
    keep_freed_memory()
    before = resident("VmRSS")
    shape, lengths = EncoderConfig.preset(size, VOCABULARY), [int(length)] * int(count)
    model, config = make(task, shape), TrainingConfig(max_steps=2, precision=precision)
    micro = batch_of(task, lengths, VOCABULARY)
    for _ in Run(model, Repeated([micro]), config):
        pass
    predicted = prediction(model, micro[1], lengths, config)
    print(json.dumps({"before": before, "peak": resident("VmHWM"), "predicted": predicted.peak}))
