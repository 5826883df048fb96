"""What each command does: arguments in, results on stdout, and the JSON object of the last line."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minibert.allocator import keep_freed_memory
from minibert.checkpoint import published, read_json
from minibert.commands.flags import chosen_settings
from minibert.commands.inputs import labelled_examples, texts_and_examples
from minibert.commands.seeds import finetune_seeds
from minibert.data.files import expand
from minibert.data.readers import read_documents
from minibert.errors import InputError
from minibert.finetune import Settings as FinetuneSettings
from minibert.finetune import finetune, task_class, tell_long
from minibert.output import MARK, check_free
from minibert.pretrain import pretrain
from minibert.tasks.classification import Classification
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.metrics import classification_report, confusion_matrix, format_confusion, format_report
from minibert.tasks.model import Model, load
from minibert.tasks.tagging import Tagging
from minibert.text.sentencepiece import train_sentencepiece
from minibert.training.journal import header, read_log
from minibert.training.precision import choose_device
from minibert.training.pretraining import Settings as PretrainSettings

CHUNK = 1024


def run_tokenizer(args: argparse.Namespace) -> dict[str, Any]:
    """Train a vocabulary and save it."""
    output = Path(args.output_dir)
    check_free(output, overwrite=args.overwrite_output_dir)
    options = PretrainSettings.of({key: value for key, value in vars(args).items() if "." in key}).tokenizer
    start = time.perf_counter()
    tokenizer = train_sentencepiece(
        read_documents(expand(args.corpus), text_column=args.text_column),
        options.vocab_size,
        model_type=options.model_type,
        lowercase=options.lowercase,
        cjk_characters=options.cjk_characters,
    )
    with published(output) as folder:
        tokenizer.save(folder)
        (folder / MARK).touch()
    seconds = round(time.perf_counter() - start, 1)
    print(f"{tokenizer.vocab_size:,} pieces in {output}")
    return {"output_dir": str(output), "vocab_size": tokenizer.vocab_size, "seconds": seconds}


def run_pretrain(args: argparse.Namespace) -> dict[str, Any]:
    """Pretrain an encoder."""
    settings = chosen_settings(args, PretrainSettings.of)
    keep_memory()
    model = pretrain(
        args.corpus,
        args.output_dir,
        size=args.size,
        tokenizer=args.tokenizer,
        budget=args.budget,
        settings=settings,
        resume=args.resume,
        overwrite_output_dir=args.overwrite_output_dir,
    )
    output = Path(args.output_dir)
    losses = {event: [line["loss"] for line in read_log(output, event)] for event in ("train", "validation")}
    print(f"validation loss {losses['validation'][-1]:.3f}; the encoder is in {output}")
    return {
        "output_dir": str(output),
        "steps": read_json(output / "run.json")["steps_done"],
        "weights": sum(weight.numel() for weight in model.parameters()),
        "first_loss": losses["train"][0],
        "last_loss": losses["train"][-1],
        "validation_loss": losses["validation"][-1],
    }


def run_finetune(args: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune an encoder, with several seeds if asked to."""
    settings = chosen_settings(args, FinetuneSettings.of)
    kind = task_class(args.task)
    train = labelled_examples(kind, args.train_file, args)
    held = labelled_examples(kind, args.validation_file, args) if args.validation_file else None
    keep_memory()
    given: dict[str, Any] = {
        "task": args.task,
        "train": train,
        "validation": held,
        "output_dir": args.output_dir,
        "budget": args.budget,
        "settings": settings,
        "overwrite_output_dir": args.overwrite_output_dir,
    }
    if args.seeds != 1:
        return finetune_seeds(args.model, args.seeds, given)
    model = finetune(args.model, **given)
    record = read_json(Path(args.output_dir) / "run.json")
    result = {"output_dir": args.output_dir, "task": args.task, "steps": record["steps_done"]}
    if held:
        scores = model.evaluate(held)
        result |= {name: value for name, value in scores.items() if isinstance(value, float)}
        result["best_step"] = record["best"]["step"]
    print(f"the model is in {args.output_dir}")
    return result


def run_evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Print the report by class and the confusion matrix; return the scores."""
    model = load_for_labels(args)
    examples = labelled_examples(type(model.task), args.file, args)
    windows = model.encode(examples)
    tell_long(windows, model.task.max_length)
    answers = model.predict(examples, windows=windows, progress=sys.stderr.isatty())
    gold, predicted, labels = compared(model, examples, answers)
    scores = model.task.score(answers, examples)
    print(format_report(classification_report(gold, predicted, labels)), end="\n\n")
    print(format_confusion(confusion_matrix(gold, predicted, labels), labels), end="\n\n")
    for name, value in scores.get("per_type", {}).items():
        ratios = "  ".join(f"{ratio} {value[ratio]:.4f}" for ratio in ("precision", "recall", "f1"))
        print(f"spans of {name}: {ratios}")
    print("  ".join(f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float)))
    return {"model": args.model, "file": args.file, "examples": len(examples), **scores}


def compared(
    model: Model, examples: Sequence[Any], answers: Sequence[Any]
) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Return the labels (of texts or of words) that are right, those that were given, and all there are."""
    if isinstance(model.task, Tagging):
        gold = [tag for example in examples for tag in model.task.example(example).tags or ()]
        return gold, [tag for answer in answers for tag in answer.tags], model.task.labels
    if isinstance(model.task, Classification):
        gold = [str(example.label) for example in examples]
        return gold, [answer.label for answer in answers], model.task.labels
    raise InputError(f"a {model.task.name} model has no labels to compare")


def run_predict(args: argparse.Namespace) -> None:
    """Print one JSON object for each text."""
    model = load_for_labels(args)
    examples = texts_and_examples(type(model.task), args)
    windows = model.encode(examples)
    tell_long(windows, model.task.max_length)
    for start in range(0, len(examples), CHUNK):
        chunk = examples[start : start + CHUNK]
        answers = model.predict(chunk, windows=windows[start : start + CHUNK])
        for example, answer in zip(chunk, answers, strict=True):
            print(json.dumps(shown(example, answer, model), ensure_ascii=False))


def shown(example: Any, answer: Any, model: Model) -> dict[str, Any]:
    """Return an answer as plain values, with the text it belongs to."""
    text = example if isinstance(example, str) else example.text
    if isinstance(model.task, Classification):
        pair = {} if isinstance(example, str) or example.pair is None else {"pair": example.pair}
        probabilities = {label: round(share, 6) for label, share in answer.probabilities.items()}
        return {"text": text, **pair, "label": answer.label, "probabilities": probabilities}
    tags = [
        {"start": start, "end": end, "label": tag, "text": text[start:end]}
        for (start, end), tag in zip(answer.spans, answer.tags, strict=True)
    ]
    return {"text": text, "tags": tags, "entities": [vars(entity) for entity in answer.entities]}


def run_fill_mask(args: argparse.Namespace) -> dict[str, Any]:
    """Print the likeliest pieces for each mask."""
    model = load(args.model, choose_device(args.device))
    if not isinstance(model.task, MaskedLM):
        raise InputError(f"{args.model} is a {model.task.name} model; fill-mask needs a pretrained encoder")
    for text in args.text:
        if not len(model.task.encode(text)[0].rows):
            raise InputError(f"no [MASK] in {text!r} that the model sees; write [MASK] where it is to guess")
    results = []
    for text, masks in zip(args.text, model.predict(args.text), strict=True):
        print(text)
        for place in masks:
            print(
                "   " + "  ".join(f"{piece.replace('▁', ' ').strip() or piece} {p:.3f}" for piece, p in place)
            )
        guesses = [[{"piece": piece, "probability": round(p, 6)} for piece, p in place] for place in masks]
        results.append({"text": text, "masks": guesses})
    return {"results": results}


def run_demo(args: argparse.Namespace) -> dict[str, Any]:
    """Run the demo."""
    # Only here, for no other command needs the demo's code.
    from minibert.demo.run import run_demo as show_demo

    keep_memory()
    result: dict[str, Any] = show_demo(
        Path(args.output_dir), quick=args.quick, overwrite_output_dir=args.overwrite_output_dir
    )
    return result


def keep_memory() -> None:
    """Keep freed memory where the system can; say so as a line of the run's header."""
    kept = "freed memory is kept" if keep_freed_memory() else "as the system has it"
    print(header({"allocator": kept}), file=sys.stderr)


def load_for_labels(args: argparse.Namespace) -> Model:
    """Open a model that predicts labels or tags."""
    model = load(args.model, choose_device(args.device))
    if isinstance(model.task, MaskedLM):
        raise InputError(
            f"{args.model} is a pretrained encoder and knows no labels; fine-tune it, or use fill-mask"
        )
    return model
