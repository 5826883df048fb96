"""Predict labels, tags or answers, some thousand texts at a time: the texts and one such chunk in memory."""

import argparse
import json
import sys
from collections import Counter
from typing import Any

from tqdm import tqdm

from minibert.commands.inputs import add_questions, open_for_labels, texts_and_examples
from minibert.commands.parser import add_base, add_columns, add_command, add_model
from minibert.commands.writing import add_writing, write_so
from minibert.embedding.loading import load_encoder
from minibert.errors import InputError
from minibert.few_labels.zero_shot import label_words, zero_shot
from minibert.interop.language_models import load_language_model
from minibert.tasks.classification import Classification, plain_answer
from minibert.tasks.windows import long_ones, tell_long
from minibert.text.tokenizer import MASK_TEXT
from minibert.training.precision import choose_device, choose_dtype

CHUNK = 8192  # texts that are sorted by length together


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "predict",
        run,
        usage="[TEXT ...] --model DIR [options]",
        about="predict labels, tags or answers; one JSON object a line",
        example='minibert predict --model runs/clf "what a film"\n'
        "  cat lines.txt | minibert predict --model runs/clf -\n"
        '  minibert predict --model runs/qa --question "Who wrote it?" --passage-file page.txt',
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="texts; - reads lines from stdin")
    add_model(parser, "folder of the model")
    add_base(parser)
    parser.add_argument(
        "--file", metavar="FILE", help=".txt (a text on each line), .csv, .tsv, .jsonl, or CoNLL columns"
    )
    add_columns(parser)
    add_writing(parser, metric=False)
    add_questions(parser)
    section = parser.add_argument_group("labels that the model was never trained for")
    labels = "a,b,c or a=word,b=word|word: answer with one of these, by any encoder (zero-shot)"
    section.add_argument("--labels", metavar="LABELS", help=labels)
    template = (
        "'{text} It was [MASK].' asks a pretrained encoder for the label's word; 'a text about {label}', or "
        "nothing, compares vectors"
    )
    section.add_argument("--template", metavar="TEXT", help=template)
    section.add_argument(
        "--calibrate", action="store_true", help="divide by what an empty text gets (Zhao et al., 2021)"
    )


def run(args: argparse.Namespace) -> None:
    """Print one JSON object for each text."""
    if args.labels:
        predict_unseen(args)
        return
    if args.template or args.calibrate:
        raise InputError("--template and --calibrate go with --labels; the labels of a model need neither")
    model = open_for_labels(args)
    write_so(model, args)
    examples = texts_and_examples(type(model.task), args)
    long: Counter[str] = Counter()
    hidden = len(examples) <= CHUNK or not sys.stderr.isatty()
    with tqdm(total=len(examples), desc="predict", unit="text", disable=hidden) as bar:
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            windows = model.encode(chunk)
            long += long_ones(windows, model.task)
            for example, answer in zip(chunk, model.predict(chunk, windows=windows), strict=True):
                print(json.dumps(model.task.show(example, answer), ensure_ascii=False))
            bar.update(len(chunk))
    tell_long(long, model.task.max_length)


def predict_unseen(args: argparse.Namespace) -> None:
    """Print one JSON object for each text, with one of the labels that were typed."""
    labels = label_words(args.labels)
    examples = texts_and_examples(Classification, args)
    device = choose_device(args.device)
    model: Any
    if args.template and MASK_TEXT in args.template:
        model = load_language_model(args.model, device, base=args.base)
        model.encoder.dtype = choose_dtype(args.precision, device)
    else:
        model = load_encoder(args.model, device, base=args.base)
    for start in range(0, len(examples), CHUNK):
        chunk = examples[start : start + CHUNK]
        answers = zero_shot(
            model,
            chunk,
            labels=labels,
            template=args.template,
            calibrate=args.calibrate,
            progress=sys.stderr.isatty(),
        )
        for example, answer in zip(chunk, answers, strict=True):
            print(json.dumps(plain_answer(example, answer), ensure_ascii=False))
