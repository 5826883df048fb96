"""What a run tells: a header before, a progress bar on the way, and a line of JSON for everything that
happened.

The lines go to the log (`training/log`) always; to TensorBoard and Weights & Biases where one asks for them
and has them.
"""

import platform
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from minibert.errors import InputError, MissingExtra
from minibert.kernels.attention import Machine, Request, choose
from minibert.tasks.model import Model
from minibert.training.log import Log
from minibert.training.loop import Run, Step

TRACKERS = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}


class Journal:
    """Writes a run's log and moves its progress bar; used in a `with` block.

    done, elapsed, validated tell where a run is taken up again: steps, seconds, and whether the last step's
    validation was made. What an interrupted run logged after that place is taken out first.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        every: int,
        report_to: str = "none",
        progress: bool = True,
        done: int = 0,
        elapsed: float = 0.0,
        validated: bool = True,
    ) -> None:
        self.log = Log(folder, done=done, validated=validated)
        self.every = every
        self.bar = tqdm(desc=name, unit="step", disable=not progress, dynamic_ncols=True, initial=done)
        self.tracker = _tracker(report_to, folder, done)
        self.start = time.perf_counter() - elapsed
        self.speed = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds that the run was on its way, in earlier processes too."""
        return round(time.perf_counter() - self.start, 3)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()
        self.log.close()

    def step(self, step: Step) -> None:
        """Move the bar; write a line at every logged step and at the last, and for every skipped batch."""
        speed = step.tokens / max(step.seconds, 1e-9)
        self.speed = speed if step.index <= 2 or not self.speed else 0.9 * self.speed + 0.1 * speed
        self.bar.total = step.total
        self.bar.set_postfix_str(f"loss {step.loss:.3f}, {self.speed:,.0f} tokens/s", refresh=False)
        self.bar.update(step.index - self.bar.n)
        values = {name: value for name, value in vars(step).items() if name != "skipped"}
        if step.skipped:
            self.write("skipped", step.index, {"reason": step.skipped, "total": step.total})
        elif step.index == 1 or step.index % self.every == 0 or step.index == step.total:
            self.write("train", step.index, values)

    def write(self, event: str, step: int, values: dict[str, Any]) -> None:
        """Append a line: the event (train, validation, skipped), the step, seconds so far, and the values."""
        line = {"event": event, **values, "step": step, "elapsed": self.elapsed}
        self.log.append(line)
        if self.tracker is not None:
            numbers = {f"{event}/{k}": v for k, v in values.items() if isinstance(v, int | float)}
            self.tracker(numbers, step)


class Silence:
    """The journal of a process that tells nothing, because another one does."""

    elapsed = 0.0

    def __enter__(self) -> "Silence":
        return self

    def __exit__(self, *error: object) -> None:
        return

    def step(self, step: Step) -> None:
        """Tell nothing."""

    def write(self, event: str, step: int, values: dict[str, Any]) -> None:
        """Write nothing."""


def check_tracker(report_to: str) -> None:
    """Raise InputError for a tracker that is unknown, MissingExtra for one that is not installed."""
    if report_to != "none" and report_to not in TRACKERS:
        raise InputError(f"report_to {report_to!r} is unknown; use none, {', '.join(TRACKERS)}")
    found = None if report_to == "none" else find_spec(report_to)
    if report_to != "none" and (found is None or found.origin is None):  # a folder of that name is no package
        raise MissingExtra(f"{report_to} is not installed: pip install 'minibert-encoder[{report_to}]'")


def _tracker(report_to: str, folder: Path, done: int) -> Any:
    """Return a function (numbers, step) that reports to the named tracker, or None."""
    check_tracker(report_to)
    if report_to == "none":
        return None
    module = import_module(TRACKERS[report_to])
    if report_to == "wandb":
        run = module.init(project="minibert", dir=str(folder))
        return lambda numbers, step: run.log(numbers, step=step)
    writer = module.SummaryWriter(str(folder), purge_step=done + 1 if done else None)
    return lambda numbers, step: [writer.add_scalar(name, value, step) for name, value in numbers.items()]


def machine() -> dict[str, Any]:
    """Say where this runs: versions, processor, threads, GPU."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": gpu,
    }


def describe(run: Run, max_length: int, tokens_per_step: int) -> dict[str, Any]:
    """Say what is about to run: the header's facts."""
    model: Model = run.model
    config = model.encoder.config
    request = Request(
        dtype=model.encoder.dtype,
        head_size=config.head_size,
        max_seqlen=max_length,
        window=config.window(1),
        dropout=config.attention_probs_dropout_prob,
    )
    together = {"processes": run.ranks.size} if run.ranks.size > 1 else {}
    return {
        "model": f"{config.model_type}, {config.num_hidden_layers} layers x {config.hidden_size}",
        "weights": sum(weight.numel() for weight in model.parameters()),
        "trained": sum(weight.numel() for weight in run.optimizers.weights),
        "device": str(run.device),
        **together,
        "precision": str(model.encoder.dtype).removeprefix("torch."),
        "attention": str(choose(request, Machine.of(run.device), backend=run.config.attention)),
        "tokens_per_step": tokens_per_step,
        "steps": run.total if run.clock is None else f"as many as fit into {run.clock.budget:.0f} s",
    }


def header(facts: dict[str, Any]) -> str:
    """Return the header's lines for a person."""
    lines = []
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int) else value
        lines.append(f"  {name.replace('_', ' '):<16} {shown}")
    return "\n".join(lines)
