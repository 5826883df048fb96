"""Every family gives the numbers of `transformers`: hidden states, logits, loss and every gradient.

Theirs are padded, ours are packed; the weights are random, and lengths go from 1 to all that a model takes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
from foreign_models import (  # noqa: E402 - it imports transformers
    CLASSES,
    FAMILIES,
    make_model,
    odd_batch,
    odd_config,
    padded_inputs,
    save_model,
    write_vocabulary,
)

from minibert.interop.heads import head_names, load  # noqa: E402
from minibert.interop.names import DICTIONARIES  # noqa: E402
from minibert.interop.settings import encoder_config  # noqa: E402
from minibert.interop.tensors import stored_tensors  # noqa: E402
from minibert.kernels.rotary import rotary_angles  # noqa: E402
from minibert.packed import Packed  # noqa: E402
from minibert.tasks.model import Model  # noqa: E402
from minibert.tasks.task import Targets  # noqa: E402

PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-10)]
SEEDS = range(5)


@pytest.fixture
def angles_of_theirs(monkeypatch) -> None:
    """Let ModernBERT of `transformers` turn by the angles that ours has, and in the dtype of what comes in.

    Theirs are products rounded to float32 and turn in float32, whatever the model computes in.
    """
    module = transformers.models.modernbert.modeling_modernbert

    def angles(self: Any, x: Tensor, position_ids: Tensor, layer_type: str) -> tuple[Tensor, Tensor]:
        base = self.config.rope_parameters[layer_type]["rope_theta"]
        size = self.config.hidden_size // self.config.num_attention_heads
        cos, sin = (part[:, 0] for part in rotary_angles(position_ids[0], size, base))
        return tuple(torch.cat([part, part], -1)[None].to(x.dtype) for part in (cos, sin))

    def turn(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, unsqueeze_dim: int = 1) -> tuple[Tensor, Tensor]:
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        return q * cos + module.rotate_half(q) * sin, k * cos + module.rotate_half(k) * sin

    monkeypatch.setattr(module.ModernBertRotaryEmbedding, "forward", angles)
    monkeypatch.setattr(module, "apply_rotary_pos_emb", turn)


def opened(theirs: Any, folder: Path, dtype: torch.dtype) -> Model:
    """Save a model of `transformers`, and open the folder with ours, both in `dtype`."""
    write_vocabulary(save_model(theirs, folder))
    ours = load(folder)
    theirs.to(dtype)
    ours.to(dtype).encoder.dtype = dtype
    return ours


def gradients(ours: Model, theirs: Any, folder: Path) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield the name of each weight of ours, its gradient, and the gradient of what it is called there."""
    family = theirs.config.model_type
    dictionary = DICTIONARIES[family]
    named = {
        f"encoder.{name}": tuple(dictionary.prefix + part for part in parts)
        for name, parts in dictionary.theirs(ours.encoder.state_dict()).items()
    }
    heads = head_names(ours.task.name, family, ours.task, stored_tensors(folder))
    named |= {f"task.{name}": parts for name, parts in heads.items()}
    parameters = dict(theirs.named_parameters(remove_duplicate=False))
    for name, parameter in ours.named_parameters():
        if name == "task.dense.bias" and named[name][0] not in parameters:
            assert not parameter.any()  # no bias is a bias of zero
            continue
        wanted = [parameters[part] for part in named[name]]
        theirs_grad = torch.cat([torch.zeros_like(w) if w.grad is None else w.grad for w in wanted])
        yield name, torch.zeros_like(parameter) if parameter.grad is None else parameter.grad, theirs_grad


def close(found: Tensor, wanted: Tensor, tolerance: float, what: str = "") -> None:
    """Compare, relative to the largest value that is wanted."""
    scale = max(1.0, wanted.abs().max().item())
    assert (found - wanted).abs().max().item() <= tolerance * scale, what


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=["fp32", "fp64"])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_masked_language_models_agree(family, seed, dtype, tolerance, tmp_path, angles_of_theirs):
    config = odd_config(family, seed, attn_implementation="sdpa")
    theirs = make_model(config, "ForMaskedLM", seed)
    ours = opened(theirs, tmp_path, dtype)
    ids, segments = odd_batch(config, seed)
    batch, inputs = Packed.of(ids, segments), padded_inputs(config, ids, segments)
    asked_T = torch.arange(len(batch.ids)) % 3 == 0
    labels_T = (batch.ids * 7 + 5) % config.vocab_size
    labels_NS = batch.layout.pad(torch.where(asked_T, labels_T, -100), -100)

    wanted = theirs(**inputs, labels=labels_NS, output_hidden_states=True)
    targets = Targets(asked_T.nonzero()[:, 0], labels_T[asked_T])
    hidden_TD = ours.encoder(batch)
    head_TE = ours.task.head(hidden_TD)
    logits_TV = head_TE @ ours.task.table(ours.encoder).T + ours.task.bias
    last = theirs.base_model(**inputs).last_hidden_state
    close(hidden_TD, batch.layout.unpad(last), tolerance, "hidden states")
    close(logits_TV, batch.layout.unpad(wanted.logits), tolerance, "logits")

    loss_of_theirs = wanted.loss
    if dtype == torch.float64:  # that of ModernBERT is rounded to float32
        loss_of_theirs = torch.nn.functional.cross_entropy(wanted.logits.flatten(0, 1), labels_NS.flatten())
    loss_of_theirs.backward()
    loss = ours(batch, targets).mean()
    loss.backward()
    close(loss, loss_of_theirs, tolerance, "loss")
    count = 0
    for name, found, grad in gradients(ours, theirs, tmp_path):
        close(found, grad, tolerance, name)
        count += bool(grad.any())
    assert count > 10


@pytest.mark.parametrize("kind", ["ForSequenceClassification", "ForTokenClassification"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_classifiers_of_texts_and_tokens_agree(family, seed, kind, tmp_path, angles_of_theirs):
    names = {0: "O", 1: "B-cat", 2: "I-cat"}
    given: dict[str, Any] = {"hidden_act": "relu"} if seed and family != "distilbert" else {}
    if family == "modernbert":
        given = {"classifier_pooling": ("cls", "mean")[seed], "hidden_activation": ("silu", "relu")[seed]}
    config = odd_config(family, seed, id2label=names, attn_implementation="sdpa", **given)
    theirs = make_model(config, kind, seed)
    ours = opened(theirs, tmp_path, torch.float64)
    assert ours.task.labels == tuple(names.values())
    ids, segments = odd_batch(config, seed)
    batch, inputs = Packed.of(ids, segments), padded_inputs(config, ids, segments)
    texts = kind == "ForSequenceClassification"
    labels_N = torch.arange(len(ids)) % 3
    labels = labels_N if texts else batch.layout.pad(batch.ids % 3, -100)
    wanted = theirs(**inputs, labels=labels)
    if texts:
        ours.task.weights_C = ours.task.weights_C.float()
        logits, targets = ours.task.logits(ours.encoder, batch), Targets(batch.layout.starts, labels_N)
        close(logits, wanted.logits, 1e-6, "logits")  # ours are float32 after the last layer
    else:
        rows_T = torch.arange(len(batch.ids))
        logits, targets = ours.task.emissions(ours.encoder, batch, rows_T), Targets(rows_T, batch.ids % 3)
        close(logits, batch.layout.unpad(wanted.logits), 1e-6, "logits")
    wanted.loss.backward()
    ours(batch, targets).mean().backward()
    for name, found, grad in gradients(ours, theirs, tmp_path):
        close(found, grad, 1e-6, name)


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
@pytest.mark.parametrize("family", FAMILIES)
def test_several_labels_and_numbers_agree(family, problem, tmp_path, angles_of_theirs):
    several = problem == "multi_label_classification"
    given = {"id2label": {0: "a", 1: "b", 2: "c"}} if several else {"num_labels": 1}
    given |= {"problem_type": problem} if several or family == "bert" else {}  # one label alone is a number
    config = odd_config(family, 1, attn_implementation="sdpa", **given)
    theirs = make_model(config, "ForSequenceClassification", 1)
    ours = opened(theirs, tmp_path, torch.float64)
    assert ours.task.name == ("multi_label" if several else "regression")
    ids, segments = odd_batch(config, 1)
    batch, inputs = Packed.of(ids, segments), padded_inputs(config, ids, segments)
    labels = torch.rand(len(ids), 3).round() if several else torch.randn(len(ids))
    wanted = theirs(**inputs, labels=labels.double())
    found = (ours.task.logits if several else ours.task.scores)(ours.encoder, batch)
    close(found, wanted.logits.squeeze(-1), 1e-6, "logits")
    wanted.loss.backward()
    loss = ours(batch, Targets(batch.layout.starts, labels if several else labels.double())).mean()
    close(loss, wanted.loss, 1e-6, "loss")
    loss.backward()
    for name, found_grad, grad in gradients(ours, theirs, tmp_path):
        close(found_grad, grad, 1e-6, name)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_config_leaves_out_is_what_transformers_takes(family):
    kind = getattr(transformers, CLASSES[family] + "Config")
    whole = encoder_config(kind().to_dict(), "config.json")
    assert encoder_config({"model_type": family}, "config.json") == whole
