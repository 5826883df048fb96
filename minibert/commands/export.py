"""Write a model for other programs: an ONNX graph, a program of torch.export, or Hugging Face's folder."""

import argparse
from pathlib import Path
from typing import Any

from minibert.adapt.merging import merged
from minibert.checkpoint import read_json, read_table
from minibert.commands.parser import Parser, add_base, add_command
from minibert.embedding.loading import load_encoder
from minibert.embedding.text_encoder import TextEncoder
from minibert.errors import InputError
from minibert.interop.adapted import is_adapter
from minibert.interop.export import save_pretrained
from minibert.interop.graphs import Exported, export
from minibert.interop.hub import local_folder
from minibert.interop.kinds import is_encoder, is_peft
from minibert.interop.opening import load
from minibert.interop.peft_export import save_peft
from minibert.interop.sentence_transformers import TRAINED_TO_EMBED
from minibert.output import replaced
from minibert.tasks.model import Model

MODELS_WITHOUT_HEAD = "Model"  # how the architecture ends of a folder that holds an encoder alone


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser: Parser = add_command(
        commands,
        "export",
        run,
        usage="--model DIR --output-dir DIR [options]",
        about="write a model as an ONNX graph, a torch.export program or Hugging Face's folder",
        example="minibert export --model runs/clf --format onnx --quantize int8 --output-dir clf-onnx",
    )
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of the model")
    add_base(parser)
    parser.add_argument(
        "--output-dir",
        "--output",
        required=True,
        metavar="DIR",
        help="folder for graph and tokenizer",
    )
    parser.add_argument("--overwrite-output-dir", action="store_true", help="replace an earlier export there")
    parser.add_argument(
        "--format",
        choices=("onnx", "torch", "hf", "peft", "minibert"),
        default="onnx",
        help="onnx: model.onnx; torch: model.pt2; hf: a folder that transformers opens; peft: a LoRA adapter "
        "as peft has it; minibert: an adapter and its base as one model of ours (default: onnx)",
    )
    parser.add_argument(
        "--outputs",
        choices=("auto", "logits", "embeddings"),
        default="auto",
        help="what comes out: the head's logits, or hidden states and embeddings; auto is logits if there is "
        "a head (default: auto)",
    )
    parser.add_argument(
        "--quantize", choices=("none", "int8"), default="none", help="int8: round an ONNX graph's weights"
    )
    parser.add_argument(
        "--pooling", choices=("mean", "first"), help="of the embeddings (default: as the folder says)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Write the folder; say what is in it and how far the graph is from the library."""
    with replaced(args.output_dir, overwrite=args.overwrite_output_dir, inputs=(args.model,)) as output:
        model = opened(args)
        if args.format in ("hf", "peft", "minibert"):
            if args.quantize != "none":
                kept = f"--format {args.format} keeps the weights as they are"
                raise InputError(f"--quantize int8 is for --format onnx; {kept}")
            keep_weights(model, output, args)
            return {"output_dir": str(output), "format": args.format}
        told = written(model, output, args)
    megabytes = round(sum(path.stat().st_size for path in output.glob("model*")) / 1e6, 1)
    print(
        f"{output / told.file}: {', '.join(told.inputs)} -> {', '.join(told.outputs)}; {megabytes} MB; "
        f"at most {told.difference:.2g} from the model on real text"
    )
    return {
        "output_dir": str(output),
        "format": args.format,
        "file": told.file,
        "inputs": told.inputs,
        "outputs": told.outputs,
        "difference": told.difference,
        "megabytes": megabytes,
    }


def keep_weights(model: Model | TextEncoder, output: Path, args: argparse.Namespace) -> None:
    """Write a model as weights and settings: for Hugging Face's tools, or as one of ours."""
    if args.format == "peft":
        if not isinstance(model, Model):
            raise InputError(f"--format peft is for adapters; {args.model} is none")
        save_peft(model, output)
    elif args.format == "minibert":
        if not isinstance(model, Model) or model.adaptation is None:
            raise InputError(
                f"--format minibert makes one model of an adapter and its base; {args.model} is one already"
            )
        merged(model).save(output)
    elif isinstance(model, Model):
        save_pretrained(model, output)
    else:
        model.save_pretrained(output)


def written(model: Model | TextEncoder, output: Path, args: argparse.Namespace) -> Exported:
    """Write the graph of a model with a head, or of a text encoder."""
    if isinstance(model, Model):
        return export(model, output, format=args.format, quantize=args.quantize)
    return model.export(output, format=args.format, quantize=args.quantize)


def opened(args: argparse.Namespace) -> Model | TextEncoder:
    """Open the model with its head, or its encoder, as --outputs asks."""
    folder = local_folder(args.model)
    own_form = args.format in ("peft", "minibert")
    if own_form and (args.pooling or args.outputs != "auto"):
        raise InputError(
            f"--format {args.format} keeps the model as it is; leave out --outputs and --pooling"
        )
    of_peft = is_peft(folder) and not is_encoder(folder)
    headed = has_head(folder) or of_peft or (own_form and is_adapter(folder))
    if args.outputs == "logits" or (args.outputs == "auto" and headed):
        if args.pooling:
            raise InputError("--pooling is for --outputs embeddings; the head has its own")
        return load(folder, base=args.base)
    encoder = load_encoder(folder, base=args.base)
    encoder.pooling = args.pooling or encoder.pooling
    return encoder


def has_head(folder: Path) -> bool:
    """Whether a folder holds a model with the head of a task; those that are made to embed have none."""
    if (folder / "task.json").is_file():
        return read_table(folder / "task.json").get("task") not in TRAINED_TO_EMBED
    if (folder / "modules.json").is_file() or not (folder / "config.json").is_file():
        return False
    names = read_json(folder / "config.json").get("architectures") or [MODELS_WITHOUT_HEAD]
    return not str(names[0]).endswith(MODELS_WITHOUT_HEAD)
