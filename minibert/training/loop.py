"""The training loop: an object that a `for` iterates, each turn one optimiser step.

    for step in Run(model, batches, config):
        print(step.index, step.loss)

A step's micro-batches are a pure function of (seed, step). Their losses are sums; each is divided by the
counts of the whole step *before* the backward pass, so that 4 micro-batches of 8 give the gradient of 1
batch of 32, however unequal their lengths, and whichever process took which (`distributed/ranks`). Logging,
evaluation, saving and early stopping are the business of the caller.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from minibert.data.batches import Batches
from minibert.distributed.ranks import Ranks
from minibert.distributed.sharding import clip, lay_out
from minibert.packed import Packed
from minibert.tasks.model import Model
from minibert.tasks.task import Targets
from minibert.training.averaging import Average
from minibert.training.config import TrainingConfig
from minibert.training.freezing import Thaw, freeze
from minibert.training.objectives import objective_of
from minibert.training.optimizer import make_optimizers
from minibert.training.plan import CALIBRATION_STEPS, Budget, Clock, Plan, read_budget
from minibert.training.precision import choose_device, choose_dtype
from minibert.training.schedule import rate_at
from minibert.training.spikes import Watch

Micro = tuple[Packed, Targets]


@dataclass(frozen=True)
class Step:
    """What one optimiser step did; `index` counts from 1, `total` is the planned number of steps.

    skipped  why the batch was passed over and nothing learnt from it; "" for all others
    """

    index: int
    total: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens: int
    seconds: float
    skipped: str = ""


class NotFinite(ArithmeticError):
    """The loss or the gradient became infinite or not a number; the weights are those of the step before."""


class Run:
    """Trains a model on batches; iterate it.

    budget  seconds (or "30m") from here to the last step, the caller's work between steps included: fewer
            steps than planned where the clock asks for it, never more
    plan    the plan of an earlier run, to be replayed; wins over `budget`, and may stand in its place
    """

    def __init__(
        self,
        model: Model,
        batches: Batches[Micro],
        config: TrainingConfig,
        *,
        budget: Budget = None,
        plan: Plan | None = None,
    ) -> None:
        seconds, replayed = read_budget(plan or budget)
        layers = model.encoder.config.num_hidden_layers
        freeze(model, config.freeze)
        self.model, self.batches, self.config = model, batches, config
        self.ranks = Ranks.here()
        self.device = place(model, config, self.ranks)
        self.optimizers = make_optimizers(model, layers, config)
        self.thaw = Thaw(model, config, batches.steps_per_epoch)
        self.average = Average(self.optimizers.weights, config.ema_decay)
        self.clock = None if seconds is None else Clock(seconds)
        self.plan = replayed or Plan(((0, self._planned_steps()),))
        self.watch = Watch(skips=config.skip_bad_batches)
        self.done = 0
        self.stopped = False
        self.forward: nn.Module | Any = torch.compile(model, dynamic=True) if config.torch_compile else model
        self.objective = objective_of(model, self.forward, config)

    def _planned_steps(self) -> int:
        if self.config.max_steps > 0:
            return self.config.max_steps
        return max(1, math.ceil(self.config.num_train_epochs * self.batches.steps_per_epoch))

    @property
    def total(self) -> int:
        """Planned number of steps."""
        return self.plan.total(self.done)

    def stop(self) -> None:
        """End the run after the step that is being looked at."""
        self.stopped = True

    def __iter__(self) -> Iterator[Step]:
        while self.done < self.total and not self.stopped:
            self.model.train()
            yield self._step()
            self._plan_again()

    def finish(self) -> None:
        """Take all steps that are left, and keep the mean of the weights where there is one."""
        for _ in self:
            pass
        self.average.settle()

    def _step(self) -> Step:
        start = time.perf_counter()
        total = self.total
        share = rate_at(self.done, total, self.config)
        self.optimizers.set_rate(share)
        self.thaw.at(self.done)
        loss, tokens = self._gradients(self.batches.at(self.done, self.done / total))
        norm = clip(self.optimizers.weights, self.config.max_grad_norm)
        trouble = self.watch.trouble(loss, norm)
        if trouble:
            self.optimizers.zero_grad()
            if not self.watch.may_skip():
                epoch, place = divmod(self.done, self.batches.steps_per_epoch)
                where = f"step {self.done + 1} (batch {place + 1} of epoch {epoch + 1})"
                raise NotFinite(f"{where}: {trouble}; a lower learning_rate may help")
        else:
            self.optimizers.step()
            self.watch.note(loss)
        self.done += 1
        self.average.update(self.done)
        seconds = time.perf_counter() - start
        rate = self.config.learning_rate * share
        return Step(self.done, total, loss, rate, norm, tokens, seconds, skipped=trouble)

    def _gradients(self, micro_batches: Sequence[Micro]) -> tuple[float, int]:
        """Add up the gradients of a step's micro-batches; return its mean loss and its tokens."""
        mine, counts = self.ranks.mine(micro_batches), Counter[str]()
        for _, (_, targets) in mine:
            counts.update(targets.counts)
        whole = self.ranks.add(counts)
        losses = []
        for place, (batch, targets) in mine:
            # Dropout too is a function of (seed, step): whoever comes to this place draws the same.
            torch.manual_seed(self.config.seed * 1_000_003 + self.done + 2_654_435_761 * place)
            part = self.objective(batch.to(self.device), targets.to(self.device)).mean(whole)
            part.backward()
            losses.append(part.detach())
        self.ranks.sum_gradients(self.optimizers.weights)
        tokens = sum(batch.layout.tokens for _, (batch, _) in mine)
        done = self.ranks.add({"loss": float(sum(losses)), "tokens": tokens})
        return done["loss"], done["tokens"]

    def _plan_again(self) -> None:
        """Under a budget: turn the clock into steps after the first steps, then at logged steps."""
        if self.clock is None or self.done >= self.total:
            return
        self.clock.tick(self.done)
        logged = self.done % self.config.logging_steps == 0 and self.done > CALIBRATION_STEPS
        if logged or self.done == CALIBRATION_STEPS:
            self.plan = self.plan.revise(self.done, self._fitting_steps())

    def _fitting_steps(self) -> int:
        planned = self._planned_steps()
        return self.ranks.agree(min(planned, self.clock.total(self.done)) if self.clock else planned)

    def _asked(self) -> list[float | None]:
        return [self._planned_steps(), self.clock.budget if self.clock else None]

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs beside the weights."""
        return {
            "done": self.done,
            "plan": self.plan.entries,
            "optimizers": self.optimizers.state_dict(),
            "average": self.average.state(),
            "watch": self.watch.state_dict(),
            "asked": self._asked(),
            "clock": self.clock.state_dict() if self.clock else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken, by its plan; the weights are the caller's to restore."""
        self.done = state["done"]
        self.plan = Plan(tuple(tuple(entry) for entry in state["plan"]))
        if self.clock and state["clock"]:
            self.clock.load_state_dict(state["clock"])
        if self._asked() != state["asked"] and self.done:  # more steps, say: plan for them from here on
            self.plan = self.plan.revise(self.done, self._fitting_steps())
        self.optimizers.load_state_dict(state["optimizers"])
        self.average.load(state["average"], self.done)
        self.watch.load_state_dict(state["watch"])


def place(model: Model, config: TrainingConfig, ranks: Ranks) -> torch.device:
    """Put a model where and how it is trained: device, precision, attention; return the device."""
    placed = next(model.parameters()).device
    stays = config.device == "auto" and placed.type != "cpu"  # the caller has put it there
    device = placed if stays else choose_device(config.device)
    lay_out(model, ranks, device, shards=config.fsdp)
    model.encoder.dtype = ranks.agree_dtype(choose_dtype(config.precision, device))
    model.encoder.use_attention(config.attention)
    return device


def train(model: Model, batches: Batches[Micro], config: TrainingConfig, *, budget: Budget = None) -> Run:
    """Return a run over `batches`; iterate it to train the model, one optimiser step a turn."""
    return Run(model, batches, config, budget=budget)
