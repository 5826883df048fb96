"""What every task must satisfy, as scikit-learn's `check_estimator` does for its own.

    check_task(Classification, examples, tokenizer, tmp_path, options={"pooling": "mean"})

The examples must be learnable: a handful, their answers a function of their texts, and each text shorter than
the encoder. Sixty-one positions and no dropout in the encoder keep it fast.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minibert.data.batches import ExampleBatches
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model, load
from minibert.tasks.regression import Estimate
from minibert.tasks.task import Task
from minibert.text.tokenizer import Tokenizer
from minibert.training.config import TrainingConfig
from minibert.training.distillation import taught
from minibert.training.loop import Run
from minibert.training.objectives import r_drop
from minibert.training.state import load_state, save_state

LONGEST = 61
STEPS = 60


def shape(recipe: str, vocab_size: int) -> EncoderConfig:
    """Return a small encoder of a recipe, "bert" or "modernbert"."""
    modern = recipe == "modernbert"
    preset = EncoderConfig.preset("modern-tiny" if modern else "tiny", vocab_size)
    return replace(
        preset,
        hidden_size=48,
        intermediate_size=64,
        num_attention_heads=4,
        max_position_embeddings=LONGEST,
        local_attention=14,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def check_task(
    task_class: type[Task],
    examples: Sequence[Any],
    tokenizer: Tokenizer,
    folder: Path,
    *,
    options: dict[str, Any] | None = None,
    recipe: str = "bert",
) -> Model:
    """Assert everything that a task promises; return the trained model."""
    torch.manual_seed(0)
    config = shape(recipe, tokenizer.vocab_size)
    task = task_class.build(tokenizer, config, examples, options or {})
    model = Model(Encoder(config), task)
    check_its_parts(model, examples)
    overfit(model, examples)
    check_its_loss(model, examples)
    check_its_logits(model, examples)
    answers = model.predict(examples)
    if task.name != "masked_lm":
        check_its_scores(model, examples, answers)
    check_reopening(model, examples, answers, folder=folder / task.name)
    check_packing(model, examples)
    check_bfloat16(model, examples)

    def fresh(seed: int) -> Model:
        torch.manual_seed(seed)
        noisy = replace(config, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)
        return Model(Encoder(noisy), task_class.build(tokenizer, noisy, examples, options or {}))

    for precision in ("fp32", "bf16"):
        check_resuming(fresh, examples, folder / f"state-{precision}", precision=precision)
    return model


def windows_of(model: Model, examples: Sequence[Any]) -> list[Any]:
    return [window for example in examples for window in model.task.encode(example)]


def check_its_parts(model: Model, examples: Sequence[Any]) -> None:
    """Windows fit, their rows lie inside them, and a batch's counts are known before the forward pass."""
    task = model.task
    windows = windows_of(model, examples)
    for window in windows:
        assert 2 <= len(window.tokens) <= task.max_length
        assert len(window.rows) == 0 or 0 <= window.rows.min() <= window.rows.max() < len(window)
    batch, targets = task.collate(windows, 0, 0, 0.0)
    again, _ = task.collate(windows, 0, 0, 0.0)
    assert torch.equal(batch.ids, again.ids)
    assert batch.layout.lengths == task.pack(windows).layout.lengths
    assert batch.layout.tokens == sum(map(len, windows))
    loss = model(batch, targets)
    assert loss.counts == targets.counts
    assert all(count > 0 for count in loss.counts.values())
    loss.mean().backward()
    for name, weight in model.named_parameters():
        unused = weight.grad is None
        assert not unused, f"{name} has no gradient"
        assert weight.grad.isfinite().all(), name
    model.zero_grad()


def overfit(model: Model, examples: Sequence[Any]) -> None:
    """Train on the examples until they are known by heart."""
    windows = windows_of(model, examples)
    batches = ExampleBatches(windows, model.task.collate, len(windows))
    config = TrainingConfig(precision="fp32", max_steps=STEPS, learning_rate=5e-3, weight_decay=0.0)
    losses = [step.loss for step in Run(model, batches, config)]
    assert losses[-1] < losses[0]


def check_its_loss(model: Model, examples: Sequence[Any]) -> None:
    """The loss is small by now, and is the same sum however the batch is cut."""
    task, windows = model.task, windows_of(model, examples)
    whole = model.evaluate_loss([task.collate(windows, 0, 0, 0.0)])
    assert whole < (0.6 * math.log(len(task.masker.special_V)) if task.name == "masked_lm" else 0.05)
    if task.name != "masked_lm":  # whose masks depend on the batch
        apart = model.evaluate_loss([task.collate([window], 0, 0, 0.0) for window in windows])
        assert apart == pytest.approx(whole, rel=1e-4, abs=1e-6)


def check_its_logits(model: Model, examples: Sequence[Any]) -> None:
    """A student learns nothing from a teacher who says the same, and something from another one."""
    task, windows = model.task, windows_of(model, examples)
    loss = model.eval()(*task.collate(windows, 0, 0, 0.0))
    assert bool(loss.logits) == (task.logits_of is not None)
    if not loss.logits:
        return
    assert {name: len(logits) for name, logits in loss.logits.items()} == loss.counts
    batch, targets = task.collate([task.unlabelled(window) for window in windows], 0, 0, 0.0)
    assert targets.counts == loss.counts  # nobody is left out for want of a label
    other = copy.deepcopy(model)
    for weight in other.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    told = {"temperature": 2.0, "weight": 1.0, "label_weight": 0.0}
    same, apart = (taught(model, teacher, **told)(batch, targets) for teacher in (model, other))
    assert apart.sums.keys() == loss.logits.keys()
    for name, total in apart.sums.items():
        assert same.sums[name].item() == pytest.approx(0.0, abs=1e-5)
        assert total.item() > 1e-3
    (slope,) = torch.autograd.grad(apart.mean(), model.encoder.embeddings.token.weight)
    assert slope.isfinite().all() and slope.any()
    if task.logits_of == "classes":  # two passes without dropout agree
        pair = task.collate(windows, 0, 0, 0.0)
        assert r_drop(model, 3.0)(*pair).mean().item() == pytest.approx(loss.mean().item(), abs=1e-5)


def check_its_scores(model: Model, examples: Sequence[Any], answers: Sequence[Any]) -> None:
    scores = model.task.score(answers, examples)
    main = next(iter(scores))
    assert isinstance(scores[main], float)
    perfect = {main, "accuracy", "exact_match", "f1", "macro_f1"} & scores.keys() - {"spearman"}
    for name in perfect:
        assert scores[name] == pytest.approx(1.0), name
    assert scores.get("pearson", 1.0) > 0.99
    assert model.evaluate(examples) == scores
    swapped = model.task.score([*answers[1:], answers[0]], [*examples]) if same_sizes(answers) else None
    assert swapped is None or swapped["accuracy" if "accuracy" in swapped else main] < 1.0


def same_sizes(answers: Sequence[Any]) -> bool:
    """Whether answers may be swapped at all: tags belong to texts of their own length."""
    return len({len(getattr(answer, "tags", ())) for answer in answers}) == 1


def check_reopening(model: Model, examples: Sequence[Any], answers: Sequence[Any], *, folder: Path) -> None:
    """What was saved predicts the same bit for bit, and can be saved over and trained on."""
    model.save(folder)
    model.save(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]
    reopened = load(folder)
    assert type(reopened.task) is type(model.task)
    assert reopened.task.settings() == model.task.settings()
    assert reopened.encoder.config == model.encoder.config
    assert reopened.predict(examples) == answers
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, reopened.state_dict()[name]), name
    windows = windows_of(reopened, examples)
    reopened.train()(*reopened.task.collate(windows, 0, 0, 0.0)).mean().backward()


def numbers_of(predictions: Sequence[Any]) -> np.ndarray:
    parts = [part if isinstance(part, tuple) else (part,) for part in predictions]
    return np.concatenate([np.asarray(value, np.float64).ravel() for part in parts for value in part])


def check_packing(model: Model, examples: Sequence[Any]) -> None:
    """A text alone and among others, in whatever order, has the same answer."""
    among = [model.predict(examples, batch_tokens=size) for size in (1, 97, 100_000)]
    backwards = model.predict(examples[::-1], batch_tokens=100_000)[::-1]
    from_rows = []
    for size in (1, 97, 100_000):
        seen: list[Any] = []
        original = model.task.merge

        def keep(
            example: Any, windows: Any, predictions: Any, seen: list[Any] = seen, original: Any = original
        ) -> Any:
            seen.extend(predictions)
            return original(example, windows, predictions)

        model.task.merge = keep
        try:
            model.predict(examples, batch_tokens=size)
        finally:
            del model.task.merge
        from_rows.append(numbers_of(seen))
    for numbers in from_rows[1:]:
        np.testing.assert_allclose(numbers, from_rows[0], atol=1e-5)
    for answers in (*among[1:], backwards):
        assert list(map(plain, answers)) == list(map(plain, among[0]))


def plain(answer: Any) -> Any:
    """Return what an answer says, without its probabilities."""
    if isinstance(answer, list):
        return [mask[0][0] for mask in answer]
    if isinstance(answer, Estimate):
        return round(answer.value)
    found = (getattr(answer, name, None) for name in ("tags", "labels", "label", "text"))
    return next(value for value in found if value is not None)


def check_bfloat16(model: Model, examples: Sequence[Any]) -> None:
    """The answers stay what they are in bfloat16."""
    wanted = list(map(plain, model.predict(examples)))
    model.encoder.dtype = torch.bfloat16
    assert list(map(plain, model.predict(examples))) == wanted
    model.encoder.dtype = torch.float32


def check_resuming(fresh: Any, examples: Sequence[Any], folder: Path, *, precision: Any) -> None:
    """A run that is stopped, written down and taken up by another model ends with the same weights."""

    def run_of(model: Model) -> Run:
        windows = [window for window in windows_of(model, examples) if len(window.rows)]
        batches = ExampleBatches(windows, model.task.collate, max(2, len(windows) // 2), seed=3)
        config = TrainingConfig(precision=precision, max_steps=4, learning_rate=1e-2, ema_decay=0.5)
        return Run(model, batches, config)

    whole, first, second = fresh(1), fresh(1), fresh(2)
    losses = [step.loss for step in run_of(whole)]
    begun, resumed = run_of(first), run_of(second)
    for step in begun:
        if step.index == 2:
            begun.stop()
    folder.mkdir(parents=True)
    save_state(begun, folder)
    second.load_state_dict(first.state_dict())
    load_state(resumed, folder)
    assert [step.loss for step in resumed] == losses[2:]
    for (name, mine), theirs in zip(whole.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name


def check_long_texts(
    task_class: type[Task], example: Any, examples: Sequence[Any], tokenizer: Tokenizer, *, on_long: str
) -> None:
    """Assert that a text longer than the model is truncated, split or refused, as asked."""
    config = shape("bert", tokenizer.vocab_size)
    task = task_class.build(tokenizer, config, examples, {"on_long": on_long, "max_length": 23})
    length = len(tokenizer.encode(example.text))
    assert length > 50
    if on_long == "error":
        with pytest.raises(InputError, match=str(length)) as error:
            task.encode(example)
        assert example.text[:30] in str(error.value)
        return
    windows = task.encode(example)
    assert (len(windows) == 1) == (on_long != "split")
    assert all(len(window) <= 23 for window in windows)
    covered = np.concatenate([window.tokens.offsets for window in windows])
    assert (covered[:, 1].max() == len(example.text)) == (on_long != "truncate")
    (answer,) = Model(Encoder(config), task).predict([example])
    assert answer is not None
