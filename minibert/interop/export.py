"""Writing a model as Hugging Face's tools read it: config.json, model.safetensors, tokenizer files.

A family of theirs is chosen by what the encoder and its head are made of (`fitting`). Weights keep their
bits; queries, keys and values part again.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from minibert.adapt.hooks import is_adapters
from minibert.adapt.merging import merged
from minibert.checkpoint import WEIGHTS, published, read_json, save_tensors, write_json
from minibert.errors import InputError
from minibert.interop.fitting import fitting_family
from minibert.interop.heads import head_names
from minibert.interop.names import DICTIONARIES
from minibert.interop.problems import PROBLEMS
from minibert.interop.settings import DIALECTS
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.regression import Regression
from minibert.tasks.tagging import Tagging
from minibert.tasks.task import Task
from minibert.text.fast_sentencepiece import tokenizer_json
from minibert.text.hugging_face import HuggingFaceTokenizer
from minibert.text.sentencepiece import SentencePieceTokenizer
from minibert.text.tokenizer import SETTINGS_FILE, Tokenizer

HABITS = ("on_long", "doc_stride", "max_question_length", "max_answer_length", "n_best")
CLASSES = {
    "bert": "Bert",
    "electra": "Electra",
    "roberta": "Roberta",
    "distilbert": "DistilBert",
    "modernbert": "ModernBert",
}
SUFFIXES = {
    "masked_lm": "ForMaskedLM",
    "classification": "ForSequenceClassification",
    "tagging": "ForTokenClassification",
    "question_answering": "ForQuestionAnswering",
    "multi_label": "ForSequenceClassification",
    "regression": "ForSequenceClassification",
}
POOLED = ("bert", "roberta", "xlm-roberta", "camembert")  # families whose encoders have a pooler
ACTIVATIONS = {"gelu_tanh": "gelu_pytorch_tanh"}  # the others are called alike


def save_pretrained(model: Model, folder: str | Path) -> None:
    """Write a folder that `transformers` opens with its head; `load` and `load_encoder` open it too.

    The folder is whole or absent; an older one of ours there is replaced. An adapter is merged first. Raises
    InputError where something else stands there, and where no family of theirs has the model's parts. A text
    encoder has a method of the same name.
    """
    task, model = model.task, merged(model)
    if rules := rules_of(task):
        told = ", ".join(f"{name} {value}" for name, value in rules.items())
        print(f"  left out, since a config.json has no place for it: {told}", file=sys.stderr)
    with published(folder) as beside:
        write_pretrained(model.encoder, task.tokenizer, beside, task=task, max_length=task.max_length)


def rules_of(task: Task | None) -> dict[str, Any]:
    """Return what a graph's user has to do around the scores of a task, and transformers does not.

    Thresholds behind them, and how long texts and answers are read, where that is not what is usual.
    """
    if task is None or task.Options is None:
        return {}
    usual, chosen = vars(task.Options()), vars(task.options)
    habits = {name: chosen[name] for name in HABITS if chosen.get(name) != usual.get(name)}
    return thresholds_of(task) | habits


def thresholds_of(task: Task) -> dict[str, Any]:
    """Return what decides behind the scores of a task; nothing mostly."""
    if isinstance(task, Classification) and task.options.reject_label:
        return {"reject_label": task.options.reject_label, "reject_below": task.threshold}
    if isinstance(task, MultiLabel) and task.threshold != 0.5:
        return {"threshold": task.threshold}
    if isinstance(task, QuestionAnswering) and task.refuses:
        return {"null_score_diff_threshold": task.threshold}
    return {}


def write_pretrained(
    encoder: Encoder,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    max_length: int,
    task: Task | None = None,
    pooler: Mapping[str, Tensor] | None = None,
) -> None:
    """Write an encoder, with the head of a task if there is one, into a folder that exists.

    pooler  the weights of one that the encoder came with, for a family that has it
    Raises InputError where no family of Hugging Face's has these parts; nothing is written then.
    """
    if any(map(is_adapters, encoder.state_dict())):
        raise InputError(
            "bottlenecks and prompts are parts that no family of transformers has; keep the folder of the "
            "adapter, or export a graph: --format onnx or torch"
        )
    family = fitting_family(encoder.config, task)
    write_json(folder / "config.json", settings_of(encoder.config, tokenizer, task, family))
    write_tokenizer(tokenizer, folder, max_length, segments=encoder.config.type_vocab_size > 1)
    kept = dict(pooler or {}) if family in POOLED else {}
    save_tensors(folder / WEIGHTS, tensors_of(encoder, task, family) | kept)


def write_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int, *, segments: bool) -> None:
    """Write a tokenizer with a tokenizer.json; one of SentencePiece keeps its own files beside it.

    segments  whether the encoder tells the texts of a pair apart, and must be given their numbers
    """
    if not isinstance(tokenizer, HuggingFaceTokenizer | SentencePieceTokenizer):
        raise InputError(f"a {type(tokenizer).__name__} cannot be written for Hugging Face")
    tokenizer.save(folder)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **read_json(folder / SETTINGS_FILE)}
    if isinstance(tokenizer, SentencePieceTokenizer):
        text = json.dumps(tokenizer_json(tokenizer), ensure_ascii=False)
        (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
        kinds = ("pad", "unk", "cls", "sep", "mask")
        ids = (tokenizer.pad_id, tokenizer.unknown_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id)
        names = tokenizer.tokens(ids)
        settings |= {f"{kind}_token": name for kind, name in zip(kinds, names, strict=True)}
    else:
        del settings["kind"]  # the files alone say all
    names = ["input_ids", *(["token_type_ids"] if segments else []), "attention_mask"]
    settings |= {"model_max_length": max_length, "model_input_names": names}
    write_json(folder / SETTINGS_FILE, settings)


def settings_of(
    config: EncoderConfig, tokenizer: Tokenizer, task: Task | None, family: str
) -> dict[str, Any]:
    """Return the config.json of a family."""
    ours = config.to_dict()
    values: dict[str, Any] = {
        "architectures": [CLASSES[family] + ("Model" if task is None else SUFFIXES[task.name])],
        "model_type": family,
        "dtype": "float32",
        **{theirs: ours[name] for theirs, name in DIALECTS[family].names.items()},
    }
    for key in ("hidden_act", "activation", "hidden_activation"):
        if key in values:
            values[key] = ACTIVATIONS.get(config.hidden_act, config.hidden_act)
    if family == "electra":
        values["embedding_size"] = config.embedding_width
    if family != "roberta":
        values["pad_token_id"] = tokenizer.pad_id
    if family == "modernbert":
        values |= dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias"), config.bias)
        values |= dict.fromkeys(("cls_token_id", "bos_token_id"), tokenizer.cls_id)
        values |= dict.fromkeys(("sep_token_id", "eos_token_id"), tokenizer.sep_id)
        values |= {"classifier_bias": config.bias, "decoder_bias": True}
        values |= {"classifier_activation": ACTIVATIONS.get(config.hidden_act, config.hidden_act)}
        del values["type_vocab_size"], values["hidden_dropout_prob"], values["attention_probs_dropout_prob"]
    return values | _head_settings(task, family)


def _head_settings(task: Task | None, family: str) -> dict[str, Any]:
    """Return what a config.json says of labels and of the way to them."""
    if isinstance(task, QuestionAnswering):
        key = {"distilbert": "qa_dropout"}.get(family, "classifier_dropout")
        told: dict[str, Any] = {key: task.options.classifier_dropout}
        if family == "modernbert":
            told |= {"classifier_activation": ACTIVATIONS.get(task.act, task.act), "classifier_bias": True}
        return told
    if not isinstance(task, Classification | MultiLabel | Regression | Tagging):
        return {}
    labels = ("LABEL_0",) if isinstance(task, Regression) else task.labels
    values: dict[str, Any] = {
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }
    texts = isinstance(task, Classification | MultiLabel | Regression)
    if texts:
        values["problem_type"] = next(theirs for theirs, ours in PROBLEMS.items() if ours == task.name)
    distil = family == "distilbert" and texts
    values["seq_classif_dropout" if distil else "classifier_dropout"] = task.options.classifier_dropout
    if family == "modernbert":
        act = task.act if isinstance(task, Tagging) else task.options.activation
        values |= {"classifier_activation": ACTIVATIONS.get(act, act), "classifier_bias": True}
        if not isinstance(task, Tagging):
            values["classifier_pooling"] = {"first": "cls"}.get(task.options.pooling, "mean")
    return values


def tensors_of(encoder: Encoder, task: Task | None, family: str) -> dict[str, Tensor]:
    """Return every weight under its name in a family."""
    dictionary = DICTIONARIES[family]
    prefix = "" if task is None else dictionary.prefix
    found: dict[str, Tensor] = {}
    state = {name: tensor for name, tensor in encoder.state_dict().items() if not is_adapters(name)}
    for ours, names in dictionary.theirs(state).items():
        for name, part in zip(names, state[ours].chunk(len(names)), strict=True):
            found[prefix + name] = part
    if task is None:
        return found
    head = task.plain_head() if isinstance(task, Regression) else task.state_dict()
    for ours, (name,) in head_names(task.name, family, task, {}).items():
        found[name] = head[ours]
    if isinstance(task, MaskedLM) and task.own_table is not None:  # theirs has two biases then, and uses this
        table = head_names(task.name, family, task, {})["own_table.weight"][0]
        found[table.removesuffix("weight") + "bias"] = task.bias.detach().clone()
    return found
