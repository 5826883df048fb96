"""Which family of Hugging Face's has the parts that a model is made of.

The first that has the same parts is taken. What no family has (RMS norms, a CRF, the mean of a text without
a projection) is refused with what would fit.
"""

from minibert.errors import InputError
from minibert.interop.heads import ALWAYS_GELU, PROJECTIONS
from minibert.model.config import EncoderConfig
from minibert.tasks.classification import Classification
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.regression import Regression
from minibert.tasks.tagging import Tagging
from minibert.tasks.task import Task


def fitting_family(config: EncoderConfig, task: Task | None) -> str:
    """Name the family that has an encoder's and a head's parts; raises InputError where none has."""
    refusals = {}
    for family in ("modernbert",) if config.modern else ("bert", "electra", "roberta", "distilbert"):
        refusal = _encoder_refusal(family, config) or head_refusal(family, config, task)
        if refusal is None:
            return family
        refusals[family] = refusal
    told = "; ".join(f"{family}: {refusal}" for family, refusal in refusals.items())
    raise InputError(f"this model has no counterpart in transformers ({told})")


def _encoder_refusal(family: str, config: EncoderConfig) -> str | None:
    modern = family == "modernbert"
    windows = any(config.window(layer) for layer in range(config.num_hidden_layers))
    wants: dict[str, bool] = {
        f"norm {config.norm!r} is not layernorm": config.norm == "layernorm",
        "it has no qk_norm": not config.qk_norm,
        f"gated_mlp is not {modern}": config.gated_mlp == modern,
        "it has biases everywhere": config.bias or modern,
        "it has no windows": modern or not windows,
        "it has no narrow tables": family == "electra" or not config.embedding_size,
        "it has no kinds of tokens": family not in ("modernbert", "distilbert") or not config.type_vocab_size,
        "it has kinds of tokens": family in ("modernbert", "distilbert") or config.type_vocab_size > 0,
        "places begin at 0": family == "roberta" or not config.position_offset,
        "places begin after the padding token's number": family != "roberta"
        or config.position_offset == config.pad_token_id + 1,
        "layer_norm_eps is 1e-12": family != "distilbert" or config.layer_norm_eps == 1e-12,
    }
    return next((reason for reason, kept in wants.items() if not kept), None)


def head_refusal(family: str, config: EncoderConfig, task: Task | None) -> str | None:
    """Say what a family's head has that a task's has not, and how to train one that fits; None if it fits."""
    if task is None:
        return None
    if isinstance(task, MaskedLM):
        gelu = config.hidden_act == "gelu" or family not in ALWAYS_GELU
        return None if gelu else "its language-model head has gelu"
    modern = family == "modernbert"
    if isinstance(task, Tagging | QuestionAnswering):
        if isinstance(task, Tagging) and task.crf is not None:
            return "it has no CRF"
        act, taken = task.act, "gelu" if task.act == "none" else task.act
        found = ("first", act, task.options.projection_norm)
        wanted = ("first", taken if modern else "none", modern)
    elif isinstance(task, Classification | MultiLabel | Regression):
        if isinstance(task, Regression) and task.levels is not None:
            return "it has no ordered levels"
        act = task.options.activation
        found = (task.options.pooling, act, task.options.projection_norm)
        one = ("first", PROJECTIONS.get(family, "tanh"), False)
        wanted = (task.options.pooling, act if act != "none" else "gelu", True) if modern else one
    else:
        return f"it has no task {task.name}"
    return _told(found, wanted)


def _told(found: tuple[str, str, bool], wanted: tuple[str, str, bool]) -> str | None:
    """Say in which choices two heads differ, and the flags that choose the wanted one."""
    names = ("pooling", "projection", "projection_norm")
    differing = [each for each in zip(names, found, wanted, strict=True) if each[1] != each[2]]
    theirs = ", ".join(f"{name} {right}".lower() for name, _, right in differing)
    ours = ", ".join(f"{name} {given}".lower() for name, given, _ in differing)
    flags = " ".join(
        f"--{'' if right else 'no-'}projection-norm" if isinstance(right, bool) else f"--{name} {right}"
        for name, _, right in differing
    )
    return f"its head has {theirs} and this one {ours}; fine-tune with {flags}" if differing else None
