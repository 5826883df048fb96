"""Random small models of `transformers` with odd shapes, and our reading of the folders that they save.

Sizes are odd where they can be, and every flag of a family that changes what it computes varies with the
seed: layers, heads, activations, kinds of tokens, tied and untied heads, biases, windows.
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


def odd_config(family: str, seed: int, **given: Any) -> Any:
    """Return a small config of `transformers`, different for every seed."""
    draw = random.Random(f"{family} {seed}")
    heads = draw.choice([1, 2, 3])
    size = heads * draw.choice([2, 6, 10])
    sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": LONGEST}
    act = draw.choice(["gelu", "gelu_new", "relu", "silu"])
    shape: dict[str, Any] = {"tie_word_embeddings": draw.choice([True, False])}
    layers, inner = 1 + seed % 5, draw.choice([13, 17, 23])
    if family == "distilbert":
        shape |= {"dim": size, "n_heads": heads, "n_layers": layers, "hidden_dim": inner, "activation": act}
    elif family == "modernbert":
        bias = draw.choice([True, False])
        shape |= {
            **dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias"), bias),
            "classifier_bias": bias,
            "hidden_activation": "gelu",
            "local_attention": draw.choice([4, 6, 10]),
            "global_attn_every_n_layers": draw.choice([1, 2, 3]),
            "global_rope_theta": draw.choice([160_000.0, 20_000.0]),
            "local_rope_theta": draw.choice([10_000.0, 1_000.0]),
            "norm_eps": draw.choice([1e-5, 1e-3]),
            **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 3),
            **dict.fromkeys(("cls_token_id", "sep_token_id"), 3),
        }
    else:
        gelu = family in (*ROBERTAS, "electra")  # their language-model heads always have it
        shape |= {
            "type_vocab_size": draw.choice([1, 2, 3]),
            "layer_norm_eps": draw.choice([1e-12, 1e-5, 1e-3]),
            "hidden_act": "gelu" if gelu else act,
        }
        shape |= {"embedding_size": draw.choice([size, 5])} if family == "electra" else {}
    if family != "distilbert":
        shape |= {"hidden_size": size, "num_attention_heads": heads, "num_hidden_layers": layers}
        shape |= {"intermediate_size": inner}
    kind = getattr(transformers, CLASSES[family] + "Config")
    return kind(**{**sizes, **shape, **given})


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
    ids = [[draw.randint(5, VOCABULARY - 1) for _ in range(size)] for size in sizes]
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
