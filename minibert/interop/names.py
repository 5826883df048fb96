"""What other people call the weights of an encoder.

A table leads from our modules to theirs; weights and biases follow. Where their queries, keys and values
are three layers, ours are the three laid on top of each other in one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Names = tuple[str, ...]


@dataclass(frozen=True)
class Dictionary:
    """A family's names.

    prefix   what stands before the encoder's names in a checkpoint that has a head as well
    modules  our module -> their modules; # stands for the number of a layer
    others   how the names of what an encoder does without begin: heads, a pooler, buffers
    """

    prefix: str
    modules: Mapping[str, Names]
    others: Names

    def theirs(self, ours: Iterable[str]) -> dict[str, Names]:
        """Return their names for each of our weights, without the prefix."""
        found = {}
        for name in ours:
            module, _, kind = name.rpartition(".")
            number = re.search(r"\d+", module)
            layer = number[0] if number else ""
            names = self.modules[re.sub(r"\d+", "#", module)]
            found[name] = tuple(f"{theirs.replace('#', layer)}.{kind}" for theirs in names)
        return found


def _bert(prefix: str, *heads: str) -> Dictionary:
    layer = "encoder.layer.#."
    return Dictionary(
        prefix,
        {
            "embeddings.token": ("embeddings.word_embeddings",),
            "embeddings.position": ("embeddings.position_embeddings",),
            "embeddings.segment": ("embeddings.token_type_embeddings",),
            "embeddings.norm": ("embeddings.LayerNorm",),
            "embeddings.project": ("embeddings_project",),
            "blocks.#.attention.qkv": tuple(
                f"{layer}attention.self.{part}" for part in ("query", "key", "value")
            ),
            "blocks.#.attention.output": (f"{layer}attention.output.dense",),
            "blocks.#.attention_norm": (f"{layer}attention.output.LayerNorm",),
            "blocks.#.feed_forward.input": (f"{layer}intermediate.dense",),
            "blocks.#.feed_forward.output": (f"{layer}output.dense",),
            "blocks.#.feed_forward_norm": (f"{layer}output.LayerNorm",),
        },
        (*heads, *BUFFERS, "pooler.", "classifier.", "qa_outputs."),
    )


BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
_DISTILBERT = Dictionary(
    "distilbert.",
    {
        "embeddings.token": ("embeddings.word_embeddings",),
        "embeddings.position": ("embeddings.position_embeddings",),
        "embeddings.norm": ("embeddings.LayerNorm",),
        "blocks.#.attention.qkv": tuple(f"transformer.layer.#.attention.{part}_lin" for part in "qkv"),
        "blocks.#.attention.output": ("transformer.layer.#.attention.out_lin",),
        "blocks.#.attention_norm": ("transformer.layer.#.sa_layer_norm",),
        "blocks.#.feed_forward.input": ("transformer.layer.#.ffn.lin1",),
        "blocks.#.feed_forward.output": ("transformer.layer.#.ffn.lin2",),
        "blocks.#.feed_forward_norm": ("transformer.layer.#.output_layer_norm",),
    },
    ("vocab_", "pre_classifier.", "classifier.", "qa_outputs.", *BUFFERS),
)
_MODERNBERT = Dictionary(
    "model.",
    {
        "embeddings.token": ("embeddings.tok_embeddings",),
        "embeddings.norm": ("embeddings.norm",),
        "blocks.#.attention.qkv": ("layers.#.attn.Wqkv",),
        "blocks.#.attention.output": ("layers.#.attn.Wo",),
        "blocks.#.attention_norm": ("layers.#.attn_norm",),
        "blocks.#.feed_forward.input": ("layers.#.mlp.Wi",),
        "blocks.#.feed_forward.output": ("layers.#.mlp.Wo",),
        "blocks.#.feed_forward_norm": ("layers.#.mlp_norm",),
        "norm": ("final_norm",),
    },
    ("head.", "decoder.", "classifier."),
)
DICTIONARIES = {
    "bert": _bert("bert.", "cls."),
    "roberta": _bert("roberta.", "lm_head."),
    "xlm-roberta": _bert("roberta.", "lm_head."),
    "camembert": _bert("roberta.", "lm_head."),
    "distilbert": _DISTILBERT,
    "electra": _bert("electra.", "generator_", "discriminator_"),
    "modernbert": _MODERNBERT,
}
