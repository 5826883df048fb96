"""Who takes part in the inference benchmark: texts in, one normed vector for each out, tokenizing included.

A contestant has one or several ways of doing the same; the fastest is looked for on a few texts of each
workload. "As shipped" is what the model's card shows, with no option touched.

Letters: N texts of a batch, S the longest of them, D hidden size.
"""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentences import INSTALL
from torch import Tensor

import minibert as mb

Embed = Callable[[Sequence[str]], np.ndarray]
Forward = Callable[[Tensor, Tensor], Tensor]  # ids and mask, (N, S), to hidden states, (N, S, D)
LONGEST = 256  # tokens, as sentence_bert_config.json of the checkpoint says
BATCHES = (32, 128)


@dataclass(frozen=True)
class Contestant:
    """A library in one precision, and the ways to use it.

    exact   vectors are to be those of transformers in float32, up to rounding
    """

    name: str
    ways: dict[str, Embed]
    ours: bool = False
    exact: bool = False


class Missing(Exception):
    """A package that a contestant needs is not installed."""


def need(*packages: str) -> None:
    """Raise Missing for the first package that is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise Missing(f"{package} is not installed: {INSTALL}")


def quiet() -> None:
    """Let transformers keep its reports of loading to itself."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def minibert_contestants(folder: Path) -> list[Contestant]:
    """Return ours, in both precisions."""
    encoder = mb.load_encoder(folder)
    return [
        Contestant(
            "minibert fp32",
            {"as shipped": lambda texts: encoder.embed(texts, dtype="fp32", progress=False)},
            ours=True,
            exact=True,
        ),
        Contestant(
            "minibert bf16",
            {"as shipped": lambda texts: encoder.embed(texts, dtype="bf16", progress=False)},
            ours=True,
        ),
    ]


def transformers_contestants(folder: Path) -> list[Contestant]:
    """Return transformers as its card shows it, and at its best in both precisions."""
    need("transformers")
    from transformers import AutoModel, AutoTokenizer

    quiet()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    shipped = AutoModel.from_pretrained(folder).eval()
    exact: dict[str, Embed] = {}
    narrow: dict[str, Embed] = {}
    for attention in ("sdpa", "eager"):
        plain = AutoModel.from_pretrained(folder, attn_implementation=attention).eval()
        halved = AutoModel.from_pretrained(folder, attn_implementation=attention, dtype=torch.bfloat16).eval()
        for size in BATCHES:
            end = f"{attention}, batches of {size} by length"
            exact[end] = by_length(tokenizer, hidden_of(plain), size)
            narrow[f"autocast, {end}"] = by_length(tokenizer, hidden_of(plain, autocast=True), size)
            narrow[f"weights in bf16, {end}"] = by_length(tokenizer, hidden_of(halved), size)
    card = {"batches of 32 as they come": as_they_come(tokenizer, hidden_of(shipped), 32)}
    return [
        Contestant("transformers as shipped", card, exact=True),
        Contestant("transformers fp32", exact, exact=True),
        Contestant("transformers bf16", narrow),
    ]


def sentence_transformers_contestants(folder: Path) -> list[Contestant]:
    """Return sentence-transformers as shipped, and with its weights in bfloat16."""
    need("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(folder), device="cpu")
    halved = SentenceTransformer(str(folder), device="cpu").bfloat16()

    def embed(model: Any, size: int) -> Embed:
        options = {"batch_size": size, "show_progress_bar": False, "convert_to_tensor": True}
        return lambda texts: normed(model.encode(list(texts), **options).float())

    return [
        Contestant("sentence-transformers as shipped", {"batches of 32": embed(plain, 32)}, exact=True),
        Contestant(
            "sentence-transformers bf16", {f"batches of {size}": embed(halved, size) for size in BATCHES}
        ),
    ]


def onnx_contestants(folder: Path, scratch: Path) -> list[Contestant]:
    """Return ONNX Runtime in float32 and with weights and activations in int8, files in `scratch`."""
    need("transformers", "onnx", "onnxruntime", "onnxscript")
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    plain, fused = scratch / "plain.onnx", scratch / "fused.onnx"
    export(model, plain)
    shape = model.config
    optimizer.optimize_model(
        str(plain), "bert", num_heads=shape.num_attention_heads, hidden_size=shape.hidden_size
    ).save_model_to_file(str(fused))
    contestants = []
    for precision in ("fp32", "int8"):
        ways: dict[str, Embed] = {}
        for name, path in (("as exported", plain), ("optimised for BERT", fused)):
            chosen = path if precision == "fp32" else path.with_suffix(".int8.onnx")
            if precision == "int8":
                quantize_dynamic(path, chosen, weight_type=QuantType.QInt8)
            for size in BATCHES:
                way = f"{name}, batches of {size} by length"
                ways[way] = by_length(tokenizer, hidden_of_onnx(chosen), size)
        contestants.append(Contestant(f"ONNX Runtime {precision}", ways, exact=precision == "fp32"))
    return contestants


def export(model: Any, path: Path) -> None:
    """Write transformers' model as an ONNX graph for any number of texts of any length."""
    ids_NS = torch.randint(5, 1000, (2, 9))
    texts, longest = torch.export.Dim("texts"), torch.export.Dim("longest", max=LONGEST)
    free = {0: texts, 1: longest}
    program = torch.onnx.export(
        model,
        (),
        kwargs={"input_ids": ids_NS, "attention_mask": torch.ones_like(ids_NS)},
        dynamo=True,
        dynamic_shapes={"input_ids": free, "attention_mask": free},
        verbose=False,
    )
    assert program is not None
    program.save(path)


def hidden_of(model: Any, *, autocast: bool = False) -> Forward:
    """Return the forward pass of a transformers model."""

    def forward(ids_NS: Tensor, mask_NS: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            hidden_NSD: Tensor = model(input_ids=ids_NS, attention_mask=mask_NS).last_hidden_state
        return hidden_NSD

    return forward


def hidden_of_onnx(path: Path) -> Forward:
    """Return the forward pass of an ONNX graph, on as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    hidden = session.get_outputs()[0].name

    def forward(ids_NS: Tensor, mask_NS: Tensor) -> Tensor:
        given = {"input_ids": ids_NS.numpy(), "attention_mask": mask_NS.numpy()}
        return torch.from_numpy(session.run([hidden], given)[0])

    return forward


def as_they_come(tokenizer: Any, forward: Forward, size: int) -> Embed:
    """Embed batch after batch, each padded to its longest text."""

    def embed(texts: Sequence[str]) -> np.ndarray:
        found = []
        for start in range(0, len(texts), size):
            batch = tokenizer(
                list(texts[start : start + size]),
                padding=True,
                truncation=True,
                max_length=LONGEST,
                return_tensors="pt",
            )
            mask_NS = batch["attention_mask"]
            found.append(mean_vectors(forward(batch["input_ids"], mask_NS), mask_NS))
        return np.concatenate(found)

    return embed


def by_length(tokenizer: Any, forward: Forward, size: int) -> Embed:
    """Tokenize all texts, embed the longest first, and give the vectors in the order of the texts."""

    def embed(texts: Sequence[str]) -> np.ndarray:
        rows = tokenizer(list(texts), truncation=True, max_length=LONGEST)["input_ids"]
        order = sorted(range(len(rows)), key=lambda number: -len(rows[number]))
        found: list[np.ndarray] = [np.zeros(0)] * len(rows)
        for start in range(0, len(rows), size):
            numbers = order[start : start + size]
            parts = [torch.tensor(rows[number]) for number in numbers]
            pad = torch.nn.utils.rnn.pad_sequence
            ids_NS = pad(parts, batch_first=True, padding_value=tokenizer.pad_token_id)
            mask_NS = pad([torch.ones_like(part) for part in parts], batch_first=True)
            vectors_ND = mean_vectors(forward(ids_NS, mask_NS), mask_NS)
            for number, vector_D in zip(numbers, vectors_ND, strict=True):
                found[number] = vector_D
        return np.stack(found)

    return embed


def mean_vectors(hidden_NSD: Tensor, mask_NS: Tensor) -> np.ndarray:
    """Return the normed mean of each text's tokens, (N, D) in float32."""
    weight_NS1 = mask_NS.unsqueeze(-1).float()
    return normed((hidden_NSD.float() * weight_NS1).sum(1) / weight_NS1.sum(1))


def normed(vectors_ND: Tensor) -> np.ndarray:
    """Return vectors of length one."""
    found: np.ndarray = torch.nn.functional.normalize(vectors_ND, dim=1).cpu().numpy()
    return found
