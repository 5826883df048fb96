"""Other people's heads: a whole checkpoint, encoder and task, opened as a `Model`.

The first of `architectures` in config.json says which task a checkpoint was made for: filling masks,
classifying texts, tagging tokens, or answering questions. Heads differ between families in the names of
their layers and in one activation, which the tables below and the options of our tasks hold.

Left out: multiple choice.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from minibert.checkpoint import read_json
from minibert.errors import InputError
from minibert.interop.checkpoints import check_vocabulary, compare, fill, read_config, read_encoder
from minibert.interop.kinds import foreign_kind
from minibert.interop.names import DICTIONARIES, Names
from minibert.interop.problems import label_names, spelling_of
from minibert.interop.sentence_transformers import read_habits
from minibert.interop.settings import ACTIVATIONS
from minibert.interop.tensors import Stored, read_tensors, stored_tensors
from minibert.model.config import EncoderConfig
from minibert.tasks.classification import Classification
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.regression import Regression
from minibert.tasks.tagging import Tagging
from minibert.tasks.task import Task
from minibert.text.loading import load_tokenizer
from minibert.text.tokenizer import Tokenizer

Modules = Mapping[str, str]  # a module of our task -> theirs

_ROBERTA_LM: Modules = {
    "dense": "lm_head.dense",
    "norm": "lm_head.layer_norm",
    "own_table": "lm_head.decoder",
    "": "lm_head",
}
_DENSE_CLASSIFIER: Modules = {"dense": "classifier.dense", "classifier": "classifier.out_proj"}
_MODERN_CLASSIFIER: Modules = {"dense": "head.dense", "norm": "head.norm", "classifier": "classifier"}
MASKED_LM: Mapping[str, Modules] = {
    "bert": {
        "dense": "cls.predictions.transform.dense",
        "norm": "cls.predictions.transform.LayerNorm",
        "own_table": "cls.predictions.decoder",
        "": "cls.predictions",
    },
    "roberta": _ROBERTA_LM,
    "xlm-roberta": _ROBERTA_LM,
    "camembert": _ROBERTA_LM,
    "distilbert": {
        "dense": "vocab_transform",
        "norm": "vocab_layer_norm",
        "own_table": "vocab_projector",
        "": "vocab_projector",
    },
    "electra": {
        "dense": "generator_predictions.dense",
        "norm": "generator_predictions.LayerNorm",
        "own_table": "generator_lm_head",
        "": "generator_lm_head",
    },
    "modernbert": {"dense": "head.dense", "norm": "head.norm", "own_table": "decoder", "": "decoder"},
}
CLASSIFICATION: Mapping[str, Modules] = {
    "bert": {"dense": "bert.pooler.dense", "classifier": "classifier"},
    "roberta": _DENSE_CLASSIFIER,
    "xlm-roberta": _DENSE_CLASSIFIER,
    "camembert": _DENSE_CLASSIFIER,
    "distilbert": {"dense": "pre_classifier", "classifier": "classifier"},
    "electra": _DENSE_CLASSIFIER,
    "modernbert": _MODERN_CLASSIFIER,
}
TAGGING: Mapping[str, Modules] = {
    **{family: {"classifier": "classifier"} for family in DICTIONARIES},
    "modernbert": _MODERN_CLASSIFIER,
}
QUESTION_ANSWERING: Mapping[str, Modules] = {
    **{family: {"classifier": "qa_outputs"} for family in DICTIONARIES},
    "modernbert": _MODERN_CLASSIFIER,
}
HEADS = {
    "masked_lm": MASKED_LM,
    "classification": CLASSIFICATION,
    "multi_label": CLASSIFICATION,
    "regression": CLASSIFICATION,
    "tagging": TAGGING,
    "question_answering": QUESTION_ANSWERING,
}
LONGEST_QUESTION_WINDOW = 384  # the habit of their scripts and pipelines
PROJECTIONS = {"distilbert": "relu", "electra": "gelu"}  # of classifiers; the others' is tanh
ALWAYS_GELU = ("roberta", "xlm-roberta", "camembert", "electra")  # in the language-model head


def read_model(folder: Path) -> Model:
    """Open a checkpoint in Hugging Face's layout with its head; `opening.load` opens any folder.

    Raises InputError where a file is missing or damaged, and for a head of a kind that is not here.
    """
    config, values = read_config(folder), read_json(folder / "config.json")
    tokenizer = load_tokenizer(folder)
    check_vocabulary(tokenizer, config, folder)
    kind, stored = foreign_kind(values, folder), stored_tensors(folder)
    if kind == "masked_lm" and has_own_table(values["model_type"], stored):
        config = config.changed({"tie_word_embeddings": False})
    limit = read_habits(folder, config.longest_text).max_length
    task = make_task(kind, tokenizer, config, values, max_length=limit)
    fill_head(task, values["model_type"], stored, folder=folder)
    return Model(read_encoder(folder, config), task)


def fill_head(task: Task, family: str, stored: Mapping[str, Stored], *, folder: Path) -> None:
    """Give a head its weights; raises InputError where one is missing, has another shape, or has no place."""
    wanted = head_names(task.name, family, task, stored)
    if "dense.bias" in wanted and wanted["dense.bias"][0] not in stored and task.name != "masked_lm":
        del wanted["dense.bias"]  # no bias is a bias of zero
        nn.init.zeros_(task.get_parameter("dense.bias"))
    compare(wanted, task.state_dict(), stored, folder=folder)
    refuse_unused(HEADS[task.name][family], wanted, stored, folder=folder)
    fill(task, wanted, stored)


def has_own_table(family: str, stored: Mapping[str, Stored]) -> bool:
    """Whether a language-model head has a table that is not the encoder's, whatever its config.json says."""
    dictionary = DICTIONARIES[family]
    token = f"{dictionary.modules['embeddings.token'][0]}.weight"
    shared = stored.get(dictionary.prefix + token) or stored.get(token)
    own = stored.get(f"{MASKED_LM[family]['own_table']}.weight")
    if own is None or shared is None:
        return False
    return own.shape != shared.shape or not torch.equal(*read_tensors((own, shared)))


def refuse_unused(
    modules: Modules, wanted: Mapping[str, Names], stored: Mapping[str, Stored], *, folder: Path
) -> None:
    """Raise InputError for a weight of the head's layers that our task has no place for."""
    used = {name for names in wanted.values() for name in names}
    layers = [theirs for ours, theirs in modules.items() if ours not in ("", "own_table")]
    unused = [name for name in stored if name.rpartition(".")[0] in layers and name not in used]
    if unused:
        raise InputError(f"{folder}: {', '.join(unused)} in the weights, and this head has no place for it")


def make_task(
    kind: str, tokenizer: Tokenizer, config: EncoderConfig, values: Mapping[str, Any], *, max_length: int
) -> Task:
    """Make the task of a foreign config.json, its head not yet filled."""
    family = values["model_type"]
    if kind == "masked_lm":
        act = "gelu" if family in ALWAYS_GELU else values.get("classifier_activation", "gelu")
        inner = ACTIVATIONS.get(act) if family in (*ALWAYS_GELU, "modernbert") else config.hidden_act
        if inner != config.hidden_act or values.get("decoder_bias") is False:
            raise InputError(
                f"config.json: a language-model head with activation {act!r} and decoder_bias "
                f"{values.get('decoder_bias')!r} beside hidden_act {config.hidden_act!r} is not implemented"
            )
        return MaskedLM(tokenizer, config)
    if kind == "question_answering":
        return make_question_answering(tokenizer, config, values, max_length=max_length)
    names = label_names(values)
    dropout = next(
        (values[key] for key in ("classifier_dropout", "seq_classif_dropout") if values.get(key) is not None),
        config.hidden_dropout_prob,
    )
    options: dict[str, Any] = {
        "max_length": max_length,
        "classifier_dropout": float(dropout),
        "labels": names,
    }
    if family == "modernbert":
        act = values.get("classifier_activation", "gelu")
        options |= {"projection": ACTIVATIONS.get(act, act), "projection_norm": True}
    if kind == "tagging":
        bio = all(name == "O" or name[:2] in ("B-", "I-") for name in names)
        told = {"scheme": "BIO" if bio else None, "spelling": None if bio else spelling_of(names)}
        return Tagging.reopen(tokenizer, config, {**options, **told})
    pooling = {"mean": "mean"}.get(values.get("classifier_pooling", "cls"), "first")
    projection = options.get("projection", PROJECTIONS.get(family, "tanh"))
    options |= {"projection": projection, "pooling": pooling}
    if kind == "regression":
        del options["labels"]
        return Regression.reopen(tokenizer, config, options)
    return (MultiLabel if kind == "multi_label" else Classification).reopen(tokenizer, config, options)


def make_question_answering(
    tokenizer: Tokenizer, config: EncoderConfig, values: Mapping[str, Any], *, max_length: int
) -> QuestionAnswering:
    """Make the task of a config.json that finds answers, its head not yet filled; it always gives one."""
    options: dict[str, Any] = {"refuses": False, "max_length": min(max_length, LONGEST_QUESTION_WINDOW)}
    if values["model_type"] == "distilbert":
        options["classifier_dropout"] = float(values.get("qa_dropout", 0.1))
    if values["model_type"] == "modernbert":
        act = values.get("classifier_activation", "gelu")
        options |= {"projection": ACTIVATIONS.get(act, act), "projection_norm": True}
        options["classifier_dropout"] = float(values.get("classifier_dropout", 0.0))
    return QuestionAnswering.reopen(tokenizer, config, options)


def head_names(kind: str, family: str, task: Task, stored: Mapping[str, Stored]) -> dict[str, Names]:
    """Return their name of each weight of our head."""
    modules = HEADS[kind][family]
    found: dict[str, Names] = {}
    for ours in task.state_dict():
        module, _, name = ours.rpartition(".")
        found[ours] = (f"{modules[module]}.{name}",)
    if kind == "masked_lm":  # the bias of the decoder, where it is written, is the one in use
        other = f"{modules['own_table']}.bias"
        found["bias"] = (other,) if other in stored else found["bias"]
    return found
