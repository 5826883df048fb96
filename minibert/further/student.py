"""A student: a model like its teacher, with fewer layers, that begins as a part of it.

    teacher   0  1  2  3  4  5           student layer s takes teacher layer (s + 1) L / S - 1
    student      0     1     2           (Jiao et al., 2020, "TinyBERT", section 3.1)

Where some layers see the whole text and others a window, a place of the student that sees so much takes the
nearest layer that saw as much in the teacher::

    teacher   G  l  l  G  l  l           a window, and the base of rotary positions, go by a layer's number
    student            G     l

Embeddings, last norm, head, tokenizer and labels are the teacher's (Sanh et al., 2019, "DistilBERT").
"""

from dataclasses import replace

from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model


def kept_layers(config: EncoderConfig, student: int) -> list[int]:
    """Return the numbers of the teacher's layers that a student of so many layers takes, in order.

    They are evenly spread, or as near to that as layers come that see as much and turn as far as the place
    of the student does; the sum of the distances is the smallest there is.

    >>> local = EncoderConfig(9, num_hidden_layers=6, model_type="modernbert", global_attn_every_n_layers=3)
    >>> kept_layers(local, 2), kept_layers(local, 3)
    ([3, 5], [0, 2, 5])
    """
    kinds = [(config.window(layer), config.rope_theta(layer)) for layer in range(config.num_hidden_layers)]
    paths: dict[int, tuple[int, list[int]]] = {-1: (0, [])}  # by its last layer: the distances and the way
    for place, wish in enumerate(evenly_spread(len(kinds), student)):
        paths = {
            layer: min((far + abs(layer - wish), [*path, layer]) for far, path in before)
            for layer, kind in enumerate(kinds)
            if kind == kinds[place] and (before := [paths[last] for last in paths if last < layer])
        }
    return min(paths.values())[1]


def evenly_spread(teacher: int, student: int) -> list[int]:
    """Return `student` numbers below `teacher`, evenly spread; raises InputError if that is not smaller.

    >>> evenly_spread(6, 3), evenly_spread(12, 1), evenly_spread(5, 2)
    ([1, 3, 5], [11], [1, 4])
    """
    if teacher == 1:
        raise InputError(
            "the teacher has one layer, which none can be left out of; name another encoder as model"
        )
    if not 1 <= student < teacher:
        raise InputError(
            f"layers {student}: the teacher has {teacher}; give a number from 1 to {teacher - 1}"
        )
    return [(place + 1) * teacher // student - 1 for place in range(student)]


def student_of(teacher: Model, layers: int) -> Model:
    """Return a new model of so many layers that starts with the teacher's weights."""
    whole = teacher.encoder
    kept = kept_layers(whole.config, layers)
    config = replace(whole.config, num_hidden_layers=layers)
    encoder = Encoder(config)
    encoder.embeddings.load_state_dict(whole.embeddings.state_dict())
    encoder.norm.load_state_dict(whole.norm.state_dict())
    for block, layer in zip(encoder.blocks, kept, strict=True):
        weights = whole.blocks[layer].state_dict()
        # The first block of the modern recipe has no norm before its attention: its input is normed already.
        block.load_state_dict({name: weights.get(name, own) for name, own in block.state_dict().items()})
    task = type(teacher.task).reopen(teacher.task.tokenizer, config, teacher.task.settings())
    task.load_state_dict(teacher.task.state_dict())
    return Model(encoder, task)
