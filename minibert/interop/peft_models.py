"""A model out of a folder of `peft`: its adapter and its head, over the base that it names.

    base                     tokenizer, encoder, the pooler below the head, the labels' names where they fit
    adapter_model            A and B of every update; `modules_to_save`, which are the head
    adapter_config.json      task_type, which says what the head is for

Their folder does not say what the labels are called. Where the base has as many names they are its own, and
else LABEL_0, LABEL_1, .. as in `transformers`. One that was written here says it in a file beside.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minibert.adapt.build import adaptation_of
from minibert.checkpoint import read_json, read_table
from minibert.errors import InputError
from minibert.interop.adapted import no_base
from minibert.interop.checkpoints import check_vocabulary, read_config, read_encoder
from minibert.interop.heads import HEADS, fill_head, make_task
from minibert.interop.hub import local_folder
from minibert.interop.kinds import PEFT_KINDS
from minibert.interop.names import DICTIONARIES
from minibert.interop.peft_folders import BEGINNING, CONFIG, OWN_TASK, TENSORS, base_of, read_peft
from minibert.interop.problems import label_names, problem_of
from minibert.interop.sentence_transformers import encoder_folder, read_habits
from minibert.interop.tensors import Stored, stored_in, stored_tensors
from minibert.tasks.adaptation import hash_of
from minibert.tasks.model import Model, reopen_task
from minibert.text.loading import load_tokenizer


def open_peft(folder: Path, base: str | Path | Model | None) -> Model:
    """Open an adapter and its head over their base; the model is one with an adapter, as if trained here.

    base  the folder of the base, where it has moved
    Raises InputError where the base is not there or is none of Hugging Face's layout, and for a head that is
    not here or does not fit.
    """
    place = base_folder(folder, base)
    values = read_json(place / "config.json")
    family, stored = str(values.get("model_type")), stored_tensors(place)
    config, tokenizer = read_config(place), load_tokenizer(place)
    check_vocabulary(tokenizer, config, place)
    encoder, head = read_encoder(place, config), head_weights(folder, family)
    if (folder / OWN_TASK).is_file():
        known = sum(weight.nbytes for weight in encoder.parameters())
        task = reopen_task(folder, config, tokenizer=tokenizer, known=known, file=OWN_TASK)
    else:
        kind = kind_of(folder, values := {**values, **labels_of(values, head)})
        limit = read_habits(place, config.longest_text).max_length
        task = make_task(kind, tokenizer, config, values, max_length=limit)
    refuse_updates(task.name, family, head, folder=folder)
    prefixed = {DICTIONARIES[family].prefix + name: tensor for name, tensor in stored.items()}
    fill_head(task, family, {**prefixed, **stored, **head}, folder=folder)
    sha256 = hash_of(encoder.state_dict())
    model = Model(encoder, task)
    options = read_peft(folder, encoder, family)
    model.adaptation = adaptation_of(model, options, base=str(place.resolve()), sha256=sha256)
    return model


def base_folder(folder: Path, base: str | Path | Model | None) -> Path:
    """Return the folder of an adapter's base."""
    if isinstance(base, Model):
        raise InputError(f"{folder} holds an adapter of peft; give the folder of its base, not an open model")
    place = local_folder(base or base_of(folder))
    if not place.is_dir():
        raise no_base(folder, place)
    place = encoder_folder(place)
    if (place / "task.json").is_file():
        raise InputError(
            f"{folder} holds an adapter of peft whose base {place} is a model of minibert; its encoder is "
            "opened by load_encoder, its head only where the base is a checkpoint in Hugging Face's layout"
        )
    return place


def head_weights(folder: Path, family: str) -> dict[str, Stored]:
    """Return what an adapter's file holds beside the encoder's updates, under its names in the family."""
    others, prefix = DICTIONARIES[family].others, DICTIONARIES[family].prefix
    found = {name.removeprefix(BEGINNING): one for name, one in stored_in(folder / TENSORS).items()}
    return {name: one for name, one in found.items() if name.removeprefix(prefix).startswith(others)}


def labels_of(values: Mapping[str, Any], head: Mapping[str, Stored]) -> dict[str, Any]:
    """Return the labels that a head has: the base's where it has as many, else numbered ones."""
    names = ("classifier.weight", "classifier.out_proj.weight")
    count = next((head[name].shape[0] for name in names if name in head), None)
    if count is None or (values.get("id2label") and len(label_names(values)) == count):
        return {}
    return {"id2label": {str(number): f"LABEL_{number}" for number in range(count)}}


def kind_of(folder: Path, values: Mapping[str, Any]) -> str:
    """Return the name of the task that an adapter was trained for; raises InputError for none of ours."""
    told = read_table(folder / CONFIG).get("task_type")
    kinds = [kind for kind, theirs in PEFT_KINDS.items() if theirs == told]
    if not kinds:
        raise InputError(
            f"{folder / CONFIG}: task_type is {told!r}, which has no task here; load_encoder opens the "
            f"encoder, and the tasks are those of {', '.join(dict.fromkeys(PEFT_KINDS.values()))}"
        )
    return problem_of(values) if told == PEFT_KINDS["classification"] else kinds[0]


def refuse_updates(kind: str, family: str, head: Mapping[str, Stored], *, folder: Path) -> None:
    """Raise InputError for an update of the head's own layers, which are kept whole here."""
    layers = tuple(HEADS[kind][family].values())
    updates = [name for name in head if ".lora_" in name and name.startswith(layers)]
    if updates:
        raise InputError(
            f"{folder}: {updates[0]} is an update of the head, which is not implemented; name the layer in "
            "modules_to_save when you train, or open the encoder alone with load_encoder"
        )
