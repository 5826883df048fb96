"""A classifier that learns new classes: its head gets a row for each, the old rows stay as they are.

    logits (N, C)  ->  logits (N, C + new)        the first C columns are the same numbers as before

Old classes keep their numbers, so old logits and new ones can be compared column by column.
"""

from collections.abc import Sequence
from typing import Any

from minibert.adapt.parted import refuse_parts
from minibert.errors import InputError
from minibert.tasks.classification import Classification, natural
from minibert.tasks.model import Model

NEVER = -1e4  # a logit whose probability is zero in every precision


def grown(model: Model, examples: Sequence[Any], *, silent: bool = False) -> Model:
    """Return the model with a row for each label of `examples` that it does not know; the encoder is shared.

    silent  the new classes are never answered, so the model answers as before it grew
    A model that knows all labels, or is no classifier, comes back as it is.
    """
    refuse_parts(model)
    task = model.task
    if not isinstance(task, Classification):
        return model
    known = {*task.labels, task.options.reject_label}
    new = {str(example.label) for example in examples if example.label is not None} - known
    if not new:
        return model
    labels = [*task.labels, *sorted(new, key=natural)]
    wide = Classification.reopen(task.tokenizer, model.encoder.config, {**task.settings(), "labels": labels})
    weights = wide.state_dict()
    for name, weight in task.state_dict().items():
        weights[name][: len(weight)] = weight
    if silent:
        weights["classifier.bias"][len(task.labels) :] = NEVER
    made = Model(model.encoder, wide.to(next(model.parameters()).device))
    made.adaptation = model.adaptation
    return made


def classifier_of(model: Model, where: object) -> Classification:
    """Return the task of a model whose classes may grow; raises InputError for any other."""
    if not isinstance(model.task, Classification):
        raise InputError(
            f"{where} is a model of {model.task.name}; new classes are learnt by classification alone"
        )
    return model.task
