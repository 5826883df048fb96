"""Graphs that left this library give its numbers, and those of transformers, for every length and batch."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
from foreign_models import (  # noqa: E402 - it imports transformers
    FAMILIES,
    LONGEST,
    VOCABULARY,
    make_model,
    odd_config,
    padded_inputs,
    save_model,
    write_vocabulary,
)

import minibert as mb  # noqa: E402
from minibert.errors import InputError, MissingExtra  # noqa: E402
from minibert.interop import graphs  # noqa: E402
from minibert.interop.graph_checks import PROBES, compare, probes  # noqa: E402
from minibert.interop.graph_checks import padded_inputs as padded_inputs_of  # noqa: E402
from minibert.interop.graphs import TOLERANCES, Exported, open_onnx, open_program  # noqa: E402
from minibert.interop.padded import PaddedModel, Source  # noqa: E402
from minibert.model.config import EncoderConfig  # noqa: E402
from minibert.model.encoder import Encoder  # noqa: E402
from minibert.tasks.classification import Classification  # noqa: E402
from minibert.tasks.model import Model  # noqa: E402
from minibert.tasks.multi_label import MultiLabel  # noqa: E402
from minibert.tasks.question_answering import QuestionAnswering  # noqa: E402
from minibert.tasks.regression import Regression  # noqa: E402
from minibert.tasks.replaced_tokens import ReplacedTokens  # noqa: E402
from minibert.tasks.tagging import Tagging  # noqa: E402

KINDS = ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification")
GRID = [(family, kind) for family in FAMILIES for kind in KINDS]
ONCE = {"onnx": ("modernbert", "ForMaskedLM"), "torch": ("bert", "ForTokenClassification")}
PLACES = dict.fromkeys(("roberta", "xlm-roberta"), LONGEST - 4)  # their places begin at 4


def need_onnx() -> None:
    for package in graphs.PACKAGES:
        pytest.importorskip(package, reason=f"{package} is not installed")


def batches(longest: int) -> list[list[list[int]]]:
    """Return texts of every length alone, and batches of several sizes and lengths."""
    draw = np.random.default_rng(longest)
    row = lambda length: draw.integers(5, VOCABULARY, length).tolist()  # noqa: E731
    alone = [[row(length)] for length in range(1, longest + 1)]
    return [*alone, *([row(int(n)) for n in draw.integers(1, longest + 1, size)] for size in (2, 3, 7))]


def exported(folder: Path, kind: str, out: Path, format: str) -> Exported:
    if kind == "Model":
        return mb.load_encoder(folder).export(out, format=format)
    return mb.export(mb.load(folder), out, format=format)


def check_against_transformers(family: str, kind: str, folder: Path, format: str) -> None:
    """Assert that the exported graph gives what the model of transformers gives."""
    names = {0: "O", 1: "B-cat", 2: "I-cat"}
    config = odd_config(family, 1, id2label=names)
    theirs = make_model(config, kind, 1)
    write_vocabulary(save_model(theirs, folder / "in"))
    told = exported(folder / "in", kind, folder / "out", format)
    assert told.difference <= TOLERANCES[format]
    run = (open_onnx if format == "onnx" else open_program)(folder / "out" / told.file)
    name = told.outputs[0]
    for ids in batches(PLACES.get(family, LONGEST)):
        inputs = padded_inputs(config, ids, [[0] * len(row) for row in ids])
        with torch.no_grad():
            wanted = theirs(**inputs)[name].numpy()
        found = run({key: inputs[key].numpy() for key in told.inputs})[name]
        assert found.shape == wanted.shape
        if kind != "ForSequenceClassification":
            inside = inputs["attention_mask"].numpy() > 0
            found, wanted = found[inside], wanted[inside]
        scale = max(1.0, np.abs(wanted).max())
        assert np.abs(found - wanted).max() < 1e-4 * scale, [len(row) for row in ids]


@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_a_graph_gives_the_numbers_of_transformers(format, tmp_path):
    if format == "onnx":
        need_onnx()
    check_against_transformers(*ONCE[format], tmp_path, format)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "torch"])
@pytest.mark.parametrize(("family", "kind"), GRID)
def test_every_family_and_kind_gives_the_numbers_of_transformers(family, kind, format, tmp_path):
    if format == "onnx":
        need_onnx()
    check_against_transformers(family, kind, tmp_path, format)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Any:
    return mb.load_tokenizer(tiny_runs.make_encoder(tmp_path_factory.mktemp("tokenizer") / "enc"))


def shape(tokenizer: Any, size: str, **changes: Any) -> EncoderConfig:
    """Return a small config of ours."""
    config = EncoderConfig.preset(size, tokenizer.vocab_size)
    return replace(config, hidden_size=24, num_attention_heads=3, intermediate_size=29, **changes)


def task_of(kind: str, tokenizer: Any, config: EncoderConfig) -> Any:
    options = {"labels": ["a", "b", "c"], "pooling": "mean"}
    if kind == "classification":
        return Classification.reopen(tokenizer, config, options)
    if kind == "tagging":
        return Tagging.reopen(tokenizer, config, {"labels": ["a", "b"], "scheme": None})
    if kind == "question_answering":
        return QuestionAnswering.reopen(tokenizer, config, {"refuses": True})
    if kind == "multi_label":
        return MultiLabel.reopen(tokenizer, config, {"labels": ["a", "b", "c"]})
    if kind == "regression":
        return Regression.reopen(tokenizer, config, {"centre": 2.5, "spread": 1.5})
    return ReplacedTokens.build(tokenizer, config, [], {})


PARTS = [
    ("modern-tiny", "classification", {"norm": "rmsnorm", "qk_norm": True, "num_hidden_layers": 3}),
    ("modern-tiny", "tagging", {"local_attention": 6, "global_attn_every_n_layers": 2}),
    ("tiny", "replaced_tokens", {"gated_mlp": True, "hidden_act": "silu", "bias": False}),
]
PARTS += [("tiny", kind, {}) for kind in ("question_answering", "multi_label", "regression")]
LABELLED = ("classification", "tagging", "multi_label")
SOON = (("onnx", 0), ("torch", 1))  # the others are slow


@pytest.mark.parametrize(
    ("format", "size", "kind", "changes"),
    [
        pytest.param(format, *parts, marks=() if (format, number) in SOON else pytest.mark.slow)
        for format in ("onnx", "torch")
        for number, parts in enumerate(PARTS)
    ],
)
def test_parts_that_no_other_library_has_are_exported_too(tokenizer, size, kind, changes, format, tmp_path):
    if format == "onnx":
        need_onnx()
    config = shape(tokenizer, size, max_position_embeddings=53, **changes)
    model = Model(Encoder(config), task_of(kind, tokenizer, config))
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    told = mb.export(model.train(), tmp_path / "out", format=format)
    assert told.difference <= TOLERANCES[format]
    kept = json.loads((tmp_path / "out" / "graph.json").read_text("utf-8"))
    assert kept["task"] == kind and kept["file"] == told.file and kept["outputs"] == [*told.outputs]
    assert kept.get("labels") == (list(model.task.labels) if kind in LABELLED else None)
    assert mb.load_tokenizer(tmp_path / "out").encode("The cat").ids.tolist()
    run = (open_onnx if format == "onnx" else open_program)(tmp_path / "out" / told.file)
    assert run is not None and all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    if kind == "classification":  # the graph's labels are those that predict gives
        texts = ["The cat sees the dog.", "The road"]
        for text, answer in zip(texts, model.predict(texts), strict=True):
            tokens = tokenizer.build(tokenizer.encode(text))
            ids = tokens.ids[None].astype(np.int64)
            logits = run({"input_ids": ids, "attention_mask": np.ones_like(ids)})["logits"][0]
            shares = np.exp(logits) / np.exp(logits).sum()
            np.testing.assert_allclose(shares, [*answer.probabilities.values()], atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", pytest.param("first", marks=pytest.mark.slow)])
def test_embeddings_of_a_graph_are_those_of_embed(tokenizer, pooling, tmp_path):
    torch.manual_seed(5)
    encoder = Encoder(shape(tokenizer, "tiny", max_position_embeddings=31))
    ours = mb.TextEncoder(encoder, tokenizer, max_length=19, pooling=pooling)
    told = ours.export(tmp_path / "out", format="torch")
    assert told.outputs == ("last_hidden_state", "embeddings")
    run = open_program(tmp_path / "out" / told.file)
    rows = probes(Source(encoder, tokenizer, 19))[:-2]  # without the pair and the random ids
    texts = [*PROBES, " ".join(PROBES * 9)]
    inputs = padded_inputs_of(rows, told.inputs, tokenizer.pad_id)
    np.testing.assert_allclose(run(inputs)["embeddings"], ours.embed(texts), atol=1e-5)


def small_model(tokenizer: Any, **options: Any) -> Model:
    config = shape(tokenizer, "tiny", num_hidden_layers=1, max_position_embeddings=31)
    return Model(
        Encoder(config), Tagging.reopen(tokenizer, config, {"labels": ["a", "b"], "scheme": None, **options})
    )


@pytest.mark.parametrize(("error", "told"), [(3e-4, "0.0003"), (float("nan"), "inf")])
def test_a_graph_that_differs_is_refused_and_the_older_folder_stays(
    tokenizer, tmp_path, monkeypatch, error, told
):
    (tmp_path / "out").mkdir()
    for name in (".minibert", "mine.txt"):
        (tmp_path / "out" / name).write_text("kept", "utf-8")
    opened = graphs.open_program

    def wrong(path: Path) -> Any:
        run = opened(path)
        return lambda inputs: {name: array + error for name, array in run(inputs).items()}

    monkeypatch.setattr(graphs, "open_program", wrong)
    with pytest.raises(InputError, match=f"differs from the model by {told}.*1e-05.*nothing was written"):
        mb.export(small_model(tokenizer), tmp_path / "out", format="torch")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".minibert", "mine.txt", "out"]


def test_the_comparison_sees_a_mask_that_is_forgotten(tokenizer):
    model = small_model(tokenizer)
    source = Source(model.encoder, tokenizer, 31, model.task)
    padded = PaddedModel(source).eval()

    def run(inputs: Any, forget: bool) -> Any:
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        if forget:
            tensors["attention_mask"] = torch.ones_like(tensors["attention_mask"])
        with torch.no_grad():
            return {name: tensor.numpy() for name, tensor in padded(**tensors).items()}

    assert compare(source, lambda inputs: run(inputs, False)) < 1e-6
    assert compare(source, lambda inputs: run(inputs, True)) > 1e-4


def test_what_has_no_graph_is_refused(tokenizer, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="a CRF looks for the best path in a loop"):
        mb.export(small_model(tokenizer, crf=True), tmp_path / "out", format="torch")
    with pytest.raises(InputError, match="format 'tflite'"):
        mb.export(small_model(tokenizer), tmp_path / "out", format="tflite")
    with pytest.raises(InputError, match="int8 is for ONNX"):
        mb.export(small_model(tokenizer), tmp_path / "out", format="torch", quantize="int8")
    with pytest.raises(InputError, match="lies on meta"):
        mb.export(small_model(tokenizer).to("meta"), tmp_path / "out", format="torch")

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(graphs.importlib, "import_module", absent)
    with pytest.raises(MissingExtra, match=r"needs onnx: pip install 'minibert-encoder\[onnx\]'"):
        mb.export(small_model(tokenizer), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_int8_is_a_smaller_file_and_near_the_model(tokenizer, tmp_path):
    need_onnx()
    torch.manual_seed(2)
    encoder = Encoder(EncoderConfig.preset("tiny", tokenizer.vocab_size))
    told = mb.TextEncoder(encoder, tokenizer, max_length=64).export(tmp_path / "out", quantize="int8")
    assert [path.name for path in (tmp_path / "out").glob("model*")] == [told.file]
    in_float32 = sum(weight.nbytes for weight in encoder.parameters())
    assert (tmp_path / "out" / told.file).stat().st_size < 0.4 * in_float32
    assert 1e-5 < told.difference < 0.2


def test_what_decides_behind_the_scores_goes_with_a_graph_and_is_told_otherwise(tokenizer, tmp_path, capsys):
    config = shape(tokenizer, "tiny", num_hidden_layers=1, max_position_embeddings=31)
    encoder, labels = Encoder(config), ["no", "yes"]
    rejecting = {"labels": labels, "reject_label": "none", "reject_below": 0.7}
    model = Model(encoder, Classification.reopen(tokenizer, config, rejecting))
    mb.export(model, tmp_path / "graph", format="torch")
    told = json.loads((tmp_path / "graph" / "graph.json").read_text("utf-8"))
    assert (told["reject_label"], told["reject_below"]) == ("none", 0.7)
    assert "left out" not in capsys.readouterr().err
    mb.save_pretrained(model, tmp_path / "hf")
    assert "no place for it: reject_label none, reject_below 0.7" in capsys.readouterr().err
    several = MultiLabel.reopen(tokenizer, config, {"labels": labels, "fitted_threshold": 0.3})
    mb.save_pretrained(Model(encoder, several), tmp_path / "several")
    assert "no place for it: threshold 0.3" in capsys.readouterr().err
    plain = Classification.reopen(tokenizer, config, {"labels": labels})
    mb.save_pretrained(Model(encoder, plain), tmp_path / "plain")
    assert "left out" not in capsys.readouterr().err
