"""Every family gives the numbers of `transformers`: hidden states, logits, loss and every gradient.

Theirs are padded, ours are packed; the weights are random, and lengths go from 1 to all that a model takes.
The shapes are the tables of foreign_models.py, and the first tests say what these hold.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
from foreign_models import (  # noqa: E402 - it imports transformers
    BERT,
    CLASSES,
    FAMILIES,
    ROBERTAS,
    SHAPES,
    make_model,
    odd_batch,
    odd_config,
    padded_inputs,
    save_model,
    write_vocabulary,
)

from minibert.interop.checkpoints import read_encoder  # noqa: E402
from minibert.interop.heads import head_names  # noqa: E402
from minibert.interop.names import DICTIONARIES  # noqa: E402
from minibert.interop.opening import load  # noqa: E402
from minibert.interop.settings import ACTIVATIONS, DIALECTS, encoder_config  # noqa: E402
from minibert.interop.tensors import stored_tensors  # noqa: E402
from minibert.kernels.rotary import rotary_angles  # noqa: E402
from minibert.packed import Packed  # noqa: E402
from minibert.tasks.model import Model  # noqa: E402
from minibert.tasks.task import Targets  # noqa: E402

PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-10)]
ROWS = range(len(BERT))
ALIKE = {"vocab_size", "max_position_embeddings"}  # in all rows
UNHEARD = {"initializer_range", "hidden_dropout_prob", "attention_probs_dropout_prob"}  # by a trained model
MEETINGS = {  # columns that meet in all their pairs, beside those that meet `tied`
    "bert": [("types", "pad")],
    "distilbert": [("sinusoidal", "heads")],
    "electra": [("width", "pad")],
    "modernbert": [("far", "near"), ("far", "every"), ("far", "head"), ("bias", "eps"), ("bias", "every")],
}
Angles = Callable[[Tensor, int, float], tuple[Tensor, Tensor]]


def our_angles(positions_T: Tensor, size: int, base: float) -> tuple[Tensor, Tensor]:
    cos, sin = rotary_angles(positions_T, size, base)
    return cos[:, 0], sin[:, 0]


def exact_angles(positions_T: Tensor, size: int, base: float) -> tuple[Tensor, Tensor]:
    speeds = [base ** (-channel / size) for channel in range(0, size, 2)]
    angles = positions_T.double()[:, None] * torch.tensor(speeds, dtype=torch.float64)
    return angles.cos(), angles.sin()


def turn_by(angles: Angles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ModernBERT of `transformers` turn by these angles, and in the dtype of what comes in.

    Its own are products rounded to float32 and turn in float32, whatever the model computes in.
    """
    module = transformers.models.modernbert.modeling_modernbert

    def forward(self: Any, x: Tensor, position_ids: Tensor, layer_type: str) -> tuple[Tensor, ...]:
        base = self.config.rope_parameters[layer_type]["rope_theta"]
        size = self.config.hidden_size // self.config.num_attention_heads
        parts = angles(position_ids[0], size, base)
        return tuple(torch.cat([part, part], -1)[None].to(x.dtype) for part in parts)

    def turn(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, unsqueeze_dim: int = 1) -> tuple[Tensor, Tensor]:
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        return q * cos + module.rotate_half(q) * sin, k * cos + module.rotate_half(k) * sin

    monkeypatch.setattr(module.ModernBertRotaryEmbedding, "forward", forward)
    monkeypatch.setattr(module, "apply_rotary_pos_emb", turn)


@pytest.fixture
def angles_of_theirs(monkeypatch) -> None:
    """Give ModernBERT of `transformers` the angles that ours has."""
    turn_by(our_angles, monkeypatch)


def classifier_config(family: str, row: int, **given: Any) -> Any:
    """Return the config of a classifier: every activation comes, and ModernBERT's head has one of its own."""
    names = list(ACTIVATIONS)
    if family == "modernbert":
        given |= {"classifier_pooling": ("cls", "mean", "mean", "cls")[row % 4]}
        given |= {"classifier_bias": row % 2 == 1, "classifier_activation": names[-1 - row]}
    elif family != "distilbert":
        given |= {"hidden_act": names[row]}
    return odd_config(family, row, attn_implementation="sdpa", **given)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_that_an_encoder_of_a_family_has_varies(family):
    configs = [make(family, row) for make in (odd_config, classifier_config) for row in ROWS]
    ours = [asdict(encoder_config(config.to_dict(), "config.json")) for config in configs]
    settings = set(DIALECTS[family].names.values()) - ALIKE - UNHEARD
    if family == "modernbert":
        settings = settings - {"type_vocab_size"} | {"bias"}
    elif family in ROBERTAS:
        settings |= {"position_offset"}
    assert {name for name in ours[0] if len({config[name] for config in ours}) > 1} == settings


@pytest.mark.parametrize("family", FAMILIES)
def test_the_rows_of_a_family_hold_every_value_and_tied_heads_meet_each(family):
    table = SHAPES[family]
    values = {name: {row[name] for row in table} for name in table[0]}
    assert len(table) == len(ROWS)
    assert values["layers"] == {1, 2, 3, 4, 5}
    assert values["head"] == ({4, 6, 14} if family == "modernbert" else {5, 6, 7})
    assert values.get("act", set(ACTIVATIONS)) == set(ACTIVATIONS)
    assert values.get("types", {1, 2, 3}) == {1, 2, 3}
    for name in {"tied", "bias", "sinusoidal"} & values.keys():
        assert values[name] == {True, False}
    if family == "electra":
        wider = {
            (row["width"] or hidden) - hidden for row in table for hidden in [row["heads"] * row["head"]]
        }
        assert min(wider) < 0 < max(wider) and 0 in wider
    met = [("tied", name) for name in table[0] if name not in ("tied", "layers", "act")]
    for pair in (*met, *MEETINGS.get(family, [])):
        wanted = set(product(*(values[name] for name in pair)))
        assert {tuple(row[name] for name in pair) for row in table} == wanted, pair


def test_every_window_and_every_local_base_of_modernbert_is_seen_in_a_local_layer():
    table = SHAPES["modernbert"]
    local = [row for row in table if row["layers"] > 1 and row["every"] > 1]
    assert {row["near"] for row in local} == {row["near"] for row in table}
    assert {row["window"] for row in local} == {row["window"] for row in table}
    assert any(row["layers"] > row["every"] > 1 for row in local)  # a global layer behind a local one


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
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("family", FAMILIES)
def test_masked_language_models_agree(family, row, dtype, tolerance, tmp_path, angles_of_theirs):
    config = odd_config(family, row, attn_implementation="sdpa")
    theirs = make_model(config, "ForMaskedLM", row)
    ours = opened(theirs, tmp_path, dtype)
    ids, segments = odd_batch(config, row)
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


@pytest.mark.parametrize(
    ("kind", "row"), [("ForSequenceClassification", row) for row in ROWS[:4]]
    + [("ForTokenClassification", row) for row in ROWS[4:]],
)  # fmt: skip
@pytest.mark.parametrize("family", FAMILIES)
def test_classifiers_of_texts_and_tokens_agree(family, kind, row, tmp_path, angles_of_theirs):
    names = {0: "O", 1: "B-cat", 2: "I-cat"}
    config = classifier_config(family, row, id2label=names)
    theirs = make_model(config, kind, row)
    ours = opened(theirs, tmp_path, torch.float64)
    assert ours.task.labels == tuple(names.values())
    ids, segments = odd_batch(config, row)
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


@pytest.mark.parametrize(("length", "apart", "times"), [(29, 2e-5, 0), (512, 2e-4, 1), (2000, 5e-4, 2)])
def test_modernbert_left_as_it_is_there_is_farther_from_exact_angles(
    length, apart, times, tmp_path, monkeypatch
):
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 3}
    given = {**sizes, "max_position_embeddings": 2003, "local_attention": 128}
    config = odd_config("modernbert", 2, attn_implementation="sdpa", **given)
    theirs = make_model(config, "Model", 1)
    ours = read_encoder(save_model(theirs, tmp_path))
    ids = torch.arange(length) * 31 % 83 + 5
    with torch.no_grad():
        ours_TD = ours(Packed.of([ids.tolist()]))
        theirs_TD = theirs(ids[None]).last_hidden_state[0]
        turn_by(exact_angles, monkeypatch)
        exact_TD = theirs.double()(ids[None]).last_hidden_state[0]
    off, theirs_off = ((found_TD - exact_TD).abs().max() for found_TD in (ours_TD, theirs_TD))
    assert (ours_TD - theirs_TD).abs().max() <= apart
    assert off <= 5e-5
    assert times * off <= theirs_off


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_config_leaves_out_is_what_transformers_takes(family):
    kind = getattr(transformers, CLASSES[family] + "Config")
    whole = encoder_config(kind().to_dict(), "config.json")
    assert encoder_config({"model_type": family}, "config.json") == whole
