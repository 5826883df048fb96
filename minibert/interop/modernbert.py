"""What is peculiar to ModernBERT's config.json (Warner et al., 2024): kinds of layers, rotary bases, biases.

Older files give the distance between global layers and two bases; newer ones list the kind of every layer
and a table of bases. Dropout elsewhere than nowhere, scaled rotary positions, and biases in some layers
only are not implemented, and are errors.
"""

from collections.abc import Mapping
from typing import Any

from minibert.errors import InputError

KINDS = ("full_attention", "sliding_attention")
BIASES = ("attention_bias", "mlp_bias", "norm_bias")
DROPOUTS = ("attention_dropout", "embedding_dropout", "mlp_dropout")


def modernbert_fields(fields: dict[str, Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Complete the fields of an `EncoderConfig` from a config.json.

    Raises InputError for what is not implemented.
    """
    biases = {name: bool(values.get(name, False)) for name in BIASES}
    if len(set(biases.values())) > 1:
        told = ", ".join(f"{name} {value}" for name, value in biases.items())
        raise InputError(f"{where}: {told}: biases in some layers only are not implemented")
    for name in DROPOUTS:
        if values.get(name):
            raise InputError(f"{where}: {name} {values[name]!r} is not implemented, only 0.0")
    full, sliding = (_base(values, kind, where) for kind in KINDS)
    return {
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 8192,
        "pad_token_id": 50283,
        **fields,
        "model_type": "modernbert",
        "gated_mlp": True,
        "bias": biases["norm_bias"],
        "type_vocab_size": 0,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "global_attn_every_n_layers": _every(fields, values, where),
        "global_rope_theta": fields.get("global_rope_theta", 160_000.0) if full is None else full,
        "local_rope_theta": fields.get("local_rope_theta", 10_000.0) if sliding is None else sliding,
    }


def _base(values: Mapping[str, Any], kind: str, where: str) -> float | None:
    """Return the rotary base of a kind of layer, None where the newer table does not say it."""
    table = (values.get("rope_parameters") or {}).get(kind) or {}
    for key, value in table.items():
        if key != "rope_theta" and (key, value) != ("rope_type", "default"):
            raise InputError(f"{where}: rope_parameters, {kind}: {key} {value!r} is not implemented")
    return table.get("rope_theta")


def _every(fields: Mapping[str, Any], values: Mapping[str, Any], where: str) -> int:
    """Return the distance between two layers that see the whole text."""
    kinds = values.get("layer_types")
    if kinds is None:
        return int(fields.get("global_attn_every_n_layers", 3))
    layers = fields["num_hidden_layers"]
    later = [layer for layer in range(1, len(kinds)) if kinds[layer] == "full_attention"]
    every = later[0] if later else max(layers, 1)
    if list(kinds) != [KINDS[layer % every > 0] for layer in range(layers)]:
        raise InputError(f"{where}: layer_types {kinds!r} do not come at one distance: not implemented")
    return every
