"""Pretrain an encoder."""

import argparse
from pathlib import Path
from typing import Any

from minibert.checkpoint import read_json
from minibert.checkup import check_pretraining
from minibert.commands.flags import add_fields, add_settings_flags, chosen_settings, parse_pair
from minibert.commands.memory import keep_memory
from minibert.commands.parser import CORPUS, add_budget, add_command, add_doctor, add_output, add_resume
from minibert.distributed.joining import joined
from minibert.doctor.findings import Checkup, look_first
from minibert.errors import InputError
from minibert.pretrain import USUAL_SIZE, pretrain
from minibert.training.log import read_log
from minibert.training.pretraining import Settings as PretrainSettings


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "pretrain",
        run,
        usage="CORPUS [CORPUS ...] --output-dir DIR [options]",
        about="pretrain an encoder on text files with masked language modelling",
        example="minibert pretrain corpus.txt --output-dir runs/enc --budget 30m --masking-unit word",
        many=True,
    )
    parser.add_argument("corpus", nargs="+", metavar="CORPUS", help=CORPUS)
    add_output(parser, "folder for the encoder, its checkpoints and its log")
    add_resume(parser)
    parser.add_argument(
        "--size",
        metavar="NAME",
        help=f"modern-tiny .. modern-base, tiny .. base (default: {USUAL_SIZE})",
    )
    going_on = (
        "go on with this encoder, ours or Hugging Face's: its size, its tokenizer, its head if it has one"
    )
    parser.add_argument("--model", metavar="DIR", help=going_on)
    parser.add_argument("--tokenizer", metavar="DIR", help="folder of a tokenizer; else one is trained")
    add_budget(parser)
    add_doctor(parser)
    defaults = PretrainSettings.of({})
    add_fields(parser, "data", defaults.data, group="data")
    add_fields(parser, "vocabulary, unless --tokenizer is given", defaults.tokenizer, group="tokenizer")
    add_fields(parser, "masking", defaults.masking, group="masking")
    unused = ("train_batch_size", "early_stopping_patience", "metric_for_best_model")
    add_fields(parser, "training", defaults.train, group="train", without=unused)
    add_settings_flags(parser)


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings; raises InputError where those of a vocabulary were typed in vain."""
    typed = [*vars(args), *(parse_pair(text)[0] for text in args.set)]
    flags = ["--" + key.partition(".")[2].replace("_", "-") for key in typed if key.startswith("tokenizer.")]
    owner = "model" if args.model else "tokenizer"
    if flags and (args.model or args.tokenizer):
        raise InputError(
            f"{flags[0]} beside --{owner}: the {owner} brings its own vocabulary; leave out one of the two"
        )
    return chosen_settings(args, PretrainSettings.of)


def look_at(args: argparse.Namespace, *, quick: bool) -> Checkup:
    """Let the doctor look at the run that a command line asks for."""
    return check_pretraining(
        args.corpus,
        size=args.size,
        tokenizer=args.tokenizer,
        model=args.model,
        output_dir=args.output_dir or None,
        budget=args.budget,
        settings=settings_of(args),
        quick=quick,
    )


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Pretrain an encoder."""
    settings = settings_of(args)
    with joined() as ranks:
        if ranks.first and not (args.no_doctor or args.resume):
            look_first(look_at(args, quick=True))
        keep_memory()
        model = pretrain(
            args.corpus,
            args.output_dir,
            size=args.size,
            tokenizer=args.tokenizer,
            model=args.model,
            budget=args.budget,
            settings=settings,
            resume=args.resume,
            overwrite_output_dir=args.overwrite_output_dir,
        )
    if not ranks.first:
        return None
    output = Path(args.output_dir)
    losses = {event: [line["loss"] for line in read_log(output, event)] for event in ("train", "validation")}
    print(f"validation loss {losses['validation'][-1]:.3f}; the encoder is in {output}")
    return {
        "output_dir": str(output),
        "steps": read_json(output / "run.json")["steps_done"],
        "weights": sum(weight.numel() for weight in model.parameters()),
        "first_loss": (losses["train"] or [None])[0],  # none if every batch was skipped
        "last_loss": (losses["train"] or [None])[-1],
        "validation_loss": losses["validation"][-1],
    }
