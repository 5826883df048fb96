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
    """

    prefix: str
    modules: Mapping[str, Names]

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

    def owns(self, theirs: str) -> bool:
        """Tell whether a weight of theirs, without the prefix, is one that an encoder may have."""
        module, _, kind = re.sub(r"\d+", "#", theirs).rpartition(".")
        return kind in ("weight", "bias") and any(module in names for names in self.modules.values())


def _bert(prefix: str) -> Dictionary:
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
    )


DICTIONARIES = {
    "bert": _bert("bert."),
}
