"""A model as a graph that runs without this library: ONNX for many runtimes, or a program of torch.export.

A folder is written whole or not at all: the graph, the tokenizer, `config.json` under Hugging Face's names
where a family fits, and `graph.json`, which says what goes in and what comes out. Before the folder takes its
place the graph is opened again and run on real text, alone and padded together, and compared with the
library; one that differs is refused. N texts and S tokens are free, S up to what the encoder allows.

Left out: graphs in 16 bits, GPUs (an ONNX graph runs on one by its runtime's provider), and decoders.
"""

import importlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from minibert.adapt.merging import is_mergeable, merged
from minibert.checkpoint import published, write_json
from minibert.errors import InputError, MissingExtra
from minibert.interop.export import rules_of, settings_of, write_tokenizer
from minibert.interop.fitting import fitting_family
from minibert.interop.graph_checks import Arrays, Runner, compare
from minibert.interop.padded import PaddedModel, Source, input_names, output_names
from minibert.interop.tensors import GRAPH
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.tagging import Tagging

FILES = {"onnx": "model.onnx", "torch": "model.pt2"}
QUANTIZED = "model_quantized.onnx"
TOLERANCES = {"onnx": 1e-4, "torch": 1e-5}  # of the largest value, or of 1
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Exported:
    """What was written: the graph's file, what goes in and comes out, and how far it is from the library.

    difference is the largest one over all outputs, relative to the largest value (or to 1); that of an int8
    graph is what rounding its weights costs.
    """

    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float


def export(model: Model, folder: str | Path, *, format: str = "onnx", quantize: str = "none") -> Exported:
    """Write a model with its head as a graph; a text encoder has a method of the same name.

    format    "onnx", or "torch" for a .pt2 of torch.export
    quantize  "int8" rounds the weights of an ONNX graph: a quarter of the size, a little is lost; or "none"
    The folder is whole or absent; an older one of ours there is replaced. Raises InputError for a task
    without a graph, where the graph's numbers are not the library's and where something else stands there,
    MissingExtra where ONNX's packages are missing.

    >>> from minibert.interop.opening import load
    >>> export(load("runs/clf"), "exported", format="torch").outputs
    ('logits',)
    """
    task, model = model.task, merged(model) if is_mergeable(model) else model
    source = Source(model.encoder, task.tokenizer, task.max_length, task)
    return export_source(source, folder, format=format, quantize=quantize)


def export_source(source: Source, folder: str | Path, *, format: str, quantize: str) -> Exported:
    """Write the folder of `export`."""
    if format not in FILES or quantize not in ("none", "int8"):
        raise InputError(f"format {format!r}, quantize {quantize!r}: use onnx or torch, and none or int8")
    if format == "torch" and quantize != "none":
        raise InputError("quantize int8 is for ONNX graphs; leave it out, or use format onnx")
    if format == "onnx":
        need_packages()
    padded = PaddedModel(source).eval()
    outputs = output_names(source)
    with published(folder) as beside:
        segments = source.encoder.config.type_vocab_size > 1
        write_tokenizer(source.tokenizer, beside, source.max_length, segments=segments)
        path = beside / FILES[format]
        write_graph(trace(padded, source.encoder), path, outputs)
        difference = compare(source, open_onnx(path) if format == "onnx" else open_program(path))
        if not difference <= TOLERANCES[format]:
            raise InputError(
                f"the {format} graph differs from the model by {difference:.2g}, more than "
                f"{TOLERANCES[format]:.0e}: nothing was written; please report the model's config.json"
            )
        if quantize == "int8":
            path = quantized(path)
            difference = compare(source, open_onnx(path))
        told = Exported(path.name, input_names(source.encoder), outputs, difference)
        write_json(beside / "config.json", config_of(source))
        write_json(beside / GRAPH, {**asdict(told), **description(source)})
    return told


def trace(padded: PaddedModel, encoder: Encoder) -> torch.export.ExportedProgram:
    """Return the program that the model runs over a rectangle, for any number of texts of any length."""
    longest = encoder.config.longest_text
    free = {0: torch.export.Dim("texts"), 1: torch.export.Dim("length", max=longest)}
    names = input_names(encoder)
    given = {name: torch.zeros(2, min(7, longest), dtype=torch.int64) for name in names}
    with torch.no_grad():
        return torch.export.export(padded, (), given, dynamic_shapes=dict.fromkeys(names, free), strict=False)


def write_graph(program: torch.export.ExportedProgram, path: Path, outputs: Sequence[str]) -> None:
    """Write a program as torch keeps it, or as ONNX: in two files where its weights are over 2 GB."""
    if path.name == FILES["torch"]:
        torch.export.save(program, path)
        return
    translated = torch.onnx.export(program, output_names=list(outputs), dynamo=True, verbose=False)
    assert translated is not None
    translated.save(path)


def open_program(path: Path) -> Runner:
    """Open a written program again."""
    module = torch.export.load(path).module()

    def run(inputs: Arrays) -> Arrays:
        with torch.no_grad():
            found = module(**{name: torch.from_numpy(array) for name, array in inputs.items()})
        return {name: tensor.numpy() for name, tensor in found.items()}

    return run


def open_onnx(path: Path) -> Runner:
    """Open a written graph in ONNX Runtime, on as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def quantized(path: Path) -> Path:
    """Round the weights of a graph to int8, activations while it runs; the graph in float32 goes."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path, path.with_name(QUANTIZED), weight_type=QuantType.QInt8, per_channel=True)
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    return path.with_name(QUANTIZED)


def config_of(source: Source) -> dict[str, Any]:
    """Return a config.json: that of a family of Hugging Face's where one has the model's parts, else ours."""
    config = source.encoder.config
    try:
        family = fitting_family(config, source.task)
    except InputError:
        return config.to_dict()
    return settings_of(config, source.tokenizer, source.task, family)


def description(source: Source) -> dict[str, Any]:
    """Return what a program that runs the graph has to know."""
    task = source.task
    told = {"pooling": source.pooling} if task is None else {}
    return {
        "task": "embedding" if task is None else task.name,
        **(
            {"labels": list(task.labels)} if isinstance(task, Classification | MultiLabel | Tagging) else told
        ),
        **rules_of(task),
        "max_length": source.max_length,
        "pad_token_id": source.tokenizer.pad_id,
        "padding_side": "right",
    }


def need_packages() -> None:
    """Raise MissingExtra where a package that ONNX takes is not installed."""
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError:
            raise MissingExtra(f"an ONNX graph needs {name}: pip install 'minibert-encoder[onnx]'") from None
