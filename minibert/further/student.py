"""A student: a model like its teacher, with fewer layers, that begins as a part of it.

    teacher   0  1  2  3  4  5           student layer s takes teacher layer (s + 1) L / S - 1
    student      0     1     2           (Jiao et al., 2020, "TinyBERT", section 3.1)

Embeddings, last norm, head, tokenizer and labels are the teacher's (Sanh et al., 2019, "DistilBERT").
"""

from dataclasses import replace

from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model


def kept_layers(teacher: int, student: int) -> list[int]:
    """Return the numbers of the teacher's layers that a student of so many layers takes, evenly spread.

    Raises InputError where the student is not the smaller one.

    >>> kept_layers(6, 3), kept_layers(12, 1), kept_layers(5, 2)
    ([1, 3, 5], [11], [1, 4])
    """
    if not 1 <= student < teacher:
        raise InputError(
            f"layers {student}: the teacher has {teacher}; give a number from 1 to {teacher - 1}"
        )
    return [(place + 1) * teacher // student - 1 for place in range(student)]


def student_of(teacher: Model, layers: int) -> Model:
    """Return a new model of so many layers that starts with the teacher's weights."""
    whole = teacher.encoder
    kept = kept_layers(len(whole.blocks), layers)
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
