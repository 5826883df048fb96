"""config.json of other people's checkpoints, translated into an `EncoderConfig`; strict in both directions.

Every key is either translated, or known to change nothing that an encoder computes, or must have the one
value that is implemented here. Anything else is an error that names key and value: a setting that is
ignored gives wrong numbers without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minibert.errors import InputError
from minibert.model.config import EncoderConfig

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
HARMLESS = frozenset(  # bookkeeping, generation, pruning and heads: nothing that an encoder computes
    """_name_or_path architectures attn_implementation auto_map bos_token_id chunk_size_feed_forward
    classifier_dropout classifier_pooling classifier_activation classifier_bias cls_token_id
    cross_attention_hidden_size decoder_bias decoder_start_token_id
    deterministic_flash_attn directionality dtype eos_token_id finetuning_task gradient_checkpointing id2label
    initializer_cutoff_factor keys_to_ignore_at_inference label2id language max_length model_type
    num_labels output_attentions output_hidden_states output_past pad_token pooler_dropout
    pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type
    problem_type qa_dropout reference_compile repad_logits_with_grad return_dict sep_token_id
    seq_classif_dropout sinusoidal_pos_embds sparse_pred_ignore_index sparse_prediction summary_activation
    summary_last_dropout summary_type summary_use_proj task_specific_params tie_weights_ torch_dtype
    torchscript transformers_version use_bfloat16 use_cache""".split()
)
ONE_VALUE: dict[str, Any] = {  # what an encoder of any family here must have, where it is said at all
    "add_cross_attention": False,
    "cross_attention": False,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "position_embedding_type": "absolute",
    "pruned_heads": {},
    "embedding_dropout": 0.0,
    "mlp_dropout": 0.0,
    "output_dropout": 0.0,
}
NAMES = {
    name: name
    for name in """vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act
    max_position_embeddings type_vocab_size hidden_dropout_prob attention_probs_dropout_prob layer_norm_eps
    initializer_range pad_token_id tie_word_embeddings""".split()
}


@dataclass(frozen=True)
class Dialect:
    """How one family writes its settings.

    fields    their key -> ours
    defaults  their values where config.json leaves a key out
    """

    fields: Mapping[str, str] = field(default_factory=lambda: NAMES)
    defaults: Mapping[str, Any] = field(default_factory=dict)


_BERT_DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
DIALECTS = {
    "bert": Dialect(defaults=_BERT_DEFAULTS),
}


def encoder_config(values: Mapping[str, Any], where: str) -> EncoderConfig:
    """Translate the values of a config.json; `where` names the file in errors.

    Raises InputError for another architecture, an unknown key, or a value that is not implemented.
    """
    family = values.get("model_type")
    if family not in DIALECTS:
        raise InputError(f"{where}: model_type {family!r} is not supported; known: {', '.join(DIALECTS)}")
    dialect = DIALECTS[family]
    found: dict[str, Any] = dict(dialect.defaults)
    for key, value in values.items():
        if key in dialect.fields:
            found[dialect.fields[key]] = value
        elif key in ONE_VALUE:
            if value is not None and value != ONE_VALUE[key]:
                raise InputError(f"{where}: {key} {value!r} is not implemented, only {ONE_VALUE[key]!r}")
        elif key not in HARMLESS:
            raise InputError(
                f"{where}: {key} {value!r} is not known for {family}; remove the key if it changes nothing"
            )
    activation = found.get("hidden_act", "gelu")
    if activation not in ACTIVATIONS:
        raise InputError(
            f"{where}: activation {activation!r} is not implemented; known: {', '.join(ACTIVATIONS)}"
        )
    found["hidden_act"] = ACTIVATIONS[activation]
    return EncoderConfig.from_dict({key: value for key, value in found.items() if value is not None}, where)
