"""Random small models of `transformers` with odd shapes, and our reading of the folders that they save.

The shapes are listed, not drawn. Down the rows of a family every flag that changes what it computes takes
every value, and whether the head is tied meets every value of all but layers and activations; test_parity.py
checks this.
"""

import random
from pathlib import Path
from typing import Any

import torch
import transformers

VOCABULARY = 97
LONGEST = 29
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "modernbert")
ROBERTAS = ("roberta", "xlm-roberta", "camembert")  # which count places from the padding token's number on
CLASSES = {
    "bert": "Bert",
    "roberta": "Roberta",
    "xlm-roberta": "XLMRoberta",
    "camembert": "Camembert",
    "distilbert": "DistilBert",
    "electra": "Electra",
    "modernbert": "ModernBert",
}


Row = dict[str, Any]


def rows(names: str, *rows: tuple[Any, ...]) -> tuple[Row, ...]:
    """Return the rows of a table with these columns."""
    return tuple(dict(zip(names.split(), row, strict=True)) for row in rows)


# heads and head: how many, and how wide each is; width: of a narrow table, 0 for that of the hidden states;
# every: the distance of two global layers; far and near: the rotary bases of global and local layers.
# The first four rows pad with the family's own token, as other tests bring tokenizers of their own.
BERT = rows(
    "layers heads head inner act types eps tied pad",
    (1, 1, 6, 23, "gelu", 3, 1e-12, True, 0),
    (2, 2, 7, 23, "relu", 3, 1e-3, False, 0),
    (3, 2, 6, 13, "gelu_new", 1, 1e-3, True, 0),
    (4, 2, 5, 17, "silu", 2, 1e-5, False, 0),
    (5, 1, 7, 17, "gelu_fast", 2, 1e-3, True, 7),
    (1, 3, 6, 13, "swish", 2, 1e-12, False, 7),
    (3, 3, 5, 23, "gelu_pytorch_tanh", 3, 1e-5, True, 7),
    (2, 1, 5, 13, "gelu_python", 1, 1e-5, False, 7),
)
ROBERTA = rows(
    "layers heads head inner types eps tied pad",
    (2, 2, 5, 13, 1, 1e-3, True, 1),
    (1, 3, 5, 17, 2, 1e-5, False, 1),
    (3, 2, 7, 23, 2, 1e-12, True, 1),
    (4, 1, 6, 13, 3, 1e-12, False, 1),
    (5, 3, 6, 23, 3, 1e-3, True, 7),
    (1, 1, 7, 23, 1, 1e-3, False, 0),
    (2, 1, 7, 17, 3, 1e-5, True, 0),
    (3, 2, 6, 17, 1, 1e-5, False, 7),
)
DISTILBERT = rows(
    "layers heads head inner act sinusoidal tied pad",
    (2, 3, 6, 23, "gelu", False, True, 0),
    (1, 3, 5, 13, "relu", False, False, 0),
    (3, 1, 7, 13, "gelu_new", False, True, 0),
    (4, 2, 6, 17, "silu", False, False, 0),
    (5, 1, 5, 17, "gelu_fast", True, True, 0),
    (3, 3, 7, 17, "swish", True, False, 7),
    (2, 2, 5, 13, "gelu_pytorch_tanh", True, True, 7),
    (1, 1, 6, 23, "gelu_python", True, False, 7),
)
ELECTRA = rows(
    "layers heads head inner width types eps tied pad",
    (2, 2, 6, 17, 0, 1, 1e-12, True, 0),
    (1, 2, 6, 23, 29, 2, 1e-3, False, 0),
    (3, 1, 5, 13, 29, 3, 1e-3, True, 0),
    (4, 1, 5, 17, 3, 1, 1e-5, False, 0),
    (5, 2, 5, 23, 3, 2, 1e-5, True, 7),
    (3, 1, 7, 23, 0, 2, 1e-12, False, 7),
    (1, 3, 7, 17, 29, 1, 1e-3, True, 7),
    (2, 3, 6, 13, 3, 3, 1e-5, False, 7),
)
MODERNBERT = rows(
    "layers heads head inner act eps bias every window far near tied pad",
    (3, 1, 4, 17, "gelu", 1e-3, False, 2, 10, 20_000.0, 1_000.0, True, 3),
    (2, 2, 4, 13, "relu", 1e-5, False, 3, 10, 160_000.0, 10_000.0, False, 3),
    (5, 3, 14, 13, "gelu_new", 1e-3, True, 3, 7, 20_000.0, 1_000.0, True, 3),
    (4, 1, 14, 23, "silu", 1e-5, True, 2, 7, 160_000.0, 10_000.0, False, 3),
    (1, 2, 14, 23, "gelu_fast", 1e-5, False, 1, 64, 160_000.0, 1_000.0, True, 3),
    (5, 3, 6, 23, "swish", 1e-3, False, 3, 64, 160_000.0, 1_000.0, False, 11),
    (3, 2, 6, 13, "gelu_pytorch_tanh", 1e-5, True, 2, 4, 20_000.0, 10_000.0, True, 11),
    (4, 3, 4, 17, "gelu_python", 1e-3, True, 1, 4, 20_000.0, 10_000.0, False, 11),
)
SHAPES = {
    "bert": BERT,
    **dict.fromkeys(ROBERTAS, ROBERTA),
    "distilbert": DISTILBERT,
    "electra": ELECTRA,
    "modernbert": MODERNBERT,
}


def odd_config(family: str, number: int, **given: Any) -> Any:
    """Return the small config of a row of the family's table, the first again after the last."""
    row = SHAPES[family][number % len(SHAPES[family])]
    sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": LONGEST}
    same = {"tie_word_embeddings": row["tied"], "pad_token_id": row["pad"]}
    own = {"distilbert": _distilbert, "modernbert": _modernbert}.get(family, _bert)
    kind = getattr(transformers, CLASSES[family] + "Config")
    return kind(**{**sizes, **same, **own(row), **given})


def _sizes(row: Row) -> Row:
    return {
        "num_hidden_layers": row["layers"],
        "num_attention_heads": row["heads"],
        "hidden_size": row["heads"] * row["head"],
        "intermediate_size": row["inner"],
    }


def _bert(row: Row) -> Row:
    """Return the settings of BERT and its kin; where the table has no activation, it is the head's own."""
    settings = {"hidden_act": row.get("act", "gelu")}
    settings |= {"type_vocab_size": row["types"], "layer_norm_eps": row["eps"]}
    narrow = {"embedding_size": row["width"] or row["heads"] * row["head"]} if "width" in row else {}
    return {**_sizes(row), **settings, **narrow}


def _distilbert(row: Row) -> Row:
    names = ("n_layers", "n_heads", "dim", "hidden_dim")
    sizes = dict(zip(names, _sizes(row).values(), strict=True))
    return {**sizes, "activation": row["act"], "sinusoidal_pos_embds": row["sinusoidal"]}


def _modernbert(row: Row) -> Row:
    biases = ("norm_bias", "attention_bias", "mlp_bias", "classifier_bias")
    control = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
    return {
        **_sizes(row),
        **dict.fromkeys(biases, row["bias"]),
        **dict.fromkeys(("hidden_activation", "classifier_activation"), row["act"]),
        **dict.fromkeys(control, row["pad"]),
        "norm_eps": row["eps"],
        "local_attention": row["window"],
        "global_attn_every_n_layers": row["every"],
        "global_rope_theta": row["far"],
        "local_rope_theta": row["near"],
    }


def make_model(config: Any, kind: str, seed: int = 0) -> Any:
    """Return a model of `transformers` whose weights are all far from what they are born with."""
    torch.manual_seed(seed)
    family = config.model_type
    model = getattr(transformers, CLASSES[family] + kind)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def save_model(model: Any, folder: Path) -> Path:
    """Save a model as `transformers` does."""
    model.save_pretrained(folder)
    return folder


def write_vocabulary(folder: Path) -> Path:
    """Write a vocabulary of words, the five control tokens first, that fits every model here."""
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *(f"w{number}" for number in range(5, VOCABULARY)),
    ]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return folder


def odd_batch(config: Any, seed: int = 0) -> tuple[list[list[int]], list[list[int]]]:
    """Return ids of texts of 1 token up to the longest, and the segment of every token."""
    draw = random.Random(seed)
    longest = LONGEST - (config.pad_token_id + 1 if config.model_type in ROBERTAS else 0)
    sizes = [1, 2, longest, *(draw.randint(1, longest) for _ in range(4))]
    types = getattr(config, "type_vocab_size", 0) or 1
    letters = [number for number in range(5, VOCABULARY) if number != config.pad_token_id]
    ids = [draw.choices(letters, k=size) for size in sizes]
    return ids, [[draw.randrange(types) for _ in row] for row in ids]


def pad(rows: list[list[int]], value: int) -> torch.Tensor:
    """Return the rows as a rectangle."""
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def padded_inputs(config: Any, ids: list[list[int]], segments: list[list[int]]) -> dict[str, torch.Tensor]:
    """Return what a model of `transformers` is called with."""
    inputs = {
        "input_ids": pad(ids, config.pad_token_id),
        "attention_mask": pad([[1] * len(row) for row in ids], 0),
    }
    if getattr(config, "type_vocab_size", 0):
        inputs["token_type_ids"] = pad(segments, 0)
    return inputs
