"""Few-shot learning, side by side: what a few labelled texts give, by which method, and how much is luck.

    finetune      a new head and the whole encoder
    cloze         the head of pretraining, labels as words (PET)
    contrastive   pairs of one label together, then a linear head (SetFit)
    zero_shot     no example at all: the words of the labels at the gap

Every method sees the same draws; the spread over draws is part of the result, since with eight texts a class
it is often larger than the difference between methods.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from minibert.data.batches import ExampleBatches
from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.few_labels.contrast import CONTRAST_RATE, contrastive_classifier, refuse_unheard, refuse_unused
from minibert.few_labels.draws import check_counts, draw_few
from minibert.finetune import Settings, first_rate, open_for_task
from minibert.interop.sentence_transformers import is_made_to_embed
from minibert.interop.starting import starting_folder
from minibert.tasks.classification import Classification
from minibert.tasks.cloze import Cloze
from minibert.tasks.given import read_examples
from minibert.tasks.metrics import mean_and_spread
from minibert.tasks.model import Model
from minibert.tasks.task import Task
from minibert.training.loop import Run

SIZES = (8, 16, 32)
DEFAULTS: dict[str, Any] = {"train.max_steps": 100, "train.train_batch_size": 16, "train.warmup_ratio": 0.1}


@dataclass(frozen=True)
class Trial:
    """One method, one number of examples per class, one draw, and what came of it on the test examples."""

    method: str
    per_class: int
    draw: int
    accuracy: float
    macro_f1: float
    seconds: float


def few_shot(
    model: str | Path,
    train: str | Path | Sequence[TextExample],
    test: str | Path | Sequence[TextExample],
    *,
    per_class: Sequence[int] = SIZES,
    draws: int = 5,
    methods: Sequence[str] = (),
    settings: dict[str, Any] | None = None,
    progress: bool = True,
) -> list[Trial]:
    """Train on a few examples of each class, several times and in several ways; return all trials.

    model        folder of an encoder; cloze and zero_shot need a masked-language-model head in it
    train, test  files, or lists of examples; the draws are out of `train`
    methods      of METHODS; without any, finetune and contrastive, and with "task.template" all
    settings     dotted keys, as `finetune` has them: "task.template", "task.verbalizer", "train.max_steps"

    Raises InputError for what cannot be trained, before anything is: too few examples of a class, a template
    or a word that cannot be used, an encoder without a head.
    """
    plan = Plan.of(model, train, test, methods=methods, settings=settings or {})
    return list(plan.trials(per_class, draws, progress=progress))


def few_shot_model(
    model: str | Path,
    train: str | Path | Sequence[TextExample],
    *,
    method: str = "contrastive",
    settings: dict[str, Any] | None = None,
) -> Model:
    """Train on all the examples by one method of `few_shot`, and return the model; its `save` keeps it.

    method  "contrastive" (SetFit), "finetune", "cloze" (PET), or "zero_shot", which trains nothing
    Raises InputError as `few_shot` does.

    >>> settings = {"train.max_steps": 10, "train.learning_rate": 1e-3}
    >>> few_shot_model("runs/clf", "train.csv", settings=settings).predict(["a warm film"])[0].label
    'positive'
    """
    plan = Plan.of(model, train, train, methods=[method], settings=settings or {})
    return METHODS[method](plan)


@dataclass(frozen=True)
class Plan:
    """What is compared, checked: made by `of`."""

    model: Path
    train: list[TextExample]
    test: list[TextExample]
    methods: tuple[str, ...]
    settings: dict[str, Any]

    @staticmethod
    def of(
        model: str | Path,
        train: str | Path | Sequence[TextExample],
        test: str | Path | Sequence[TextExample],
        *,
        methods: Sequence[str],
        settings: dict[str, Any],
    ) -> "Plan":
        """Read the data and try what can be tried without training; see `few_shot`."""
        template = settings.get("task.template")
        chosen = tuple(methods) or (tuple(METHODS) if template else ("finetune", "contrastive"))
        for name in chosen:
            if name not in METHODS:
                raise InputError(f"method {name!r} is unknown; use some of {', '.join(METHODS)}")
        rows, held = (read_examples(Classification, source) for source in (train, test))
        check_counts(held, 1)
        unknown = sorted({str(row.label) for row in held} - {str(row.label) for row in rows})
        if unknown:
            raise InputError(f"test label {unknown[0]!r} is none of the training data; one of them is wrong")
        plan = Plan(starting_folder(model), rows, held, chosen, {**DEFAULTS, **settings})
        refuse_unheard(plan.chosen(Classification))
        if {"cloze", "zero_shot"} & {*chosen}:
            plan.opened(Cloze, rows)
        plan.opened(Classification, rows)
        if "contrastive" in chosen:
            refuse_unused(settings)
        return plan

    def trials(self, per_class: Sequence[int], draws: int, *, progress: bool) -> Iterator[Trial]:
        """Yield each trial when it is done; zero_shot, which draws nothing, comes once and first."""
        for count in per_class:
            check_counts(self.train, count)
        if draws < 1 or not per_class:
            raise InputError(f"draws is {draws}, per_class {list(per_class)}; at least one of each is wanted")
        drawn = [(name, count, draw) for draw in range(draws) for count in per_class
                 for name in self.methods if name != "zero_shot"]  # fmt: skip
        once = [("zero_shot", 0, 0)] if "zero_shot" in self.methods else []
        with tqdm([*once, *drawn], "few-shot", unit="run", disable=not progress) as bar:
            for name, count, draw in bar:
                bar.set_postfix_str(f"{name}, {count} per class")
                yield self.trial(name, count, draw)

    def trial(self, method: str, per_class: int, draw: int) -> Trial:
        """Run one method on one draw."""
        start = time.perf_counter()
        rows = draw_few(self.train, per_class, draw) if per_class else self.train
        seeded = {**self.settings, "train.seed": self.settings.get("train.seed", 0) + draw}
        model = METHODS[method](Plan(self.model, rows, self.test, self.methods, seeded))
        scores = model.evaluate(self.test, windows=model.encode(self.test))
        seconds = round(time.perf_counter() - start, 2)
        return Trial(method, per_class, draw, scores["accuracy"], scores["macro_f1"], seconds)

    def chosen(self, kind: type[Task]) -> Settings:
        """Return the settings that a task has; those of the other one are left out."""
        usual = {"task.pooling": "mean"} if kind is Classification else {}
        own = {f"task.{name}" for name in vars(kind.Options())} if kind.Options else set()
        told = {key: value for key, value in self.settings.items() if key[:5] != "task." or key in own}
        return Settings.of({**usual, **told}, learning_rate=first_rate(self.model))

    def opened(self, kind: type[Task], rows: Sequence[TextExample]) -> Model:
        """Return the encoder with the head of a task, untrained."""
        chosen = self.chosen(kind)
        torch.manual_seed(chosen.train.seed)
        return open_for_task(self.model, kind, rows, settings=chosen)

    def trained(self, kind: type[Task]) -> Model:
        """Return the encoder and the head of a task after training on all rows."""
        model, config = self.opened(kind, self.train), self.chosen(kind).train
        model.task.weigh(self.train)
        windows = [window for parts in model.encode(self.train) for window in parts]
        micro, size = config.gradient_accumulation_steps, config.train_batch_size
        batches = ExampleBatches(windows, model.task.collate, size, micro, config.seed)
        Run(model, batches, config).finish()
        return model.eval()

    def contrasted(self) -> Model:
        """Return a classifier by contrast: half as many steps, of pairs; small ones from what embeds."""
        chosen = self.chosen(Classification)
        half: dict[str, Any] = {"train.max_steps": max(1, chosen.train.max_steps // 2)}
        if chosen.train.max_steps < 1:  # the epochs decide
            half = {"train.num_train_epochs": chosen.train.num_train_epochs / 2}
        small = {"train.learning_rate": CONTRAST_RATE} if is_made_to_embed(self.model) else {}
        steps = {**small, **self.settings, **half}
        config = Plan(self.model, self.train, self.test, self.methods, steps).chosen(Classification).train
        return contrastive_classifier(
            self.model, self.train, config=config, max_length=chosen.task.get("max_length", 0)
        )


METHODS: dict[str, Callable[[Plan], Model]] = {
    "zero_shot": lambda plan: plan.opened(Cloze, plan.train),
    "finetune": lambda plan: plan.trained(Classification),
    "cloze": lambda plan: plan.trained(Cloze),
    "contrastive": Plan.contrasted,
}


def best_method(trials: Sequence[Trial]) -> str:
    """Return the method that is right most often, on average over the draws with most examples."""
    most = max(trial.per_class for trial in trials)
    lines = [line for line in summary_of(trials) if line["per_class"] == most]
    return str(max(lines, key=lambda line: line["accuracy"]["mean"])["method"])


def summary_of(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Return mean, spread (sample standard deviation) and values of each method and number of examples."""
    groups: dict[tuple[str, int], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.method, trial.per_class), []).append(trial)
    lines = []
    for (method, per_class), group in groups.items():
        line: dict[str, Any] = {"method": method, "per_class": per_class}
        for name in ("accuracy", "macro_f1"):
            values = [float(getattr(trial, name)) for trial in group]
            mean, spread = mean_and_spread(values)
            line[name] = {"mean": mean, "spread": spread if len(values) > 1 else None, "values": values}
        lines.append(line)
    return lines


def table_of(trials: Sequence[Trial]) -> str:
    """Lay out the accuracies: a line for each method, a column for each number of examples per class.

    >>> print(table_of([Trial("cloze", 8, 0, 0.7, 0.7, 1.0), Trial("cloze", 8, 1, 0.8, 0.8, 1.0)]))
    accuracy       8 per class
    cloze        0.750 ± 0.071
    """
    lines = summary_of(trials)
    counts = sorted({line["per_class"] for line in lines})
    heads = ["no example" if count == 0 else f"{count} per class" for count in counts]
    rows = ["accuracy".ljust(11) + "".join(f"{head:>15}" for head in heads)]
    for method in dict.fromkeys(line["method"] for line in lines):
        cells = {line["per_class"]: line["accuracy"] for line in lines if line["method"] == method}
        shown = [_shown(cells[count]) if count in cells else "" for count in counts]
        rows.append((method.ljust(11) + "".join(f"{cell:>15}" for cell in shown)).rstrip())
    return "\n".join(rows)


def _shown(cell: dict[str, Any]) -> str:
    spread = "" if cell["spread"] is None else f" ± {cell['spread']:.3f}"
    return f"{cell['mean']:.3f}{spread}"
