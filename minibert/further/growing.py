"""A classifier that learns new classes: its head gets a row for each, the old rows stay as they are.

    logits (N, C)  ->  logits (N, C + new)        the first C columns are the same numbers as before

Old classes keep their numbers, so old logits and new ones can be compared column by column.
"""

from collections.abc import Sequence
from typing import Any

from minibert.adapt.parted import refuse_parts
from minibert.errors import InputError
from minibert.tasks.classification import Classification
from minibert.tasks.intent_slots import IntentSlots
from minibert.tasks.label_sets import natural
from minibert.tasks.model import Model

NEVER = -1e4  # a logit whose probability is zero in every precision


def grown(model: Model, examples: Sequence[Any], *, silent: bool = False) -> Model:
    """Return the model with a row for each label of `examples` that it does not know; the encoder is shared.

    silent  the new classes are never answered, so the model answers as before it grew
    A model that knows all labels, or is no classifier, comes back as it is. Raises InputError for intents
    and tags that are new: those heads do not grow.
    """
    refuse_parts(model)
    task = model.task
    if isinstance(task, IntentSlots):
        refuse_new(task, examples)
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


def refuse_new(task: IntentSlots, examples: Sequence[Any]) -> None:
    """Raise InputError for the first example with an intent or a tag that the task does not know."""
    for number, example in enumerate(map(task.example, examples), 1):
        given = {"intent": ((str(example.intent),), task.intents), "tag": (example.tags or (), task.labels)}
        for what, (labels, known) in given.items():
            for label in labels:
                if label not in known:
                    raise InputError(
                        f"example {number}: {what} {label!r} is new to the model, which knows "
                        f"{', '.join(known)}; fine-tune an encoder on all rows instead"
                    )


def classifier_of(model: Model, where: object) -> Classification:
    """Return the task of a model whose classes may grow; raises InputError for any other."""
    if not isinstance(model.task, Classification):
        raise InputError(
            f"{where} is a model of {model.task.name}; new classes are learnt by classification alone"
        )
    return model.task
