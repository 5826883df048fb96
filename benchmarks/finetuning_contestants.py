"""Who takes part in the fine-tuning benchmark: our `Run`, and transformers' Trainer.

Both get the same encoder, the same newly drawn head, and the same sentences in the same order (the grouped
Trainer in its own). A Trainer drives its own loop; to let others take turns with it, that loop runs in a
thread, which waits at the end of each step until it is asked for the next.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sentences import Labelled
from torch.utils.data import Sampler, SequentialSampler

from minibert.data.batches import ExampleBatches, shuffled
from minibert.data.examples import TextExample
from minibert.finetune import Settings, batches_of, open_for_task
from minibert.tasks.classification import Classification
from minibert.training.loop import Run, Step

FIRST = {  # what both are told
    "learning_rate": 1e-4,
    "lr_scheduler_type": "constant",
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.98,
    "adam_epsilon": 1e-6,
    "seed": 0,
}


class Ours:
    """What `minibert finetune` does, without validation; `auto` picks the precision."""

    name = "minibert"
    way = "as shipped"

    def __init__(self, folder: Path, texts: Labelled, batch_size: int, steps: int) -> None:
        examples = [
            TextExample(text, label=str(label)) for text, label in zip(texts.texts, texts.labels, strict=True)
        ]
        numbers = {**FIRST, "max_steps": steps, "train_batch_size": batch_size, "warmup_ratio": 0.0}
        settings = Settings.of({f"train.{name}": value for name, value in numbers.items()})
        torch.manual_seed(0)
        self.folder, self.texts = folder, texts
        self.model = open_for_task(folder, Classification, examples, settings=settings)
        self.batches: ExampleBatches[Any, Any] = batches_of(self.model.task, examples, settings.train)
        run = Run(self.model, self.batches, settings.train)
        self.precision = "bf16" if self.model.encoder.dtype == torch.bfloat16 else "fp32"
        [(packed, targets)] = self.batches.at(0, 0.0)
        with torch.no_grad():
            self.first_loss = self.model.eval()(packed, targets).mean(targets.counts).item()
        self.steps: Iterator[Step] = iter(run)
        self.losses: list[float] = []

    @property
    def order(self) -> list[int]:
        """The numbers of the texts in the order of the first epoch."""
        return [int(number) for number in shuffled(len(self.texts.texts), self.batches.seed, 0)]

    def step(self) -> None:
        """Train on the next batch and note its loss."""
        self.losses.append(next(self.steps).loss)

    def stop(self) -> None:
        """Do nothing: a `Run` that nobody asks rests."""


@dataclass(frozen=True)
class Recipe:
    """How the Trainer is told to work; everything else stays as it comes."""

    name: str
    bf16: bool = False
    grouped: bool = False


class Trained:
    """transformers' Trainer on BertForSequenceClassification, with our head's first weights."""

    def __init__(self, recipe: Recipe, attention: str | None, ours: Ours, steps: int, scratch: Path) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self.name = recipe.name
        self.way = f"{attention or 'default'} attention"
        self.precision = "bf16" if recipe.bf16 else "fp32"
        tokenizer = AutoTokenizer.from_pretrained(ours.folder)
        chosen = {"attn_implementation": attention} if attention else {}
        model = AutoModelForSequenceClassification.from_pretrained(ours.folder, num_labels=2, **chosen)
        head = ours.model.task
        model.bert.pooler.dense.load_state_dict(head.dense.state_dict())
        model.classifier.load_state_dict(head.classifier.state_dict())
        order = ours.order
        ids = tokenizer([ours.texts.texts[number] for number in order], truncation=True)["input_ids"]
        rows = [
            {"input_ids": row, "attention_mask": [1] * len(row), "labels": ours.texts.labels[number]}
            for row, number in zip(ids, order, strict=True)
        ]
        size = ours.batches.batch_size
        self.first_loss = loss_without_dropout(model, tokenizer, rows[:size], bf16=recipe.bf16)
        self.losses: list[float] = []
        model.register_forward_hook(lambda module, given, output: self.losses.append(output.loss.item()))
        self.turns = Turns()
        trainer = make_trainer(model, tokenizer, rows, recipe, size=size, steps=steps, scratch=scratch)
        trainer.add_callback(self.turns.callback())
        self.turns.start(trainer.train)

    def step(self) -> None:
        """Let the Trainer take one step."""
        self.turns.step()

    def stop(self) -> None:
        """Let the Trainer's loop end."""
        self.turns.stop()


def loss_without_dropout(model: Any, tokenizer: Any, rows: Sequence[dict[str, Any]], *, bf16: bool) -> float:
    """Return the loss of one batch in the precision of the training."""
    batch = tokenizer.pad(list(rows), return_tensors="pt")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss: float = model.eval()(**batch).loss.item()
    return loss


def make_trainer(
    model: Any,
    tokenizer: Any,
    rows: Sequence[dict[str, Any]],
    recipe: Recipe,
    *,
    size: int,
    steps: int,
    scratch: Path,
) -> Any:
    """Return a Trainer that goes through the rows in their order, or grouped by length."""
    from transformers import Trainer, TrainingArguments
    from transformers.trainer_callback import PrinterCallback
    from transformers.trainer_pt_utils import LengthGroupedSampler

    class InOrder(Trainer):
        """A Trainer whose order is ours, so that all see the same batches."""

        def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
            if recipe.grouped:
                return LengthGroupedSampler(size, lengths=[len(row["input_ids"]) for row in rows])
            return SequentialSampler(rows)

    given = TrainingArguments(
        output_dir=str(scratch),
        max_steps=steps,
        per_device_train_batch_size=size,
        bf16=recipe.bf16,
        use_cpu=True,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **FIRST,
    )
    trainer = InOrder(model, given, train_dataset=rows, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    return trainer


class Turns:
    """Runs somebody's loop in a thread, one step at a time."""

    def __init__(self) -> None:
        self.go: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self.thread: threading.Thread | None = None

    def start(self, loop: Callable[[], object]) -> None:
        """Start the loop; it waits before its first step."""

        def follow() -> None:
            try:
                if self.go.get():
                    loop()
            except BaseException as error:  # noqa: BLE001 - raised again where the step was asked for
                self.done.put(error)

        self.thread = threading.Thread(target=follow, daemon=True)
        self.thread.start()

    def step(self) -> None:
        """Let the loop take one step; raise what it raises."""
        self.go.put(True)
        error = self.done.get()
        if error is not None:
            raise error

    def stop(self) -> None:
        """Let the loop end, and wait for that."""
        self.go.put(False)
        assert self.thread is not None
        self.thread.join()

    def wait(self) -> bool:
        """Say, from inside the loop, that a step is done; wait, and return whether there is to be another."""
        self.done.put(None)
        return self.go.get()

    def callback(self) -> Any:
        """Return the callback that makes a Trainer wait at the end of each step."""
        from transformers import TrainerCallback

        turns = self

        class Wait(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
                control.should_training_stop |= not turns.wait()
                return control

        return Wait()
