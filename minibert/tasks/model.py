"""A model is an encoder and a task: what is trained, saved, opened and asked.

Letters: N windows, T tokens.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from minibert.checkpoint import WEIGHTS, load_tensors, published, read_table, save_tensors, write_json
from minibert.distributed.sharding import like
from minibert.durable import verify
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.adaptation import ADAPTER, Adaptation
from minibert.tasks.classification import Classification
from minibert.tasks.cloze import Cloze
from minibert.tasks.extractive_summary import ExtractiveSummary
from minibert.tasks.given import listed, refuse_unanswered
from minibert.tasks.intent_slots import IntentSlots
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.multiple_choice import MultipleChoice
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.regression import Regression
from minibert.tasks.relations import Relations
from minibert.tasks.replaced_tokens import ReplacedTokens
from minibert.tasks.retrieval import Retrieval
from minibert.tasks.seq2seq import Seq2Seq
from minibert.tasks.similarity import Similarity
from minibert.tasks.tagging import Tagging
from minibert.tasks.task import Loss, Targets, Task, Window
from minibert.tasks.windows import grouped, long_ones, tell_cut, windows_of
from minibert.text.loading import load_tokenizer
from minibert.text.tokenizer import Tokenizer

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        MaskedLM,
        ReplacedTokens,
        Classification,
        Cloze,
        MultiLabel,
        Regression,
        MultipleChoice,
        Tagging,
        IntentSlots,
        Relations,
        QuestionAnswering,
        Retrieval,
        Similarity,
        ExtractiveSummary,
        Seq2Seq,
    )
}


class Model(nn.Module):
    """An encoder and a task.

    adaptation  what of the weights is the model's own, where the rest is that of a base; else None

    >>> model = load("runs/clf")
    >>> model.predict(["a wonderful film"])[0].label
    'positive'
    """

    def __init__(self, encoder: Encoder, task: Task) -> None:
        super().__init__()
        self.encoder = encoder
        self.task = task
        self.adaptation: Adaptation | None = None

    def forward(self, batch: Packed, targets: Targets) -> Loss:
        return self.task.loss(self.encoder, batch, targets)

    def encode(self, examples: Iterable[Any]) -> list[list[Window]]:
        """Return the windows of each example (or bare text)."""
        return windows_of(self.task, examples)

    @torch.no_grad()
    def predict(
        self,
        examples: Iterable[Any],
        batch_tokens: int = 8192,
        *,
        windows: Sequence[Sequence[Window]] | None = None,
        progress: bool = False,
    ) -> list[Any]:
        """Answer each example (or bare text), in order.

        Windows (those of `encode`, if they are there already) are sorted by length and packed, at most
        `batch_tokens` at a time; a longer one goes alone. How many examples lost a part, for the model takes
        no longer ones, is said on stderr, but not of windows that somebody else made.
        """
        self.eval()
        device, examples = next(self.parameters()).device, listed(examples)
        if windows is None:
            windows = self.encode(examples)
            tell_cut(long_ones(windows, self.task), self.task.max_length)
        predictions: list[list[Any]] = [[None] * len(parts) for parts in windows]
        with tqdm(total=sum(map(len, windows)), desc="predict", unit="text", disable=not progress) as bar:
            for group in grouped(windows, batch_tokens):
                parts = [windows[number][place] for number, place in group]
                batch = self.task.pack(parts).to(device)
                for (number, place), answer in zip(
                    group, self.task.predict(self.encoder, batch, parts), strict=True
                ):
                    predictions[number][place] = answer
                bar.update(len(group))
        return [self.task.merge(*parts) for parts in zip(examples, windows, predictions, strict=True)]

    def evaluate(
        self,
        examples: Iterable[Any],
        batch_tokens: int = 8192,
        *,
        windows: Sequence[Sequence[Window]] | None = None,
    ) -> dict[str, Any]:
        """Predict the examples and compare with their labels; the first key is the task's main metric."""
        examples = listed(examples)
        if self.task.Options is not None:
            refuse_unanswered(type(self.task), examples, what="example")
        return self.task.score(self.predict(examples, batch_tokens, windows=windows), examples)

    def evaluate_loss(self, micro_batches: Iterable[tuple[Packed, Targets]]) -> float:
        """Return the mean loss over all units of the micro-batches."""
        return self.summed_loss(micro_batches).mean().item()

    @torch.no_grad()
    def summed_loss(self, micro_batches: Iterable[tuple[Packed, Targets]]) -> Loss:
        """Return the sums and counts of the loss over all micro-batches; of none, a loss without terms."""
        self.eval()
        device = next(self.parameters()).device
        whole = Loss({}, {})
        for batch, targets in micro_batches:
            whole = whole + self(batch.to(device), targets.to(device))
        return whole

    def write(self, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
        """Write the model's files, or other `weights`; of an adapted model what is not its base's."""
        write_json(folder / "config.json", self.encoder.config.to_dict())
        write_json(folder / "task.json", {"task": self.task.name, **self.task.settings()})
        if self.adaptation is None:
            self.task.tokenizer.save(folder)
        else:
            write_json(folder / ADAPTER, self.adaptation.to_dict())
        save_tensors(folder / WEIGHTS, weights or own_state(self))

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder that is whole or absent; one there is replaced if minibert made it."""
        with published(folder) as beside:
            self.write(beside)


def own_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a module that are saved: of an adapted model its own, else all."""
    state: dict[str, Tensor] = module.state_dict()
    if not isinstance(module, Model) or module.adaptation is None:
        return state
    return {name: tensor for name, tensor in state.items() if name in module.adaptation.own}


def load(folder: str | Path, device: torch.device | str = "cpu") -> Model:
    """Open a model that `save` wrote; raises InputError where a file is missing, damaged or foreign."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    verify(folder)
    if (folder / ADAPTER).is_file():
        raise InputError(f"{folder} holds an adapter; minibert.load opens it on its base")
    config = EncoderConfig.from_dict(read_table(folder / "config.json"), str(folder / "config.json"))
    check_size(config, [folder / WEIGHTS])
    model = Model(Encoder(config), reopen_task(folder, config))
    load_weights(model, folder)
    return model.to(device).eval()


def reopen_task(
    folder: Path,
    config: EncoderConfig,
    *,
    tokenizer: Tokenizer | None = None,
    known: int = 0,
    file: str = "task.json",
) -> Task:
    """Make the task that a file of a folder tells of, its head not yet loaded; InputError if there is none.

    tokenizer, known  that of a base, and the bytes of its weights, where the folder holds an adapter
    """
    path = folder / file
    settings = read_table(path)
    name = settings.pop("task", None)
    if not isinstance(name, str) or name not in TASKS:
        raise InputError(f"{path}: task {name!r:.60} is unknown; known tasks: {', '.join(TASKS)}")
    layers = sum(n for key, n in settings.items() if key.endswith("_layers") and isinstance(n, int))
    deeper = replace(config, num_hidden_layers=config.num_hidden_layers + layers)
    check_size(deeper, [folder / WEIGHTS], known=known)
    tokenizer = tokenizer or load_tokenizer(folder)
    try:
        return TASKS[name].reopen(tokenizer, config, settings)
    except (KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise InputError(f"{path}: damaged or not of this version: {error!r:.100}") from error


def check_size(config: EncoderConfig, files: Sequence[Path], *, known: int = 0) -> None:
    """Raise InputError where a config asks for more weights than its files, and `known`, have bytes.

    A config is a few numbers, and memory is taken by them: one that is damaged, or malicious, must not ask
    for a terabyte before anybody has looked at the weights.
    """
    size = known + sum(path.stat().st_size for path in files if path.is_file())
    wanted = config.fewest_weights
    if wanted > size:
        names = ", ".join(str(path) for path in files)
        raise InputError(
            f"config.json asks for at least {wanted:,} weights, and {names} has {size:,} bytes; "
            "they are not of one model"
        )


def load_weights(module: nn.Module, folder: Path, *, prefix: str = "") -> None:
    """Fill a module with the weights of a checkpoint whose names begin with `prefix`."""
    tensors = load_tensors(folder / WEIGHTS)
    kept = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    expected = own_state(module)
    for name in sorted(expected.keys() ^ kept.keys()):
        where = "missing from" if name in expected else "not wanted by the config but in"
        raise InputError(f"weight {prefix}{name} is {where} {folder / WEIGHTS}")
    for name, tensor in kept.items():
        if tensor.shape != expected[name].shape:
            raise InputError(
                f"{folder / WEIGHTS}: weight {prefix}{name} has shape {tuple(tensor.shape)}, "
                f"the config asks for {tuple(expected[name].shape)}"
            )
    kept = {name: like(tensor, expected[name]) for name, tensor in kept.items()}
    module.load_state_dict(kept, strict=False)  # the names are right; those of a base may stay away
