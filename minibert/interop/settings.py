"""config.json of other people's checkpoints, translated into an `EncoderConfig`, strictly.

Every key is either translated, or known to change nothing that an encoder computes, or must have the one
value that is implemented here. Anything else is an error that names key and value: a setting that is
ignored gives wrong numbers without a word.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from minibert.errors import InputError
from minibert.interop.modernbert import modernbert_fields
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
HARMLESS = frozenset(  # bookkeeping, generation and heads: nothing that an encoder computes
    """_attn_implementation _attn_implementation_autoset _attn_implementation_internal _name_or_path
    _num_labels architectures attn_implementation bad_words_ids begin_suppress_tokens bos_token_id
    chunk_size_feed_forward classifier_activation classifier_bias classifier_dropout
    classifier_pooling cls_token_id cross_attention_hidden_size decoder_bias decoder_start_token_id
    deterministic_flash_attn directionality diversity_penalty do_sample dtype early_stopping
    encoder_no_repeat_ngram_size eos_token_id eos_token_ids exponential_decay_length_penalty
    finetuning_task forced_bos_token_id forced_eos_token_id gradient_checkpointing id2label
    initializer_cutoff_factor keys_to_ignore_at_inference label2id language length_penalty
    mask_token_id max_length min_length model_type name no_repeat_ngram_size num_beam_groups
    num_beams num_labels num_return_sequences output_attentions output_hidden_states output_past
    output_scores pad_token pooler_dropout pooler_fc_size pooler_num_attention_heads
    pooler_num_fc_layers pooler_size_per_head pooler_type prefix problem_type qa_dropout
    reference_compile remove_invalid_values repad_logits_with_grad repetition_penalty return_dict
    return_dict_in_generate sentence_transformers sep_token_id seq_classif_dropout
    sinusoidal_pos_embds sparse_pred_ignore_index sparse_prediction summary_activation
    summary_last_dropout summary_type summary_use_proj suppress_tokens task_specific_params
    temperature tf_legacy_loss tie_weights_ tokenizer_class top_k top_p torch_dtype torchscript
    transformers.js_config transformers_version typical_p unk_token_id use_bfloat16 use_cache
    xla_device""".split()
)
ALLOWED: dict[str, tuple[Any, ...]] = {  # what an encoder here must have, where it is said at all
    "add_cross_attention": (False,),
    "auto_map": ({},),  # code of the checkpoint's own
    "causal_mask": (False,),
    "is_causal": (False,),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "position_embedding_type": ("absolute",),
    "pruned_heads": ({},),
}
NAMES = {
    name: name
    for name in """vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act
    max_position_embeddings type_vocab_size hidden_dropout_prob attention_probs_dropout_prob layer_norm_eps
    initializer_range pad_token_id tie_word_embeddings""".split()
}
DISTILBERT_NAMES = {
    **{name: name for name in ("vocab_size", "max_position_embeddings", "initializer_range")},
    **{name: name for name in ("pad_token_id", "tie_word_embeddings")},
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "hidden_dim": "intermediate_size",
    "activation": "hidden_act",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
}
BASE = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
SMALL_ELECTRA = {
    **BASE,
    "hidden_size": 256,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "embedding_size": 128,
}

Fields = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """How one family writes its settings.

    names     their key -> our field
    defaults  our fields where config.json leaves a key out
    adapt     what is not a renaming: told our fields and the whole config.json, returns our fields
    also      keys that `adapt` reads, or that change nothing in this family alone
    allowed   values that it may have beside those of ALLOWED
    """

    names: Mapping[str, str] = field(default_factory=lambda: NAMES)
    defaults: Mapping[str, Any] = field(default_factory=lambda: BASE)
    adapt: Callable[[Fields, Mapping[str, Any], str], Fields] = lambda fields, values, where: fields
    also: frozenset[str] = frozenset()
    allowed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def _roberta(fields: Fields, values: Mapping[str, Any], where: str) -> Fields:
    """Shift the places: the rows up to that of the padding token's number stay unused."""
    padding = fields["pad_token_id"]
    if type(padding) is not int:
        raise InputError(f"{where}: pad_token_id is {padding!r:.60}; a whole number is wanted")
    return {**fields, "position_offset": padding + 1}


def _electra(fields: Fields, values: Mapping[str, Any], where: str) -> Fields:
    narrow = fields["embedding_size"] != fields["hidden_size"]
    return {**fields, "embedding_size": fields["embedding_size"] if narrow else 0}


ROBERTA = Dialect(defaults={**BASE, "pad_token_id": 1}, adapt=_roberta)
DIALECTS = {
    "bert": Dialect(),
    "roberta": replace(ROBERTA, defaults={**ROBERTA.defaults, "vocab_size": 50265}),
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "distilbert": Dialect(
        DISTILBERT_NAMES, {**BASE, "num_hidden_layers": 6, "type_vocab_size": 0, "layer_norm_eps": 1e-12}
    ),
    "electra": Dialect({**NAMES, "embedding_size": "embedding_size"}, SMALL_ELECTRA, _electra),
    "modernbert": Dialect(
        {
            **{name: name for name in NAMES if name not in ("hidden_act", "layer_norm_eps")},
            **{name: name for name in ("local_attention", "global_attn_every_n_layers")},
            **{name: name for name in ("global_rope_theta", "local_rope_theta")},
            "hidden_activation": "hidden_act",
            "norm_eps": "layer_norm_eps",
        },
        {**BASE, "vocab_size": 50368, "num_hidden_layers": 22, "intermediate_size": 1152},
        modernbert_fields,
        frozenset(
            """attention_bias attention_dropout embedding_dropout layer_norm_eps layer_types mlp_bias
            mlp_dropout norm_bias rope_parameters""".split()
        ),
        {"position_embedding_type": ("sans_pos",)},  # no table of places, as this family has it
    ),
}


def encoder_config(values: Mapping[str, Any], where: str) -> EncoderConfig:
    """Translate the values of a config.json; `where` names the file in errors.

    Raises InputError for another architecture, an unknown key, or a value that is not implemented.

    >>> encoder_config({"model_type": "roberta", "max_position_embeddings": 514}, "config.json").longest_text
    512
    """
    family = values.get("model_type")
    if not isinstance(family, str) or family not in DIALECTS:
        raise InputError(
            f"{where}: model_type {family!r} is not an encoder that is implemented here; "
            f"known: {', '.join(DIALECTS)}"
        )
    dialect = DIALECTS[family]
    fields: Fields = dict(dialect.defaults)
    for key, value in values.items():
        if key in dialect.names:
            fields |= {} if value is None else {dialect.names[key]: value}
        elif key in ALLOWED and key not in dialect.also:
            allowed = ALLOWED[key] + dialect.allowed.get(key, ())
            if value not in (None, *allowed):
                only = " or ".join(map(repr, allowed))
                raise InputError(f"{where}: {key} {value!r} is not implemented, only {only}")
        elif key not in HARMLESS | dialect.also:
            raise InputError(
                f"{where}: {key} {value!r} is not known for {family}; remove the key if it changes nothing"
            )
    fields = dialect.adapt(fields, values, where)
    activation = fields.get("hidden_act", "gelu")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise InputError(
            f"{where}: activation {activation!r} is not implemented; known: {', '.join(ACTIVATIONS)}"
        )
    return EncoderConfig.from_dict({**fields, "hidden_act": ACTIVATIONS[activation]}, where)
